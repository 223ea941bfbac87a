-- seed.sql을 되돌린다.
DELETE FROM plans WHERE code IN ('FREE', 'BASIC', 'PRO');
