#!/usr/bin/env bash
# What `runsheet rehearse --pairs DIR` finds out, with psql and pg_dump alone: does each up apply,
# what schema is behind its down, does the up apply again, and what rows are behind up and down.
# It makes no rows, which is work that the other side does; so the comparison is in its favour.
#
#   PGHOST=.. PGPORT=.. PGUSER=postgres benches/pairs.sh DIR [HOW-MANY]
set -euo pipefail
dir=${1:?folder of NAME.up.sql and NAME.down.sql}; many=${2:-100000}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
one="psql -X -q -v ON_ERROR_STOP=1 -1"
for db in pairs_bare pairs_rows; do
  psql -X -q -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS $db" -c "CREATE DATABASE $db"
done
schema() { pg_dump -s -d pairs_bare | sed '/^\\\(un\)\?restrict/d' > "$1"; }
rows() { pg_dump -a --inserts -d pairs_rows 2>/dev/null | sed '/^\\\(un\)\?restrict/d' | sort > "$1"; }
begin=$(date +%s.%N); done=0; differ=0; lossy=0
for up in "$dir"/*.up.sql; do
  [ "$done" -ge "$many" ] && break
  down=${up%.up.sql}.down.sql; done=$((done + 1))
  schema "$work/before"
  $one -d pairs_bare -f "$up" > /dev/null 2>&1 || continue
  if [ -f "$down" ]; then
    psql -X -q -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS pairs_kept" -c "CREATE DATABASE pairs_kept TEMPLATE pairs_bare"
    if $one -d pairs_bare -f "$down" > /dev/null 2>&1; then
      schema "$work/after"; cmp -s "$work/before" "$work/after" || differ=$((differ + 1))
      $one -d pairs_bare -f "$up" > /dev/null 2>&1 || true
    fi
    psql -X -q -d postgres -c "DROP DATABASE pairs_bare" -c "ALTER DATABASE pairs_kept RENAME TO pairs_bare"
    rows "$work/rows-before"
    $one -d pairs_rows -f "$up" > /dev/null 2>&1 || true
    $one -d pairs_rows -f "$down" > /dev/null 2>&1 || true
    rows "$work/rows-after"; cmp -s "$work/rows-before" "$work/rows-after" || lossy=$((lossy + 1))
  fi
  $one -d pairs_rows -f "$up" > /dev/null 2>&1 || true
done
end=$(date +%s.%N)
echo "$done pairs in $(echo "$end - $begin" | bc) s; another schema: $differ; other rows: $lossy"
