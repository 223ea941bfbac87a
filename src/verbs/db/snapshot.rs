//! `db::snapshot_table`, `restore_table`, `drop_snapshot`: a backup table beside the table.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::restore;
use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{
    Action, Effect, EventKind, Fault, RungKind, quote_ident, quote_literal, quote_name,
};
use crate::msg;
use crate::postgres::catalog;

/// A backup table, as scripts hold it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Snapshot {
    /// The backup table.
    pub(super) name: String,
    /// The table whose rows are in it.
    pub(super) table: String,
    /// How many.
    pub(super) rows: u64,
}

/// What the comment of each backup table begins with.
const MARK: &str = "runsheet snapshot of ";

/// `db::snapshot_table`
pub(crate) static SNAPSHOT_TABLE: Verb = Verb {
    name: "db::snapshot_table",
    args: "table: text",
    effect: Effect::Write,
    page: r#"Copies the rows of a table into a backup table beside it, and counts both.

The backup table lies in the same schema and is named after the table and the run. It is made in the
step's transaction: from here to the end of the step nobody else writes into the table. Make it in the
step that changes the table, or nothing says that both saw the same rows.

Gives: `#{name, table, rows}`, for `restore_table` and `drop_snapshot`.

Errors: `no-such-table`, `counts-differ`; the server's.

```rhai
let before = step("Keep the old rows", || db::snapshot_table("users"));
step("Change them", #{ undo: || db::restore_table(before) }, || db::exec("UPDATE users SET name = trim(name)"));
```"#,
    call: |host, call| {
        let table = call.text(0);
        let action = write(call, &table, &snapshot_name(&table, &host.run_id().0, 0));
        host.pass(action, call.planned(), || Ok(json!(take(host, &table)?)))
    },
};

/// `db::restore_table`
pub(crate) static RESTORE_TABLE: Verb = Verb {
    name: "db::restore_table",
    args: "snapshot: map",
    effect: Effect::Write,
    page: r#"Puts the rows of a backup table back, in the step's transaction, and counts both.

Where no other table refers to this one, its rows are deleted and inserted anew. Where one does, rows
stay where they are by their primary key: those that came since are deleted, those that changed are
set back, those that went are inserted; so no reference is cut and no CASCADE fires for a row that was
there. What was written since is lost; a note says how much. Sequences stay where they are, generated
columns are computed, columns that came since get their default in inserted rows. The table's own
triggers fire.

Gives: `#{rows, removed, changed, inserted}`.

Errors: `not-a-snapshot`, `columns-differ` where a column is gone, `no-primary-key` where others refer to
a table without one, `counts-differ`; the server's (23503 where a new row is referred to).

```rhai
let before = step("Keep the old rows", || db::snapshot_table("users"));
step("Change them", #{ undo: || db::restore_table(before) }, || db::exec("UPDATE users SET name = trim(name)"));
```"#,
    call: |host, call| {
        let snapshot = snapshot_of(call)?;
        let (table, name) = snapshot.as_ref().map_or_else(Default::default, |snapshot| {
            (snapshot.table.clone(), snapshot.name.clone())
        });
        let mut action = write(call, &table, &table);
        action.statement = Some(format!("-- {} <- {}", quote_name(&table), quote_name(&name)));
        host.pass(action, call.planned(), || match &snapshot {
            Some(snapshot) => {
                known(host, snapshot)?;
                restore::put_back(host, snapshot)
            }
            None => Ok(Value::Null),
        })
    },
};

/// `db::drop_snapshot`
pub(crate) static DROP_SNAPSHOT: Verb = Verb {
    name: "db::drop_snapshot",
    args: "snapshot: map",
    effect: Effect::Write,
    page: r#"Drops a backup table that `snapshot_table` made, and no other one.

Errors: `not-a-snapshot`; the server's.

```rhai
let before = step("Keep the old rows", || db::snapshot_table("users"));
step("Drop them", || db::drop_snapshot(before));
```"#,
    call: |host, call| {
        let snapshot = snapshot_of(call)?;
        let name = snapshot.as_ref().map_or(String::new(), |snapshot| snapshot.name.clone());
        let sql = format!("DROP TABLE {}", quote_name(&name));
        let mut action = write(call, &name, &name);
        action.statement = Some(sql.clone());
        host.pass(action, call.planned(), || {
            if let Some(snapshot) = &snapshot {
                known(host, snapshot)?;
                host.step_execute(&sql, &[])?;
            }
            Ok(Value::Null)
        })
    },
};

fn write(call: &Call<'_, '_>, target: &str, changes: &str) -> Action {
    let mut action = Action::new(call.verb.name, Effect::Write, target);
    action.touches = vec![changes.to_lowercase()];
    action
}

/// None where it is only planned.
fn snapshot_of(call: &Call<'_, '_>) -> Result<Option<Snapshot>, Fault> {
    if call.planned().is_some() { Ok(None) } else { call.options(0).map(Some) }
}

/// `users_before_20261121_031542_7f3a`, within the 63 bytes that PostgreSQL keeps.
fn snapshot_name(table: &str, run: &str, number: u32) -> String {
    let mut suffix = format!("_before_{}", run.replace('-', "_"));
    if number > 0 {
        suffix.push_str(&format!("_{number}"));
    }
    let mut end = table.len().min(63usize.saturating_sub(suffix.len()));
    while !table.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &table[..end])
}

/// A name as people write it: quoted only where it has to be.
fn written(part: &str) -> String {
    let plain = part.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain { part.into() } else { quote_ident(part) }
}

fn take(host: &Rc<Host>, table: &str) -> Result<Snapshot, Trouble> {
    // Says so where there is no such table.
    host.catalog(async |s| catalog::columns(s, table).await)?;
    let sql = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.oid = pg_catalog.to_regclass($1)";
    let row = host.query(sql, &[quote_name(table).into()])?.rows.into_iter().next();
    let row = row.unwrap_or_default();
    let cell = |at: usize| row.get(at).and_then(Value::as_str).unwrap_or("").to_string();
    let (schema, bare) = (cell(0), cell(1));
    let mut number = 0;
    let name = loop {
        let name = snapshot_name(&bare, &host.run_id().0, number);
        let name = format!("{}.{}", written(&schema), written(&name));
        let free = "SELECT pg_catalog.to_regclass($1) IS NULL";
        if host.query(free, &[quote_name(&name).into()])?.first() == Some(&Value::Bool(true)) {
            break name;
        }
        number += 1;
    };
    let (backup, source) = (quote_name(&name), quote_name(table));
    // Without the lock, rows written between copy and count would look like a broken copy.
    host.step_execute(&format!("LOCK TABLE {source} IN SHARE MODE"), &[])?;
    host.step_execute(&format!("CREATE TABLE {backup} AS SELECT * FROM {source}"), &[])?;
    let comment = quote_literal(&format!("{MARK}{table}, run {}", host.run_id()));
    host.step_execute(&format!("COMMENT ON TABLE {backup} IS {comment}"), &[])?;
    let rows = same_rows(host, table, &name)?;
    host.emit(EventKind::WayBack {
        rung: RungKind::BackupTable,
        item: None,
        what: msg!("verbs.snapshot", name = name, table = table, rows = rows),
        command: None,
        proven: None,
        blocked: None,
        gone: false,
    })?;
    Ok(Snapshot { name, table: table.into(), rows })
}

/// The rows of table and backup, which must be as many.
///
/// # Errors
/// `counts-differ`.
pub(super) fn same_rows(host: &Rc<Host>, table: &str, backup: &str) -> Result<u64, Trouble> {
    let sql = format!(
        "SELECT (SELECT count(*) FROM {}), (SELECT count(*) FROM {})",
        quote_name(table),
        quote_name(backup)
    );
    let row = host.query(&sql, &[])?.rows.into_iter().next().unwrap_or_default();
    let number = |at: usize| row.get(at).and_then(Value::as_u64).unwrap_or(0);
    let (left, right) = (number(0), number(1));
    let holds = left == right;
    let what = format!("{table} = {backup}");
    host.emit(EventKind::Compared { what, left: json!(left), right: json!(right), holds })?;
    if holds {
        return Ok(left);
    }
    Err(Fault::failed("counts-differ", msg!("verbs.counts-differ", count = 1))
        .detail(format!("{table}: {left}\n{backup}: {right}"))
        .into())
}

/// Is this a table that `snapshot_table` made? Nothing else is restored from, or dropped.
fn known(host: &Rc<Host>, snapshot: &Snapshot) -> Result<(), Trouble> {
    let sql = "SELECT pg_catalog.obj_description(pg_catalog.to_regclass($1), 'pg_class')";
    let comment = host.query(sql, &[quote_name(&snapshot.name).into()])?;
    let mark = format!("{MARK}{}, run ", snapshot.table);
    if comment.first().and_then(Value::as_str).is_some_and(|text| text.starts_with(&mark)) {
        return Ok(());
    }
    Err(Fault::failed(
        "not-a-snapshot",
        msg!("verbs.not-a-snapshot", name = snapshot.name, table = snapshot.table),
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_snapshot_fits_whatever_the_table_is_called() {
        let run = "20261121-031542-7f3a";
        assert_eq!(snapshot_name("users", run, 0), "users_before_20261121_031542_7f3a");
        let long = snapshot_name(&"글".repeat(21), run, 2);
        assert!(long.len() <= 63 && long.ends_with("_7f3a_2"), "{long}");
        assert_eq!(written("Order Items"), "\"Order Items\"");
    }
}
