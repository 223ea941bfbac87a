//! How the rows of a backup table go back without cutting a reference.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::snapshot::{Snapshot, same_rows};
use crate::host::{Host, Trouble};
use crate::model::{EventKind, Fault, RungKind, quote_ident, quote_name};
use crate::msg;

/// What has to be known of table and backup. `columns` are those to be written, `lost` those of
/// the backup that the table no longer has, `key` the primary key's.
#[derive(Deserialize)]
struct Shape {
    columns: Vec<String>,
    lost: Vec<String>,
    key: Vec<String>,
    referred: bool,
}

/// $1 table, $2 backup.
const SHAPE: &str = "WITH t AS (SELECT * FROM pg_attribute WHERE attrelid = to_regclass($1) \
        AND attnum > 0 AND NOT attisdropped), \
    b AS (SELECT * FROM pg_attribute WHERE attrelid = to_regclass($2) \
        AND attnum > 0 AND NOT attisdropped) \
    SELECT json_build_object(\
        'columns', (SELECT coalesce(json_agg(t.attname ORDER BY t.attnum), '[]') FROM t \
            JOIN b ON b.attname = t.attname WHERE t.attgenerated = ''), \
        'lost', (SELECT coalesce(json_agg(b.attname ORDER BY b.attnum), '[]') FROM b \
            WHERE b.attname NOT IN (SELECT attname FROM t)), \
        'key', (SELECT coalesce(json_agg(t.attname), '[]') FROM pg_index i \
            JOIN t ON t.attnum = ANY (i.indkey) WHERE i.indrelid = to_regclass($1) AND i.indisprimary), \
        'referred', EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' \
            AND confrelid = to_regclass($1) AND conrelid <> confrelid))";

/// Puts the rows back.
///
/// # Errors
/// `columns-differ`, `no-primary-key`, `counts-differ`; the server's.
pub(super) fn put_back(host: &Rc<Host>, snapshot: &Snapshot) -> Result<Value, Trouble> {
    let (table, backup) = (quote_name(&snapshot.table), quote_name(&snapshot.name));
    host.step_execute(&format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"), &[])?;
    let shape = host.query(SHAPE, &[table.clone().into(), backup.clone().into()])?;
    let shape: Shape = serde_json::from_value(shape.first().cloned().unwrap_or(Value::Null))
        .map_err(|error| Fault::failed("bad-answer", error.to_string()))?;
    if !shape.lost.is_empty() {
        return Err(Fault::failed(
            "columns-differ",
            msg!("verbs.snapshot-columns", table = snapshot.table, columns = shape.lost.join(", ")),
        )
        .remedy(msg!("verbs.snapshot-columns.remedy"))
        .into());
    }
    let (removed, changed, inserted) = if shape.referred {
        by_key(host, snapshot, &shape)?
    } else {
        let removed = host.step_execute(&format!("DELETE FROM {table}"), &[])?;
        let columns = list(&shape.columns, "");
        let inserted = host.step_execute(
            &format!(
                "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE \
                 SELECT {columns} FROM {backup}"
            ),
            &[],
        )?;
        (removed, 0, inserted)
    };
    let rows = same_rows(host, &snapshot.table, &snapshot.name)?;
    host.emit(EventKind::Note {
        text: msg!(
            "verbs.restored",
            table = snapshot.table,
            rows = rows,
            removed = removed,
            changed = changed,
            inserted = inserted
        ),
    })?;
    host.emit(EventKind::WayBack {
        rung: RungKind::BackupTable,
        item: None,
        what: msg!(
            "verbs.snapshot",
            name = snapshot.name,
            table = snapshot.table,
            rows = snapshot.rows
        ),
        command: None,
        proven: None,
        blocked: None,
        gone: true,
    })?;
    Ok(json!({ "rows": rows, "removed": removed, "changed": changed, "inserted": inserted }))
}

fn list(columns: &[String], side: &str) -> String {
    columns
        .iter()
        .map(|column| format!("{side}{}", quote_ident(column)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Rows keep their place: a DELETE of a row that is there again a moment later would still fire
/// ON DELETE CASCADE in the tables that refer to it.
fn by_key(host: &Rc<Host>, snapshot: &Snapshot, shape: &Shape) -> Result<(u64, u64, u64), Trouble> {
    let (table, backup) = (quote_name(&snapshot.table), quote_name(&snapshot.name));
    if shape.key.is_empty() {
        return Err(Fault::failed(
            "no-primary-key",
            msg!("verbs.no-primary-key", table = snapshot.table),
        )
        .cause(msg!("verbs.no-primary-key.cause"))
        .into());
    }
    let same = shape
        .key
        .iter()
        .map(|column| format!("t.{0} = b.{0}", quote_ident(column)))
        .collect::<Vec<_>>()
        .join(" AND ");
    let removed = host.step_execute(
        &format!(
            "DELETE FROM {table} AS t WHERE NOT EXISTS (SELECT FROM {backup} AS b WHERE {same})"
        ),
        &[],
    )?;
    let rest: Vec<String> =
        shape.columns.iter().filter(|column| !shape.key.contains(column)).cloned().collect();
    let changed = if rest.is_empty() {
        0
    } else {
        let sets: Vec<String> =
            rest.iter().map(|column| format!("{0} = b.{0}", quote_ident(column))).collect();
        // By their text: json, xml and point have no equality.
        let differ: Vec<String> = rest
            .iter()
            .map(|column| format!("t.{0}::text IS DISTINCT FROM b.{0}::text", quote_ident(column)))
            .collect();
        host.step_execute(
            &format!(
                "UPDATE {table} AS t SET {} FROM {backup} AS b WHERE {same} AND ({})",
                sets.join(", "),
                differ.join(" OR ")
            ),
            &[],
        )?
    };
    let inserted = host.step_execute(
        &format!(
            "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {backup} AS b \
             WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {same})",
            list(&shape.columns, ""),
            list(&shape.columns, "b."),
        ),
        &[],
    )?;
    Ok((removed, changed, inserted))
}
