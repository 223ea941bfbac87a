-- misopin_cms: 시간 기반 예약이 들어오기 전의 스키마 (Prisma 프로젝트에서 쓰던 모양 그대로)
--
--   psql -v ON_ERROR_STOP=1 -f schema.sql
--   psql -v ON_ERROR_STOP=1 -v app_role=misopin_app -f schema.sql
--
--   app_role  애플리케이션이 접속하는 역할. 주면 테이블과 타입의 소유자가 된다 (역할은 미리 있어야 한다).

\set ON_ERROR_STOP on
\echo 'misopin: schema before the migration'

CREATE TYPE "ServiceType" AS ENUM
    ('WRINKLE_BOTOX', 'VOLUME_LIFTING', 'SKIN_CARE', 'REMOVAL_PROCEDURE', 'BODY_CARE', 'OTHER_CONSULTATION');
CREATE TYPE "ReservationStatus" AS ENUM ('PENDING', 'CONFIRMED', 'COMPLETED', 'CANCELLED', 'NO_SHOW');

CREATE TABLE reservations (
    id              text                NOT NULL,
    "patientName"   text                NOT NULL,
    phone           text                NOT NULL,
    email           text,
    "treatmentType" text                NOT NULL DEFAULT 'FIRST_VISIT',
    service         "ServiceType"       NOT NULL,
    "preferredDate" date                NOT NULL,
    "preferredTime" text                NOT NULL,
    status          "ReservationStatus" NOT NULL DEFAULT 'PENDING',
    notes           text,
    "createdAt"     timestamp(3)        NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"     timestamp(3)        NOT NULL,
    CONSTRAINT reservations_pkey PRIMARY KEY (id)
);
COMMENT ON TABLE reservations IS '온라인 예약';
COMMENT ON COLUMN reservations."preferredTime" IS '희망 시각 (HH:mm, 자유 입력)';
CREATE INDEX "reservations_preferredDate_idx" ON reservations ("preferredDate");

\if :{?app_role}
    ALTER TABLE reservations OWNER TO :"app_role";
    ALTER TYPE "ServiceType" OWNER TO :"app_role";
    ALTER TYPE "ReservationStatus" OWNER TO :"app_role";
    GRANT USAGE ON SCHEMA public TO :"app_role";
\endif
