ALTER TABLE orders ADD COLUMN memo text;
UPDATE orders SET memo = order_memos.body FROM order_memos WHERE order_memos.order_id = orders.id;
UPDATE orders SET status = 'cancelled' WHERE status = 'canceled';
DROP TABLE order_memos;
