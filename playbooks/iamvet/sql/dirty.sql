-- 정규화할 수 없는 행을 일부러 만든다: 점검과 제약이 실제로 걸러 내는지 보기 위한 것이다.
--
--   psql -v ON_ERROR_STOP=1 -v dirt=licence -f dirty.sql
--
--   dirt  licence          면허 번호가 없는 활성 수의사
--         business_number  사업자 번호가 같은 두 활성 병원
--         user_type        모르는 유형의 활성 회원
--         animal           모르는 진료 동물
--         specialty        같은 진료 과목이 두 번 적힌 병원
--         university       메일 주소가 없는 활성 수의대생

\set ON_ERROR_STOP on
SELECT :'dirt' = 'licence' AS is_licence, :'dirt' = 'business_number' AS is_business_number,
       :'dirt' = 'user_type' AS is_user_type, :'dirt' = 'animal' AS is_animal,
       :'dirt' = 'specialty' AS is_specialty, :'dirt' = 'university' AS is_university
\gset

\if :is_licence
    UPDATE users SET "licenseNumber" = NULL
    WHERE id = (SELECT min(id) FROM users WHERE "userType" = 'VETERINARIAN' AND "isActive");
\elif :is_business_number
    UPDATE users SET "businessNumber" = (SELECT "businessNumber" FROM users
        WHERE id = (SELECT min(id) FROM users WHERE "userType" = 'HOSPITAL' AND "isActive"))
    WHERE id = (SELECT max(id) FROM users WHERE "userType" = 'HOSPITAL' AND "isActive");
\elif :is_user_type
    UPDATE users SET "userType" = 'VET_NURSE'
    WHERE id = (SELECT min(id) FROM users WHERE "userType" = 'VETERINARY_STUDENT' AND "isActive");
\elif :is_animal
    UPDATE users SET "treatmentAnimals" = "treatmentAnimals" || 'DRAGON'::text
    WHERE id = (SELECT min(id) FROM users WHERE "userType" = 'HOSPITAL' AND "isActive");
\elif :is_specialty
    UPDATE users SET "treatmentSpecialties" = "treatmentSpecialties" || "treatmentSpecialties"[1]
    WHERE id = (SELECT min(id) FROM users WHERE "userType" = 'HOSPITAL' AND "isActive");
\elif :is_university
    UPDATE users SET "universityEmail" = NULL
    WHERE id = (SELECT min(id) FROM users WHERE "userType" = 'VETERINARY_STUDENT' AND "isActive");
\else
    \echo 'dirty.sql: unknown kind of dirt:' :dirt
    SELECT 1 / 0 AS "unknown dirt";
\endif
