-- videoplanet: 통합 마이그레이션 이전의 스키마 (Prisma 프로젝트에서 쓰던 모양 그대로)
--
--   psql -v ON_ERROR_STOP=1 -f schema.sql
--
-- 시나리오는 프로젝트를 모른다: "Project"가 대표 시나리오 하나를 가리킬 뿐이라, 나머지 시나리오와 그 영상,
-- 프롬프트가 어느 프로젝트의 것인지는 애플리케이션만 안다.

\set ON_ERROR_STOP on
\echo 'videoplanet: schema before the migration'

CREATE TYPE "ProjectStatus" AS ENUM ('DRAFT', 'ACTIVE', 'ARCHIVED');

CREATE TABLE "Project" (
    id            text            NOT NULL,
    title         text            NOT NULL,
    status        "ProjectStatus" NOT NULL DEFAULT 'DRAFT',
    main_scenario text,
    created_at    timestamp(3)    NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at    timestamp(3)    NOT NULL,
    CONSTRAINT "Project_pkey" PRIMARY KEY (id)
);
CREATE TABLE "Scenario" (
    id         text         NOT NULL,
    title      text         NOT NULL,
    content    text         NOT NULL,
    project_id text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Scenario_pkey" PRIMARY KEY (id)
);
CREATE TABLE "Prompt" (
    id          text         NOT NULL,
    scenario_id text,
    body        text         NOT NULL,
    created_at  timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Prompt_pkey" PRIMARY KEY (id)
);
CREATE TABLE "Video" (
    id         text         NOT NULL,
    prompt_id  text,
    url        text         NOT NULL,
    seconds    integer      NOT NULL DEFAULT 8,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Video_pkey" PRIMARY KEY (id),
    CONSTRAINT "Video_prompt_id_fkey" FOREIGN KEY (prompt_id) REFERENCES "Prompt" (id) ON DELETE SET NULL
);
