//! Statements that PostgreSQL refuses inside a transaction block, and what they leave behind:
//! `probe` looks for it after a crash.

use super::words::Word;
use crate::model::quote_ident;

/// A statement that has to run alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alone {
    /// Its first words, `CREATE INDEX CONCURRENTLY`.
    pub(super) what: String,
    pub(super) trace: Trace,
}

/// What REINDEX CONCURRENTLY builds anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reindexed {
    /// This index, or the indexes of this table (as SQL), with its partitions.
    Named(String),
    /// Those of every table in this schema (as the catalog has it).
    Schema(String),
    /// Those of every table of this database.
    Database,
}

/// What it leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// Nothing that a second time could harm.
    Harmless,
    /// An index of this name (as SQL), there or not there.
    Index { name: String, there: bool },
    /// Copies of indexes beside those that are built anew.
    Reindexed(Reindexed),
    /// A database of this name, there or not there.
    Database { name: String, there: bool },
    /// Nobody can tell.
    Unknown,
}

impl Alone {
    /// The statement as one that must run alone; None for all others.
    pub(super) fn of(words: &[Word]) -> Option<Self> {
        let word = |at: usize| words.get(at).map_or("", |word| word.low.as_str());
        let concurrently = words.iter().position(|word| word.low == "concurrently");
        let (length, trace) = match (word(0), word(1)) {
            ("vacuum", _) => (1, Trace::Harmless),
            ("reindex", _) => (1, reindexed(words)?),
            ("cluster", "") => (1, Trace::Harmless),
            ("alter", "system") => (2, Trace::Harmless),
            ("create", "index" | "unique") if concurrently.is_some() => {
                let at = concurrently? + 1;
                (at, created_index(words, at))
            }
            ("drop", "index") if concurrently.is_some() => {
                let at = concurrently? + 1;
                (at, dropped_index(words, at))
            }
            ("create" | "drop", "database") => {
                let there = word(0) == "create";
                let at = if word(2) == "if" { 4 } else { 2 };
                let name = words.get(at).map(bare).unwrap_or_default();
                (2, Trace::Database { name, there })
            }
            ("create" | "drop", "tablespace") => (2, Trace::Unknown),
            ("alter", "table") if concurrently.is_some() => (2, Trace::Unknown),
            ("alter", "database") if words.iter().any(|word| word.low == "tablespace") => {
                (2, Trace::Unknown)
            }
            _ => return None,
        };
        let what: Vec<String> = words.iter().take(length).map(|w| w.raw.to_uppercase()).collect();
        Some(Self { what: what.join(" "), trace })
    }
}

/// A name as the server folds it.
fn bare(word: &Word) -> String {
    match word.raw.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(name) => name.replace("\"\"", "\""),
        None => word.low.clone(),
    }
}

/// The name at an index and where it ends: `app . "Users"` as SQL.
fn name_at(words: &[Word], mut at: usize) -> (Vec<String>, usize) {
    let mut parts = Vec::new();
    while let Some(word) = words.get(at) {
        parts.push(bare(word));
        at += 1;
        if words.get(at).is_none_or(|word| word.raw != ".") {
            break;
        }
        at += 1;
    }
    (parts, at)
}

fn sql_name(parts: &[String]) -> String {
    parts.iter().map(|part| quote_ident(part)).collect::<Vec<_>>().join(".")
}

/// `REINDEX [(options)] what [CONCURRENTLY] name`; None where it may run inside a transaction.
fn reindexed(words: &[Word]) -> Option<Trace> {
    let low = |at: usize| words.get(at).map_or("", |word| word.low.as_str());
    let options = match words.get(1).is_some_and(|word| word.raw == "(") {
        true => words.iter().position(|word| word.raw == ")" && word.depth == 0)?,
        false => 0,
    };
    let what = low(options + 1);
    let plainly = low(options + 2) == "concurrently";
    // `(CONCURRENTLY)`, `(VERBOSE, CONCURRENTLY off)`.
    let optionally = words.iter().take(options).enumerate().any(|(at, word)| {
        word.low == "concurrently"
            && !words.get(at + 1).is_some_and(|next| {
                let value = next.raw.trim_matches('\'').to_lowercase();
                ["false", "off", "no", "0"].contains(&value.as_str())
            })
    });
    let (name, _) = name_at(words, options + if plainly { 3 } else { 2 });
    match (what, plainly || optionally) {
        ("index" | "table", true) => Some(Trace::Reindexed(Reindexed::Named(sql_name(&name)))),
        ("schema", true) => {
            Some(Trace::Reindexed(Reindexed::Schema(name.into_iter().next_back()?)))
        }
        ("database", true) => Some(Trace::Reindexed(Reindexed::Database)),
        // The server refuses to build the indexes of the system beside others.
        ("schema" | "database" | "system", _) => Some(Trace::Harmless),
        _ => None,
    }
}

fn skip_if(words: &[Word], at: usize, count: usize) -> usize {
    if words.get(at).is_some_and(|word| word.low == "if") { at + count } else { at }
}

/// `[IF NOT EXISTS] name ON [ONLY] table`: the index lies in the table's schema.
fn created_index(words: &[Word], at: usize) -> Trace {
    let (mut name, after) = name_at(words, skip_if(words, at, 3));
    if name.first().is_none_or(|name| name == "on") {
        return Trace::Unknown;
    }
    let at = after + 1;
    let at = if words.get(at).is_some_and(|word| word.low == "only") { at + 1 } else { at };
    let (mut table, _) = name_at(words, at);
    if table.len() > 1 && name.len() == 1 {
        table.pop();
        table.append(&mut name);
        name = table;
    }
    Trace::Index { name: sql_name(&name), there: true }
}

fn dropped_index(words: &[Word], at: usize) -> Trace {
    let (name, _) = name_at(words, skip_if(words, at, 2));
    Trace::Index { name: sql_name(&name), there: false }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::words::statements;
    use super::*;

    fn alone(sql: &str) -> Option<Alone> {
        Alone::of(&statements(sql)[0])
    }

    #[test]
    fn statements_that_must_run_alone_are_known() {
        for sql in [
            "VACUUM (ANALYZE) t",
            "reindex (verbose) table concurrently t",
            "REINDEX (CONCURRENTLY) TABLE t",
            "REINDEX SCHEMA app",
            "REINDEX (verbose) DATABASE x",
            "REINDEX SYSTEM",
            "ALTER SYSTEM SET work_mem = '8MB'",
            "create unique index concurrently i on t (a)",
            "DROP INDEX CONCURRENTLY i",
            "CREATE DATABASE x",
            "ALTER TABLE p DETACH PARTITION q CONCURRENTLY",
        ] {
            assert!(alone(sql).is_some(), "{sql}");
        }
        for sql in [
            "CREATE INDEX i ON t (a)",
            "DROP INDEX i",
            "ALTER TABLE t ADD a int",
            "SELECT 1",
            "REINDEX TABLE t",
            "REINDEX (CONCURRENTLY off, VERBOSE) INDEX i",
        ] {
            assert!(alone(sql).is_none(), "{sql}");
        }
    }

    #[test]
    fn what_is_built_anew_is_known_in_every_form_of_reindex() {
        let built = |sql: &str| match alone(sql).unwrap().trace {
            Trace::Reindexed(what) => what,
            other => panic!("{sql}: {other:?}"),
        };
        let named = |name: &str| Reindexed::Named(name.into());
        assert_eq!(built("REINDEX INDEX CONCURRENTLY app.Idx"), named("\"app\".\"idx\""));
        assert_eq!(built("reindex (verbose, concurrently) table \"T\""), named("\"T\""));
        assert_eq!(built("REINDEX (CONCURRENTLY true) TABLE t"), named("\"t\""));
        assert_eq!(
            built("REINDEX (TABLESPACE fast) TABLE CONCURRENTLY concurrently"),
            named("\"concurrently\"")
        );
        let schema = |name: &str| Reindexed::Schema(name.into());
        assert_eq!(built("REINDEX SCHEMA CONCURRENTLY \"App\""), schema("App"));
        assert_eq!(built("REINDEX (CONCURRENTLY) SCHEMA App"), schema("app"));
        assert_eq!(built("REINDEX DATABASE CONCURRENTLY shop"), Reindexed::Database);
        assert_eq!(built("REINDEX DATABASE CONCURRENTLY"), Reindexed::Database);
    }

    #[test]
    fn the_index_is_named_with_the_schema_of_its_table() {
        let index = |sql: &str| alone(sql).unwrap().trace;
        assert_eq!(
            index("CREATE INDEX CONCURRENTLY IF NOT EXISTS Idx ON ONLY app.\"T\" (a)"),
            Trace::Index { name: "\"app\".\"idx\"".into(), there: true }
        );
        assert_eq!(
            index("DROP INDEX CONCURRENTLY IF EXISTS app.\"Idx\""),
            Trace::Index { name: "\"app\".\"Idx\"".into(), there: false }
        );
        assert_eq!(index("CREATE INDEX CONCURRENTLY ON t (a)"), Trace::Unknown);
        assert_eq!(
            index("CREATE DATABASE \"Shop\" TEMPLATE x"),
            Trace::Database { name: "Shop".into(), there: true }
        );
    }
}
