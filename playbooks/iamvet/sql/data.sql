-- iamvet_db: 정규화 이전의 데이터. schema.sql 다음에 실행한다.
--
--   psql -v ON_ERROR_STOP=1 -v rows=200000 -f data.sql
--
--   rows  회원 수 (기본 1000)
--
-- 난수를 쓰지 않는다: n번째 회원의 모든 값은 md5(n)의 바이트에서 나오므로 언제 어디서 만들어도 같다.
-- 사람 이름, 전화번호, 메일 주소는 지어낸 것이다 (010-0xxx는 없는 국번, .example은 없는 도메인).

\set ON_ERROR_STOP on
\if :{?rows}
\else
    \set rows 1000
\endif
\echo 'iamvet:' :rows 'users'

BEGIN;
SET LOCAL work_mem = '128MB';

-- MATERIALIZED: 그러지 않으면 쓰는 열마다 md5를 다시 계산한다.
-- 유형 비율: 수의사 45 %, 수의대생 25 %, 병원 30 %. 37은 100과 서로소라서 100명마다 정확히 이 비율이 된다.
INSERT INTO users (
    id, username, email, "passwordHash", "realName", nickname, phone, "birthDate", "profileImage", "userType",
    provider, "providerId", "termsAgreedAt", "privacyAgreedAt", "marketingAgreedAt",
    "isActive", "lastLoginAt", "createdAt", "updatedAt", "deletedAt",
    "licenseNumber", "licenseImage", experience, "universityName", "universityEmail",
    "hospitalName", "businessNumber", "hospitalAddress", "hospitalAddressDetail", "hospitalPhone",
    "hospitalWebsite", "hospitalLogo", "establishedDate", "treatmentAnimals", "treatmentSpecialties")
WITH word AS NOT MATERIALIZED (
    SELECT
        '{김,김,김,김,이,이,이,박,박,최,정,강,조,윤,장,임,한,오,서,신,권,황,안,송,전,홍,유,고,문,양,손,배}'::text[] AS family,
        '{민,서,지,현,예,도,하,은,수,준,시,유,태,승,재,성,정,영,주,윤,다,소,가,나,채,혜,경,동,상,진,희,선}'::text[] AS given_a,
        '{준,우,윤,연,진,현,민,원,호,아,은,희,영,수,경,훈,석,빈,솔,린,율,결,람,별,온,찬,규,철,주,나,리,서}'::text[] AS given_b,
        '{튼튼한,다정한,웃는,느긋한,씩씩한,조용한,반가운,용감한}'::text[] AS mood,
        '{고양이,강아지,토끼,앵무새,고슴도치,거북이,햄스터,송아지}'::text[] AS pet,
        '{서울대학교,건국대학교,강원대학교,충북대학교,충남대학교,전북대학교,전남대학교,경북대학교,경상국립대학교,제주대학교}'::text[] AS university,
        '{서울특별시 강남구,서울특별시 마포구,서울특별시 송파구,서울특별시 관악구,경기도 수원시 영통구,경기도 성남시 분당구,경기도 고양시 일산동구,인천광역시 연수구,부산광역시 해운대구,부산광역시 수영구,대구광역시 수성구,대전광역시 유성구,광주광역시 서구,울산광역시 남구,강원특별자치도 춘천시,제주특별자치도 제주시}'::text[] AS district,
        '{중앙로,시청로,한빛로,솔밭로,은행나무로,강변로,평화로,새마을로}'::text[] AS street,
        '{행복한,우리,늘푸른,사랑,24시,튼튼,바른,온누리,해오름,아이,푸른숲,가온,다온,참,마음,별빛}'::text[] AS clinic,
        '{동물병원,동물메디컬센터,동물의료센터,고양이병원}'::text[] AS clinic_kind,
        '{DOG,CAT,EXOTIC,LARGE_ANIMAL}'::text[] AS animal,
        '{INTERNAL_MEDICINE,SURGERY,DERMATOLOGY,DENTISTRY,OPHTHALMOLOGY,ORTHOPEDICS,CARDIOLOGY,EMERGENCY}'::text[] AS specialty
), person AS MATERIALIZED (
    SELECT
        n,
        md5('iamvet/user/' || n) AS hex,
        decode(md5('iamvet/user/' || n), 'hex') AS h,
        CASE WHEN (n::bigint * 37) % 100 < 45 THEN 'VETERINARIAN'
             WHEN (n::bigint * 37) % 100 < 70 THEN 'VETERINARY_STUDENT'
             ELSE 'HOSPITAL' END AS kind,
        -- 1초도 겹치지 않는 가입 시각: 2024-01-01부터 약 2년에 걸쳐 고르게 퍼진다.
        timestamp '2024-01-01 00:00:00' + (n * (63072000.0 / :rows)) * interval '1 second' AS joined
    FROM generate_series(1, :rows) AS n
), drawn AS MATERIALIZED (
    SELECT
        p.*,
        -- 약 8 %가 탈퇴했다 (256 중 20).
        get_byte(h, 0) >= 20 AS active,
        -- 병원이 아닌 회원 여덟에 하나는 소셜 계정으로 가입했다: 비밀번호가 없다.
        kind <> 'HOSPITAL' AND get_byte(h, 1) % 8 = 0 AS social,
        (ARRAY['KAKAO', 'NAVER', 'GOOGLE'])[1 + get_byte(h, 2) % 3] AS social_provider,
        w.family[1 + get_byte(h, 3) % 32] || w.given_a[1 + get_byte(h, 4) % 32] || w.given_b[1 + get_byte(h, 5) % 32] AS name,
        joined + (get_byte(h, 6) * 3) * interval '1 day' AS touched,
        w.university[1 + get_byte(h, 7) % 10] AS campus
    FROM person p CROSS JOIN word w
)
SELECT
    -- cuid처럼 앞부분이 가입 순서를 따른다.
    'cl' || lpad(to_hex(n), 7, '0') || substr(hex, 1, 16),
    CASE WHEN NOT social THEN 'user' || lpad(n::text, 7, '0') END,
    'user' || lpad(n::text, 7, '0') || '@mail.example',
    CASE WHEN NOT social THEN '$2b$12$' || substr(hex || md5(hex), 1, 53) END,
    name,
    CASE WHEN get_byte(h, 8) % 10 > 0
         THEN word.mood[1 + get_byte(h, 8) % 8] || ' ' || word.pet[1 + get_byte(h, 9) % 8] || n END,
    -- 여덟에 하나는 전화번호를 남기지 않았다.
    CASE WHEN get_byte(h, 10) % 8 > 0
         THEN '010-0' || lpad((n / 10000 % 1000)::text, 3, '0') || '-' || lpad((n % 10000)::text, 4, '0') END,
    CASE WHEN kind <> 'HOSPITAL' THEN date '1975-01-01' + (get_byte(h, 11) * 38 + get_byte(h, 12) % 38) END,
    CASE WHEN get_byte(h, 12) % 3 = 0 THEN '/uploads/profiles/' || substr(hex, 1, 12) || '.webp' END,
    kind,
    CASE WHEN social THEN social_provider ELSE 'NORMAL' END,
    CASE WHEN social THEN lower(social_provider) || '-' || substr(hex, 9, 20) END,
    joined, joined,
    CASE WHEN get_byte(h, 13) % 2 = 0 THEN joined END,
    active,
    CASE WHEN get_byte(h, 14) % 12 > 0 THEN touched + interval '3 hours' END,
    joined,
    touched,
    CASE WHEN NOT active THEN touched END,
    -- 수의사: 면허 번호와 사진은 모두 있다. 탈퇴한 사람의 것은 지워진 경우가 있다.
    CASE WHEN kind = 'VETERINARIAN' AND (active OR n % 2 = 0) THEN lpad(n::text, 7, '0') END,
    CASE WHEN kind = 'VETERINARIAN' AND (active OR n % 2 = 0) THEN '/uploads/licenses/' || substr(hex, 1, 16) || '.jpg' END,
    CASE WHEN kind = 'VETERINARIAN' AND get_byte(h, 15) % 4 > 0
         THEN (ARRAY['1년 미만', '1-3년', '3-5년', '5-10년', '10년 이상'])[1 + get_byte(h, 15) % 5] END,
    CASE WHEN kind = 'VETERINARY_STUDENT' THEN campus END,
    CASE WHEN kind = 'VETERINARY_STUDENT' THEN 'vet' || lpad(n::text, 7, '0') || '@univ' || (1 + get_byte(h, 7) % 10) || '.example' END,
    CASE WHEN kind = 'HOSPITAL'
         THEN word.clinic[1 + get_byte(h, 8) % 16] || ' ' || word.clinic_kind[1 + get_byte(h, 9) % 4] END,
    -- 48271은 소수 2147483647을 법으로 하는 곱셈이라 n이 다르면 번호도 다르다.
    CASE WHEN kind = 'HOSPITAL'
         THEN regexp_replace(lpad((n::bigint * 48271 % 2147483647)::text, 10, '0'), '^(...)(..)(.....)$', '\1-\2-\3') END,
    CASE WHEN kind = 'HOSPITAL'
         THEN word.district[1 + get_byte(h, 10) % 16] || ' ' || word.street[1 + get_byte(h, 11) % 8] || ' ' || (1 + get_byte(h, 12)) END,
    CASE WHEN kind = 'HOSPITAL' AND get_byte(h, 13) % 3 > 0 THEN (1 + get_byte(h, 13) % 5) || '층' END,
    CASE WHEN kind = 'HOSPITAL' THEN '0507-0' || lpad((n / 10000 % 1000)::text, 3, '0') || '-' || lpad((n % 10000)::text, 4, '0') END,
    CASE WHEN kind = 'HOSPITAL' AND get_byte(h, 14) % 4 = 0 THEN 'https://clinic' || n || '.example' END,
    CASE WHEN kind = 'HOSPITAL' AND get_byte(h, 14) % 3 > 0 THEN '/uploads/logos/' || substr(hex, 1, 12) || '.png' END,
    CASE WHEN kind = 'HOSPITAL' AND get_byte(h, 15) % 5 > 0 THEN date '1998-03-01' + get_byte(h, 15) * 38 END,
    -- 병원: 진료 동물 1-4종, 진료 과목 1-5과. 앞에서부터 돌려 가며 잘라 겹치지 않는다.
    CASE WHEN kind = 'HOSPITAL'
         THEN (word.animal || word.animal)[1 + get_byte(h, 1) % 4 : 1 + get_byte(h, 1) % 4 + get_byte(h, 2) % 4]
         ELSE ARRAY[]::text[] END,
    CASE WHEN kind = 'HOSPITAL'
         THEN (word.specialty || word.specialty)[1 + get_byte(h, 3) % 8 : 1 + get_byte(h, 3) % 8 + get_byte(h, 4) % 5]
         ELSE ARRAY[]::text[] END
FROM drawn CROSS JOIN word;

INSERT INTO social_accounts (id, "userId", provider, "providerId", "createdAt")
SELECT 'cm' || substr(id, 3, 7) || substr(md5('iamvet/social/' || id), 1, 16), id, provider, "providerId", "createdAt"
FROM users WHERE provider <> 'NORMAL' ORDER BY "createdAt";

-- 활성 병원 넷 가운데 하나가 공고를 낸다.
INSERT INTO jobs (id, "hospitalId", title, position, "workType", salary, "isActive", deadline, "createdAt", "updatedAt")
SELECT
    'cn' || substr(id, 3, 7) || substr(md5('iamvet/job/' || id), 1, 16), id,
    "hospitalName" || ' ' || (ARRAY['진료 수의사', '야간 수의사', '인턴 수의사', '외과 수의사'])[1 + get_byte(h, 0) % 4] || ' 모집',
    (ARRAY['진료 수의사', '야간 수의사', '인턴 수의사', '외과 수의사'])[1 + get_byte(h, 0) % 4],
    (ARRAY['정규직', '계약직', '파트타임'])[1 + get_byte(h, 1) % 3],
    CASE WHEN get_byte(h, 2) % 4 > 0 THEN 3600 + get_byte(h, 2) * 20 END,
    get_byte(h, 3) % 4 > 0,
    "createdAt" + interval '60 days', "createdAt" + interval '2 days', "createdAt" + interval '2 days'
FROM (SELECT *, decode(md5('iamvet/job/' || id), 'hex') AS h FROM users WHERE "userType" = 'HOSPITAL' AND "isActive") AS hospital
WHERE get_byte(h, 4) % 4 = 0
ORDER BY "createdAt";

INSERT INTO resumes (id, "userId", title, introduction, "isPublic", "createdAt", "updatedAt")
SELECT
    'cp' || substr(id, 3, 7) || substr(md5('iamvet/resume/' || id), 1, 16), id, "realName" || '의 이력서',
    CASE WHEN "userType" = 'VETERINARIAN' THEN '경력 ' || coalesce(experience, '미입력') ELSE "universityName" || ' 수의과대학 재학' END,
    get_byte(h, 0) % 2 = 0, "createdAt" + interval '1 day', "createdAt" + interval '1 day'
FROM (SELECT *, decode(md5('iamvet/resume/' || id), 'hex') AS h FROM users WHERE "userType" <> 'HOSPITAL' AND "isActive") AS applicant
WHERE get_byte(h, 1) % 8 = 0
ORDER BY "createdAt";

-- 이력서를 낸 회원마다 관심 공고 하나. 공고 번호는 1001부터 빈틈없이 이어진다.
INSERT INTO bookmarks ("userId", "jobId", "createdAt")
SELECT r."userId", j.id, r."createdAt" + interval '1 hour'
FROM (SELECT *, row_number() OVER (ORDER BY id) AS k FROM resumes) AS r
CROSS JOIN (SELECT count(*) AS jobs FROM jobs) AS c
JOIN jobs AS j ON j."jobNumber" = 1001 + r.k % c.jobs;

COMMIT;

ANALYZE users, social_accounts, jobs, resumes, bookmarks;
