//! `sql::run_rollback_section(path)`: the commented way back at the end of a file.

use std::rc::Rc;
use std::time::Instant;

use serde_json::{Value, json};

use super::progress::Progress;
use super::send::send;
use crate::host::{Host, Trouble, Verb};
use crate::model::{Action, Effect, EventKind, Fault, RungKind, format_span};
use crate::msg;
use crate::playbook::resolve_sql;
use crate::sql::{
    Control, Piece, Splitter, Statement, StatementPlace, Summary, quick_kind, rollback_section,
};

/// `sql::run_rollback_section`
pub(crate) static RUN_ROLLBACK_SECTION: Verb = Verb {
    name: "sql::run_rollback_section",
    args: "path: text",
    effect: Effect::Write,
    page: r#"Finds the commented rollback section at the end of an SQL file and runs it in the step's transaction.

The section begins at a heading in a comment that says ROLLBACK, UNDO, DOWN, 롤백 or 되돌리기; its
commented lines are uncommented, remarks in it stay remarks.

Gives: `#{statements, rows, took}`.

Errors: `rollback-missing`, `rollback-empty`, `rollback-prose` with the line; the server's.

```rhai
step("Migrate", #{ undo: || sql::run_rollback_section("sql/up.sql") }, || sql::run_file("sql/up.sql"));
```"#,
    call: |host, call| {
        let path = call.text(0);
        let setup = &host.setup;
        let source = resolve_sql(&setup.project, &setup.playbook, &path)?;
        let bytes = source.read().map_err(|error| {
            Fault::failed("sql-read", msg!("sql.read", file = path)).detail(error.to_string())
        })?;
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        let section = rollback_section::find(&text, &path)?;
        // Line numbers stay those of the file.
        let lead = "\n".repeat(section.line.saturating_sub(1) as usize);
        let sql = format!("{lead}{}", section.sql);
        let mut action = Action::new("sql::run_rollback_section", Effect::Write, path.clone());
        action.opaque = true;
        action.statement = Some(sql.trim().to_string());
        host.pass(action, call.planned(), || {
            host.note_file(&path, &crate::model::hash_bytes(&bytes))?;
            run(host, &path, &sql)
        })
    },
};

/// Reports the way back that a file holds in its comments, where it holds one. A large file is not
/// searched for a section that nobody may want.
pub(super) fn tell_section(host: &Rc<Host>, path: &str, file: &Summary) -> Result<(), Fault> {
    let Some(bytes) = file.content() else { return Ok(()) };
    // Without a comment there is none.
    if !bytes.windows(2).any(|two| two == b"--" || two == b"/*") {
        return Ok(());
    }
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    if rollback_section::find(&text, path).is_err() {
        return Ok(());
    }
    host.has_rollback_file();
    host.emit(way_back(path, false))
}

fn way_back(path: &str, gone: bool) -> EventKind {
    EventKind::WayBack {
        rung: RungKind::RollbackFile,
        item: None,
        what: path.to_string(),
        command: None,
        proven: None,
        blocked: None,
        gone,
    }
}

fn run(host: &Rc<Host>, path: &str, sql: &str) -> Result<Value, Trouble> {
    let started = Instant::now();
    let mut statements = Vec::new();
    for piece in Splitter::new(path, sql.as_bytes()) {
        match piece? {
            Piece::Statement(statement) => match quick_kind(&statement.text).control {
                // The section's own BEGIN and COMMIT are the step's.
                Some(Control::Begin | Control::Commit) => {}
                _ => statements.push(statement),
            },
            Piece::Copy { statement, .. } => return Err(not_here(path, sql, statement.line)),
            Piece::Meta(meta) => return Err(not_here(path, sql, meta.line)),
        }
    }
    let mut progress = Progress::new(host, path, statements.len() as u32);
    for statement in statements {
        let place = place_of(path, &statement);
        send(host, &statement.text, &place, &mut progress)?;
    }
    host.emit(way_back(path, true))?;
    Ok(json!({
        "statements": progress.done,
        "rows": progress.rows,
        "took": format_span(started.elapsed()),
    }))
}

fn place_of(path: &str, statement: &Statement) -> StatementPlace {
    StatementPlace {
        file: path.into(),
        line: statement.line,
        column: statement.column,
        text: statement.text.clone(),
        lead: String::new(),
        tail: String::new(),
        whole: true,
        edits: Some(Vec::new()),
    }
}

fn not_here(path: &str, sql: &str, line: u32) -> Trouble {
    Fault::usage("rollback-prose", msg!("sql.rollback-prose"))
        .remedy(msg!("sql.rollback-prose.remedy"))
        .place(crate::model::Place::at_line(path, sql, line))
        .into()
}
