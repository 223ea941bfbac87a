#!/bin/sh
# A stand-in for Prisma's command line, for tests on machines without Node: the same words, the same
# table, the same exit codes for `migrate status`, `migrate deploy`, `db pull`, `db execute` and `generate`.
# It knows tables, columns and types, and nothing else of Prisma.
set -eu
ask() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$DATABASE_URL" "$@"; }
table() { [ "$(ask -c "SELECT to_regclass('_prisma_migrations') IS NOT NULL")" = t ]; }
state() {
    table || return 0
    ask -c "SELECT CASE WHEN finished_at IS NULL THEN 'failed' ELSE 'applied' END FROM _prisma_migrations
            WHERE migration_name = '$1' AND rolled_back_at IS NULL"
}
pending() {
    for folder in prisma/migrations/*/; do
        [ -d "$folder" ] || continue
        name=$(basename "$folder")
        case "$(state "$name")" in
        applied) ;;
        failed) echo "$name (failed)" ;;
        *) echo "$name" ;;
        esac
    done
}
case "$1 ${2:-}" in
"migrate status")
    open=$(pending)
    [ -z "$open" ] && echo "Database schema is up to date!" && exit 0
    printf 'Following migrations have not yet been applied:\n%s\n' "$open"
    exit 1
    ;;
"migrate deploy")
    table || ask -c "CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY DEFAULT gen_random_uuid()::text,
        checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar(255) NOT NULL, logs text,
        rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0)"
    for name in $(pending); do
        ask -c "INSERT INTO _prisma_migrations (checksum, migration_name) VALUES ('', '$name')"
        ask -1 -f "prisma/migrations/$name/migration.sql"
        ask -c "UPDATE _prisma_migrations SET finished_at = now(), applied_steps_count = 1 WHERE migration_name = '$name'"
    done
    ;;
"db pull")
    ask -c "SELECT line FROM (
        SELECT c.table_name, 0 AS at, 'model ' || c.table_name || ' {' AS line FROM information_schema.tables AS c
            WHERE c.table_schema = 'public' AND c.table_name <> '_prisma_migrations'
        UNION ALL SELECT table_name, ordinal_position, '  ' || column_name || ' ' || udt_name ||
            CASE is_nullable WHEN 'YES' THEN '?' ELSE '' END FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name <> '_prisma_migrations'
        UNION ALL SELECT table_name, 100000, '}' FROM information_schema.tables
            WHERE table_schema = 'public' AND table_name <> '_prisma_migrations') AS lines ORDER BY table_name, at" \
        > prisma/schema.prisma
    ;;
"db execute") ask -f "$4" ;;
"generate ") ;;
*)
    echo "standin: unknown command: $*" >&2
    exit 2
    ;;
esac
