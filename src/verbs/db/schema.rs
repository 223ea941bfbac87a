//! `db::schema` and `db::schema_changes`: every object of the schema, and what became of it since.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::about::about_all;
use crate::host::{Host, Trouble, Verb};
use crate::model::{Effect, Fault};
use crate::msg;
use crate::postgres::fingerprint::{objects, relation_of};

/// `db::schema`
pub(crate) static SCHEMA: Verb = Verb {
    name: "db::schema",
    args: "",
    effect: Effect::Read,
    page: r#"Gives every object of the database's schema, for `db::schema_changes` to compare with.

What counts is what counts for `db::fingerprint`, without the rows: tables, columns, constraints,
indexes, triggers, views, functions, types, sequences, schemas, extensions, comments and grants.

Gives: a map of kind and name (`column public.users.phone`) to a text that is equal if and only if the
object is.

```rhai
let before = check("The schema as it is", || db::schema());
```"#,
    call: |host, call| host.pass(about_all(call), call.planned(), || Ok(json!(taken(host)?))),
};

/// `db::schema_changes`
pub(crate) static SCHEMA_CHANGES: Verb = Verb {
    name: "db::schema_changes",
    args: "before: map",
    effect: Effect::Read,
    page: r#"Compares the schema as it is now with what `db::schema` gave before, and says what changed.

The columns of a table that came or went stand with the table; an index that belongs to a constraint is
not named twice.

Gives: an array of `#{change, kind, name, before, after}`: `change` is `added`, `removed` or `changed`,
`kind` is `table`, `column`, `constraint`, `index`, `type` and so on, `before` and `after` are the
definitions, empty where there is none.

```rhai
let before = check("The schema as it is", || db::schema());
step("Add a column", || db::exec("ALTER TABLE users ADD COLUMN phone text"));
verify("What changed", || report::table("Changes", db::schema_changes(before)));
```"#,
    call: |host, call| {
        host.pass(about_all(call), call.planned(), || {
            let before: BTreeMap<String, String> =
                serde_json::from_value(call.json(0)?).map_err(|_| {
                    Fault::usage("wrong-argument", msg!("verbs.not-a-schema"))
                        .remedy(msg!("host.usage", usage = call.verb.usage()))
                })?;
            Ok(changes(&before, &taken(host)?))
        })
    },
};

fn taken(host: &Rc<Host>) -> Result<BTreeMap<String, String>, Trouble> {
    let ledger = host.setup.config.ledger_schema.clone();
    let (begin, end) = if host.in_step_transaction() {
        (
            "SAVEPOINT runsheet_schema",
            "ROLLBACK TO SAVEPOINT runsheet_schema; RELEASE SAVEPOINT runsheet_schema",
        )
    } else {
        ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "ROLLBACK")
    };
    host.catalog(async |session| {
        session.batch(begin).await?;
        let found = objects(session, &ledger).await;
        session.batch(end).await?;
        found.map_err(Fault::from)
    })
}

fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Value {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut rows = Vec::new();
    for name in names {
        let (left, right) = (before.get(name), after.get(name));
        if left == right || told_elsewhere(name, before, after) {
            continue;
        }
        let change = match (left, right) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let said = |side: &BTreeMap<String, String>| {
            side.get(name).map(|body| definition(name, body, side)).unwrap_or_default()
        };
        let (mut was, mut is) = (said(before), said(after));
        if was == is {
            // A grant, a comment, an option: what the short form leaves out.
            (was, is) = (left.cloned().unwrap_or_default(), right.cloned().unwrap_or_default());
        }
        let (kind, bare) = spoken(name, right.or(left).map_or("", String::as_str));
        rows.push((
            rank(&kind),
            json!({ "change": change, "kind": kind, "name": bare, "before": was, "after": is }),
        ));
    }
    rows.sort_by_key(|(rank, _)| *rank);
    Value::Array(rows.into_iter().map(|(_, row)| row).collect())
}

/// Types before the tables that use them, tables before what stands on them.
fn rank(kind: &str) -> usize {
    const ORDER: [&str; 8] =
        ["schema", "extension", "type", "table", "column", "constraint", "index", "trigger"];
    ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
}

/// Part of a table that came or went, the index of a constraint, or a NOT NULL, which its column
/// says already.
fn told_elsewhere(
    name: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> bool {
    let body = after.get(name).or_else(|| before.get(name)).map_or("", String::as_str);
    let both = |key: &str| before.contains_key(key) && after.contains_key(key);
    if name.starts_with("column ") {
        return relation_of(name, body).is_some_and(|relation| !both(&relation));
    }
    if name.starts_with("constraint ") {
        return cells(body)
            .first()
            .and_then(Value::as_str)
            .is_some_and(|c| c.starts_with("NOT NULL"));
    }
    if name.starts_with("index ") {
        let own = name.rsplit_once(['.', ' ']).map_or(name, |(_, own)| own);
        let ending = format!(".{own}");
        return relation_of(name, &text_at(body, 0)).is_some_and(|relation| {
            let table = relation.trim_start_matches("relation ");
            let constraint = format!("constraint {table}{ending}");
            before.contains_key(&constraint) || after.contains_key(&constraint)
        });
    }
    false
}

fn cells(body: &str) -> Vec<Value> {
    serde_json::from_str(body).unwrap_or_default()
}

fn text_at(body: &str, at: usize) -> String {
    cells(body).get(at).and_then(Value::as_str).unwrap_or_default().to_string()
}

/// Kind and name as people say them; the schema `public` goes without saying.
fn spoken(name: &str, body: &str) -> (String, String) {
    let (kind, bare) = name.split_once(' ').unwrap_or((name, ""));
    let kind = match (kind, text_at(body, 0).as_str()) {
        ("relation", "v") => "view",
        ("relation", "m") => "materialized view",
        ("relation", "S") => "sequence",
        ("relation", "f") => "foreign table",
        ("relation", "c") => "composite type",
        ("relation", _) => "table",
        (kind, _) => kind,
    };
    (kind.to_string(), bare.strip_prefix("public.").unwrap_or(bare).to_string())
}

/// What stands behind CREATE: short, for a table of a report.
fn definition(name: &str, body: &str, side: &BTreeMap<String, String>) -> String {
    let cells = cells(body);
    let text = |at: usize| cells.get(at).and_then(Value::as_str).unwrap_or_default();
    match name.split_once(' ').map_or(name, |(kind, _)| kind) {
        "relation" if matches!(text(0), "v" | "m") => text(8).trim().to_string(),
        "relation" => {
            let prefix = format!("column {}.", name.trim_start_matches("relation "));
            let mut columns: Vec<(u64, String)> = side
                .range(prefix.clone()..)
                .take_while(|(name, _)| name.starts_with(&prefix))
                .map(|(name, body)| {
                    let at = self::cells(body).first().and_then(Value::as_u64).unwrap_or(0);
                    (at, format!("{} {}", &name[prefix.len()..], column(body)))
                })
                .collect();
            columns.sort();
            let columns: Vec<String> = columns.into_iter().map(|(_, column)| column).collect();
            columns.join(", ")
        }
        "column" => column(body),
        "type" if text(0) == "e" => {
            let labels = cells.get(4).and_then(Value::as_array).cloned().unwrap_or_default();
            let labels: Vec<&str> = labels.iter().filter_map(Value::as_str).collect();
            format!("enum ({})", labels.join(", "))
        }
        "constraint" if cells.get(1) == Some(&json!(false)) && !text(0).ends_with("NOT VALID") => {
            format!("{} NOT VALID", text(0))
        }
        "index" if cells.get(1) == Some(&json!(false)) => format!("{} (INVALID)", text(0)),
        "constraint" | "index" | "trigger" | "rule" | "extension" => text(0).to_string(),
        "function" => text(1).to_string(),
        _ => body.to_string(),
    }
}

fn column(body: &str) -> String {
    let cells = cells(body);
    let text = |at: usize| cells.get(at).and_then(Value::as_str).unwrap_or_default();
    let mut words = text(1).trim_start_matches("public.").to_string();
    if cells.get(2) == Some(&json!(true)) {
        words.push_str(" not null");
    }
    if !text(3).is_empty() {
        words.push_str(" identity");
    }
    if !text(5).is_empty() {
        let kind = if text(4).is_empty() { "default" } else { "generated" };
        words.push_str(&format!(" {kind} {}", text(5)));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(name, body)| ((*name).into(), (*body).into())).collect()
    }

    #[test]
    fn a_new_table_is_one_row_with_its_columns_in_their_order() {
        let after = side(&[
            ("relation public.t", r#"["r", "p"]"#),
            ("column public.t.b", r#"[1, "text", true, "", "", "'x'::text"]"#),
            ("column public.t.a", r#"[2, "integer", false, "", "", null]"#),
            ("constraint public.t.t_pkey", r#"["PRIMARY KEY (b)", true, null]"#),
            ("constraint public.t.t_b_not_null", r#"["NOT NULL b", true, null]"#),
            ("index t_pkey", r#"["CREATE UNIQUE INDEX t_pkey ON public.t USING btree (b)", true]"#),
        ]);
        let rows = changes(&BTreeMap::new(), &after);
        let kinds: Vec<&str> =
            rows.as_array().into_iter().flatten().filter_map(|row| row["kind"].as_str()).collect();
        assert_eq!(kinds, ["table", "constraint"]);
        assert_eq!(rows[0]["name"], "t");
        assert_eq!(rows[0]["after"], "b text not null default 'x'::text, a integer");
        assert_eq!(changes(&after, &after), json!([]));
    }

    #[test]
    fn what_the_short_form_leaves_out_is_shown_whole() {
        let table = ("relation public.t", r#"["r", "p"]"#);
        let left =
            side(&[table, ("column public.t.a", r#"[1, "text", false, "", "", null, "x"]"#)]);
        let right =
            side(&[table, ("column public.t.a", r#"[1, "text", false, "", "", null, "p"]"#)]);
        let rows = changes(&left, &right);
        assert_eq!(rows[0]["change"], "changed");
        assert_ne!(rows[0]["before"], rows[0]["after"]);
    }
}
