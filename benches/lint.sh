#!/usr/bin/env bash
# Linting side by side with squawk: both over the same files, in turns. Prints the medians of the
# wall clock and of the processor time of the whole process, and their ratios.
#
#   SQUAWK=squawk RUNSHEET=target/release/runsheet benches/lint.sh [FOLDER] [TURNS]
#
# Without a folder 1,000 files are written: tables, columns, keys, indexes, changes of type, rows.
# A folder's files are taken as they are, however many.
set -euo pipefail
folder=${1:-}; turns=${2:-5}
runsheet=${RUNSHEET:-target/release/runsheet}; squawk=${SQUAWK:-squawk}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
if [ -z "$folder" ]; then
  folder=$work/sql; mkdir "$folder"
  for number in $(seq -w 1 1000); do
    cat > "$folder/$number.sql" <<SQL
-- $number: orders
BEGIN;
CREATE TABLE orders_$number (id bigint PRIMARY KEY, account int NOT NULL, note text, at timestamptz);
ALTER TABLE accounts ADD COLUMN level_$number integer;
ALTER TABLE orders_$number ADD CONSTRAINT orders_${number}_account FOREIGN KEY (account) REFERENCES accounts (id);
CREATE INDEX orders_${number}_at ON orders_$number (at);
ALTER TABLE accounts ALTER COLUMN level_$number TYPE bigint;
INSERT INTO orders_$number SELECT id, id, name, now() FROM accounts WHERE id % 7 = 3;
UPDATE accounts SET level_$number = 1 WHERE level_$number IS NULL;
ALTER TABLE accounts ALTER COLUMN level_$number SET NOT NULL;
DROP INDEX IF EXISTS accounts_old_$number;
COMMIT;
SQL
  done
fi
find "$folder" -name '*.sql' -print0 | sort -z > "$work/files"
count=$(tr -cd '\0' < "$work/files" | wc -c)
echo "$count files, $(xargs -0 cat < "$work/files" | wc -c) bytes, $turns turns, $(nproc) processors"
"$runsheet" --version; "$squawk" --version
# Both find something in the files, and say so with their exit code.
once() {
  local TIMEFORMAT='%3R %3U %3S'
  { time xargs -0 -n 100000 -s 2000000 "$@" < "$work/files" > "$work/out" 2>&1 || true; } 2> "$work/time"
  [ -s "$work/out" ] || { echo "$1 said nothing" >&2; exit 1; }
  awk '{ printf "%d %d\n", $1 * 1000, ($2 + $3) * 1000 }' "$work/time"
}
median() { cut -d ' ' -f "$2" "$1" | sort -n | sed -n "$(((turns + 1) / 2))p"; }
once "$runsheet" lint > /dev/null; once "$squawk" > /dev/null
for _ in $(seq "$turns"); do
  once "$runsheet" lint >> "$work/own"
  once "$squawk" >> "$work/peer"
done
for what in 1:wall 2:processor; do
  own=$(median "$work/own" "${what%%:*}"); peer=$(median "$work/peer" "${what%%:*}")
  echo "${what##*:}: runsheet lint $own ms, squawk $peer ms, ratio $(awk "BEGIN { printf \"%.2f\", $own / $peer }")"
done
