-- videoplanet: 통합 마이그레이션 이전의 데이터. schema.sql 다음에 실행한다.
--
--   psql -v ON_ERROR_STOP=1 -v rows=20000 -f data.sql
--
--   rows  시나리오 수 (기본 200). 프로젝트는 그 1/4, 프롬프트는 두 배, 영상은 세 배다.
--
-- 난수를 쓰지 않는다: n번째 행의 모든 값은 md5(n)의 바이트에서 나오므로 언제 어디서 만들어도 같다.

\set ON_ERROR_STOP on
\if :{?rows}
\else
    \set rows 200
\endif
\echo 'videoplanet:' :rows 'scenarios'

-- 프로젝트 다섯 중 넷은 대표 시나리오가 있다.
INSERT INTO "Project" (id, title, status, main_scenario, created_at, updated_at)
SELECT 'prj' || lpad(n::text, 7, '0'),
       (ARRAY['봄 신제품 티저', '브랜드 필름', '사용법 영상', '채용 홍보', '행사 스케치', '인터뷰 시리즈'])[1 + get_byte(h, 0) % 6] || ' ' || n,
       (ARRAY['DRAFT', 'ACTIVE', 'ACTIVE', 'ARCHIVED'])[1 + get_byte(h, 1) % 4]::"ProjectStatus",
       CASE WHEN get_byte(h, 2) % 5 > 0 THEN 'scn' || lpad((n * 4)::text, 7, '0') END,
       timestamp '2024-03-01' + n * interval '5 hours', timestamp '2024-03-01' + n * interval '5 hours' + interval '3 days'
FROM generate_series(1, greatest(:rows / 4, 1)) AS n, decode(md5('videoplanet/project/' || n), 'hex') AS h;

-- 새 코드가 만든 시나리오(넷에 하나)는 이미 프로젝트를 적어 두었다. 여덟에 하나는 어디에도 속하지 않는다.
INSERT INTO "Scenario" (id, title, content, project_id, created_at)
SELECT 'scn' || lpad(n::text, 7, '0'),
       (ARRAY['새벽의 도시', '첫 출근', '바다로 가는 길', '작은 가게', '비 오는 날', '우주 정거장'])[1 + get_byte(h, 0) % 6],
       '장면 ' || (1 + get_byte(h, 1) % 12) || '개. ' ||
       (ARRAY['주인공이 문을 연다.', '드론이 골목을 지난다.', '제품이 천천히 돈다.', '두 사람이 마주 본다.'])[1 + get_byte(h, 2) % 4],
       CASE WHEN get_byte(h, 3) % 4 = 0 THEN 'prj' || lpad((1 + (n - 1) / 4 % greatest(:rows / 4, 1))::text, 7, '0') END,
       timestamp '2024-03-02' + n * interval '71 minutes'
FROM generate_series(1, :rows) AS n, decode(md5('videoplanet/scenario/' || n), 'hex') AS h;

INSERT INTO "Prompt" (id, scenario_id, body, created_at)
SELECT 'pmt' || lpad(n::text, 7, '0'),
       CASE WHEN get_byte(h, 0) % 10 > 0 THEN 'scn' || lpad((1 + (n - 1) / 2)::text, 7, '0') END,
       (ARRAY['wide shot', 'close-up', 'tracking shot', 'over the shoulder'])[1 + get_byte(h, 1) % 4] || ', ' ||
       (ARRAY['golden hour', 'neon night', 'soft fog', 'hard noon light'])[1 + get_byte(h, 2) % 4] || ', 24 fps',
       timestamp '2024-03-03' + n * interval '37 minutes'
FROM generate_series(1, :rows * 2) AS n, decode(md5('videoplanet/prompt/' || n), 'hex') AS h;

INSERT INTO "Video" (id, prompt_id, url, seconds, created_at)
SELECT 'vid' || lpad(n::text, 7, '0'),
       CASE WHEN get_byte(h, 0) % 12 > 0 THEN 'pmt' || lpad((1 + (n - 1) * 2 / 3)::text, 7, '0') END,
       'https://cdn.video.example/' || substr(md5(n::text), 1, 16) || '.mp4', 4 + get_byte(h, 1) % 5 * 4,
       timestamp '2024-03-04' + n * interval '23 minutes'
FROM generate_series(1, :rows * 3) AS n, decode(md5('videoplanet/video/' || n), 'hex') AS h;

ANALYZE;
