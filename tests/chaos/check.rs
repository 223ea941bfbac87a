//! What is looked at after a trial: content, effects, left-overs, and whether the report was true.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Cluster, Ran};

/// Sessions of runs and of their children.
pub const SESSIONS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'runsheet%'";

/// Schema and rows, without generated keys and without the ledger.
const LINES: &str = "CREATE FUNCTION pg_temp.rows_of(relation regclass, OUT rows text) LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('SELECT string_agg(r, chr(10)) FROM
            (SELECT (to_jsonb(t) - ''gen_id'')::text AS r FROM %s AS t ORDER BY 1) AS s', relation) INTO rows;
    END $$;
    SELECT line FROM (
    SELECT format('rows %s %s', c.oid::regclass, pg_temp.rows_of(c.oid)) AS line
      FROM pg_class c WHERE c.relkind IN ('r', 'v', 'm') AND c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT format('column %s %s %s %s', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull)
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT format('index %s %s', pg_get_indexdef(indexrelid), indisvalid)
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT format('function %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT format('schema %s', nspname) FROM pg_namespace
      WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND nspname !~ '^runsheet'
    ) AS lines ORDER BY line";

/// Content of the database, and every effect with how often it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    lines: Vec<String>,
    effects: BTreeMap<String, usize>,
}

impl Seen {
    /// The differences, for people.
    pub fn against(&self, wanted: &Seen) -> String {
        let missing = |one: &Seen, other: &Seen| -> Vec<String> {
            let cut = |line: &&String| line.chars().take(300).collect();
            one.lines.iter().filter(|line| !other.lines.contains(line)).map(|l| cut(&l)).collect()
        };
        format!(
            "too much: {:#?}\nmissing: {:#?}\neffects: {:?}\nwanted:  {:?}",
            missing(self, wanted),
            missing(wanted, self),
            self.effects,
            wanted.effects
        )
    }
}

/// Looks at the database and at the effects of commands.
pub fn seen(cluster: &Cluster, database: &str, folder: &Path) -> Seen {
    let rows = cluster.query(database, LINES);
    let lines = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    let mut effects = BTreeMap::new();
    let in_database = cluster.query(database, "SELECT step FROM effects");
    let in_file = std::fs::read_to_string(folder.join("effects.txt")).unwrap_or_default();
    let all = in_database.into_iter().filter_map(|row| row.into_iter().next().flatten());
    for effect in all.chain(in_file.lines().map(String::from)) {
        *effects.entry(effect).or_default() += 1;
    }
    Seen { lines, effects }
}

/// Locks, open transactions, temporary tables, INVALID indexes. After a crash of the server, temporary tables are not counted: it
/// keeps those of dead sessions until autovacuum or the next owner of their schema removes them.
pub fn left_over(cluster: &Cluster, database: &str, crashed: bool) -> String {
    let temporary = if crashed { "false" } else { "relpersistence = 't'" };
    let sql = format!(
        "SELECT coalesce(string_agg(what, ', '), '') FROM (
            SELECT 'lock ' || mode || ' ' || locktype AS what FROM pg_locks
              WHERE pid <> pg_backend_pid() AND locktype <> 'virtualxid'
                AND (locktype <> 'relation' OR relation::regclass::text !~ '^pg_')
            UNION ALL SELECT 'transaction ' || query FROM pg_stat_activity
              WHERE pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_type = 'client backend'
            UNION ALL SELECT 'prepared ' || gid FROM pg_prepared_xacts
            UNION ALL SELECT 'temporary ' || oid::regclass FROM pg_class WHERE {temporary} AND relkind = 'r'
            UNION ALL SELECT 'invalid ' || indexrelid::regclass FROM pg_index WHERE NOT indisvalid
        ) AS left_over"
    );
    cluster.value(database, &sql)
}

/// Processes that stand in a folder: children of runs that were started there.
pub fn children(folder: &Path) -> Vec<String> {
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
        .map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ")
        })
        .collect()
}

/// The last line of `--json`, and the exit code, say what the database says.
pub fn report_is_true(ran: &Ran, seen: &Seen, before: &Seen, wanted: &Seen) -> Result<(), String> {
    let last = ran.stdout.lines().rev().find_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        event.get("state").and_then(|state| state.as_str())?;
        Some(event)
    });
    let Some(last) = last else {
        // Refused before a run began: usage, lease, no connection.
        return match ran.code {
            0 | 5 | 6 => Err("an exit without a last event".into()),
            _ => Ok(()),
        };
    };
    let state = last["state"].as_str().unwrap_or_default();
    let same = |what: &Seen| seen == what;
    let holds = match state {
        "done" | "nothing_to_do" => ran.code == 0 && same(wanted),
        "failed_unchanged" => ![0, 5, 6].contains(&ran.code) && same(before),
        "failed_some_stand" => [2, 3, 4, 5].contains(&ran.code) && !same(before),
        "unknown" => ran.code == 5,
        _ => false,
    };
    if holds { Ok(()) } else { Err(format!("the report says {state}: {}", seen.against(before))) }
}
