//! Sends the units of a file outside of a step's transaction, with a cursor in the journal.
//!
//! A statement that can run in a transaction gets one of its own, its mark in the ledger included,
//! so that it happens exactly once. One that cannot is announced, and probed after a crash.

use std::rc::Rc;
use std::time::Instant;

use serde_json::{Value, json};

use super::progress::Progress;
use super::send::{refused, skipped};
use crate::host::{External, Host, Repeat, Trouble};
use crate::model::{Action, Effect, EventKind, Fault};
use crate::msg;
use crate::sql::{Control, Follow, Script, StatementPlace, Unit, quick_kind};

/// Runs a whole script, statement by statement.
///
/// # Errors
/// As [`super::send::send_all`]; `intent-open` where nobody knows whether a statement ran.
pub(super) fn send_each(
    host: &Rc<Host>,
    script: &mut Script,
    progress: &mut Progress<'_>,
) -> Result<(), Trouble> {
    let mut block: Option<(String, StatementPlace)> = None;
    while let Some(unit) = script.next()? {
        host.may_go_on()?;
        match unit {
            Unit::Statement { text, place, follow } => {
                if follow != Follow::None {
                    return Err(unsupported(&place));
                }
                let quick = quick_kind(&text);
                match (&mut block, quick.control) {
                    (None, Some(Control::Begin)) => block = Some((String::new(), place)),
                    (Some(_), Some(Control::Commit)) => {
                        if let Some((text, place)) = block.take() {
                            one(host, &text, &place, true, progress)?;
                        }
                    }
                    (Some((whole, _)), _) => {
                        whole.push_str(&text);
                        whole.push_str("; ");
                    }
                    (None, _) => one(host, &text, &place, quick.transactional, progress)?,
                }
            }
            Unit::CopyFrom { place, .. } | Unit::CopyFile { place, .. } => {
                return Err(unsupported(&place));
            }
            Unit::Echo(text) => host.emit(EventKind::Note { text })?,
            Unit::Skipped { command, place } => skipped(host, &command, &place)?,
        }
    }
    Ok(())
}

fn unsupported(place: &StatementPlace) -> Trouble {
    Fault::usage("not-one-by-one", msg!("verbs.not-one-by-one"))
        .remedy(msg!("verbs.not-one-by-one.remedy"))
        .place(place.start())
        .into()
}

fn one(
    host: &Rc<Host>,
    text: &str,
    place: &StatementPlace,
    transactional: bool,
    progress: &mut Progress<'_>,
) -> Result<(), Trouble> {
    let mut action = Action::new("sql::run_file", Effect::External, "").statement(text);
    action.opaque = true;
    let started = Instant::now();
    let done = progress.done;
    let perform = || -> Result<Value, Trouble> {
        let answer = match transactional {
            true => host.run_marked(text),
            false => crate::verbs::db::probe::run(host, text, || host.run_alone_raw(text)),
        };
        match answer {
            Ok(rows) => Ok(json!({ "rows": rows })),
            Err(crate::host::StatementTrouble::Server(error)) => {
                Err(refused(host, *error, text, place, done).into())
            }
            Err(crate::host::StatementTrouble::Other(trouble)) => Err(trouble),
        }
    };
    let probe = || crate::verbs::db::probe::happened(host, text);
    let repeat = if transactional { Repeat::Marked } else { Repeat::Probe(&probe) };
    let given = host.pass_external(
        External { action, repeat, probed: json!({ "rows": 0 }), perform: Box::new(perform) },
        None,
    )?;
    let rows = crate::host::to_json(&given)?.get("rows").and_then(Value::as_u64);
    progress.statement(text, place, rows, started.elapsed())?;
    Ok(())
}
