#!/usr/bin/env bash
# What each shipped playbook takes on its test data from the first check to the report, and how much
# of that is its own: pg_dump, pg_restore and the like are timed one by one and taken off.
#
#   PGHOST=.. PGPORT=.. PGUSER=postgres RUNSHEET=target/release/runsheet benches/playbooks.sh [TURNS]
#
# Makes and drops the databases pb_start and pb_run on that server. Medians of TURNS (5), in seconds.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd); turns=${1:-5}
runsheet=$(command -v "${RUNSHEET:-$root/target/release/runsheet}"); runsheet=$(realpath "$runsheet")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
quiet() { PGOPTIONS='-c client_min_messages=warning' psql -X -q -v ON_ERROR_STOP=1 "$@" >/dev/null; }

# The programs, each in a wrapper that writes down when it ran.
real=$(dirname "$(realpath "$(command -v "${RUNSHEET_PG_BIN:+$RUNSHEET_PG_BIN/}pg_dump")")")
[ -x "$real/initdb" ] || real=$(pg_config --bindir)
mkdir "$work/bin"
for program in "$real"/*; do
    name=$(basename "$program")
    printf '#!/bin/sh\nbegan=$(date +%%s%%N)\n"%s" "$@"; code=$?\necho "$began $(date +%%s%%N)" >> "%s"\nexit $code\n' \
        "$program" "$work/commands" > "$work/bin/$name"
    chmod +x "$work/bin/$name"
done
export RUNSHEET_PG_BIN="$work/bin"
url="postgresql:///pb_run?host=$PGHOST&port=${PGPORT:-5432}&user=${PGUSER:-postgres}"

# The union of the commands' times: two at once count once.
in_commands() {
    sort -n "$1" | awk '{ if ($1 > end) { sum += end - begin; begin = $1; end = $2 } else if ($2 > end) end = $2 }
        END { printf "%.3f", (sum + end - begin) / 1e9 }'
}

# of NAME FOLDER ROWS -- WORDS..: several runs of runsheet may follow each other, each behind a --
of() {
    local name=$1 folder=$2 rows=$3; shift 3
    quiet -d postgres -c 'DROP DATABASE IF EXISTS pb_start' -c 'CREATE DATABASE pb_start'
    quiet -d pb_start -f "$root/playbooks/$folder/sql/schema.sql"
    quiet -d pb_start -v rows="$rows" -f "$root/playbooks/$folder/sql/data.sql"
    : > "$work/times"
    for turn in $(seq "$turns"); do
        quiet -d postgres -c 'DROP DATABASE IF EXISTS pb_run' -c 'CREATE DATABASE pb_run TEMPLATE pb_start'
        rm -rf "$work/project"; mkdir "$work/project"; : > "$work/commands"
        local words=() whole=0
        for word in "$@" --; do
            if [ "$word" != -- ]; then words+=("$word"); continue; fi
            [ ${#words[@]} -gt 0 ] || continue
            local began; began=$(date +%s%N)
            (cd "$work/project" && "$runsheet" "${words[@]}" --yes --url "$url") > "$work/said" 2>&1 ||
                { cat "$work/said"; exit 1; }
            whole=$((whole + $(date +%s%N) - began)); words=()
        done
        echo "$(awk "BEGIN { printf \"%.3f\", $whole / 1e9 }") $(in_commands "$work/commands")" >> "$work/times"
    done
    awk -v name="$name" -v rows="$rows" '{ whole[NR] = $1; own[NR] = $1 - $2; programs[NR] = $2 }
        function middle(list,   n, i, j, t) { n = NR
            for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (list[j] < list[i]) { t = list[i]; list[i] = list[j]; list[j] = t }
            return list[int((n + 1) / 2)] }
        END { printf "| `%s` | %s | %.2f s | %.2f s | %.2f s |\n", name, rows, middle(whole), middle(programs), middle(own) }' "$work/times"
}

echo "| playbook | rows | whole | in programs | beyond them |"
echo "|---|---|---|---|---|"
of videoplanet videoplanet 1000 -- run videoplanet
of iamvet iamvet 1000 -- run iamvet
of container-start container-start 1000 -- run container-start
of auto-trader auto-trader 1000 -- deploy auto-trader --auto-migrate
of auto-trader-staged auto-trader 1000 -- run auto-trader-staged --set stage=1 -- run auto-trader-staged --set stage=2 \
    -- run auto-trader-staged --set stage=3 -- run auto-trader-staged --set stage=4 -- run auto-trader-staged --set stage=5
of misopin misopin 1000 -- run misopin
quiet -d postgres -c 'DROP DATABASE IF EXISTS pb_run' -c 'DROP DATABASE IF EXISTS pb_start'
