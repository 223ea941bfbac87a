-- 회원의 전화번호. NULL을 허용하는 새 열이라 테이블을 다시 쓰지 않고, 이전 이미지도 그대로 동작한다.
ALTER TABLE users ADD COLUMN phone text;
ALTER TABLE users ADD CONSTRAINT users_phone_check CHECK (phone ~ '^[0-9-]{9,13}$') NOT VALID;
