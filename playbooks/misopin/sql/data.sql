-- misopin_cms: 마이그레이션 이전의 예약. schema.sql 다음에 실행한다.
--
--   psql -v ON_ERROR_STOP=1 -f data.sql
--   psql -v ON_ERROR_STOP=1 -v rows=50000 -f data.sql
--
--   rows  예약 수 (기본 4). 처음 네 건은 언제나 보고서에 있던 그 네 시각이다: 09:30, 14:00, 15:00, 16:00.
--
-- 난수를 쓰지 않는다: n번째 예약의 모든 값은 md5(n)의 바이트에서 나오므로 언제 어디서 만들어도 같다.
-- 이름과 전화번호는 지어낸 것이다 (010-0xxx는 없는 국번, .example은 없는 도메인).

\set ON_ERROR_STOP on
\if :{?rows}
\else
    \set rows 4
\endif
\echo 'misopin:' :rows 'reservations'

INSERT INTO reservations (id, "patientName", phone, email, "treatmentType", service, "preferredDate",
                          "preferredTime", status, notes, "createdAt", "updatedAt")
WITH word AS NOT MATERIALIZED (
    SELECT
        '{김,이,박,최,정,강,조,윤,장,임,한,오,서,신,권,황}'::text[] AS family,
        '{민,서,지,현,예,도,하,은,수,준,시,유,태,승,재,성}'::text[] AS given_a,
        '{준,우,윤,연,진,아,원,호,은,희,영,수,경,훈,빈,솔}'::text[] AS given_b,
        '{PENDING,CONFIRMED,CONFIRMED,COMPLETED,COMPLETED,COMPLETED,CANCELLED,NO_SHOW}'::"ReservationStatus"[] AS status,
        '{처음 방문합니다,오후가 좋습니다,주차 되나요?,지난번과 같은 시술,상담 먼저 받고 싶어요}'::text[] AS note
), made AS (
    SELECT n, md5('misopin/reservation/' || n) AS hex, decode(md5('misopin/reservation/' || n), 'hex') AS h
    FROM generate_series(1, :rows) AS n
), booked AS (
    -- 평일에만 받는다. 오전은 09:00부터, 오후는 14:00부터, 마지막 예약은 끝나기 30분 전이다.
    SELECT made.*,
        date '2025-11-03' + (n / 40 * 7 / 5) + (get_byte(h, 0) % 5) AS day,
        CASE WHEN n <= 4 THEN (ARRAY['09:30', '14:00', '15:00', '16:00'])[n]
             WHEN get_byte(h, 1) % 3 = 0
                 THEN to_char(time '09:00' + (get_byte(h, 2) % 6) * interval '30 minutes', 'HH24:MI')
             ELSE to_char(time '14:00' + (get_byte(h, 2) % 8) * interval '30 minutes', 'HH24:MI') END AS at
    FROM made
)
SELECT
    'clr' || lpad(to_hex(n), 7, '0') || substr(hex, 1, 15),
    w.family[1 + get_byte(h, 3) % 16] || w.given_a[1 + get_byte(h, 4) % 16] || w.given_b[1 + get_byte(h, 5) % 16],
    '010-0' || lpad((n / 10000 % 1000)::text, 3, '0') || '-' || lpad((n % 10000)::text, 4, '0'),
    CASE WHEN get_byte(h, 6) % 3 > 0 THEN 'patient' || n || '@mail.example' END,
    CASE WHEN get_byte(h, 7) % 4 = 0 THEN 'FOLLOW_UP' ELSE 'FIRST_VISIT' END,
    'WRINKLE_BOTOX',
    day + CASE extract(isodow FROM day) WHEN 6 THEN 2 WHEN 7 THEN 1 ELSE 0 END,
    at,
    w.status[1 + get_byte(h, 8) % 8],
    CASE WHEN get_byte(h, 9) % 4 = 0 THEN w.note[1 + get_byte(h, 10) % 5] END,
    timestamp '2025-10-20 09:00' + n * interval '37 minutes',
    timestamp '2025-10-20 09:00' + n * interval '37 minutes' + (get_byte(h, 11) % 20) * interval '1 hour'
FROM booked CROSS JOIN word AS w
ORDER BY n;

ANALYZE reservations;
