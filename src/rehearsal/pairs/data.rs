//! The rows of small tables, held in memory, so that what a transaction did to them is known
//! before it ends. Only tables that the transaction has locked for writing are read again.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::quote_literal;
use crate::postgres::{Change, ColumnLoss, DbError, RowSample, Session, TableChange};

/// Tables with more rows are compared by count and sum alone.
const MOST: usize = 2_000;
/// So many rows are named of each table.
const SAMPLES: usize = 5;

/// The tables, whether the open transaction may have changed them, and their keys. Locks that only
/// readers take are no change.
pub(super) const TABLES: &str = "PREPARE runsheet_tables AS \
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.oid::bigint, \
    EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' \
        AND l.relation = c.oid AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')), \
    coalesce((SELECT json_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum)) \
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) \
        WHERE i.indrelid = c.oid AND i.indisprimary), '[]')::text, \
    (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0), \
    c.relispartition OR c.relkind = 'p' \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' \
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
        AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1";

/// A table as it is known without its rows.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) oid: i64,
    pub(super) touched: bool,
    pub(super) key: Vec<String>,
    /// Columns that it ever had.
    pub(super) columns: u64,
}

/// The rows of one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Held {
    key: Vec<String>,
    pub(super) count: u64,
    rows: Vec<Map<String, Value>>,
    sum: Option<String>,
}

/// The rows of all tables.
pub(super) type Data = BTreeMap<String, Held>;

/// Looks with settings of its own, and leaves none of them behind.
pub(super) async fn pinned(
    session: &Session,
    sql: &str,
) -> Result<Vec<Vec<Vec<Option<String>>>>, DbError> {
    let pins = crate::postgres::fingerprint::PINS;
    let message = format!(
        "SAVEPOINT runsheet_look; {pins}; {sql}; ROLLBACK TO SAVEPOINT runsheet_look; \
         RELEASE SAVEPOINT runsheet_look"
    );
    let results = session.simple(&message).await?;
    Ok(results.into_iter().filter(|one| !one.columns.is_empty()).map(|one| one.cells).collect())
}

/// Every table, in a transaction.
pub(super) async fn tables(session: &Session) -> Result<Vec<Table>, DbError> {
    let found = pinned(session, "EXECUTE runsheet_tables").await?;
    let cells = found.into_iter().next().unwrap_or_default();
    Ok(cells
        .into_iter()
        .map(|row| {
            let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
            Table {
                name: text(0),
                oid: text(1).parse().unwrap_or(0),
                touched: text(2) == "t",
                key: serde_json::from_str(&text(3)).unwrap_or_default(),
                columns: text(4).parse().unwrap_or(0),
            }
        })
        .collect())
}

/// The rows of these tables, in a transaction.
pub(super) async fn hold(session: &Session, wanted: &[&Table]) -> Result<Data, DbError> {
    if wanted.is_empty() {
        return Ok(Data::new());
    }
    let limit = MOST + 1;
    let one = |table: &&Table| {
        let (name, label) = (&table.name, quote_literal(&table.name));
        // Sums are only needed where rows are not held.
        format!(
            "SELECT {label}, (SELECT count(*) FROM ONLY {name}), \
             (SELECT json_agg(j)::text FROM (SELECT to_jsonb(r) AS j FROM ONLY {name} AS r \
              LIMIT {limit}) AS held), \
             CASE WHEN (SELECT count(*) FROM ONLY {name}) > {MOST} THEN \
             (SELECT sum(('x' || substr(md5(r::text), 1, 16))::bit(64)::bigint::numeric)::text \
              FROM ONLY {name} AS r) END"
        )
    };
    let sql: Vec<String> = wanted.iter().map(one).collect();
    let found = pinned(session, &sql.join("; ")).await?;
    let mut data = Data::new();
    for (table, cells) in wanted.iter().zip(found) {
        let Some(row) = cells.into_iter().next() else { continue };
        let text = |at: usize| row.get(at).cloned().flatten();
        let count: u64 = text(1).and_then(|text| text.parse().ok()).unwrap_or(0);
        let sum = text(3);
        let rows = match sum.is_some() {
            true => Vec::new(),
            false => serde_json::from_str(&text(2).unwrap_or("[]".into())).unwrap_or_default(),
        };
        data.insert(table.name.clone(), Held { key: table.key.clone(), count, rows, sum });
    }
    Ok(data)
}

impl Held {
    fn key_of(&self, row: &Map<String, Value>, key: &[String]) -> String {
        if key.is_empty() {
            let mut cells: Vec<String> =
                row.iter().map(|(name, value)| format!("{name}={value}")).collect();
            cells.sort_unstable();
            return cells.join(", ");
        }
        let cell = |name: &String| match row.get(name) {
            Some(Value::String(text)) => format!("{name}={text}"),
            Some(value) => format!("{name}={value}"),
            None => format!("{name}=?"),
        };
        key.iter().map(cell).collect::<Vec<_>>().join(", ")
    }
}

/// What differs of one table; None where nothing does.
pub(super) fn compare(name: &str, left: &Held, right: Option<&Held>) -> Option<TableChange> {
    let mut change = TableChange {
        table: name.into(),
        left: Some(left.count),
        right: right.map(|right| right.count),
        missing: 0,
        extra: 0,
        different: 0,
        samples: Vec::new(),
        columns: Vec::new(),
    };
    let Some(right) = right else {
        change.missing = left.count;
        return Some(change);
    };
    if left.sum.is_some() || right.sum.is_some() {
        change.missing = left.count.saturating_sub(right.count);
        change.extra = right.count.saturating_sub(left.count);
        change.different = u64::from(left.count == right.count && left.sum != right.sum);
        return (change.missing + change.extra + change.different > 0).then_some(change);
    }
    // The key of the left side: rows are known by it as long as its columns are there.
    let there = |held: &Held| {
        held.rows.first().is_none_or(|row| left.key.iter().all(|column| row.contains_key(column)))
    };
    let key: &[String] = if there(right) { &left.key } else { &[] };
    let mut others: BTreeMap<String, Vec<&Map<String, Value>>> = BTreeMap::new();
    for row in &right.rows {
        others.entry(right.key_of(row, key)).or_default().push(row);
    }
    let (mut unmatched, mut columns) = (Vec::new(), BTreeMap::<&str, u64>::new());
    let mut sample = |kind: Change, key: String, columns: Vec<String>| {
        if change.samples.len() < SAMPLES {
            let key = key.chars().take(200).collect();
            change.samples.push(RowSample { change: kind, key, columns });
        }
    };
    for row in &left.rows {
        let named = left.key_of(row, key);
        let Some(other) = others.get_mut(&named).and_then(Vec::pop) else {
            unmatched.push(named);
            continue;
        };
        // NULL in a column that is gone is no loss.
        let differing: Vec<&str> = row
            .iter()
            .filter(|(column, value)| other.get(*column).unwrap_or(&Value::Null) != *value)
            .map(|(column, _)| column.as_str())
            .collect();
        if !differing.is_empty() {
            change.different += 1;
            for column in &differing {
                *columns.entry(column).or_default() += 1;
            }
            sample(Change::Different, named, differing.iter().map(|c| (*c).into()).collect());
        }
    }
    let mut left_over: Vec<String> = others
        .into_iter()
        .flat_map(|(key, rows)| rows.into_iter().map(move |_| key.clone()))
        .collect();
    if key.is_empty() {
        // Without a key, one row gone and one come is one row with other values.
        while let (Some(gone), Some(_)) = (unmatched.last(), left_over.last()) {
            sample(Change::Different, gone.clone(), Vec::new());
            change.different += 1;
            unmatched.pop();
            left_over.pop();
        }
    }
    for key in &unmatched {
        sample(Change::Missing, key.clone(), Vec::new());
    }
    for key in &left_over {
        sample(Change::Extra, key.clone(), Vec::new());
    }
    (change.missing, change.extra) = (unmatched.len() as u64, left_over.len() as u64);
    change.columns = columns
        .into_iter()
        .map(|(column, rows)| ColumnLoss { column: column.into(), rows })
        .collect();
    (change.missing + change.extra + change.different > 0).then_some(change)
}

/// One word, or several with `+` between them.
pub(super) fn word(changes: &[TableChange]) -> String {
    let any = |is: &dyn Fn(&TableChange) -> bool| changes.iter().any(is);
    let mut words = Vec::new();
    if any(&|one| one.right.is_none() && one.left.unwrap_or(0) > 0) {
        words.push("tables_gone");
    }
    if any(&|one| one.right.is_some() && one.missing > 0) {
        words.push("rows_lost");
    }
    if any(&|one| one.extra > 0) {
        words.push("rows_extra");
    }
    if any(&|one| one.different > 0) {
        words.push("values_changed");
    }
    if words.is_empty() { "same".into() } else { words.join("+") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn held(key: &[&str], rows: &str) -> Held {
        let rows: Vec<Map<String, Value>> = serde_json::from_str(rows).unwrap();
        let key = key.iter().map(|name| (*name).to_string()).collect();
        Held { key, count: rows.len() as u64, rows, sum: None }
    }

    #[test]
    fn rows_gone_come_and_changed_are_told_apart_by_key() {
        let left = held(&["id"], r#"[{"id":1,"a":"x"},{"id":2,"a":"y"},{"id":3,"a":"z"}]"#);
        let right = held(&["id"], r#"[{"id":1,"a":"x"},{"id":2,"a":"other"},{"id":4,"a":"z"}]"#);
        let change = compare("t", &left, Some(&right)).unwrap();
        assert_eq!((change.missing, change.extra, change.different), (1, 1, 1));
        assert_eq!(change.columns, [ColumnLoss { column: "a".into(), rows: 1 }]);
        assert_eq!(word(&[change]), "rows_lost+rows_extra+values_changed");
        assert_eq!(compare("t", &left, Some(&left)), None);
    }

    #[test]
    fn a_column_that_is_gone_is_a_loss_where_it_held_something() {
        let left = held(&["id"], r#"[{"id":1,"a":null},{"id":2,"a":"y"}]"#);
        let right = held(&["id"], r#"[{"id":1},{"id":2}]"#);
        assert_eq!(compare("t", &left, Some(&right)).unwrap().different, 1);
    }

    #[test]
    fn without_a_key_a_row_that_is_there_twice_counts_twice() {
        let left = held(&[], r#"[{"a":1},{"a":1}]"#);
        let right = held(&[], r#"[{"a":1}]"#);
        let change = compare("t", &left, Some(&right)).unwrap();
        assert_eq!((change.missing, change.different), (1, 0));
        assert_eq!(word(&[compare("t", &left, None).unwrap()]), "tables_gone");
    }
}
