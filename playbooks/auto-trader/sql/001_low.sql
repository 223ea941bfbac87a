-- 낮음: NULL을 허용하는 새 컬럼과 새 테이블. 이전 애플리케이션이 모르는 것뿐이라 자동으로 실행해도 된다.
ALTER TABLE users ADD COLUMN phone varchar(20);
CREATE TABLE watchlists (
    user_id    bigint NOT NULL,
    symbol     varchar(20) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, symbol)
);
