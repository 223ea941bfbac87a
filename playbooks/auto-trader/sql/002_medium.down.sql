-- 되돌리기는 한 트랜잭션이라 CONCURRENTLY를 쓸 수 없다. 인덱스를 지우는 순간에만 잠근다.
DROP INDEX idx_orders_symbol;
