-- 코드 테이블의 기본 행. 이미 있는 행은 건드리지 않으므로 몇 번을 실행해도 같다.
INSERT INTO plans (code, name, price) VALUES
    ('FREE', '무료', 0), ('BASIC', '기본', 9900), ('PRO', '전문가', 29900)
ON CONFLICT (code) DO NOTHING;
