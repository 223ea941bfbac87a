//! `db::exec`: statements that change the database.

use std::rc::Rc;

use rhai::Dynamic;
use serde_json::{Value, json};

use super::alone::Alone;
use super::probe;
use super::words::{Word, statements};
use crate::host::{Call, External, Host, Repeat, StatementTrouble, Trouble, Verb};
use crate::model::{Action, Effect, Fault};
use crate::msg;
use crate::postgres::DbError;
use crate::sql::{Piece, Splitter, classify};

/// `db::exec`
pub(crate) static EXEC: Verb = Verb {
    name: "db::exec",
    args: "sql: text, [params: array]",
    effect: Effect::Write,
    page: r#"Runs a statement that changes the database, in the step's transaction.

Without parameters the text may hold several statements; with parameters `$1`, `$2` exactly one.
What cannot run in a transaction (CREATE INDEX CONCURRENTLY, VACUUM, CREATE DATABASE, ALTER SYSTEM)
is announced in the journal and runs alone, in a step that does nothing else to the database. In a
step with `transaction: false` each call commits for itself, together with its mark in the journal: a
resumed run goes on behind the last one.

Gives: the number of rows that the last statement touched.

Errors: the server's, with `e.sqlstate`; `transaction-control` for BEGIN, COMMIT, ROLLBACK and their
kin; `not-alone` where a statement that must run alone has company; `copy-from-stdin`.

```rhai
step("Names without blanks", || {
    db::exec("UPDATE users SET name = trim(name) WHERE name <> trim(name)");
    db::exec("DELETE FROM sessions WHERE user_id = $1", [7])
});
```"#,
    call: |host, call| exec(host, call),
};

fn exec(host: &Rc<Host>, call: &Call<'_, '_>) -> Result<Dynamic, Trouble> {
    let sql = call.text(0);
    let mut action = described(&sql)?;
    if host.is_planning() || host.policy_counts() {
        judged(&mut action, &sql);
    }
    let lone = alone_in(&sql)?;
    if let Some(lone) = lone {
        if call.has(1) && call.planned().is_none() && !call.params(1)?.is_empty() {
            return Err(not_alone(&lone).into());
        }
        action.effect = Effect::External;
        action.remarks.push(msg!("verbs.runs-alone"));
        let probe = || probe::happened(host, &sql);
        return host.pass_external(
            External {
                action,
                repeat: Repeat::Probe(&probe),
                probed: json!(0),
                perform: Box::new(|| Ok(json!(probe::run(host, &sql, || host.run_alone(&sql))?))),
            },
            call.planned(),
        );
    }
    if host.step_is_transactional() {
        return host.pass(action, call.planned(), || {
            let params = call.params(1)?;
            if !params.is_empty() {
                return Ok(json!(host.step_execute(&sql, &params)?));
            }
            let results = host.step_simple(&sql);
            let results = results.map_err(|trouble| placed(host, &sql, trouble))?;
            Ok(json!(results.last().and_then(|result| result.rows).unwrap_or(0)))
        });
    }
    // A step without a transaction, or a place where the gate does not let a write pass at all.
    action.remarks.push(msg!("verbs.commits-for-itself"));
    let given = host.pass_external(
        External {
            action,
            repeat: Repeat::Marked,
            probed: Value::Null,
            perform: Box::new(|| {
                let rows = host.run_apart(&sql, &call.params(1)?);
                Ok(json!({ "rows": rows.map_err(|trouble| placed(host, &sql, trouble))? }))
            }),
        },
        call.planned(),
    )?;
    Ok(match given.read_lock::<rhai::Map>() {
        Some(map) => map.get("rows").cloned().unwrap_or(Dynamic::UNIT),
        None => given.clone(),
    })
}

/// What a statement is about to do, as data.
///
/// # Errors
/// `transaction-control`, `copy-from-stdin`.
fn described(sql: &str) -> Result<Action, Fault> {
    let mut action = Action::new("db::exec", Effect::Write, "").statement(sql);
    // Until a plan asks for more: see `judged`.
    action.opaque = true;
    for words in statements(sql) {
        let first = words.first().map_or("", |word| word.low.as_str());
        if is_transaction_control(&words) {
            return Err(Fault::usage(
                "transaction-control",
                msg!("verbs.transaction-control", word = first.to_uppercase()),
            )
            .cause(msg!("verbs.transaction-control.cause"))
            .remedy(msg!("verbs.transaction-control.remedy")));
        }
        if first == "copy" && words.windows(2).any(|w| w[0].low == "from" && w[1].low == "stdin") {
            return Err(Fault::usage("copy-from-stdin", msg!("verbs.copy-from-stdin"))
                .remedy(msg!("verbs.copy-from-stdin.remedy")));
        }
    }
    Ok(action)
}

/// What the syntax tree says, for the plan: risk, locks, and what is touched.
fn judged(action: &mut Action, sql: &str) {
    action.opaque = false;
    for piece in Splitter::new("db::exec", sql.as_bytes()) {
        let Ok(Piece::Statement(statement) | Piece::Copy { statement, .. }) = piece else {
            action.opaque = true;
            return;
        };
        let info = classify(&statement.text);
        action.risk = action.risk.max(Some(info.risk));
        action.locks.extend(info.locks.iter().map(ToString::to_string));
        action.touches.extend(info.objects);
        action.opaque |= info.opaque;
    }
}

fn is_transaction_control(words: &[Word]) -> bool {
    let word = |at: usize| words.get(at).map_or("", |word| word.low.as_str());
    match word(0) {
        "begin" | "commit" | "abort" | "end" | "savepoint" | "release" | "rollback" => true,
        "start" => word(1) == "transaction",
        "prepare" => word(1) == "transaction",
        "set" => word(1) == "transaction" || (word(1) == "session" && word(2) == "characteristics"),
        _ => false,
    }
}

/// The statement of the text that cannot run in a transaction, where there is one.
fn alone_in(sql: &str) -> Result<Option<Alone>, Fault> {
    let all = statements(sql);
    match all.iter().find_map(|words| Alone::of(words)) {
        Some(lone) if all.len() > 1 => Err(not_alone(&lone)),
        lone => Ok(lone),
    }
}

fn not_alone(lone: &Alone) -> Fault {
    Fault::usage("not-alone", msg!("verbs.not-alone", statement = lone.what))
        .cause(msg!("verbs.not-alone.cause"))
        .remedy(msg!("verbs.not-alone.remedy"))
}

/// The fault of a statement, with the line of its text that the server points at.
fn placed(host: &Host, sql: &str, trouble: StatementTrouble) -> Trouble {
    let error = match trouble {
        StatementTrouble::Server(error) => *error,
        StatementTrouble::Other(trouble) => return trouble,
    };
    let place = place_of(sql, &error);
    let mut fault = host.db_fault(error);
    if let Some(place) = place {
        fault.detail = Some(match fault.detail {
            Some(detail) => format!("{detail}\n{place}"),
            None => place,
        });
    }
    fault.into()
}

fn place_of(sql: &str, error: &DbError) -> Option<String> {
    let at = (error.position? as usize).checked_sub(1)?;
    let before: String = sql.chars().take(at).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let text: String = sql.lines().nth(line - 1)?.trim().chars().take(120).collect();
    Some(msg!("verbs.statement-line", line = line, column = column, text = text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn transaction_statements_are_refused_wherever_they_stand() {
        for sql in [
            "COMMIT",
            "UPDATE t SET a = 1; COMMIT",
            "/* x */ begin",
            "START TRANSACTION",
            "rollback to savepoint a",
            "PREPARE TRANSACTION 'x'",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        ] {
            assert_eq!(described(sql).unwrap_err().code, "transaction-control", "{sql}");
        }
        for sql in ["SELECT 'COMMIT; '", "PREPARE q AS SELECT 1", "SET LOCAL work_mem = '1MB'"] {
            assert!(described(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn the_line_of_an_error_is_found_in_characters() {
        let error = DbError { position: Some(13), ..DbError::default() };
        let text = place_of("-- 글자\nSELECT x, y", &error).unwrap();
        assert!(text.contains("SELECT x, y") && text.contains('2') && text.contains('7'), "{text}");
    }

    #[test]
    fn a_statement_that_must_run_alone_has_no_company() {
        let fault = alone_in("VACUUM t; SELECT 1").unwrap_err();
        assert_eq!(fault.code, "not-alone");
        assert!(alone_in("VACUUM t").unwrap().is_some());
        assert!(alone_in("SELECT 1").unwrap().is_none());
    }
}
