//! `sql::run_file(path, [#{vars, transaction}])`.

use std::rc::Rc;
use std::time::Instant;

use rhai::Dynamic;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::found::{Found, find, variables};
use super::progress::Progress;
use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{Action, Effect, EventKind, format_span};
use crate::msg;
use crate::sql::review;

/// A plan shows so many statements of one file.
const SHOWN_IN_PLAN: usize = 200;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileOptions {
    #[serde(default)]
    vars: Map<String, Value>,
    transaction: Option<bool>,
}

/// `sql::run_file`
pub static RUN_FILE: Verb = Verb {
    name: "sql::run_file",
    args: "path: text, [options: map]",
    effect: Effect::Write,
    page: r#"Runs an SQL file: what `psql -v ON_ERROR_STOP=1 -f` does, over the wire and without psql.

The whole file is read first: what will be refused is refused before its first statement runs.
psql's `\i \ir \set \unset \if \elif \else \endif \echo \copy \gset \gexec`, variables and COPY
data are understood; display commands are skipped with a note, everything else is refused by name.
One outermost BEGIN .. COMMIT is taken as the step's own transaction; any other COMMIT or ROLLBACK
is refused. Files of more than 2,000 statements report only those that take 100 ms or more.

Options: `vars` (psql variables), `transaction` (false, also as option of the step: each statement
commits on its own, with a cursor in the journal).

Gives: `#{statements, rows, took}`.

Errors: the server's, with line and column in the SQL file; `sql-file-missing`, `sql-encoding`,
`sql-own-transaction` and what else a file is refused for.

```rhai
step("Run the migration", || sql::run_file("sql/003_up.sql"));
```"#,
    call: |host, call| {
        let path = call.text(0);
        let options: FileOptions = call.options(1)?;
        let transactional = options.transaction.unwrap_or_else(|| host.step_is_transactional());
        let found = find(host, &path, variables(options.vars)?, transactional)?;
        run(host, call, &found)
    },
};

/// Runs a file that was found and read.
pub(super) fn run(host: &Rc<Host>, call: &Call<'_, '_>, found: &Found) -> Result<Dynamic, Trouble> {
    found.note(host)?;
    super::rollback_section::tell_section(host, &found.shown, &found.summary)?;
    for (place, text) in &found.summary.notes {
        let text = format!("{}:{}: {text}", place.file, place.line);
        host.emit(EventKind::Note { text })?;
    }
    let mut progress = Progress::new(host, &found.shown, found.summary.statements);
    if host.is_planning() {
        return plan(host, call, found);
    }
    let mut action = Action::new("sql::run_file", Effect::Write, found.shown.clone());
    if host.policy_counts() {
        action.risk = Some(review(&found.root, &found.path, found.vars.clone())?.risk);
    }
    if !found.options.transactional {
        // Its statements pass one by one; the file is refused whole, before the first of them.
        host.within_policy(&action)?;
        let started = Instant::now();
        super::alone::send_each(host, &mut found.open()?, &mut progress)?;
        return Ok(crate::host::from_json(result(&progress, started)));
    }
    action.opaque = true;
    host.pass(action, call.planned(), || {
        let started = Instant::now();
        let mut script = found.open()?;
        super::send::send_all(host, &mut script, &mut progress)
            .map_err(|trouble| so_far(trouble, progress.done, found.summary.statements))?;
        Ok(result(&progress, started))
    })
}

/// In a plan: each statement with its risk and its locks.
fn plan(host: &Rc<Host>, call: &Call<'_, '_>, found: &Found) -> Result<Dynamic, Trouble> {
    let review = review(&found.root, &found.path, found.vars.clone())?;
    let mut action = Action::new("sql::run_file", Effect::Write, found.shown.clone());
    action.risk = Some(review.risk);
    action.opaque = review.opaque;
    action.touches.clone_from(&review.touches);
    action.remarks.push(msg!("verbs.sql-statements", count = review.statements.len()));
    if !found.options.transactional {
        action.remarks.push(msg!("verbs.commits-for-itself"));
    }
    let planned = host.pass(action, call.planned(), || Ok(Value::Null))?;
    for statement in review.statements.iter().take(SHOWN_IN_PLAN) {
        let place = format!("{}:{}", statement.file, statement.line);
        let mut action = Action::new("sql", Effect::Write, place).statement(statement.text.clone());
        action.risk = Some(statement.risk);
        action.locks.clone_from(&statement.locks);
        host.emit(EventKind::Action { action, planned: true })?;
    }
    Ok(planned)
}

fn result(progress: &Progress<'_>, started: Instant) -> Value {
    json!({
        "statements": progress.done,
        "rows": progress.rows,
        "took": format_span(started.elapsed()),
    })
}

/// What was already done is the first thing to know about a failed file.
fn so_far(trouble: Trouble, done: u32, of: u32) -> Trouble {
    match trouble {
        Trouble::Fault(mut fault) => {
            if fault.detail.is_none() {
                fault.detail = Some(msg!("verbs.sql-so-far", done = done, of = of));
            }
            Trouble::Fault(fault)
        }
        other => other,
    }
}
