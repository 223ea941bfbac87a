//! What differs between two databases: objects by name, and of tables whose sums differ the keys
//! and columns of the rows. Reads only, in one snapshot of each side.

use std::collections::{BTreeMap, VecDeque};

use futures_util::future::try_join;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::fingerprint::{Fingerprint, TableSum};
use super::look::Look;
use super::share::share;
use super::{DbError, Session};
use crate::model::{Fault, quote_ident, quote_literal};

/// Rows that are fetched at a time from each side.
const BATCH: usize = 5_000;

/// What happened to something on its way from the left side to the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// On the left side only.
    Missing,
    /// On the right side only.
    Extra,
    /// On both, and not the same.
    Different,
}

/// An object of the schema that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChange {
    /// Kind and name: "column public.users.phone".
    pub what: String,
    /// How.
    pub change: Change,
    /// Everything that counts of it on the left side.
    pub left: Option<String>,
    /// The same on the right side.
    pub right: Option<String>,
}

/// A row that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSample {
    /// How.
    pub change: Change,
    /// Its key, "id=7"; of a table without a primary key the beginning of the row.
    pub key: String,
    /// The columns that differ.
    pub columns: Vec<String>,
}

/// A column whose values differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnLoss {
    /// Its name.
    pub column: String,
    /// In how many rows that both sides have.
    pub rows: u64,
}

/// A table whose rows are not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChange {
    /// Quoted, qualified name.
    pub table: String,
    /// Rows on the left side; None where it has no such table.
    pub left: Option<u64>,
    /// Rows on the right side.
    pub right: Option<u64>,
    /// Rows whose key is on the left side only.
    pub missing: u64,
    /// Rows whose key is on the right side only.
    pub extra: u64,
    /// Rows with the same key and other values, in the columns that both sides have.
    pub different: u64,
    /// The first rows that differ.
    pub samples: Vec<RowSample>,
    /// Columns that both sides have, where values differ.
    pub columns: Vec<ColumnLoss>,
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Objects of the schema.
    pub objects: Vec<ObjectChange>,
    /// Tables with other rows.
    pub tables: Vec<TableChange>,
}

impl Difference {
    /// Is everything the same?
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.tables.is_empty()
    }
}

/// The objects that differ between two schemas, by name.
pub fn objects(left: &Fingerprint, right: &Fingerprint) -> Vec<ObjectChange> {
    let all =
        left.schema.keys().chain(right.schema.keys().filter(|k| !left.schema.contains_key(*k)));
    let mut found: Vec<ObjectChange> = all
        .filter_map(|what| {
            let (l, r) = (left.schema.get(what), right.schema.get(what));
            let change = match (l, r) {
                (Some(l), Some(r)) if l == r => return None,
                (Some(_), Some(_)) => Change::Different,
                (Some(_), None) => Change::Missing,
                _ => Change::Extra,
            };
            Some(ObjectChange { what: what.clone(), change, left: l.cloned(), right: r.cloned() })
        })
        .collect();
    found.sort_by(|a, b| a.what.cmp(&b.what));
    found
}

/// Compares two looks, whose fingerprints are `left` and `right`; `samples` rows are named of each
/// table. Tables are shared out among the sessions of both.
///
/// # Errors
/// The server's.
pub async fn compare(
    looks: (&Look, &Look),
    prints: (&Fingerprint, &Fingerprint),
    samples: usize,
) -> Result<Difference, Fault> {
    let (left, right) = prints;
    let mut tables = Vec::new();
    let mut open = Vec::new();
    let names: BTreeMap<&String, ()> =
        left.tables.keys().chain(right.tables.keys()).map(|name| (name, ())).collect();
    for name in names.into_keys() {
        match (left.tables.get(name), right.tables.get(name)) {
            (Some(l), Some(r)) if l == r => {}
            (Some(l), Some(r)) => open.push((name.clone(), l.clone(), r.clone())),
            (l, r) => tables.push(one_sided(name, l, r)),
        }
    }
    let pairs = looks.0.sessions().iter().zip(looks.1.sessions());
    type Open = (String, TableSum, TableSum);
    let look = async |(a, b): &(&Session, &Session), (name, l, r): Open| {
        let change = table(a, b, &name, samples).await?;
        Ok::<_, DbError>(TableChange { left: Some(l.rows), right: Some(r.rows), ..change })
    };
    tables.extend(share(pairs, open, look).await?);
    tables.sort_by(|a, b| a.table.cmp(&b.table));
    Ok(Difference { objects: objects(left, right), tables })
}

fn one_sided(name: &str, left: Option<&TableSum>, right: Option<&TableSum>) -> TableChange {
    let rows = |side: Option<&TableSum>| side.map(|side| side.rows);
    TableChange {
        table: name.into(),
        left: rows(left),
        right: rows(right),
        missing: rows(left).unwrap_or(0),
        extra: rows(right).unwrap_or(0),
        different: 0,
        samples: Vec::new(),
        columns: Vec::new(),
    }
}

/// Columns by name, and those of the primary key in its order.
struct Shape {
    columns: Vec<String>,
    key: Vec<String>,
    /// Every column of the key is an integer: then rows are in the order that people expect.
    counted: bool,
}

async fn shape(session: &Session, table: &str) -> Result<Shape, DbError> {
    let sql = "SELECT coalesce((SELECT json_agg(attname ORDER BY attname) FROM pg_attribute \
        WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped), '[]'), \
        coalesce((SELECT json_agg(a.attname ORDER BY k.n) FROM pg_index i, \
        unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n), pg_attribute a \
        WHERE i.indrelid = $1::text::regclass AND i.indisprimary AND a.attrelid = i.indrelid \
        AND a.attnum = k.attnum), '[]'), (SELECT bool_and(a.atttypid IN \
        ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)) FROM pg_index i, pg_attribute a \
        WHERE i.indrelid = $1::text::regclass AND i.indisprimary AND a.attrelid = i.indrelid \
        AND a.attnum = ANY (i.indkey::int2[]))";
    let found = session.query(sql, &[json!(table)]).await?;
    let row = found.rows.into_iter().next().unwrap_or_default();
    let list = |at: usize| -> Vec<String> {
        row.get(at).and_then(|cell| serde_json::from_value(cell.clone()).ok()).unwrap_or_default()
    };
    let counted = row.get(2) == Some(&true.into());
    Ok(Shape { columns: list(0), key: list(1), counted })
}

/// A row as it is compared: its key for sorting, for people, and the sums of its columns.
struct Row {
    order: String,
    shown: String,
    sums: String,
}

/// The rows of one side in the order of their keys.
struct Side<'a> {
    session: &'a Session,
    ready: VecDeque<Row>,
    ended: bool,
}

impl<'a> Side<'a> {
    async fn open(session: &'a Session, sql: &str) -> Result<Self, DbError> {
        session.batch(&format!("DECLARE runsheet_rows NO SCROLL CURSOR FOR {sql}")).await?;
        Ok(Self { session, ready: VecDeque::new(), ended: false })
    }

    async fn fill(&mut self) -> Result<(), DbError> {
        if !self.ready.is_empty() || self.ended {
            return Ok(());
        }
        let results = self.session.simple(&format!("FETCH {BATCH} FROM runsheet_rows")).await?;
        let cells = results.into_iter().next().map(|result| result.cells).unwrap_or_default();
        self.ended = cells.len() < BATCH;
        self.ready.extend(cells.into_iter().map(|mut row| {
            let mut take = |at: usize| row.get_mut(at).and_then(Option::take).unwrap_or_default();
            Row { order: take(0), shown: take(1), sums: take(2) }
        }));
        Ok(())
    }

    async fn close(self) -> Result<(), DbError> {
        self.session.batch("CLOSE runsheet_rows").await
    }
}

/// Digits of a column's sum: of a row with one changed column, the wrong one is named once in four
/// thousand million.
const DIGITS: usize = 8;

async fn table(
    a: &Session,
    b: &Session,
    name: &str,
    samples: usize,
) -> Result<TableChange, DbError> {
    let (left, right) = try_join(shape(a, name), shape(b, name)).await?;
    let common: Vec<String> =
        left.columns.iter().filter(|column| right.columns.contains(column)).cloned().collect();
    let keyed = !left.key.is_empty() && left.key == right.key;
    let key: &[String] = if keyed { &left.key } else { &[] };
    let sql = rows_sql(name, key, left.counted && right.counted, &common);
    let (mut l, mut r) = try_join(Side::open(a, &sql), Side::open(b, &sql)).await?;
    let mut change = one_sided(name, None, None);
    let mut losses = vec![0u64; common.len()];
    let note = |change: &mut TableChange, how: Change, row: &Row, columns: Vec<String>| {
        match how {
            Change::Missing => change.missing += 1,
            Change::Extra => change.extra += 1,
            Change::Different => change.different += 1,
        }
        if change.samples.len() < samples {
            change.samples.push(RowSample { change: how, key: row.shown.clone(), columns });
        }
    };
    loop {
        try_join(l.fill(), r.fill()).await?;
        let order = match (l.ready.front(), r.ready.front()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(l), Some(r)) => l.order.cmp(&r.order),
        };
        match order {
            std::cmp::Ordering::Less => {
                if let Some(row) = l.ready.pop_front() {
                    note(&mut change, Change::Missing, &row, Vec::new());
                }
            }
            std::cmp::Ordering::Greater => {
                if let Some(row) = r.ready.pop_front() {
                    note(&mut change, Change::Extra, &row, Vec::new());
                }
            }
            std::cmp::Ordering::Equal => {
                let (Some(left), Some(right)) = (l.ready.pop_front(), r.ready.pop_front()) else {
                    break;
                };
                if left.sums == right.sums {
                    continue;
                }
                let differ: Vec<usize> = (0..common.len())
                    .filter(|at| part(&left.sums, *at) != part(&right.sums, *at))
                    .collect();
                differ.iter().for_each(|at| losses[*at] += 1);
                let columns = differ.iter().map(|at| common[*at].clone()).collect();
                note(&mut change, Change::Different, &left, columns);
            }
        }
    }
    try_join(l.close(), r.close()).await?;
    let columns = common.into_iter().zip(losses).filter(|(_, rows)| *rows > 0);
    change.columns = columns.map(|(column, rows)| ColumnLoss { column, rows }).collect();
    Ok(change)
}

fn part(sums: &str, at: usize) -> Option<&str> {
    sums.get(at * DIGITS..(at + 1) * DIGITS)
}

/// Sort key, key for people, sums of the columns; ordered by bytes, as the comparison is, so that
/// two servers with other collations agree.
fn rows_sql(table: &str, key: &[String], counted: bool, columns: &[String]) -> String {
    let column = |name: &String| format!("t.{}::text", quote_ident(name));
    let all: Vec<String> = columns.iter().map(column).collect();
    let sums: Vec<String> =
        all.iter().map(|text| format!("left(md5(coalesce({text}, 'NULL!')), {DIGITS})")).collect();
    let sums = if sums.is_empty() { "''".into() } else { sums.join(" || ") };
    let whole = format!("ARRAY[{}]::text[]::text", all.join(", "));
    let bytes = |text: &str| format!("convert_to({text}, 'UTF8')");
    let (order, shown) = if key.is_empty() {
        // Equal rows are equal: their number is compared.
        (bytes(&format!("md5({whole})")), format!("left({whole}, 120)"))
    } else {
        let named =
            |name: &String| format!("{} || {}", quote_literal(&format!("{name}=")), column(name));
        let pairs: Vec<String> = key.iter().map(named).collect();
        let order = if counted {
            // With the sign turned round, bytes are in the order of the numbers.
            let number = |name: &String| {
                format!("int8send(t.{}::bigint # (-9223372036854775808))", quote_ident(name))
            };
            key.iter().map(number).collect::<Vec<_>>().join(" || ")
        } else {
            let texts: Vec<String> = key.iter().map(column).collect();
            bytes(&format!("ARRAY[{}]::text", texts.join(", ")))
        };
        (order, format!("concat_ws(', ', {})", pairs.join(", ")))
    };
    format!(
        "SELECT encode({order}, 'hex'), {shown}, {sums} FROM ONLY {table} AS t ORDER BY {order}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(schema: &[(&str, &str)]) -> Fingerprint {
        let schema = schema.iter().map(|(name, body)| (name.to_string(), body.to_string()));
        Fingerprint { schema: schema.collect(), ..Fingerprint::default() }
    }

    #[test]
    fn objects_are_missing_extra_or_different() {
        let left = print(&[("column t.a", "1"), ("column t.b", "2"), ("index i", "x")]);
        let right = print(&[("column t.a", "1"), ("column t.b", "3"), ("view v", "y")]);
        let found = objects(&left, &right);
        let told: Vec<(&str, Change)> =
            found.iter().map(|one| (one.what.as_str(), one.change)).collect();
        let wanted = [
            ("column t.b", Change::Different),
            ("index i", Change::Missing),
            ("view v", Change::Extra),
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_table_without_a_key_is_ordered_by_its_rows() {
        let sql = rows_sql("public.t", &[], false, &["a".into()]);
        assert!(sql.contains("md5(ARRAY[t.\"a\"::text]::text[]::text)"), "{sql}");
        let sql = rows_sql("public.t", &["i d".into()], true, &["a".into()]);
        assert!(sql.contains("'i d=' || t.\"i d\"::text"), "{sql}");
        assert!(sql.contains("ORDER BY int8send(t.\"i d\"::bigint #"), "{sql}");
    }
}
