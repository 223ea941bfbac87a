-- 001_users_phone.sql을 되돌린다. 그 사이에 적힌 전화번호는 사라진다.
ALTER TABLE users DROP CONSTRAINT users_phone_check;
ALTER TABLE users DROP COLUMN phone;
