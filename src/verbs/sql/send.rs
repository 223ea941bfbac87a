//! Sends the units of a file inside the step's transaction.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::progress::Progress;
use crate::host::{Flight, Host, Landed, StatementTrouble, Trouble};
use crate::model::{EventKind, Fault};
use crate::msg;
use crate::postgres::{DbError, Session, SimpleResult};
use crate::sql::{Direction, Follow, Script, StatementPlace, Unit};

/// Runs a whole script inside the step's transaction.
///
/// # Errors
/// The server's answer with the place in the file; everything the script is refused for.
pub(super) fn send_all(
    host: &Rc<Host>,
    script: &mut Script,
    progress: &mut Progress<'_>,
) -> Result<(), Trouble> {
    let mut flight = Flight::new(host);
    while let Some(unit) = script.next()? {
        host.may_go_on()?;
        // Whatever hangs on an answer, or is no statement, waits for all of them.
        let unit = match unit {
            Unit::Statement { text, place, follow: Follow::None } if !host.setup.catches => {
                while flight.is_full_for(text.len()) {
                    land(host, &mut flight, progress)?;
                }
                flight.send(text, place)?;
                continue;
            }
            unit => {
                while land(host, &mut flight, progress)? {}
                unit
            }
        };
        match unit {
            Unit::Statement { text, place, follow } => {
                let results = send(host, &text, &place, progress)?;
                after(host, script, &follow, results, &place, progress)?;
            }
            Unit::CopyFrom { text, place } => {
                let started = Instant::now();
                let rows = host
                    .guarded(async |session| copy_in(session, &text, || script.copy_chunk()).await)
                    .map_err(|trouble| at_start(trouble, &place))?;
                progress.statement(&text, &place, Some(rows), started.elapsed())?;
            }
            Unit::CopyFile { text, path, direction, place } => {
                let started = Instant::now();
                let rows = match direction {
                    Direction::From => host.guarded(async |session| {
                        let mut file = open(&path)?;
                        copy_in(session, &text, || read_chunk(&mut file, &path)).await
                    }),
                    Direction::To => {
                        host.guarded(async |session| copy_out(session, &text, &path).await)
                    }
                }
                .map_err(|trouble| at_start(trouble, &place))?;
                progress.statement(&text, &place, Some(rows), started.elapsed())?;
            }
            Unit::Echo(text) => host.emit(EventKind::Note { text })?,
            Unit::Skipped { command, place } => skipped(host, &command, &place)?,
        }
    }
    while land(host, &mut flight, progress)? {}
    Ok(())
}

/// Waits for the statement that was sent first, and reports it; false where none is on its way.
fn land(
    host: &Rc<Host>,
    flight: &mut Flight<StatementPlace>,
    progress: &mut Progress<'_>,
) -> Result<bool, Trouble> {
    let Some(landed) = flight.land()? else { return Ok(false) };
    let Landed { text, what: place, took, answer } = landed;
    reported(host, answer, &text, &place, took, progress)?;
    Ok(true)
}

/// A remark about a command that has no effect here.
pub(super) fn skipped(
    host: &Host,
    command: &str,
    place: &crate::model::Place,
) -> Result<(), Fault> {
    let text = msg!("verbs.sql-skipped", command = command, file = place.file, line = place.line);
    host.emit(EventKind::Note { text })
}

/// Sends one statement inside the step's transaction and reports it.
///
/// # Errors
/// The server's answer with the place in the file.
pub(super) fn send(
    host: &Rc<Host>,
    text: &str,
    place: &StatementPlace,
    progress: &mut Progress<'_>,
) -> Result<Vec<SimpleResult>, Trouble> {
    let started = Instant::now();
    let answer = match host.step_simple(text) {
        Ok(results) => Ok(results),
        Err(StatementTrouble::Server(error)) => Err(error),
        Err(StatementTrouble::Other(trouble)) => return Err(trouble),
    };
    reported(host, answer, text, place, started.elapsed(), progress)
}

fn reported(
    host: &Host,
    answer: Result<Vec<SimpleResult>, Box<DbError>>,
    text: &str,
    place: &StatementPlace,
    took: Duration,
    progress: &mut Progress<'_>,
) -> Result<Vec<SimpleResult>, Trouble> {
    let results = answer.map_err(|error| refused(host, *error, text, place, progress.done))?;
    let rows = results.iter().filter_map(|result| result.rows).next_back();
    progress.statement(text, place, rows, took)?;
    Ok(results)
}

/// The server's refusal with its place in the file, and how far the file had got.
pub(super) fn refused(
    host: &Host,
    error: DbError,
    text: &str,
    place: &StatementPlace,
    done: u32,
) -> Fault {
    let position = error.position;
    let mut fault = host.db_fault(error);
    let at = match position {
        Some(position) => place.place_of(text, position),
        None => place.start(),
    };
    fault.places.insert(0, at.labelled(msg!("verbs.sql-statement", number = done + 1)));
    fault
}

fn after(
    host: &Rc<Host>,
    script: &mut Script,
    follow: &Follow,
    results: Vec<SimpleResult>,
    place: &StatementPlace,
    progress: &mut Progress<'_>,
) -> Result<(), Trouble> {
    match follow {
        Follow::None => Ok(()),
        Follow::Gset { prefix } => {
            let answer = results.into_iter().next_back();
            let Some((columns, row)) = answer
                .filter(|answer| answer.cells.len() == 1)
                .and_then(|answer| Some((answer.columns, answer.cells.into_iter().next()?)))
            else {
                return Err(Fault::failed("gset-rows", msg!("verbs.gset-rows"))
                    .place(place.start())
                    .into());
            };
            for (column, value) in columns.iter().zip(row) {
                let name = format!("{prefix}{column}");
                match value {
                    Some(value) => script.set_var(&name, &value),
                    None => script.unset_var(&name),
                }
            }
            Ok(())
        }
        Follow::Gexec => {
            for text in results.into_iter().flat_map(|answer| answer.cells).flatten().flatten() {
                script.check_generated(&text, place)?;
                let made = StatementPlace { edits: None, ..place.clone() };
                send(host, &text, &made, progress)?;
            }
            Ok(())
        }
    }
}

/// A COPY's own fault has no position; its statement is the place.
fn at_start(trouble: Trouble, place: &StatementPlace) -> Trouble {
    match trouble {
        Trouble::Fault(fault) if fault.places.is_empty() => {
            Trouble::Fault(Box::new(fault.place(place.start())))
        }
        other => other,
    }
}

async fn copy_in(
    session: &Session,
    sql: &str,
    mut chunk: impl FnMut() -> Result<Option<Vec<u8>>, Fault>,
) -> Result<u64, DbError> {
    let mut sink = session.copy_in(sql).await?;
    loop {
        match chunk() {
            Ok(Some(data)) => sink.send(data).await?,
            Ok(None) => return sink.finish().await,
            // Dropping the sink makes the server refuse the COPY; the file's own fault is shown.
            Err(fault) => {
                drop(sink);
                return Err(DbError::of_file(&fault));
            }
        }
    }
}

fn open(path: &Path) -> Result<File, DbError> {
    File::open(path).map_err(|error| DbError::of_file(&file_fault(path, &error)))
}

fn read_chunk(file: &mut File, path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let mut data = vec![0; 64 * 1024];
    let read = file.read(&mut data).map_err(|error| file_fault(path, &error))?;
    data.truncate(read);
    Ok((read > 0).then_some(data))
}

async fn copy_out(session: &Session, sql: &str, path: &Path) -> Result<u64, DbError> {
    let mut file = crate::system::create_new(path).map_err(|fault| DbError::of_file(&fault))?;
    let mut failed = None;
    let mut rows = 0;
    session
        .copy_out(sql, &mut |data: &[u8]| {
            rows += data.iter().filter(|byte| **byte == b'\n').count() as u64;
            if failed.is_none() {
                failed = file.write_all(data).err();
            }
        })
        .await?;
    match failed {
        Some(error) => Err(DbError::of_file(&crate::system::write_fault(path, &error))),
        None => Ok(rows),
    }
}

fn file_fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::failed("sql-read", msg!("sql.read", file = path.display())).detail(error.to_string())
}
