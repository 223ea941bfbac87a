-- iamvet_db: 정규화 이전의 스키마 (Prisma 프로젝트에서 쓰던 모양 그대로)
--
--   psql -v ON_ERROR_STOP=1 -f schema.sql
--   psql -v ON_ERROR_STOP=1 -v app_role=iamvet_app -v with_log=1 -f schema.sql
--
--   app_role  애플리케이션이 접속하는 롤. 주면 그 롤에 권한을 준다 (롤은 미리 있어야 한다).
--   with_log  주면 migration_log가 이전 두 마이그레이션의 기록과 함께 이미 있는 상태로 만든다.
--
-- PostgreSQL 13 이상. 수의사, 수의대생, 병원이 users 한 테이블에 섞여 있고, 어느 유형에 어느 열이
-- 필요한지는 애플리케이션만 안다: 그래서 데이터베이스는 면허 없는 수의사도 받아들인다.

\set ON_ERROR_STOP on
\echo 'iamvet: schema before the migration'

CREATE TABLE users (
    id                      text         NOT NULL,
    username                text,
    email                   text         NOT NULL,
    "passwordHash"          text,
    "realName"              text,
    nickname                text,
    phone                   text,
    "birthDate"             date,
    "profileImage"          text,
    "userType"              text         NOT NULL,
    provider                text         NOT NULL DEFAULT 'NORMAL',
    "providerId"            text,
    "termsAgreedAt"         timestamp(3),
    "privacyAgreedAt"       timestamp(3),
    "marketingAgreedAt"     timestamp(3),
    "isActive"              boolean      NOT NULL DEFAULT true,
    "lastLoginAt"           timestamp(3),
    "createdAt"             timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"             timestamp(3) NOT NULL,
    "deletedAt"             timestamp(3),
    -- 수의사
    "licenseNumber"         text,
    "licenseImage"          text,
    experience              text,
    -- 수의대생
    "universityName"        text,
    "universityEmail"       text,
    -- 병원
    "hospitalName"          text,
    "businessNumber"        text,
    "hospitalAddress"       text,
    "hospitalAddressDetail" text,
    "hospitalPhone"         text,
    "hospitalWebsite"       text,
    "hospitalLogo"          text,
    "establishedDate"       date,
    "treatmentAnimals"      text[]       DEFAULT ARRAY[]::text[],
    "treatmentSpecialties"  text[]       DEFAULT ARRAY[]::text[],
    CONSTRAINT users_pkey PRIMARY KEY (id)
);

COMMENT ON TABLE users IS '회원 (수의사, 수의대생, 병원)';
COMMENT ON COLUMN users."userType" IS 'VETERINARIAN | VETERINARY_STUDENT | HOSPITAL';
COMMENT ON COLUMN users."isActive" IS '탈퇴하면 false, "deletedAt"에 그 시각';
COMMENT ON COLUMN users."treatmentAnimals" IS '병원: 진료 동물 (DOG, CAT, ...)';
COMMENT ON COLUMN users."treatmentSpecialties" IS '병원: 진료 과목 (INTERNAL_MEDICINE, SURGERY, ...)';

CREATE UNIQUE INDEX users_email_key ON users (email);
CREATE UNIQUE INDEX users_username_key ON users (username);
CREATE UNIQUE INDEX "users_provider_providerId_key" ON users (provider, "providerId");
CREATE INDEX "users_userType_isActive_idx" ON users ("userType", "isActive");
CREATE INDEX "users_createdAt_idx" ON users ("createdAt" DESC);

CREATE TABLE social_accounts (
    id           text         NOT NULL,
    "userId"     text         NOT NULL,
    provider     text         NOT NULL,
    "providerId" text         NOT NULL,
    "createdAt"  timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT social_accounts_pkey PRIMARY KEY (id),
    CONSTRAINT "social_accounts_provider_check" CHECK (provider IN ('KAKAO', 'NAVER', 'GOOGLE')),
    CONSTRAINT "social_accounts_userId_fkey" FOREIGN KEY ("userId")
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE UNIQUE INDEX "social_accounts_provider_providerId_key" ON social_accounts (provider, "providerId");
CREATE INDEX "social_accounts_userId_idx" ON social_accounts ("userId");
COMMENT ON TABLE social_accounts IS '소셜 로그인 연결';

-- 공고 번호는 화면에 보이는 번호라서 cuid와 따로 있다.
CREATE SEQUENCE job_number_seq AS bigint START WITH 1001;

CREATE TABLE jobs (
    id            text         NOT NULL,
    "jobNumber"   bigint       NOT NULL DEFAULT nextval('job_number_seq'),
    "hospitalId"  text         NOT NULL,
    title         text         NOT NULL,
    position      text         NOT NULL,
    "workType"    text         NOT NULL,
    salary        integer,
    "isActive"    boolean      NOT NULL DEFAULT true,
    deadline      timestamp(3),
    "createdAt"   timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"   timestamp(3) NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_salary_check CHECK (salary > 0),
    CONSTRAINT "jobs_hospitalId_fkey" FOREIGN KEY ("hospitalId")
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE
);
ALTER SEQUENCE job_number_seq OWNED BY jobs."jobNumber";
CREATE UNIQUE INDEX "jobs_jobNumber_key" ON jobs ("jobNumber");
CREATE INDEX "jobs_hospitalId_idx" ON jobs ("hospitalId");
CREATE INDEX jobs_open_idx ON jobs (deadline) WHERE "isActive";
COMMENT ON TABLE jobs IS '채용 공고';

CREATE TABLE resumes (
    id           text         NOT NULL,
    "userId"     text         NOT NULL,
    title        text         NOT NULL,
    introduction text,
    "isPublic"   boolean      NOT NULL DEFAULT false,
    "createdAt"  timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"  timestamp(3) NOT NULL,
    CONSTRAINT resumes_pkey PRIMARY KEY (id),
    CONSTRAINT "resumes_userId_fkey" FOREIGN KEY ("userId")
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE UNIQUE INDEX "resumes_userId_key" ON resumes ("userId");
COMMENT ON TABLE resumes IS '이력서';

CREATE TABLE bookmarks (
    "userId"    text         NOT NULL,
    "jobId"     text         NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT bookmarks_pkey PRIMARY KEY ("userId", "jobId"),
    CONSTRAINT "bookmarks_userId_fkey" FOREIGN KEY ("userId")
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT "bookmarks_jobId_fkey" FOREIGN KEY ("jobId")
        REFERENCES jobs (id) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX "bookmarks_jobId_idx" ON bookmarks ("jobId");
COMMENT ON TABLE bookmarks IS '관심 공고';

-- 공고는 로그인하지 않아도 보인다.
GRANT SELECT ON jobs TO PUBLIC;

\if :{?app_role}
    \echo 'iamvet: rights for' :app_role
    GRANT SELECT, INSERT, UPDATE, DELETE ON users, social_accounts, jobs, resumes, bookmarks TO :"app_role";
    GRANT USAGE, SELECT ON SEQUENCE job_number_seq TO :"app_role";
\endif

\if :{?with_log}
    \ir migration_log.sql
    INSERT INTO migration_log (migration_name, executed_at, description, status) VALUES
        ('001_initial_schema',     '2024-03-04 02:11:09', '최초 스키마',          'SUCCESS'),
        ('002_add_social_accounts', '2024-09-23 03:40:51', '소셜 로그인 테이블 추가', 'SUCCESS');
\endif
