-- container-start: 지어낸 회원. 언제 어디서 만들어도 같은 행이다.
--
--   psql -v ON_ERROR_STOP=1 -v rows=200000 -f data.sql
\if :{?rows}
\else
    \set rows 1000
\endif

INSERT INTO users (id, email, name, created_at)
SELECT n, 'user' || n || '@mail.example',
       (ARRAY['김','이','박','최','정'])[n % 5 + 1] || (ARRAY['서연','민준','하은','도윤','지우','예준','수아'])[n % 7 + 1],
       timestamptz '2024-01-01 00:00:00+09' + n * interval '7 minutes'
FROM generate_series(1, :rows) AS n;

INSERT INTO social_accounts (user_id, provider, provider_id)
SELECT n, (ARRAY['kakao', 'naver', 'google'])[n % 3 + 1], md5('social' || n)
FROM generate_series(1, :rows) AS n WHERE n % 4 <> 0;

SELECT setval(pg_get_serial_sequence('users', 'id'), :rows);
