-- auto_trader: 지어낸 회원, 전략, 주문. 난수를 쓰지 않으므로 언제 어디서 만들어도 같은 행이다.
--
--   psql -v ON_ERROR_STOP=1 -v rows=200000 -f data.sql
--
--   rows  주문 수 (기본 1000). 회원은 주문 열 건에 한 명, 전략은 다섯 건에 하나다.
\if :{?rows}
\else
    \set rows 1000
\endif
\set people '(:rows / 10 + 1)'
\set plans '(:rows / 5 + 1)'

INSERT INTO users (id, email, name, created_at)
SELECT n, 'trader' || n || '@mail.example',
       (ARRAY['김','이','박','최','정','강','조'])[n % 7 + 1] || (ARRAY['서연','민준','하은','도윤','지우','예준'])[n % 6 + 1],
       timestamptz '2024-01-02 09:00:00+09' + n * interval '37 minutes'
FROM generate_series(1, :people) AS n;

INSERT INTO strategies (id, user_id, name, active)
SELECT n, (n - 1) % :people + 1, (ARRAY['이동평균 교차','변동성 돌파','평균 회귀','적립식'])[n % 4 + 1], n % 9 <> 0
FROM generate_series(1, :plans) AS n;

-- 주문은 평일 장중에 들어오고, 같은 종목의 가격은 그 종목의 값 둘레에서 움직인다. 100건에 6건은 취소, 4건은 거절.
INSERT INTO orders (id, strategy_id, symbol, side, quantity, price, status, memo, created_at)
SELECT n, (n * 7) % :plans + 1, s.symbol, CASE WHEN n % 2 = 0 THEN 'buy' ELSE 'sell' END,
       (n * 13) % 90 + 1,
       round((s.price * (1 + ((n * 31) % 200 - 100) / 2500.0))::numeric, 2),
       CASE WHEN n % 100 < 6 THEN 'cancelled' WHEN n % 100 < 10 THEN 'rejected' ELSE 'filled' END,
       CASE WHEN n % 11 = 0 THEN '손절' WHEN n % 13 = 0 THEN '분할 매수 ' || (n % 3 + 1) END,
       timestamptz '2024-01-02 09:00:00+09' + (n / 390) * interval '1 day' + (n % 390) * interval '1 minute'
FROM generate_series(1, :rows) AS n
JOIN (VALUES (0, 'KRX:005930', 71000.0), (1, 'KRX:000660', 128000.0), (2, 'KRX:035420', 203000.0),
             (3, 'NAS:AAPL', 189.5), (4, 'NAS:NVDA', 495.2)) AS s (rest, symbol, price) ON s.rest = n % 5;

SELECT setval(pg_get_serial_sequence('users', 'id'), :people),
       setval(pg_get_serial_sequence('strategies', 'id'), :plans),
       setval(pg_get_serial_sequence('orders', 'id'), :rows);
