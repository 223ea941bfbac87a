//! `db::expect_same_count`: two queries that must give the same number.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::about::listed;
use super::query::{count_sql, data_read};
use super::words::{Word, statements};
use crate::host::{Host, Trouble, Verb};
use crate::model::{Effect, quote_ident};
use crate::msg;
use crate::verbs::compared::settle;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    key: Value,
}

/// `db::expect_same_count`
pub(crate) static EXPECT_SAME_COUNT: Verb = Verb {
    name: "db::expect_same_count",
    args: "what: text, sql_a: text, sql_b: text, [options: map]",
    effect: Effect::Read,
    page: r#"Fails unless both queries give the same number, and shows both.

A query that selects one aggregate (`SELECT count(*) ..`, without GROUP BY) counts as its value; of any
other one the rows are counted. The name of a table counts its rows. Both are read at the same moment.

Options: `key`: one column or several. Then both queries are sets of rows with these columns, and each
key must be on both sides.

Errors: `not-equal` with both numbers; with `key` also up to ten keys that are on one side only.

```rhai
verify("Hospitals", || db::expect_same_count("hospitals",
    `SELECT id FROM users WHERE "userType" = 'HOSPITAL'`, `SELECT "userId" AS id FROM hospitals`, #{ key: "id" }));
```"#,
    call: |host, call| {
        let (what, a, b) = (call.text(0), query_of(&call.text(1)), query_of(&call.text(2)));
        let mut action = data_read(call, &format!("{a}\n{b}"));
        action.target = what.clone();
        host.pass(action, call.planned(), || {
            let options: Options = call.options(3)?;
            let key = listed(call.verb.name, "key", &options.key)?;
            if key.is_empty() {
                numbers(host, &what, &a, &b)
            } else {
                keys(host, &what, &a, &b, &key)
            }
        })
    },
};

/// A query as given, without its semicolon; or that counts a table's rows.
pub(super) fn query_of(given: &str) -> String {
    let sql = count_sql(given);
    sql.trim_end().trim_end_matches(';').to_string()
}

fn numbers(host: &Rc<Host>, what: &str, a: &str, b: &str) -> Result<Value, Trouble> {
    let sql = format!("SELECT {} AS a, {} AS b", number_of(a), number_of(b));
    let rows = host.query(&sql, &[])?;
    let mut cells = rows.rows.into_iter().next().unwrap_or_default().into_iter();
    let (left, right) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
    settle(host, what, left, right, &[])
}

/// The number that a query stands for, as an SQL expression. The line break ends its last comment.
fn number_of(sql: &str) -> String {
    if is_lone_aggregate(sql) {
        format!("({sql}\n)")
    } else {
        format!("(SELECT count(*) FROM ({sql}\n) AS q)")
    }
}

fn keys(host: &Rc<Host>, what: &str, a: &str, b: &str, key: &[String]) -> Result<Value, Trouble> {
    let columns: Vec<String> = key.iter().map(|name| quote_ident(name)).collect();
    let shown: Vec<String> =
        key.iter().map(|name| format!("k.{}::text", quote_ident(name))).collect();
    let only = |one: &str, other: &str| {
        let list = columns.join(", ");
        format!(
            "(SELECT coalesce(json_agg(concat_ws(', ', {shown})), '[]') FROM \
             (SELECT {list} FROM {one} EXCEPT SELECT {list} FROM {other} ORDER BY {list} LIMIT 10) AS k)",
            shown = shown.join(", "),
        )
    };
    let sql = format!(
        "WITH runsheet_a AS MATERIALIZED ({a}\n), runsheet_b AS MATERIALIZED ({b}\n) \
         SELECT json_build_object('a', (SELECT count(*) FROM runsheet_a), \
            'b', (SELECT count(*) FROM runsheet_b), 'only_a', {}, 'only_b', {})",
        only("runsheet_a", "runsheet_b"),
        only("runsheet_b", "runsheet_a"),
    );
    let rows = host.query(&sql, &[])?;
    let found = rows.first().cloned().unwrap_or(Value::Null);
    let list = |side: &str| -> Vec<String> {
        let keys = found[side].as_array().cloned().unwrap_or_default();
        keys.iter().filter_map(|key| key.as_str().map(str::to_string)).collect()
    };
    let mut lines = Vec::new();
    if !list("only_a").is_empty() {
        lines.push(msg!("verbs.only-left", keys = list("only_a").join("; ")));
    }
    if !list("only_b").is_empty() {
        lines.push(msg!("verbs.only-right", keys = list("only_b").join("; ")));
    }
    settle(host, what, json!(found["a"]), json!(found["b"]), &lines)
}

/// Does the query select exactly one aggregate of everything?
fn is_lone_aggregate(sql: &str) -> bool {
    const AGGREGATES: [&str; 5] = ["count", "sum", "min", "max", "avg"];
    let all = statements(sql);
    let [words] = all.as_slice() else { return false };
    let outer = |word: &&Word| word.depth == 0;
    let ends = ["group", "union", "except", "intersect", "having", "limit", "offset"];
    if words.iter().filter(outer).any(|word| ends.contains(&word.low.as_str())) {
        return false;
    }
    let Some(select) = words.iter().position(|word| word.depth == 0 && word.low == "select") else {
        return false;
    };
    let list: Vec<&Word> = words[select + 1..]
        .iter()
        .take_while(|word| !(word.depth == 0 && word.low == "from"))
        .collect();
    let has = |name: &str| list.iter().any(|word| word.depth == 0 && word.low == name);
    let columns = list.iter().filter(|word| word.depth == 0 && word.raw == ",").count();
    let aggregate = list
        .windows(2)
        .any(|pair| AGGREGATES.contains(&pair[0].low.as_str()) && pair[1].raw == "(");
    columns == 0 && aggregate && !has("over") && !has("distinct")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_aggregate_gives_its_value_and_all_else_is_counted() {
        for sql in [
            "SELECT count(*) FROM t",
            "select sum(total) - 3 from t where a in (select a from b group by a)",
            "WITH x AS (SELECT a, b FROM t GROUP BY a, b) SELECT max(a) FROM x",
            "SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)",
        ] {
            assert!(is_lone_aggregate(sql), "{sql}");
        }
        for sql in [
            "SELECT id FROM t",
            "SELECT count(*) FROM t GROUP BY a",
            "SELECT count(*), sum(a) FROM t",
            "SELECT count(*) OVER () FROM t",
            "SELECT count(*) FROM a UNION ALL SELECT count(*) FROM b",
        ] {
            assert!(!is_lone_aggregate(sql), "{sql}");
        }
    }
}
