-- 아직 바뀌지 않은 예약을 새 컬럼으로 옮긴다. 001_add_services_and_timeslots.sql이 한 번 부르고,
-- 새 코드가 배포된 뒤 한 번 더 실행한다: 그 사이 옛 코드가 넣은 예약이 남지 않는다. 여러 번 실행해도 같다.
--
-- 규칙: 희망 시각이 그 요일의 진료 시간 안에서 시작하고 끝나면, 그 구간과 서비스의 소요 시간을 적는다.
-- 맞지 않는 행은 그대로 둔다 (NULL): 이어지는 비교가 그 행을 보여 주고 멈춘다.

UPDATE reservations AS r
SET "serviceId"         = s.id,
    "serviceName"       = s.name,
    "estimatedDuration" = s."durationMinutes",
    period              = t.period,
    "timeSlotStart"     = r."preferredTime",
    "timeSlotEnd"       = to_char(r."preferredTime"::time + s."durationMinutes" * interval '1 minute', 'HH24:MI')
FROM services AS s, clinic_time_slots AS t
WHERE r."timeSlotStart" IS NULL
  AND s.code = r.service::text
  AND r."preferredTime" ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'
  AND t."dayOfWeek"::text = (ARRAY['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'])
                            [extract(isodow FROM r."preferredDate")::int]
  AND r."preferredTime" >= t."startTime"
  AND to_char(r."preferredTime"::time + s."durationMinutes" * interval '1 minute', 'HH24:MI') <= t."endTime"
  -- 자정을 넘기면 글자로는 앞서 보인다.
  AND r."preferredTime"::time + s."durationMinutes" * interval '1 minute' > r."preferredTime"::time;
