-- 매우 높음: 데이터 변환과 컬럼 삭제. 메모는 새 테이블로 옮긴 다음 지우고, 상태의 이름을 바꾼다.
CREATE TABLE order_memos (
    order_id bigint PRIMARY KEY REFERENCES orders (id) ON DELETE CASCADE,
    body     text NOT NULL
);
INSERT INTO order_memos (order_id, body) SELECT id, memo FROM orders WHERE memo IS NOT NULL;
UPDATE orders SET status = 'canceled' WHERE status = 'cancelled';
ALTER TABLE orders DROP COLUMN memo;
