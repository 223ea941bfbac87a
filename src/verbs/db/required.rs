//! `db::require_columns`, `require_index`, `require_indexes`, `require_foreign_key`: a structure
//! that has to be there, all differences at once.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::about::{about, listed, texts};
use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{Effect, Fault, quote_ident, quote_name};
use crate::msg;
use crate::postgres::catalog::{self, ForeignKey};

/// `db::require_columns`
pub(crate) static REQUIRE_COLUMNS: Verb = Verb {
    name: "db::require_columns",
    args: "table: text, columns: map",
    effect: Effect::Read,
    page: r#"Fails unless the table has these columns with these types, and names all differences at once.

A type is written as in SQL, in any of its names (`int`, `int4`, `integer`; `timestamptz`); of `serial`
the integer counts. `varchar(20)` is compared with its length, `varchar` without one. `not null` or
`null` behind the type is compared, too. Other columns of the table do not matter.

Errors: `columns-differ` with one line for each column, `no-such-table`.

```rhai
check("users is as we know it", || db::require_columns("users", #{
    id: "bigint not null", email: "varchar(255) not null", "userType": "UserType",
}));
```"#,
    call: |host, call| {
        let table = call.text(0);
        host.pass(about(call, &[&table]), call.planned(), || columns(host, call, &table))
    },
};

/// A column as the playbook wants it.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    base: String,
    modifier: Option<String>,
    not_null: Option<bool>,
}

impl Wanted {
    fn parse(text: &str) -> Self {
        let trimmed = text.trim();
        let lower = trimmed.to_lowercase();
        let (end, not_null) = match () {
            () if lower.ends_with(" not null") => (trimmed.len() - " not null".len(), Some(true)),
            () if lower.ends_with(" null") => (trimmed.len() - " null".len(), Some(false)),
            () => (trimmed.len(), None),
        };
        let (base, modifier) = without_modifier(trimmed.get(..end).unwrap_or(trimmed).trim());
        let base = match base.to_lowercase().as_str() {
            "serial" | "serial4" => "integer".into(),
            "bigserial" | "serial8" => "bigint".into(),
            "smallserial" | "serial2" => "smallint".into(),
            _ => base,
        };
        Self { base, modifier, not_null }
    }
}

/// `timestamp(3) with time zone` is `timestamp with time zone` and `3`.
fn without_modifier(name: &str) -> (String, Option<String>) {
    let parts = name.find('(').zip(name.rfind(')')).filter(|(open, close)| open < close);
    let Some((open, close)) = parts else { return (name.into(), None) };
    let modifier: String = name[open + 1..close].split_whitespace().collect();
    (format!("{}{}", name[..open].trim_end(), &name[close + 1..]), Some(modifier))
}

/// numeric(10) is numeric(10,0) for the server.
fn same_modifier(wanted: &str, found: Option<&str>) -> bool {
    found.is_some_and(|found| found == wanted || found.strip_suffix(",0") == Some(wanted))
}

#[derive(Deserialize)]
struct Found {
    found: Option<String>,
    not_null: Option<bool>,
    known: bool,
    same: Option<bool>,
}

/// $1 table, $2 names, $3 types as given, $4 the same quoted. Types are compared by their identity.
const TYPES: &str = "SELECT coalesce(json_agg(json_build_object('found', \
        format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull, \
        'known', w.oid IS NOT NULL, 'same', a.atttypid = w.oid) ORDER BY w.n), '[]') \
    FROM (SELECT u.name, u.n, coalesce(to_regtype(u.given), to_regtype(u.quoted))::oid AS oid \
        FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS u(name, given, quoted, n)) w \
    LEFT JOIN pg_attribute a ON a.attrelid = to_regclass($1) AND a.attname = w.name \
        AND a.attnum > 0 AND NOT a.attisdropped";

fn columns(host: &Rc<Host>, call: &Call<'_, '_>, table: &str) -> Result<Value, Trouble> {
    let wanted: Map<String, Value> = call.options(1)?;
    let wanted: Vec<(String, Wanted, String)> = wanted
        .into_iter()
        .map(|(name, value)| {
            let text = value.as_str().map_or(value.to_string(), String::from);
            (name, Wanted::parse(&text), text)
        })
        .collect();
    // Says so where there is no such table.
    host.catalog(async |s| catalog::columns(s, table).await)?;
    let names: Vec<&str> = wanted.iter().map(|(name, ..)| name.as_str()).collect();
    let bases: Vec<&str> = wanted.iter().map(|(_, wanted, _)| wanted.base.as_str()).collect();
    let quoted: Vec<String> = bases.iter().map(|base| quote_name(base)).collect();
    // A type that is not a plain name would be an error of its grammar, not an unknown type.
    let plain: Vec<Value> = bases
        .iter()
        .map(|base| if base.contains(['"', '\'', ';']) { Value::Null } else { json!(base) })
        .collect();
    let answer =
        host.query(TYPES, &[quote_name(table).into(), json!(names), json!(plain), json!(quoted)])?;
    let answer = answer.first().cloned().unwrap_or(Value::Null);
    let found: Vec<Found> = serde_json::from_value(answer)
        .map_err(|error| Fault::failed("bad-answer", error.to_string()))?;
    let differences: Vec<String> = wanted
        .iter()
        .zip(&found)
        .filter_map(|((name, wanted, text), found)| {
            difference(wanted, text, found).map(|why| format!("{name}: {why}"))
        })
        .collect();
    if differences.is_empty() {
        return Ok(Value::Null);
    }
    Err(Fault::failed(
        "columns-differ",
        msg!("verbs.columns-differ", table = table, count = differences.len()),
    )
    .detail(differences.join("\n"))
    .into())
}

fn difference(wanted: &Wanted, text: &str, found: &Found) -> Option<String> {
    let Some(is) = &found.found else { return Some(msg!("verbs.column-missing", wanted = text)) };
    if !found.known {
        return Some(msg!("verbs.type-unknown", wanted = wanted.base, found = is));
    }
    let (_, modifier) = without_modifier(is);
    let same_length =
        wanted.modifier.as_deref().is_none_or(|w| same_modifier(w, modifier.as_deref()));
    if found.same != Some(true) || !same_length {
        return Some(msg!("verbs.type-differs", wanted = text, found = is));
    }
    match (wanted.not_null, found.not_null) {
        (Some(true), Some(false)) => Some(msg!("verbs.should-be-not-null")),
        (Some(false), Some(true)) => Some(msg!("verbs.should-be-null")),
        _ => None,
    }
}

/// `db::require_index`
pub(crate) static REQUIRE_INDEX: Verb = Verb {
    name: "db::require_index",
    args: "index: text",
    effect: Effect::Read,
    page: r#"Fails unless there is an index of this name and it is valid.

Errors: `no-such-index`; `invalid-index` for the wreck of a CREATE INDEX CONCURRENTLY.

```rhai
verify("The index works", || db::require_index("users_email_idx"));
```"#,
    call: |host, call| {
        let name = call.text(0);
        let mut action = about(call, &["*"]);
        action.target = name.clone();
        host.pass(action, call.planned(), || {
            let index = host.catalog(async |s| catalog::index(s, &name).await)?;
            if index.exists && index.valid {
                return Ok(Value::Null);
            }
            Err(if index.exists {
                Fault::failed("invalid-index", msg!("verbs.invalid-index", index = name))
                    .cause(msg!("verbs.invalid-index.cause"))
                    .remedy(msg!("verbs.invalid-index.remedy", index = quote_name(&name)))
            } else {
                Fault::failed("no-such-index", msg!("verbs.no-such-index", index = name))
            }
            .into())
        })
    },
};

/// `db::require_indexes`
pub(crate) static REQUIRE_INDEXES: Verb = Verb {
    name: "db::require_indexes",
    args: "table: text, indexes: array|text",
    effect: Effect::Read,
    page: r#"Fails unless the table has all these indexes and they are valid; names all that are missing.

Errors: `indexes-missing`, `no-such-table`.

```rhai
verify("Indexes", || db::require_indexes("users", ["users_pkey", "users_email_idx"]));
```"#,
    call: |host, call| {
        let table = call.text(0);
        let wanted = texts(call, 1)?.unwrap_or_default();
        host.pass(about(call, &[&table]), call.planned(), || {
            host.catalog(async |s| catalog::columns(s, &table).await)?;
            let sql = "SELECT coalesce(json_object_agg(c.relname, i.indisvalid), '{}') \
                FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                WHERE i.indrelid = to_regclass($1)";
            let found = host.query(sql, &[quote_name(&table).into()])?;
            let found = found.first().cloned().unwrap_or(Value::Null);
            let wrong: Vec<String> = wanted
                .iter()
                .filter_map(|name| match found.get(name).and_then(Value::as_bool) {
                    Some(true) => None,
                    Some(false) => Some(msg!("verbs.invalid-index", index = name)),
                    None => Some(msg!("verbs.no-such-index", index = name)),
                })
                .collect();
            if wrong.is_empty() {
                return Ok(Value::Null);
            }
            Err(Fault::failed(
                "indexes-missing",
                msg!("verbs.indexes-missing", table = table, count = wrong.len()),
            )
            .detail(wrong.join("\n"))
            .into())
        })
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    columns: Value,
    references: String,
    on_delete: Option<String>,
}

/// `db::require_foreign_key`
pub(crate) static REQUIRE_FOREIGN_KEY: Verb = Verb {
    name: "db::require_foreign_key",
    args: "table: text, key: map",
    effect: Effect::Read,
    page: r#"Fails unless the table has this foreign key, validated.

Options: `columns` (one name or several), `references` (the other table), `on_delete` (`cascade`,
`set null`, `restrict`, `no action`, `set default`; any where it is left out).

Errors: `no-such-foreign-key` with those that are there, `no-such-table`.

```rhai
verify("Orders belong to users", || db::require_foreign_key("orders",
    #{ columns: ["user_id"], references: "users", on_delete: "cascade" }));
```"#,
    call: |host, call| {
        let table = call.text(0);
        host.pass(about(call, &[&table]), call.planned(), || {
            let wanted: Key = call.options(1)?;
            let columns = listed(call.verb.name, "columns", &wanted.columns)?;
            let there = host.catalog(async |s| catalog::foreign_keys(s, &table).await)?;
            let on_delete = wanted
                .on_delete
                .map(|text| text.trim().to_lowercase().replace('_', " "))
                .filter(|text| !text.is_empty());
            let parent = quote_name(&wanted.references);
            // A bare name means the table that the search path leads to, where it leads to one.
            let sql = "SELECT n.nspname::text FROM pg_catalog.pg_class c \
                JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                WHERE c.oid = pg_catalog.to_regclass($1)";
            let meant = host.query(sql, &[parent.clone().into()])?;
            let meant = meant.first().and_then(Value::as_str);
            let elsewhere =
                |key: &ForeignKey| meant.is_some_and(|meant| meant != key.references_schema);
            let fits = there.iter().find(|key| {
                let bare = quote_ident(&key.references);
                let full = format!("{}.{bare}", quote_ident(&key.references_schema));
                key.columns == columns
                    && (parent == full || parent == bare && !elsewhere(key))
                    && on_delete.as_ref().is_none_or(|wanted| *wanted == key.on_delete)
            });
            let wanted = format!("({}) -> {}", columns.join(", "), wanted.references);
            match fits {
                Some(key) if key.validated => Ok(Value::Null),
                Some(key) => Err(Fault::failed(
                    "not-validated",
                    msg!("verbs.not-validated", table = table, name = key.name),
                )
                .remedy(msg!(
                    "verbs.not-validated.remedy",
                    table = quote_name(&table),
                    name = quote_name(&key.name)
                ))
                .into()),
                None => {
                    let lines: Vec<String> = there
                        .iter()
                        .map(|key| {
                            let schema = match elsewhere(key) {
                                true => format!("{}.", key.references_schema),
                                false => String::new(),
                            };
                            format!(
                                "{}: ({}) -> {schema}{} on delete {}",
                                key.name,
                                key.columns.join(", "),
                                key.references,
                                key.on_delete
                            )
                        })
                        .collect();
                    let wanted = match on_delete {
                        Some(on_delete) => format!("{wanted} on delete {on_delete}"),
                        None => wanted,
                    };
                    let fault = Fault::failed(
                        "no-such-foreign-key",
                        msg!("verbs.no-such-foreign-key", table = table, key = wanted),
                    );
                    let there = match lines.is_empty() {
                        true => msg!("verbs.no-foreign-keys"),
                        false => lines.join("\n"),
                    };
                    Err(fault.detail(there).into())
                }
            }
        })
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanted_column_is_read_as_sql_writes_it() {
        let wanted = Wanted::parse("timestamp(3) with time zone NOT NULL");
        assert_eq!(wanted.base, "timestamp with time zone");
        assert_eq!((wanted.modifier.as_deref(), wanted.not_null), (Some("3"), Some(true)));
        assert_eq!(Wanted::parse("numeric(10, 2)").modifier.as_deref(), Some("10,2"));
        assert_eq!(Wanted::parse("serial null").base, "integer");
        assert_eq!(Wanted::parse("varchar(20)[]").base, "varchar[]");
        assert!(same_modifier("10", Some("10,0")) && !same_modifier("10", Some("10,2")));
        assert!(!same_modifier("10", None));
    }
}
