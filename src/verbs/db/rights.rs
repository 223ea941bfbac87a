//! `db::require_privileges` and `db::require_free`: may we, and is there room.

use std::path::Path;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::about::{about, fact, listed, texts};
use crate::host::{Host, Trouble, Verb};
use crate::model::{Effect, EventKind, Fault, format_bytes};
use crate::msg;
use crate::postgres::catalog;
use crate::system::free_bytes;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Scope {
    schema: Option<String>,
    #[serde(default)]
    tables: Value,
    role: Option<String>,
}

/// `db::require_privileges`
pub(crate) static REQUIRE_PRIVILEGES: Verb = Verb {
    name: "db::require_privileges",
    args: "rights: array|text, [options: map]",
    effect: Effect::Read,
    page: r#"Fails unless a role has these rights, and names each missing one with its GRANT.

Rights on tables (SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER; ALTER and DROP mean
the owner), on the schema (CREATE, USAGE), on the database (CREATE SCHEMA, CONNECT, TEMPORARY), of the
role (SUPERUSER, CREATEDB, CREATEROLE, REPLICATION, BYPASSRLS).

Options: `schema` (the first of the search path), `tables` (all of that schema), `role` (ours; name
the application's to see that it can still work afterwards).

Errors: `missing-privileges` with the statements that grant them, `unknown-right`, `no-such-table`,
`no-such-name`.

```rhai
check("We may change the tables", || db::require_privileges(["CREATE", "ALTER", "INSERT"], #{ tables: ["users"] }));
check("The application may read", || db::require_privileges(["SELECT"], #{ role: "shop_app" }));
```"#,
    call: |host, call| {
        let rights = texts(call, 0)?.unwrap_or_default();
        let (scope, tables) = match call.planned() {
            Some(_) => (Scope::default(), Vec::new()),
            None => {
                let scope: Scope = call.options(1)?;
                let tables = listed(call.verb.name, "tables", &scope.tables)?;
                (scope, tables)
            }
        };
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        let mut action = about(call, &tables);
        action.target = rights.join(", ");
        host.pass(action, call.planned(), || {
            let rights: Vec<&str> = rights.iter().map(String::as_str).collect();
            let missing = host.catalog(async |s| {
                let (schema, role) = (scope.schema.as_deref(), scope.role.as_deref());
                catalog::missing_privileges(s, &rights, schema, &tables, role).await
            })?;
            if missing.is_empty() {
                return Ok(Value::Null);
            }
            let lines: Vec<String> = missing
                .iter()
                .map(|missing| {
                    msg!(
                        "verbs.missing-right",
                        right = missing.right,
                        object = missing.object,
                        grant = missing.grant
                    )
                })
                .collect();
            let role = match scope.role {
                Some(role) => role,
                None => host.identity()?.user,
            };
            Err(Fault::failed(
                "missing-privileges",
                msg!("verbs.missing-privileges", role = role, count = missing.len()),
            )
            .detail(lines.join("\n"))
            .remedy(msg!("verbs.missing-privileges.remedy"))
            .into())
        })
    },
};

/// `db::require_free`
pub(crate) static REQUIRE_FREE: Verb = Verb {
    name: "db::require_free",
    args: "bytes: int|number",
    effect: Effect::Read,
    page: r#"Fails unless the server's disk has this much room.

Asked by the query that runsheet.toml gives (`[server] free_bytes_query`); without one, looked at
directly where the server's data directory lies on this very machine. Where neither is possible, a
warning says that it cannot be known, and the check does not fail.

Gives: the free bytes, `()` where they cannot be known.

Errors: `no-room` with both numbers.

```rhai
check("Room for a second copy", || db::require_free(db::size() * 2));
```"#,
    call: |host, call| {
        host.pass(fact(call, ""), call.planned(), || {
            let needed = call.json(0)?;
            let needed = needed
                .as_f64()
                .or_else(|| needed.get("$decimal")?.as_str()?.parse().ok())
                .unwrap_or(0.0) as u64;
            let Some(free) = free(host)? else {
                let needed = format_bytes(needed);
                host.emit(EventKind::Warning {
                    text: msg!("verbs.free-unknown", needed = needed),
                })?;
                return Ok(Value::Null);
            };
            if free >= needed {
                return Ok(json!(free));
            }
            let (needed, free) = (format_bytes(needed), format_bytes(free));
            Err(Fault::failed("no-room", msg!("verbs.no-room", needed = needed, free = free))
                .remedy(msg!("verbs.no-room.remedy"))
                .into())
        })
    },
};

/// The free bytes of the server's disk, where they can be known.
fn free(host: &Rc<Host>) -> Result<Option<u64>, Trouble> {
    let Some(sql) = host.setup.config.free_bytes_query.clone() else { return free_here(host) };
    let rows = host.query(&sql, &[])?;
    let value = rows.first().cloned().unwrap_or(Value::Null);
    let digits = value.as_str().map_or(value.to_string(), String::from);
    let exact = value.get("$decimal").and_then(Value::as_str).map(str::to_string);
    match exact.unwrap_or(digits).parse::<f64>() {
        Ok(free) if free >= 0.0 => Ok(Some(free as u64)),
        _ => Err(Fault::usage("wrong-option", msg!("verbs.free-query", given = value)).into()),
    }
}

/// The room beside the data directory, where this machine is the server's.
fn free_here(host: &Rc<Host>) -> Result<Option<u64>, Trouble> {
    if !host.setup.target.as_ref().is_some_and(|target| target.is_local()) {
        return Ok(None);
    }
    let Some(folder) = host.catalog(catalog::data_directory)? else { return Ok(None) };
    let sql = "SELECT floor(extract(epoch FROM pg_catalog.pg_postmaster_start_time()))::text";
    let started = host.query(sql, &[])?;
    // A loopback address may be a tunnel: only the server that wrote this file is this one.
    let Ok(file) = std::fs::read_to_string(Path::new(&folder).join("postmaster.pid")) else {
        return Ok(None);
    };
    let here: Option<i64> = file.lines().nth(2).and_then(|line| line.trim().parse().ok());
    let there: Option<i64> =
        started.first().and_then(Value::as_str).and_then(|text| text.parse().ok());
    // The file is written a moment before the server calls itself started.
    let same = matches!((here, there), (Some(a), Some(b)) if (a - b).abs() <= 2);
    Ok(if same { free_bytes(Path::new(&folder)).ok() } else { None })
}
