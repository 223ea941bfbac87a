//! `db::query`, `row`, `value`, `count`: reads with parameters.

use std::rc::Rc;

use rhai::Dynamic;
use serde_json::{Map, Value};

use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{Action, Effect, Fault, quote_name};
use crate::msg;
use crate::postgres::Rows;

/// `db::query`
pub static QUERY: Verb = Verb {
    name: "db::query",
    args: "sql: text, [params: array]",
    effect: Effect::Read,
    page: r#"Runs a query and gives its rows.

Outside of a step it runs in a READ ONLY transaction of its own; inside, in the step's transaction.
Parameters are `$1`, `$2`.

Gives: an array of maps. NULL is `()`, numeric a decimal, times are texts.

Errors: the server's, with `e.sqlstate`.

```rhai
for row in db::query("SELECT id, email FROM users WHERE id > $1", [100]) { note(row.email); }
```"#,
    call: |host, call| {
        read(host, call, |rows| {
            Ok(Value::Array(objects(rows).into_iter().map(Value::Object).collect()))
        })
    },
};

/// `db::row`
pub static ROW: Verb = Verb {
    name: "db::row",
    args: "sql: text, [params: array]",
    effect: Effect::Read,
    page: r#"Runs a query that gives one row, as a map.

Errors: `not-one-row` where there is none or more than one.

```rhai
let user = db::row("SELECT email FROM users WHERE id = $1", [7]);
```"#,
    call: |host, call| {
        read(host, call, |rows| {
            let mut rows = objects(one_row(rows)?);
            Ok(rows.pop().map_or(Value::Null, Value::Object))
        })
    },
};

/// `db::value`
pub static VALUE: Verb = Verb {
    name: "db::value",
    args: "sql: text, [params: array]",
    effect: Effect::Read,
    page: r#"Runs a query that gives one row with one column, as that value.

Errors: `not-one-row`, `not-one-column`.

```rhai
let newest = db::value("SELECT max(created_at)::text FROM users");
```"#,
    call: |host, call| read(host, call, one_value),
};

/// `db::count`
pub static COUNT: Verb = Verb {
    name: "db::count",
    args: "sql_or_table: text, [params: array]",
    effect: Effect::Read,
    page: r#"Gives an integer: the one that a query answers, or the number of rows of a table.

A text with white space is SQL, anything else the name of a table, case and all ("Project").
NULL counts as 0 only where it comes from `sum`.

Errors: `not-one-row`, `not-one-column`, `not-a-count`.

```rhai
let active = db::count("SELECT count(*) FROM users WHERE active = $1", [true]);
let all = db::count("users");
```"#,
    call: |host, call| {
        let given = call.text(0);
        let sql = count_sql(&given);
        let action = data_read(call, &sql);
        host.pass(action, call.planned(), || {
            let rows = host.query(&sql, &call.params(1)?)?;
            let column = rows.columns.first().cloned().unwrap_or_default();
            count_of(one_value(rows)?, &column).map_err(Into::into)
        })
    },
};

/// The SQL of a count: as given, or over a table.
pub(in crate::verbs) fn count_sql(given: &str) -> String {
    if given.trim().contains(char::is_whitespace) && !given.trim().starts_with('"') {
        given.to_string()
    } else {
        format!("SELECT count(*) FROM {}", quote_name(given.trim()))
    }
}

fn count_of(value: Value, column: &str) -> Result<Value, Fault> {
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(Value::Number(number)),
        Value::Null if column == "sum" => Ok(Value::from(0)),
        other => Err(Fault::failed("not-a-count", msg!("verbs.not-a-count", given = other))
            .remedy(msg!("verbs.not-a-count.remedy"))),
    }
}

/// A read of data, as the gate sees it: what it may see depends on every recorded write.
pub(in crate::verbs) fn data_read(call: &Call<'_, '_>, sql: &str) -> Action {
    let mut action = Action::new(call.verb.name, Effect::Read, "").statement(sql);
    action.touches = vec!["*".into()];
    action
}

fn read(
    host: &Rc<Host>,
    call: &Call<'_, '_>,
    shape: impl FnOnce(Rows) -> Result<Value, Fault>,
) -> Result<Dynamic, Trouble> {
    let sql = call.text(0);
    host.pass(data_read(call, &sql), call.planned(), || {
        let rows = host.query(&sql, &call.params(1)?)?;
        shape(rows).map_err(Into::into)
    })
}

/// Rows as maps, columns by name.
pub(in crate::verbs) fn objects(rows: Rows) -> Vec<Map<String, Value>> {
    let columns = rows.columns;
    rows.rows.into_iter().map(|row| columns.iter().cloned().zip(row).collect()).collect()
}

fn one_row(rows: Rows) -> Result<Rows, Fault> {
    if rows.rows.len() == 1 {
        return Ok(rows);
    }
    Err(Fault::failed("not-one-row", msg!("verbs.not-one-row", count = rows.rows.len())))
}

/// The value of one row with one column.
pub(in crate::verbs) fn one_value(rows: Rows) -> Result<Value, Fault> {
    let rows = one_row(rows)?;
    if rows.columns.len() != 1 {
        return Err(Fault::failed(
            "not-one-column",
            msg!("verbs.not-one-column", count = rows.columns.len()),
        ));
    }
    Ok(rows.rows.into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or(Value::Null))
}
