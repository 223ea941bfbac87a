//! What is foretold, held against a server: the locks in `pg_locks` before the end of the
//! transaction, the files of the tables, and whether the way back leads back.

use std::collections::BTreeMap;

use super::table::{FIXTURE, foretold, rows};
use crate::support::Cluster;
use crate::support::cluster::query;

const WATCH: &str = include_str!("watch.sql");

/// Weakest to strongest.
const MODES: &[(&str, &str)] = &[
    ("RowShareLock", "ROW SHARE"),
    ("RowExclusiveLock", "ROW EXCLUSIVE"),
    ("ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE"),
    ("ShareLock", "SHARE"),
    ("ShareRowExclusiveLock", "SHARE ROW EXCLUSIVE"),
    ("ExclusiveLock", "EXCLUSIVE"),
    ("AccessExclusiveLock", "ACCESS EXCLUSIVE"),
];

fn strength(mode: &str) -> usize {
    MODES.iter().position(|(_, word)| *word == mode).unwrap_or(0)
}

/// Indexes and sequences are locked beside their tables; of those only what is foretold is looked
/// at, of tables and views everything.
fn is_table(kind: &str) -> bool {
    matches!(kind, "r" | "p" | "v" | "m" | "f")
}

fn with_database() -> Cluster {
    let server = Cluster::start();
    server.create_database("risk");
    server.sql("risk", FIXTURE);
    server.sql("risk", WATCH);
    server
}

/// Runs a statement and rolls it back; gives (what, name, kind, value), or what the server said.
fn watched(server: &Cluster, statement: &str) -> Result<Vec<[String; 4]>, String> {
    let text = format!("BEGIN;\n{statement};\nSELECT * FROM watch.found();\nROLLBACK");
    let rows = query(&server.url("risk"), &text)?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            std::array::from_fn(|_| cells.next().unwrap_or_default())
        })
        .collect())
}

#[test]
fn locks_and_rewrites_are_what_was_foretold() {
    let server = with_database();
    let major = server.major();
    let kinds: BTreeMap<String, String> = server
        .query("risk", "SELECT name, kind FROM watch.before")
        .into_iter()
        .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()))
        .collect();
    let (mut run, mut wrong) = (0, Vec::new());
    for row in rows() {
        if row.since == 0 || row.since > major || row.in_transaction == "no" {
            continue;
        }
        run += 1;
        let one = foretold(&row.statement);
        let found = match watched(&server, &row.statement) {
            Ok(found) => found,
            Err(error) => {
                wrong.push(format!("{}\n  {error}", row.statement));
                continue;
            }
        };
        let mut locks: BTreeMap<&str, &str> = BTreeMap::new();
        for [what, name, _, value] in &found {
            let word = MODES.iter().find(|(mode, _)| mode == value).map_or("", |(_, word)| word);
            let known = locks.get(name.as_str()).copied().unwrap_or("");
            if what == "lock" && (known.is_empty() || strength(word) > strength(known)) {
                locks.insert(name, word);
            }
        }
        let told: BTreeMap<&str, &str> = one
            .info
            .locks
            .iter()
            .filter(|lock| kinds.contains_key(&lock.object))
            .map(|lock| (lock.object.as_str(), lock.mode.as_str()))
            .collect();
        let counts = |name: &str| is_table(&kinds[name]) || told.contains_key(name);
        let seen: BTreeMap<&str, &str> =
            locks.iter().filter(|(name, _)| counts(name)).map(|(n, m)| (*n, *m)).collect();
        if seen != told {
            wrong.push(format!("{}\n  foretold {told:?}\n  found    {seen:?}", row.statement));
        }
        let mut rewritten: Vec<&str> = found
            .iter()
            .filter(|[what, _, kind, _]| what == "file" && is_table(kind))
            .map(|[_, name, ..]| name.as_str())
            .collect();
        // TRUNCATE gives an empty file instead of writing the rows anew.
        if one.info.kind == "truncate" {
            rewritten.clear();
        }
        rewritten.sort_unstable();
        let mut told: Vec<&str> = one.info.rewrites.iter().map(String::as_str).collect();
        // A partitioned table has no file of its own.
        told.retain(|name| kinds.get(*name).is_some_and(|kind| kind != "p"));
        told.sort_unstable();
        if rewritten != told {
            wrong.push(format!("{}\n  rewrites {told:?}, found {rewritten:?}", row.statement));
        }
    }
    println!("PostgreSQL {major}: {run} statements, {} differ", wrong.len());
    assert!(run >= 200, "only {run} statements were run");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_way_back_leads_back() {
    let server = with_database();
    let major = server.major();
    let before = server.value("risk", "SELECT watch.digest()");
    let (mut run, mut wrong) = (0, Vec::new());
    for row in rows() {
        if row.since == 0 || row.since > major || row.in_transaction == "no" {
            continue;
        }
        let text = match row.undo.as_str() {
            "(not needed)" => row.statement.clone(),
            told if told.starts_with('(') => continue,
            sql => format!("{};\n{sql}", row.statement),
        };
        run += 1;
        let text = format!("BEGIN;\n{text};\nSELECT watch.digest();\nROLLBACK");
        let rows = match query(&server.url("risk"), &text) {
            Ok(rows) => rows,
            Err(error) => {
                wrong.push(format!("{}\n  undo {}\n  {error}", row.statement, row.undo));
                continue;
            }
        };
        let after = rows.first().and_then(|row| row[0].clone()).unwrap_or_default();
        if after != before {
            let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
            let lost: Vec<_> = old.iter().filter(|line| !new.contains(line)).collect();
            let more: Vec<_> = new.iter().filter(|line| !old.contains(line)).collect();
            wrong.push(format!(
                "{}\n  undo {}\n  lost {lost:?}\n  more {more:?}",
                row.statement, row.undo
            ));
        }
    }
    println!("PostgreSQL {major}: {run} ways back, {} do not lead back", wrong.len());
    assert!(run >= 100, "only {run} ways back were tried");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
