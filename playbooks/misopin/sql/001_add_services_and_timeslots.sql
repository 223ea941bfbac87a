-- 001_add_services_and_timeslots: 시간 기반 예약
--
--   services           시술과 소요 시간            (1행: WRINKLE_BOTOX, 30분 + 준비 10분)
--   clinic_time_slots  요일과 오전/오후의 진료 시간 (10행: 월-금, 09:00-12:00 / 14:00-18:00)
--   reservations       NULL을 허용하는 컬럼 여섯 개; preferredTime과 service는 그대로 둔다
--
-- 모두 한 트랜잭션이다. 옛 코드는 새 컬럼을 모르는 채 계속 읽고 쓴다. 되돌리기는
-- 001_add_services_and_timeslots.rollback.sql. 두 번 실행하면 첫 문장이 "이미 있다"로 멈추고 아무것도
-- 바뀌지 않는다 (IF NOT EXISTS를 쓰지 않는다: 모양이 다른 테이블을 지나치지 않도록).

\set ON_ERROR_STOP on

BEGIN;

CREATE TYPE "Period" AS ENUM ('MORNING', 'AFTERNOON');
CREATE TYPE "DayOfWeek" AS ENUM
    ('MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY');

CREATE TABLE services (
    id                text         NOT NULL,
    code              text         NOT NULL,
    name              text         NOT NULL,
    description       text,
    category          text,
    "durationMinutes" integer      NOT NULL,
    "bufferMinutes"   integer      NOT NULL DEFAULT 0,
    "isActive"        boolean      NOT NULL DEFAULT true,
    "displayOrder"    integer      NOT NULL DEFAULT 0,
    "createdAt"       timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"       timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT services_pkey PRIMARY KEY (id),
    CONSTRAINT services_minutes_check CHECK ("durationMinutes" > 0 AND "bufferMinutes" >= 0)
);
COMMENT ON TABLE services IS '시술과 소요 시간';
CREATE UNIQUE INDEX services_code_key ON services (code);

CREATE TABLE clinic_time_slots (
    id               text         NOT NULL,
    "dayOfWeek"      "DayOfWeek"  NOT NULL,
    period           "Period"     NOT NULL,
    "startTime"      text         NOT NULL,
    "endTime"        text         NOT NULL,
    "slotInterval"   integer      NOT NULL DEFAULT 30,
    "maxConcurrent"  integer      NOT NULL DEFAULT 1,
    "serviceId"      text,
    "effectiveFrom"  date,
    "effectiveUntil" date,
    "isActive"       boolean      NOT NULL DEFAULT true,
    "createdAt"      timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"      timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT clinic_time_slots_pkey PRIMARY KEY (id),
    CONSTRAINT clinic_time_slots_hours_check CHECK ("startTime" < "endTime"),
    CONSTRAINT "clinic_time_slots_serviceId_fkey" FOREIGN KEY ("serviceId")
        REFERENCES services (id) ON UPDATE CASCADE ON DELETE SET NULL
);
COMMENT ON TABLE clinic_time_slots IS '진료 시간 (요일과 오전/오후)';
CREATE INDEX "clinic_time_slots_dayOfWeek_period_idx" ON clinic_time_slots ("dayOfWeek", period);

-- 기본값이 없는 컬럼이라 테이블을 다시 쓰지 않는다: 잠금은 커밋까지의 몇 밀리초뿐이다.
ALTER TABLE reservations
    ADD COLUMN "serviceId"         text,
    ADD COLUMN "serviceName"       text,
    ADD COLUMN "estimatedDuration" integer,
    ADD COLUMN period              "Period",
    ADD COLUMN "timeSlotStart"     text,
    ADD COLUMN "timeSlotEnd"       text;
ALTER TABLE reservations ADD CONSTRAINT "reservations_serviceId_fkey" FOREIGN KEY ("serviceId")
    REFERENCES services (id) ON UPDATE CASCADE ON DELETE SET NULL;
CREATE INDEX "reservations_preferredDate_period_idx" ON reservations ("preferredDate", period);

-- 초기 데이터. id가 정해져 있어 리허설과 운영의 행이 서로 같다.
INSERT INTO services (id, code, name, description, category, "durationMinutes", "bufferMinutes", "displayOrder")
VALUES ('svc_wrinkle_botox', 'WRINKLE_BOTOX', '주름 보톡스', '이마, 미간, 눈가 주름', 'BOTOX', 30, 10, 1);

INSERT INTO clinic_time_slots (id, "dayOfWeek", period, "startTime", "endTime", "slotInterval", "maxConcurrent")
SELECT 'slot_' || lower(day) || '_' || lower(hours.period), day::"DayOfWeek", hours.period::"Period",
       hours.opens, hours.closes, 30, 1
FROM unnest(ARRAY['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY']) WITH ORDINALITY AS weekday (day, n),
     (VALUES ('MORNING', '09:00', '12:00'), ('AFTERNOON', '14:00', '18:00')) AS hours (period, opens, closes)
ORDER BY n, hours.opens;

\ir 001_convert_reservations.sql

-- 새 객체는 reservations와 같은 역할의 것이고, 같은 권한이 주어진다. 그러지 않으면 슈퍼유저로 실행한 뒤
-- 애플리케이션이 "permission denied"를 받는다.
SELECT format('ALTER %s %I OWNER TO %s', target.kind, target.name, c.relowner::regrole)
FROM pg_class AS c
CROSS JOIN (VALUES ('TABLE', 'services'), ('TABLE', 'clinic_time_slots'),
                   ('TYPE', 'Period'), ('TYPE', 'DayOfWeek')) AS target (kind, name)
WHERE c.oid = 'reservations'::regclass AND c.relowner <> current_user::regrole
ORDER BY target.kind, target.name
\gexec
SELECT format('GRANT %s ON TABLE %I TO %s', right_.privilege_type, target.name,
              CASE WHEN right_.grantee = 0 THEN 'PUBLIC' ELSE right_.grantee::regrole::text END)
FROM pg_class AS c
CROSS JOIN LATERAL aclexplode(c.relacl) AS right_
CROSS JOIN (VALUES ('services'), ('clinic_time_slots')) AS target (name)
WHERE c.oid = 'reservations'::regclass AND right_.grantee <> c.relowner
ORDER BY target.name, right_.privilege_type
\gexec

ANALYZE services, clinic_time_slots, reservations;

COMMIT;
