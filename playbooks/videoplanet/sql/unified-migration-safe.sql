-- unified_migration_2025_01_18: 시나리오, 영상, 프롬프트를 프로젝트에 잇는다.
--
--   "Scenario"  project_id를 채우고 외래 키를 건다; version, metadata가 더해진다
--   "Prompt"    project_id, keywords가 더해진다; scenario_id에 외래 키를 건다
--   "Video"     project_id, scenario_id, status가 더해진다
--   "MigrationLog"와 백업 테이블 세 개가 생긴다
--
-- 모두 한 트랜잭션이다: PostgreSQL의 DDL은 저절로 커밋되지 않는다. 몇 번 실행해도 같다 (IF NOT EXISTS).
-- 되돌리는 문장은 이 파일의 끝에 주석으로 있다.

\set ON_ERROR_STOP on

BEGIN;

-- 0. 기록. 예전에 손으로 만든 것이 있으면 그대로 쓴다.
CREATE TABLE IF NOT EXISTS "MigrationLog" (
    migration_id text         NOT NULL,
    status       text         NOT NULL,
    description  text,
    executed_at  timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "MigrationLog_pkey" PRIMARY KEY (migration_id)
);

-- 1. 기존 데이터 보관. 다시 실행해도 처음의 것이 남는다.
CREATE TABLE IF NOT EXISTS "_backup_Scenario_2025_01_18" AS TABLE "Scenario";
CREATE TABLE IF NOT EXISTS "_backup_Prompt_2025_01_18" AS TABLE "Prompt";
CREATE TABLE IF NOT EXISTS "_backup_Video_2025_01_18" AS TABLE "Video";

-- 2. 새 컬럼. 기본값은 상수라서 테이블을 다시 쓰지 않는다.
ALTER TABLE "Scenario"
    ADD COLUMN IF NOT EXISTS version integer NOT NULL DEFAULT 1,
    ADD COLUMN IF NOT EXISTS metadata jsonb;
ALTER TABLE "Prompt"
    ADD COLUMN IF NOT EXISTS project_id text,
    ADD COLUMN IF NOT EXISTS keywords text[] NOT NULL DEFAULT '{}';
ALTER TABLE "Video"
    ADD COLUMN IF NOT EXISTS project_id text,
    ADD COLUMN IF NOT EXISTS scenario_id text,
    ADD COLUMN IF NOT EXISTS status text NOT NULL DEFAULT 'completed';

-- 3. 이어 주기. 이미 적혀 있는 값은 건드리지 않는다.
UPDATE "Scenario" AS s SET project_id = p.id
FROM "Project" AS p WHERE p.main_scenario = s.id AND s.project_id IS NULL;
UPDATE "Prompt" AS q SET project_id = s.project_id
FROM "Scenario" AS s WHERE s.id = q.scenario_id AND q.project_id IS NULL AND s.project_id IS NOT NULL;
UPDATE "Video" AS v SET scenario_id = q.scenario_id, project_id = q.project_id
FROM "Prompt" AS q WHERE q.id = v.prompt_id AND v.scenario_id IS NULL AND q.scenario_id IS NOT NULL;

-- 4. 외래 키. 프로젝트를 지워도 시나리오는 남는다 (ON DELETE SET NULL).
DO $$
DECLARE
    link record;
BEGIN
    FOR link IN SELECT * FROM (VALUES
        ('Scenario', 'project_id', 'Project'), ('Prompt', 'project_id', 'Project'), ('Prompt', 'scenario_id', 'Scenario'),
        ('Video', 'project_id', 'Project'), ('Video', 'scenario_id', 'Scenario')) AS wanted (child, col, parent)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_constraint
                       WHERE conrelid = format('%I', link.child)::regclass AND conname = format('%s_%s_fkey', link.child, link.col)) THEN
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I FOREIGN KEY (%I) REFERENCES %I (id) ON DELETE SET NULL',
                           link.child, format('%s_%s_fkey', link.child, link.col), link.col, link.parent);
        END IF;
    END LOOP;
END
$$;

-- 5. 인덱스
CREATE INDEX IF NOT EXISTS idx_scenario_project_id ON "Scenario" (project_id);
CREATE INDEX IF NOT EXISTS idx_scenario_created_at ON "Scenario" (created_at);
CREATE INDEX IF NOT EXISTS idx_prompt_project_id ON "Prompt" (project_id);
CREATE INDEX IF NOT EXISTS idx_prompt_scenario_id ON "Prompt" (scenario_id);
CREATE INDEX IF NOT EXISTS idx_video_project_id ON "Video" (project_id);
CREATE INDEX IF NOT EXISTS idx_video_scenario_id ON "Video" (scenario_id);
CREATE INDEX IF NOT EXISTS idx_video_status ON "Video" (status);

INSERT INTO "MigrationLog" (migration_id, status, description)
VALUES ('unified_migration_2025_01_18', 'success', '시나리오, 프롬프트, 영상을 프로젝트에 연결')
ON CONFLICT (migration_id) DO NOTHING;

COMMIT;

-- ============================================================================
-- ROLLBACK
-- ============================================================================
-- BEGIN;
-- ALTER TABLE "Video" DROP CONSTRAINT IF EXISTS "Video_project_id_fkey";
-- ALTER TABLE "Video" DROP CONSTRAINT IF EXISTS "Video_scenario_id_fkey";
-- ALTER TABLE "Prompt" DROP CONSTRAINT IF EXISTS "Prompt_project_id_fkey";
-- ALTER TABLE "Prompt" DROP CONSTRAINT IF EXISTS "Prompt_scenario_id_fkey";
-- ALTER TABLE "Scenario" DROP CONSTRAINT IF EXISTS "Scenario_project_id_fkey";
-- DROP INDEX IF EXISTS idx_scenario_project_id;
-- DROP INDEX IF EXISTS idx_scenario_created_at;
-- DROP INDEX IF EXISTS idx_prompt_project_id;
-- DROP INDEX IF EXISTS idx_prompt_scenario_id;
-- DROP INDEX IF EXISTS idx_video_project_id;
-- DROP INDEX IF EXISTS idx_video_scenario_id;
-- DROP INDEX IF EXISTS idx_video_status;
-- ALTER TABLE "Scenario" DROP COLUMN IF EXISTS version;
-- ALTER TABLE "Scenario" DROP COLUMN IF EXISTS metadata;
-- ALTER TABLE "Prompt" DROP COLUMN IF EXISTS project_id;
-- ALTER TABLE "Prompt" DROP COLUMN IF EXISTS keywords;
-- ALTER TABLE "Video" DROP COLUMN IF EXISTS project_id;
-- ALTER TABLE "Video" DROP COLUMN IF EXISTS scenario_id;
-- ALTER TABLE "Video" DROP COLUMN IF EXISTS status;
-- UPDATE "Scenario" AS s SET project_id = b.project_id FROM "_backup_Scenario_2025_01_18" AS b WHERE b.id = s.id AND b.project_id IS DISTINCT FROM s.project_id;
-- INSERT INTO "Scenario" SELECT b.* FROM "_backup_Scenario_2025_01_18" AS b WHERE NOT EXISTS (SELECT FROM "Scenario" AS s WHERE s.id = b.id);
-- INSERT INTO "Prompt" SELECT b.* FROM "_backup_Prompt_2025_01_18" AS b WHERE NOT EXISTS (SELECT FROM "Prompt" AS s WHERE s.id = b.id);
-- INSERT INTO "Video" SELECT b.* FROM "_backup_Video_2025_01_18" AS b WHERE NOT EXISTS (SELECT FROM "Video" AS s WHERE s.id = b.id);
-- UPDATE "Prompt" AS q SET scenario_id = b.scenario_id FROM "_backup_Prompt_2025_01_18" AS b WHERE b.id = q.id AND q.scenario_id IS NULL AND b.scenario_id IS NOT NULL;
-- UPDATE "Video" AS v SET prompt_id = b.prompt_id FROM "_backup_Video_2025_01_18" AS b WHERE b.id = v.id AND v.prompt_id IS NULL AND b.prompt_id IS NOT NULL;
-- DROP TABLE IF EXISTS "_backup_Video_2025_01_18";
-- DROP TABLE IF EXISTS "_backup_Prompt_2025_01_18";
-- DROP TABLE IF EXISTS "_backup_Scenario_2025_01_18";
-- DELETE FROM "MigrationLog" WHERE migration_id = 'unified_migration_2025_01_18';
-- DO $$ BEGIN IF NOT EXISTS (SELECT FROM "MigrationLog") THEN DROP TABLE "MigrationLog"; END IF; END $$;
-- COMMIT;
