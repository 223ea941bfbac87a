-- 바꿀 수 없는 예약을 일부러 만든다: 점검이 실제로 걸러 내는지 보기 위한 것이다.
--
--   psql -v ON_ERROR_STOP=1 -v dirt=lunch -f dirty.sql
--
--   dirt  lunch    점심시간의 예약 (13:00)
--         words    시각이 아닌 글 ("오후 두 시쯤")
--         late     진료가 끝난 뒤까지 걸리는 예약 (17:45)
--         service  소요 시간을 모르는 서비스

\set ON_ERROR_STOP on
SELECT :'dirt' = 'lunch' AS is_lunch, :'dirt' = 'words' AS is_words, :'dirt' = 'late' AS is_late,
       :'dirt' = 'service' AS is_service
\gset

\if :is_lunch
    UPDATE reservations SET "preferredTime" = '13:00' WHERE id = (SELECT min(id) FROM reservations);
\elif :is_words
    UPDATE reservations SET "preferredTime" = '오후 두 시쯤' WHERE id = (SELECT min(id) FROM reservations);
\elif :is_late
    UPDATE reservations SET "preferredTime" = '17:45' WHERE id = (SELECT min(id) FROM reservations);
\elif :is_service
    UPDATE reservations SET service = 'SKIN_CARE' WHERE id = (SELECT min(id) FROM reservations);
\else
    \echo 'dirty.sql: unknown kind of dirt:' :dirt
    SELECT 1 / 0 AS "unknown dirt";
\endif
