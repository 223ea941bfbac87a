-- 그 사이에 들어온 소수점 수량은 정수로 반올림된다.
ALTER TABLE orders ALTER COLUMN quantity TYPE integer;
