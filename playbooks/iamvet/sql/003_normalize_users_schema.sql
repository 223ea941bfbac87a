-- 003_normalize_users_schema: users에 섞여 있던 유형별 정보를 다섯 테이블로 나눈다.
--
--   veterinarians                   활성 수의사마다 한 행
--   veterinary_students             활성 수의대생마다 한 행
--   hospitals                       활성 병원마다 한 행
--   hospital_treatment_animals      병원의 진료 동물마다 한 행
--   hospital_treatment_specialties  병원의 진료 과목마다 한 행
--
-- 모두 한 트랜잭션이다. 규칙에 맞지 않는 행이 하나라도 있으면 서버가 그 키를 말하고 아무것도 남지 않는다.
-- users의 열은 그대로 둔다: 옛 애플리케이션도 계속 읽는다. 되돌리기는 003_normalize_users_schema.down.sql.
-- 두 번 실행하면 "이미 있다"로 실패한다 (IF NOT EXISTS를 쓰지 않는다: 모양이 다른 테이블을 지나치지 않도록).
-- 옮긴 행의 id는 users.id에 접두어를 붙인 것이다: 리허설과 운영의 행이 서로 같고, 서버가 말한 키에서 회원을 바로 찾는다.

\set ON_ERROR_STOP on

BEGIN;

-- users를 참조하는 외래 키는 어차피 이 잠금을 잡는다. 읽기는 계속되고 쓰기는 커밋까지 기다린다.
LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE;

-- 모르는 유형의 활성 회원은 어느 테이블에도 들어가지 않아 조용히 사라진다: 유형마다 한 사람을 뽑아 먼저 걸러 낸다.
CREATE TEMPORARY TABLE active_user_types (
    "userId"   text NOT NULL,
    "userType" text NOT NULL,
    CONSTRAINT "users_userType_known" CHECK ("userType" IN ('VETERINARIAN', 'VETERINARY_STUDENT', 'HOSPITAL'))
) ON COMMIT DROP;

INSERT INTO active_user_types ("userId", "userType")
SELECT min(id), "userType" FROM users WHERE "isActive" GROUP BY "userType";

CREATE TABLE veterinarians (
    id              text         NOT NULL DEFAULT gen_random_uuid()::text,
    "userId"        text         NOT NULL,
    "realName"      text         NOT NULL,
    nickname        text,
    "birthDate"     date,
    "licenseNumber" text         NOT NULL,
    "licenseImage"  text         NOT NULL,
    experience      text,
    "createdAt"     timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"     timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT veterinarians_pkey PRIMARY KEY (id),
    CONSTRAINT "veterinarians_licenseNumber_check" CHECK ("licenseNumber" <> ''),
    CONSTRAINT "veterinarians_licenseImage_check" CHECK ("licenseImage" <> ''),
    CONSTRAINT "veterinarians_userId_fkey" FOREIGN KEY ("userId")
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE
);
COMMENT ON TABLE veterinarians IS '수의사 (활성 회원마다 한 행)';

CREATE TABLE veterinary_students (
    id                text         NOT NULL DEFAULT gen_random_uuid()::text,
    "userId"          text         NOT NULL,
    "realName"        text         NOT NULL,
    nickname          text,
    "birthDate"       date,
    "universityName"  text         NOT NULL,
    "universityEmail" text         NOT NULL,
    "createdAt"       timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"       timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT veterinary_students_pkey PRIMARY KEY (id),
    CONSTRAINT "veterinary_students_universityEmail_check" CHECK ("universityEmail" LIKE '%_@_%'),
    CONSTRAINT "veterinary_students_userId_fkey" FOREIGN KEY ("userId")
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE
);
COMMENT ON TABLE veterinary_students IS '수의대생 (활성 회원마다 한 행)';

CREATE TABLE hospitals (
    id                      text         NOT NULL DEFAULT gen_random_uuid()::text,
    "userId"                text         NOT NULL,
    "representativeName"    text         NOT NULL,
    "hospitalName"          text         NOT NULL,
    "businessNumber"        text         NOT NULL,
    "hospitalAddress"       text         NOT NULL,
    "hospitalAddressDetail" text,
    "hospitalPhone"         text,
    "hospitalWebsite"       text,
    "hospitalLogo"          text,
    "establishedDate"       date,
    "createdAt"             timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt"             timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT hospitals_pkey PRIMARY KEY (id),
    CONSTRAINT "hospitals_businessNumber_check" CHECK ("businessNumber" ~ '^[0-9]{3}-[0-9]{2}-[0-9]{5}$'),
    CONSTRAINT "hospitals_userId_fkey" FOREIGN KEY ("userId")
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE
);
COMMENT ON TABLE hospitals IS '병원 (활성 회원마다 한 행)';

-- 동물과 과목은 enum이 아니라 CHECK이다: 모르는 값이 오면 서버가 값만이 아니라 그 행(병원)까지 말하고,
-- 나중에 값을 더하거나 빼는 일도 한 트랜잭션으로 된다.
CREATE TABLE hospital_treatment_animals (
    "hospitalId" text         NOT NULL,
    animal       text         NOT NULL,
    "createdAt"  timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT hospital_treatment_animals_animal_check
        CHECK (animal IN ('DOG', 'CAT', 'EXOTIC', 'LARGE_ANIMAL')),
    CONSTRAINT "hospital_treatment_animals_hospitalId_fkey" FOREIGN KEY ("hospitalId")
        REFERENCES hospitals (id) ON UPDATE CASCADE ON DELETE CASCADE
);
COMMENT ON TABLE hospital_treatment_animals IS '병원의 진료 동물';

CREATE TABLE hospital_treatment_specialties (
    "hospitalId" text         NOT NULL,
    specialty    text         NOT NULL,
    "createdAt"  timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT hospital_treatment_specialties_specialty_check
        CHECK (specialty IN ('INTERNAL_MEDICINE', 'SURGERY', 'DERMATOLOGY', 'DENTISTRY',
                             'OPHTHALMOLOGY', 'ORTHOPEDICS', 'CARDIOLOGY', 'EMERGENCY')),
    CONSTRAINT "hospital_treatment_specialties_hospitalId_fkey" FOREIGN KEY ("hospitalId")
        REFERENCES hospitals (id) ON UPDATE CASCADE ON DELETE CASCADE
);
COMMENT ON TABLE hospital_treatment_specialties IS '병원의 진료 과목';

INSERT INTO veterinarians (id, "userId", "realName", nickname, "birthDate", "licenseNumber", "licenseImage",
                           experience, "createdAt", "updatedAt")
SELECT 'vet_' || id, id, "realName", nickname, "birthDate", "licenseNumber", "licenseImage",
       experience, "createdAt", "updatedAt"
FROM users WHERE "userType" = 'VETERINARIAN' AND "isActive" ORDER BY id;

INSERT INTO veterinary_students (id, "userId", "realName", nickname, "birthDate", "universityName", "universityEmail",
                                 "createdAt", "updatedAt")
SELECT 'stu_' || id, id, "realName", nickname, "birthDate", "universityName", "universityEmail",
       "createdAt", "updatedAt"
FROM users WHERE "userType" = 'VETERINARY_STUDENT' AND "isActive" ORDER BY id;

INSERT INTO hospitals (id, "userId", "representativeName", "hospitalName", "businessNumber", "hospitalAddress",
                       "hospitalAddressDetail", "hospitalPhone", "hospitalWebsite", "hospitalLogo", "establishedDate",
                       "createdAt", "updatedAt")
SELECT 'hos_' || id, id, "realName", "hospitalName", "businessNumber", "hospitalAddress",
       "hospitalAddressDetail", "hospitalPhone", "hospitalWebsite", "hospitalLogo", "establishedDate",
       "createdAt", "updatedAt"
FROM users WHERE "userType" = 'HOSPITAL' AND "isActive" ORDER BY id;

-- 배열의 원소마다 한 행. 배열이 비었거나 NULL이면 행이 없다.
INSERT INTO hospital_treatment_animals ("hospitalId", animal, "createdAt")
SELECT h.id, a.animal, h."createdAt"
FROM hospitals AS h JOIN users AS u ON u.id = h."userId" CROSS JOIN LATERAL unnest(u."treatmentAnimals") AS a (animal)
ORDER BY h."userId";

INSERT INTO hospital_treatment_specialties ("hospitalId", specialty, "createdAt")
SELECT h.id, s.specialty, h."createdAt"
FROM hospitals AS h JOIN users AS u ON u.id = h."userId" CROSS JOIN LATERAL unnest(u."treatmentSpecialties") AS s (specialty)
ORDER BY h."userId";

-- 인덱스와 유일성은 행을 넣은 다음에 만드는 편이 빠르다. 겹치는 값이 있으면 서버가 여기서 그 키를 말한다.
CREATE UNIQUE INDEX "veterinarians_userId_key" ON veterinarians ("userId");
CREATE UNIQUE INDEX "veterinarians_licenseNumber_key" ON veterinarians ("licenseNumber");
CREATE UNIQUE INDEX "veterinary_students_userId_key" ON veterinary_students ("userId");
CREATE UNIQUE INDEX "veterinary_students_universityEmail_key" ON veterinary_students ("universityEmail");
CREATE UNIQUE INDEX "hospitals_userId_key" ON hospitals ("userId");
CREATE UNIQUE INDEX "hospitals_businessNumber_key" ON hospitals ("businessNumber");
CREATE INDEX "hospitals_hospitalName_idx" ON hospitals ("hospitalName");
CREATE UNIQUE INDEX "hospital_treatment_animals_hospitalId_animal_key"
    ON hospital_treatment_animals ("hospitalId", animal);
CREATE INDEX hospital_treatment_animals_animal_idx ON hospital_treatment_animals (animal);
CREATE UNIQUE INDEX "hospital_treatment_specialties_hospitalId_specialty_key"
    ON hospital_treatment_specialties ("hospitalId", specialty);
CREATE INDEX hospital_treatment_specialties_specialty_idx ON hospital_treatment_specialties (specialty);

-- users를 쓰던 롤은 새 테이블도 같은 권한으로 쓴다. 그러지 않으면 슈퍼유저로 실행한 뒤
-- 애플리케이션이 "permission denied"를 받는다.
SELECT format('GRANT %s ON TABLE %I TO %s', right_.privilege_type, target.name,
              CASE WHEN right_.grantee = 0 THEN 'PUBLIC' ELSE right_.grantee::regrole::text END)
FROM pg_class AS c
CROSS JOIN LATERAL aclexplode(c.relacl) AS right_
CROSS JOIN (VALUES ('veterinarians'), ('veterinary_students'), ('hospitals'),
                   ('hospital_treatment_animals'), ('hospital_treatment_specialties')) AS target (name)
WHERE c.oid = 'users'::regclass AND right_.grantee <> c.relowner
ORDER BY target.name, right_.privilege_type
\gexec

ANALYZE veterinarians, veterinary_students, hospitals, hospital_treatment_animals, hospital_treatment_specialties;

INSERT INTO migration_log (migration_name, description, status)
VALUES ('003_normalize_users_schema', 'users를 유형별 다섯 테이블로 정규화', 'SUCCESS');

COMMIT;
