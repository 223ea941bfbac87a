//! What a database consists of, in sums: each object of its schema as text, each table's rows as a
//! number and two sums. Equal if and only if schema and rows are.
//!
//! Used by `db::fingerprint`, by rehearsals and by the commands that compare databases. Reads only.

mod rows;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::rows::named;
pub(super) use self::rows::relations;
use super::{DbError, Session};
use crate::model::hex;

/// Texts of values must not depend on who asks: they are pinned for this question alone.
pub(crate) const PINS: &str = "SET LOCAL search_path = pg_catalog; SET LOCAL TimeZone = 'UTC'; \
    SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; \
    SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL xmloption = 'content'; \
    SET LOCAL row_security = off; SET LOCAL quote_all_identifiers = off; SET LOCAL lc_monetary = 'C'";

/// $1 the tables asked for, or NULL; $2 the ledger's schema.
const SCHEMA: &str = include_str!("fingerprint/schema.sql");

/// The rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSum {
    /// How many.
    pub rows: u64,
    /// A text that is equal if and only if the rows are.
    pub sum: String,
}

/// A whole database in sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Kind and name of each object ("column public.users.phone") to everything that counts of it.
    pub schema: BTreeMap<String, String>,
    /// Quoted, qualified name of each table to its rows.
    pub tables: BTreeMap<String, TableSum>,
    /// 64 hexadecimal digits: the same that `db::fingerprint()` gives.
    pub digest: String,
}

impl Fingerprint {
    /// 64 hexadecimal digits of the schema alone.
    pub fn schema_digest(&self) -> String {
        let mut hash = Sha256::new();
        for (name, body) in &self.schema {
            hash.update(format!("{name}\u{1}{body}\n"));
        }
        hex(&hash.finalize())
    }

    /// All rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|table| table.rows).sum()
    }

    /// From the lines of the schema and the relations' cells, in the order of the catalog.
    pub(super) fn of(schema: Vec<String>, relations: Vec<(String, Vec<Value>)>) -> Self {
        let mut hash = Sha256::new();
        let mut found = Self::default();
        for line in schema {
            hash.update(format!("{line}\n"));
            let cells: Vec<Value> = serde_json::from_str(&line).unwrap_or_default();
            let text = |at: usize| cells.get(at).and_then(Value::as_str).unwrap_or_default();
            let name = format!("{} {}", text(0), text(1));
            let body_there = found.schema.entry(name.trim_end().into()).or_default();
            // Grants by default have no name of their own.
            if !body_there.is_empty() {
                body_there.push('\n');
            }
            body_there.push_str(text(2));
        }
        for (name, cells) in relations {
            hash.update(format!("{}\n", relation_line(&name, &cells)));
            let rows = cells.first().and_then(Value::as_u64).unwrap_or(0);
            let sum = Value::Array(cells).to_string();
            let bare = name.strip_prefix("ONLY ").unwrap_or(&name).to_string();
            found.tables.insert(bare, TableSum { rows, sum });
        }
        found.digest = hex(&hash.finalize());
        found
    }
}

/// Everything that counts, one line each, in an order that does not depend on the server's. Must
/// run inside a transaction, whose settings it pins. `wanted`: oids of tables, None for the whole.
///
/// # Errors
/// The server's.
pub async fn lines(
    session: &Session,
    wanted: Option<Vec<i64>>,
    ledger: &str,
) -> Result<Vec<String>, DbError> {
    session.batch(PINS).await?;
    let wanted = wanted.map_or(Value::Null, |oids| json!(oids));
    let mut lines = schema_lines(session, wanted.clone(), ledger).await?;
    for relation in relations(session, wanted, ledger).await? {
        let cells = relation.sum(session).await?;
        lines.push(relation_line(&relation.name, &cells));
    }
    Ok(lines)
}

/// The objects of a schema, as in [`Fingerprint::schema`], in a READ ONLY transaction of its own.
///
/// # Errors
/// The server's.
pub async fn schema(session: &Session, ledger: &str) -> Result<BTreeMap<String, String>, DbError> {
    session.batch("BEGIN READ ONLY").await?;
    let found = objects(session, ledger).await;
    let ended = session.batch("ROLLBACK").await;
    let found = found?;
    ended.map(|()| found)
}

/// The same inside a transaction, whose settings it pins.
///
/// # Errors
/// The server's.
pub async fn objects(session: &Session, ledger: &str) -> Result<BTreeMap<String, String>, DbError> {
    session.batch(PINS).await?;
    let lines = schema_lines(session, Value::Null, ledger).await?;
    Ok(Fingerprint::of(lines, Vec::new()).schema)
}

/// A text for lines.
pub fn digest(lines: &[String]) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    hex(&hash.finalize())
}

/// The question for the objects of a schema without parameters, for a session that prepares it
/// once and asks it often; [`of_cells`] reads its answer.
pub(crate) fn schema_question(ledger: &str) -> String {
    SCHEMA.replace("$1", "NULL").replace("$2", &crate::model::quote_literal(ledger))
}

/// The objects of a schema, as in [`Fingerprint::schema`], from kind, name and body of each.
pub(crate) fn of_cells(cells: Vec<Vec<Option<String>>>) -> BTreeMap<String, String> {
    let line = |row: Vec<Option<String>>| {
        let row = row.into_iter().map(|cell| Value::from(cell.unwrap_or_default())).collect();
        Value::Array(row).to_string()
    };
    let mut lines: Vec<String> = cells.into_iter().map(line).collect();
    lines.sort_unstable();
    Fingerprint::of(lines, Vec::new()).schema
}

/// Names of the objects that a dump brings back, and the sums of these tables' rows, in the
/// transaction that is open; its settings are pinned for good.
///
/// # Errors
/// The server's.
pub(crate) async fn names_and_sums(
    session: &Session,
    ledger: &str,
    tables: impl Iterator<Item = &String>,
) -> Result<(Vec<String>, BTreeMap<String, String>), DbError> {
    session.batch(PINS).await?;
    let schema = of_cells(
        session
            .simple(&schema_question(ledger))
            .await?
            .pop()
            .map(|one| one.cells)
            .unwrap_or_default(),
    );
    let brought = |name: &String| {
        !["schema ", "extension ", "default grants"].iter().any(|kind| name.starts_with(kind))
    };
    let mut sums = BTreeMap::new();
    for relation in named(session, tables).await? {
        let sum = Value::Array(relation.sum(session).await?).to_string();
        let name = relation.name.strip_prefix("ONLY ").unwrap_or(&relation.name);
        sums.insert(name.into(), sum);
    }
    Ok((schema.into_keys().filter(brought).collect(), sums))
}

pub(super) async fn schema_lines(
    session: &Session,
    wanted: Value,
    ledger: &str,
) -> Result<Vec<String>, DbError> {
    let schema = session.query(SCHEMA, &[wanted, ledger.into()]).await?;
    let mut lines: Vec<String> =
        schema.rows.iter().map(|row| Value::Array(row.clone()).to_string()).collect();
    lines.sort_unstable();
    Ok(lines)
}

fn relation_line(name: &str, cells: &[Value]) -> String {
    format!("{name} {}", Value::Array(cells.to_vec()))
}

/// The relation that an object stands in: of "column public.users.phone" "relation public.users".
pub fn relation_of(name: &str, body: &str) -> Option<String> {
    let (kind, rest) = name.split_once(' ')?;
    if kind == "index" {
        // "CREATE UNIQUE INDEX name ON public.users USING btree (id)"
        let (table, _) = body.split_once(" ON ")?.1.split_once(" USING ")?;
        return Some(format!("relation {}", table.trim_start_matches("ONLY ")));
    }
    if !matches!(kind, "column" | "constraint" | "trigger" | "rule" | "policy") {
        return None;
    }
    let mut quoted = false;
    let dots: Vec<usize> = rest
        .char_indices()
        .filter(|(_, c)| {
            quoted ^= *c == '"';
            *c == '.' && !quoted
        })
        .map(|(at, _)| at)
        .collect();
    Some(format!("relation {}", &rest[..*dots.get(1)?]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_object_is_told_from_the_relation_that_it_stands_in() {
        assert_eq!(relation_of("column public.users.phone", "").unwrap(), "relation public.users");
        assert_eq!(
            relation_of("column \"a.b\".\"c.d\".e", "").unwrap(),
            "relation \"a.b\".\"c.d\""
        );
        let index = "[\"CREATE INDEX i ON public.users USING btree (a)\", true]";
        assert_eq!(relation_of("index public.i", index).unwrap(), "relation public.users");
        assert_eq!(relation_of("function f(integer)", ""), None);
    }
}
