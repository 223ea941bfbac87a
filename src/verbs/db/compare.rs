//! `db::compare`, `expect_same_rows`: two queries row by row, in one statement.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::about::listed;
use super::query::data_read;
use super::same_count::query_of;
use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{Action, Effect, EventKind, Fault, quote_ident, quote_literal};
use crate::msg;

/// `db::compare`
pub(crate) static COMPARE: Verb = Verb {
    name: "db::compare",
    args: "sql_a: text, sql_b: text, options: map",
    effect: Effect::Read,
    page: r#"Compares the rows of two queries by their key, and says what differs.

Both queries must have the same columns. Values are compared as SQL compares them: 300 is 300.00, and
two NULLs are the same. Types without an equality are compared as jsonb (json) or by their text (xml,
point and its kin). `fingerprint` is stricter.

Options: `key`: one column or several; unique on each side, and not NULL.

Gives: `#{left, right, same, missing, extra, different, accuracy, sample}`. `left` and `right` count
rows; `missing` are those of the first query only, `extra` those of the second; `accuracy` is the share
of `same` among all keys in per cent, 100.0 where there are none. `sample` has up to ten
`#{what, key, left, right}`, with the columns that differ as texts.

Errors: `columns-differ`, `duplicate-keys`; the server's.

```rhai
let result = db::compare("SELECT id, total FROM orders_old", "SELECT id, total FROM orders", #{ key: "id" });
note(`${result.accuracy} % of ${result.left} orders`);
```"#,
    call: |host, call| {
        let (a, b) = (query_of(&call.text(0)), query_of(&call.text(1)));
        host.pass(action(call, &a, &b), call.planned(), || {
            Ok(json!(compared(host, call, &a, &b, 2)?))
        })
    },
};

/// `db::expect_same_rows`
pub(crate) static EXPECT_SAME_ROWS: Verb = Verb {
    name: "db::expect_same_rows",
    args: "what: text, sql_a: text, sql_b: text, options: map",
    effect: Effect::Read,
    page: r#"Fails unless two queries give the same rows, and shows up to ten that differ.

As `db::compare`, which has the rules.

Options: `key`: one column or several; unique on each side, and not NULL.

Gives: what `db::compare` gives.

Errors: `rows-differ`; `columns-differ`, `duplicate-keys`; the server's.

```rhai
verify("Orders were converted", || db::expect_same_rows("orders",
    "SELECT id, total FROM orders_old", "SELECT id, total FROM orders", #{ key: "id" }));
```"#,
    call: |host, call| {
        let what = call.text(0);
        let (a, b) = (query_of(&call.text(1)), query_of(&call.text(2)));
        let mut described = action(call, &a, &b);
        described.target = what.clone();
        host.pass(described, call.planned(), || {
            let result = compared(host, call, &a, &b, 3)?;
            let holds = result.missing + result.extra + result.different == 0;
            host.emit(EventKind::Compared {
                what: what.clone(),
                left: json!(result.left),
                right: json!(result.right),
                holds,
            })?;
            if holds {
                return Ok(json!(result));
            }
            let mut lines = vec![msg!(
                "verbs.rows-differ.numbers",
                left = result.left,
                right = result.right,
                missing = result.missing,
                extra = result.extra,
                different = result.different
            )];
            lines.extend(result.sample.iter().map(line));
            Err(Fault::failed(
                "rows-differ",
                msg!("verbs.rows-differ", what = what, accuracy = shown(result.accuracy)),
            )
            .detail(lines.join("\n"))
            .into())
        })
    },
};

/// Cut, not rounded: 99.999 % is not all of them.
fn shown(accuracy: f64) -> String {
    format!("{:.2}", (accuracy * 100.0).floor() / 100.0)
}

fn line(row: &Value) -> String {
    let what = match row["what"].as_str() {
        Some("missing") => msg!("verbs.row-missing"),
        Some("extra") => msg!("verbs.row-extra"),
        _ => msg!("verbs.row-different"),
    };
    let pairs = |side: &Value| {
        let map = side.as_object().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().map_or("NULL".to_string(), String::from);
        let pairs: Vec<String> =
            map.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
        pairs.join(", ")
    };
    let key = pairs(&row["key"]);
    match row["what"].as_str() {
        Some("different") => {
            format!("{what} {key}: {} | {}", pairs(&row["left"]), pairs(&row["right"]))
        }
        _ => format!("{what} {key}"),
    }
}

fn action(call: &Call<'_, '_>, a: &str, b: &str) -> Action {
    data_read(call, &format!("{a}\n{b}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    key: Value,
}

#[derive(Debug, Serialize)]
struct Comparison {
    left: u64,
    right: u64,
    same: u64,
    missing: u64,
    extra: u64,
    different: u64,
    accuracy: f64,
    sample: Vec<Value>,
}

#[derive(Deserialize)]
struct Answer {
    left: u64,
    right: u64,
    missing: u64,
    extra: u64,
    different: u64,
    twice_left: Option<String>,
    twice_right: Option<String>,
    sample: Vec<Value>,
}

fn compared(
    host: &Rc<Host>,
    call: &Call<'_, '_>,
    a: &str,
    b: &str,
    options: usize,
) -> Result<Comparison, Trouble> {
    let options: Options = call.options(options)?;
    let key = listed(call.verb.name, "key", &options.key)?;
    let columns = columns(host, a)?;
    let others = self::columns(host, b)?;
    let named = |columns: &[Column]| -> Vec<String> {
        let mut names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        names.sort();
        names
    };
    let missing = key.iter().find(|name| !columns.iter().any(|column| column.name == **name));
    if named(&columns) != named(&others) || key.is_empty() || missing.is_some() {
        let list = |columns: &[Column]| named(columns).join(", ");
        return Err(Fault::failed("columns-differ", msg!("verbs.sides-differ"))
            .detail(msg!(
                "verbs.sides-differ.detail",
                left = list(&columns),
                right = list(&others),
                key = key.join(", ")
            ))
            .into());
    }
    let rows = host.query(&statement(a, b, &key, &columns, &others), &[])?;
    let answer = rows.first().cloned().unwrap_or(Value::Null);
    let answer: Answer = serde_json::from_value(answer)
        .map_err(|error| Fault::failed("bad-answer", error.to_string()))?;
    if let Some(twice) = answer.twice_left.or(answer.twice_right) {
        return Err(Fault::failed("duplicate-keys", msg!("verbs.duplicate-keys", key = twice))
            .remedy(msg!("verbs.duplicate-keys.remedy"))
            .into());
    }
    let same = answer.left - answer.missing - answer.different;
    let all = same + answer.missing + answer.extra + answer.different;
    let accuracy = if all == 0 { 100.0 } else { same as f64 * 100.0 / all as f64 };
    Ok(Comparison {
        left: answer.left,
        right: answer.right,
        same,
        missing: answer.missing,
        extra: answer.extra,
        different: answer.different,
        accuracy,
        sample: answer.sample,
    })
}

#[derive(Debug)]
struct Column {
    name: String,
    datatype: String,
}

/// The columns of a query and their types, without running it.
fn columns(host: &Rc<Host>, sql: &str) -> Result<Vec<Column>, Trouble> {
    let none = format!("SELECT * FROM ({sql}\n) AS q LIMIT 0");
    let names = host.query(&none, &[])?.columns;
    let types: Vec<String> = names
        .iter()
        .map(|name| format!("pg_catalog.pg_typeof(q.{})::text", quote_ident(name)))
        .collect();
    if types.is_empty() {
        return Ok(Vec::new());
    }
    let ask = format!(
        "SELECT {} FROM (SELECT 1) AS one LEFT JOIN ({none}) AS q ON true",
        types.join(", ")
    );
    let row = host.query(&ask, &[])?.rows.into_iter().next().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("").to_string();
    Ok(names
        .into_iter()
        .zip(row.iter().map(text))
        .map(|(name, datatype)| Column { name, datatype })
        .collect())
}

/// How a type without an equality of its own is compared: by a cast. `box` has one, of areas.
fn comparable(datatype: &str) -> &'static str {
    const BY_TEXT: [&str; 8] = ["xml", "point", "box", "lseg", "line", "path", "polygon", "circle"];
    match datatype {
        "json" => "::pg_catalog.jsonb",
        "json[]" => "::pg_catalog.jsonb[]",
        other if BY_TEXT.contains(&other.trim_end_matches("[]")) => "::pg_catalog.text",
        _ => "",
    }
}

/// A full outer join on the key. Only rows that differ are kept.
fn statement(a: &str, b: &str, key: &[String], columns: &[Column], others: &[Column]) -> String {
    let cast = |side: &[Column], name: &str| {
        side.iter().find(|column| column.name == name).map_or("", |c| comparable(&c.datatype))
    };
    let join = |parts: Vec<String>, with: &str| parts.join(with);
    let on =
        join(key.iter().map(|name| format!("l.{0} = r.{0}", quote_ident(name))).collect(), " AND ");
    let keys = join(key.iter().map(|name| quote_ident(name)).collect(), ", ");
    let rest: Vec<&Column> = columns.iter().filter(|column| !key.contains(&column.name)).collect();
    let differs = |column: &Column| {
        let name = quote_ident(&column.name);
        let (left, right) = (cast(columns, &column.name), cast(others, &column.name));
        format!("l.{name}{left} IS DISTINCT FROM r.{name}{right}")
    };
    let any = match rest.is_empty() {
        true => "false".to_string(),
        false => join(rest.iter().map(|column| differs(column)).collect(), " OR "),
    };
    let object = |side: &str, names: &[&str]| {
        let pairs = names
            .iter()
            .map(|name| format!("{}, {side}.{}::text", quote_literal(name), quote_ident(name)))
            .collect();
        format!("json_build_object({})", join(pairs, ", "))
    };
    let key_names: Vec<&str> = key.iter().map(String::as_str).collect();
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    // Of a row that is on both sides only the columns that differ.
    let part = |side: &str| {
        let values: Vec<String> = rest
            .iter()
            .map(|column| {
                let (name, ident) = (quote_literal(&column.name), quote_ident(&column.name));
                format!("({name}, {side}.{ident}::text, {})", differs(column))
            })
            .collect();
        match values.is_empty() {
            true => "NULL::json".to_string(),
            false => format!(
                "(SELECT json_object_agg(v.n, v.t) FROM (VALUES {}) AS v(n, t, d) WHERE v.d)",
                join(values, ", ")
            ),
        }
    };
    let twice = |side: &str| {
        let shown =
            join(key.iter().map(|name| format!("{}::text", quote_ident(name))).collect(), ", ");
        format!(
            "(SELECT concat_ws(', ', {shown}) FROM {side} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1)"
        )
    };
    format!(
        "WITH runsheet_a AS MATERIALIZED ({a}\n), runsheet_b AS MATERIALIZED ({b}\n), \
         runsheet_d AS MATERIALIZED (SELECT \
            CASE WHEN r.runsheet_here IS NULL THEN 'missing' \
                WHEN l.runsheet_here IS NULL THEN 'extra' ELSE 'different' END AS what, \
            CASE WHEN l.runsheet_here IS NULL THEN {key_r} ELSE {key_l} END AS key, \
            CASE WHEN l.runsheet_here IS NULL THEN NULL WHEN r.runsheet_here IS NULL THEN {all_l} \
                ELSE {part_l} END AS left_row, \
            CASE WHEN r.runsheet_here IS NULL THEN NULL WHEN l.runsheet_here IS NULL THEN {all_r} \
                ELSE {part_r} END AS right_row \
            FROM (SELECT q.*, 1 AS runsheet_here FROM runsheet_a AS q) AS l \
            FULL JOIN (SELECT q.*, 1 AS runsheet_here FROM runsheet_b AS q) AS r ON {on} \
            WHERE l.runsheet_here IS NULL OR r.runsheet_here IS NULL OR {any}) \
         SELECT json_build_object(\
            'left', (SELECT count(*) FROM runsheet_a), 'right', (SELECT count(*) FROM runsheet_b), \
            'missing', (SELECT count(*) FROM runsheet_d WHERE what = 'missing'), \
            'extra', (SELECT count(*) FROM runsheet_d WHERE what = 'extra'), \
            'different', (SELECT count(*) FROM runsheet_d WHERE what = 'different'), \
            'twice_left', {twice_l}, 'twice_right', {twice_r}, \
            'sample', (SELECT coalesce(json_agg(json_build_object('what', what, 'key', key, \
                'left', left_row, 'right', right_row)), '[]') \
                FROM (SELECT * FROM runsheet_d ORDER BY what, key::text LIMIT 10) AS sampled))",
        key_l = object("l", &key_names),
        key_r = object("r", &key_names),
        all_l = object("l", &names),
        all_r = object("r", &names),
        part_l = part("l"),
        part_r = part("r"),
        twice_l = twice("runsheet_a"),
        twice_r = twice("runsheet_b"),
    )
}
