-- 높음: 컬럼 타입 변경. 소수점 수량을 받으려고 테이블 전체를 다시 쓴다. 그동안 읽기도 막힌다.
ALTER TABLE orders ALTER COLUMN quantity TYPE numeric(20, 8);
