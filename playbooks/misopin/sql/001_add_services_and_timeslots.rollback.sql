-- 001_add_services_and_timeslots 긴급 롤백: 제약조건, 컬럼, 테이블, 타입의 순서로 한 트랜잭션이다.
--
-- preferredTime과 service는 건드린 적이 없으므로 예약은 하나도 사라지지 않는다. 새 컬럼에만 적힌 것은
-- 사라진다. CASCADE를 쓰지 않는다: 그 사이 다른 객체가 새 테이블에 기대기 시작했다면 함께 지우지 말고
-- 멈춰야 하고, 멈추면 아무것도 되돌려지지 않은 채로 남는다.
-- 데이터베이스만 되돌리면 반만 된 것이다: schema.prisma, Prisma Client, 서비스도 함께 되돌린다.

\set ON_ERROR_STOP on

BEGIN;

ALTER TABLE "reservations" DROP CONSTRAINT IF EXISTS "reservations_serviceId_fkey";
ALTER TABLE "clinic_time_slots" DROP CONSTRAINT IF EXISTS "clinic_time_slots_serviceId_fkey";

ALTER TABLE "reservations" DROP COLUMN IF EXISTS "serviceId";
ALTER TABLE "reservations" DROP COLUMN IF EXISTS "serviceName";
ALTER TABLE "reservations" DROP COLUMN IF EXISTS "estimatedDuration";
ALTER TABLE "reservations" DROP COLUMN IF EXISTS "period";
ALTER TABLE "reservations" DROP COLUMN IF EXISTS "timeSlotStart";
ALTER TABLE "reservations" DROP COLUMN IF EXISTS "timeSlotEnd";

DROP TABLE IF EXISTS "clinic_time_slots";
DROP TABLE IF EXISTS "services";

DROP TYPE IF EXISTS "Period";
DROP TYPE IF EXISTS "DayOfWeek";

COMMIT;
