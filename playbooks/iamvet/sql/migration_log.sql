-- 마이그레이션 기록 테이블. 이미 있으면 아무것도 바꾸지 않는다.
-- 모양이 다른 테이블이 이미 있는 경우는 여기서 알 수 없으므로 플레이북이 먼저 점검한다.
CREATE TABLE IF NOT EXISTS migration_log (
    id SERIAL PRIMARY KEY,
    migration_name VARCHAR(255) NOT NULL,
    executed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    description TEXT,
    status VARCHAR(50) DEFAULT 'SUCCESS'
);
