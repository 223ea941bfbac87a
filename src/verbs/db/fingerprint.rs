//! `db::fingerprint`: a text that is equal if and only if schema and rows are.

use std::rc::Rc;

use serde_json::{Value, json};

use super::about::{about, about_all, texts};
use crate::host::{Host, Trouble, Verb};
use crate::model::{Effect, Fault, quote_name};
use crate::msg;
use crate::postgres::Session;
use crate::postgres::fingerprint::{digest, lines};

/// `db::fingerprint`
pub(crate) static FINGERPRINT: Verb = Verb {
    name: "db::fingerprint",
    args: "[tables: array|text]",
    effect: Effect::Read,
    page: r#"Gives a text that is equal if and only if schema and rows are identical.

Rows: each one as the server writes it down, all columns with json, xml and point as they are; their
order does not matter, their number does. 300 and 300.00 are different here (`compare` says equal).

Without an argument, the whole database: tables with columns (type, NOT NULL, default, collation,
identity), row security and storage options, partition bounds; constraints, indexes, triggers, rules,
policies; views, functions, enums, domains and composite types; sequences' definitions; schemas,
extensions; comments and grants. With tables: these tables with their rows, columns, constraints,
indexes, triggers, rules, policies, comments and grants.

Not covered: values of sequences (a rolled back INSERT moves them), large objects, foreign tables' rows,
what belongs to extensions, roles, settings of the database, statistics, physical order of rows, and the
ledger's own schema.

Gives: 64 hexadecimal digits.

Errors: `no-such-table`, 42501 where a table cannot be read or row security would hide rows.

```rhai
let before = db::fingerprint();
step("There and back", || { db::exec("CREATE TABLE t (a int)"); db::exec("DROP TABLE t") });
verify("Nothing is left", || expect_equal("fingerprint", before, db::fingerprint()));
```"#,
    call: |host, call| {
        let tables = texts(call, 0)?;
        let action = match &tables {
            Some(tables) => about(call, &tables.iter().map(String::as_str).collect::<Vec<_>>()),
            None => about_all(call),
        };
        host.pass(action, call.planned(), || Ok(json!(taken(host, tables)?)))
    },
};

fn taken(host: &Rc<Host>, tables: Option<Vec<String>>) -> Result<String, Trouble> {
    let inside = host.in_step_transaction();
    let ledger = host.setup.config.ledger_schema.clone();
    let (begin, end) = if inside {
        (
            "SAVEPOINT runsheet_fingerprint",
            "ROLLBACK TO SAVEPOINT runsheet_fingerprint; \
            RELEASE SAVEPOINT runsheet_fingerprint",
        )
    } else {
        ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "ROLLBACK")
    };
    let answer = host.catalog(async |session| {
        // Names are looked up along the script's own search path, before it is pinned.
        let wanted = match &tables {
            Some(tables) => Some(oids(session, tables).await?),
            None => None,
        };
        session.batch(begin).await?;
        let answer = lines(session, wanted, &ledger).await;
        session.batch(end).await?;
        answer.map_err(Fault::from)
    })?;
    Ok(digest(&answer))
}

async fn oids(session: &Session, tables: &[String]) -> Result<Vec<i64>, Fault> {
    let mut oids = Vec::new();
    for table in tables {
        let sql = "SELECT to_regclass($1)::oid::bigint";
        let found = session.query(sql, &[quote_name(table).into()]).await?;
        match found.first().and_then(Value::as_i64) {
            Some(oid) => oids.push(oid),
            None => {
                return Err(Fault::failed(
                    "no-such-table",
                    msg!("postgres.no-such-table", table = table),
                )
                .remedy(msg!("postgres.no-such-table-remedy")));
            }
        }
    }
    Ok(oids)
}
