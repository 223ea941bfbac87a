//! `db::counts`, `expect_same_counts`: the rows of many tables, before and after.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::about::{about, about_all, texts};
use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{Action, Effect, EventKind, Fault, quote_literal, quote_name};
use crate::msg;

/// `db::counts`
pub(crate) static COUNTS: Verb = Verb {
    name: "db::counts",
    args: "[tables: array|text]",
    effect: Effect::Read,
    page: r#"Counts the rows of tables, all at the same moment.

Without an argument: all tables of the database but the ledger's; those that the search path does not
reach are named with their schema. Partitions are counted with their parent.

Gives: a map of name to count.

Errors: 42P01 where a table is missing.

```rhai
let before = db::counts(["users", "orders"]);
step("Move orders", || db::exec("UPDATE orders SET archived = true"));
verify("No row was lost", || db::expect_same_counts(before, db::counts(["users", "orders"])));
```"#,
    call: |host, call| {
        let tables = texts(call, 0)?;
        let action = match &tables {
            Some(tables) => about(call, &tables.iter().map(String::as_str).collect::<Vec<_>>()),
            None => about_all(call),
        };
        host.pass(action, call.planned(), || {
            let tables = match tables {
                Some(tables) => tables,
                None => all_tables(host)?,
            };
            count(host, &tables)
        })
    },
};

fn all_tables(host: &Rc<Host>) -> Result<Vec<String>, Trouble> {
    let sql = "SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN c.relname::text \
            ELSE n.nspname || '.' || c.relname END AS name \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' \
        AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $1) ORDER BY 1";
    let schema = Value::from(host.setup.config.ledger_schema.as_str());
    let rows = host.query(sql, &[schema])?;
    let names = rows.rows.into_iter().filter_map(|row| row.into_iter().next());
    Ok(names.filter_map(|name| name.as_str().map(str::to_string)).collect())
}

fn count(host: &Rc<Host>, tables: &[String]) -> Result<Value, Trouble> {
    let parts: Vec<String> = tables
        .iter()
        .map(|table| {
            format!(
                "SELECT {}::text AS name, count(*) AS rows FROM {}",
                quote_literal(table),
                quote_name(table)
            )
        })
        .collect();
    if parts.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let rows = host.query(&parts.join(" UNION ALL "), &[])?;
    let pairs = rows.rows.into_iter().filter_map(|row| {
        let mut cells = row.into_iter();
        Some((cells.next()?.as_str()?.to_string(), cells.next()?))
    });
    Ok(Value::Object(pairs.collect()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    allow: Map<String, Value>,
}

/// `db::expect_same_counts`
pub(crate) static EXPECT_SAME_COUNTS: Verb = Verb {
    name: "db::expect_same_counts",
    args: "before: map, after: map, [options: map]",
    effect: Effect::None,
    page: r#"Fails unless two results of `counts` are equal, and shows every table that differs.

Options: `allow`: by how many rows a table may differ, `#{ sessions: 100 }`.

Errors: `counts-differ`.

```rhai
let before = db::counts(["users", "sessions"]);
verify("Nothing was lost", || db::expect_same_counts(before, db::counts(["users", "sessions"]),
    #{ allow: #{ sessions: 100 } }));
```"#,
    call: |host, call| {
        let action = Action::new(call.verb.name, Effect::None, "");
        host.pass(action, call.planned(), || same(host, call))
    },
};

fn same(host: &Rc<Host>, call: &Call<'_, '_>) -> Result<Value, Trouble> {
    let options: Options = call.options(2)?;
    let map = |at: usize| -> Result<Map<String, Value>, Fault> {
        Ok(call.json(at)?.as_object().cloned().unwrap_or_default())
    };
    let (before, after) = (map(0)?, map(1)?);
    let tables: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut wrong = Vec::new();
    for table in tables {
        let left = before.get(table).cloned().unwrap_or(Value::Null);
        let right = after.get(table).cloned().unwrap_or(Value::Null);
        let allowed = options.allow.get(table).and_then(Value::as_i64).unwrap_or(0);
        let holds = match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => (left - right).abs() <= allowed,
            _ => left == right,
        };
        host.emit(EventKind::Compared {
            what: table.clone(),
            left: left.clone(),
            right: right.clone(),
            holds,
        })?;
        if !holds {
            let shown = |value: &Value| match value {
                Value::Null => msg!("verbs.not-counted"),
                value => value.to_string(),
            };
            wrong.push(msg!(
                "verbs.count-differs",
                table = table,
                before = shown(&left),
                after = shown(&right)
            ));
        }
    }
    if wrong.is_empty() {
        return Ok(Value::Null);
    }
    Err(Fault::failed("counts-differ", msg!("verbs.counts-differ", count = wrong.len()))
        .detail(wrong.join("\n"))
        .into())
}
