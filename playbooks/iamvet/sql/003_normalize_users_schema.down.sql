-- 003_normalize_users_schema 되돌리기: 다섯 테이블을 없애고 기록 행을 지운다.
--
-- users는 정방향에서 바뀌지 않았으므로 손대지 않는다: 다음에는 스키마와 모든 행이 실행 전과 같다.
-- 기록 행은 ROLLED_BACK으로 남기지 않고 지운다: 언제 실행하고 되돌렸는지는 실행 보고서에 있다.
-- 시퀀스(migration_log_id_seq)는 ROLLBACK과 마찬가지로 뒤로 돌아가지 않는다: 번호 하나가 빈다.
--
-- 주의: 마이그레이션 뒤에 애플리케이션이 새 테이블에만 쓴 내용은 사라진다.
-- CASCADE를 쓰지 않는다: 그 사이 다른 객체가 이 테이블에 기대기 시작했다면 함께 지우지 말고 멈춰야 한다.

\set ON_ERROR_STOP on

BEGIN;

DROP TABLE hospital_treatment_specialties;
DROP TABLE hospital_treatment_animals;
DROP TABLE hospitals;
DROP TABLE veterinary_students;
DROP TABLE veterinarians;

DELETE FROM migration_log WHERE migration_name = '003_normalize_users_schema';

COMMIT;
