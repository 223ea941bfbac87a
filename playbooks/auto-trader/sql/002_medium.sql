-- 중간: 인덱스. CONCURRENTLY라서 쓰기를 막지 않고, 트랜잭션 밖에서 실행된다.
CREATE INDEX CONCURRENTLY idx_orders_symbol ON orders (symbol, created_at);
