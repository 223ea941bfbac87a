//! The look at the ledger before the first item: what is done, what is open, which run this is.

use std::rc::Rc;

use serde_json::Value;

use super::gate::{Host, Mode};
use super::stop::{Stop, Trouble};
use crate::journal::{Replay, RunRow, RunState};
use crate::model::{EventKind, Fault, RunId};
use crate::msg;

impl Host {
    /// The look at the ledger, once per connection: what is done, what is open, may we write.
    pub(super) fn opened(self: &Rc<Self>) -> Result<(), Trouble> {
        let looked = self.begun.borrow().as_ref().is_none_or(|begun| begun.looked);
        if looked {
            // A reconnect in the middle of a run: only the lease has to be taken anew.
            if self.begun.borrow().as_ref().is_some_and(|begun| begun.recording) {
                self.take_lease()?;
                return self.reload_intents();
            }
            return Ok(());
        }
        if let Some(begun) = self.begun.borrow_mut().as_mut() {
            begun.looked = true;
        }
        let standby = self.worker.borrow().as_ref().is_some_and(|worker| worker.identity.standby);
        if standby && self.mode() != Mode::Plan {
            return Err(Self::fatal(
                Fault::failed("standby", msg!("host.standby")).remedy(msg!("host.standby.remedy")),
            ));
        }
        let runs = self.known_runs()?;
        if self.mode() == Mode::Plan {
            if let Some(done) = runs.iter().find(|run| run.state == RunState::Done) {
                self.emit(EventKind::Note {
                    text: msg!(
                        "host.plan-done",
                        run = done.run,
                        by = done.started_by,
                        at = done.started_at
                    ),
                })?;
            }
            return Ok(());
        }
        self.choose_run(runs)
    }

    pub(super) fn known_runs(self: &Rc<Self>) -> Result<Vec<RunRow>, Trouble> {
        let session = self.session()?;
        let (ledger, id) = {
            let worker = self.worker.borrow();
            let begun = self.begun.borrow();
            let (Some(worker), Some(begun)) = (worker.as_ref(), begun.as_ref()) else {
                return Ok(Vec::new());
            };
            (worker.ledger.clone(), begun.id.clone())
        };
        let rows = self.wait(async {
            if ledger.exists(&session).await? {
                ledger.runs(&session, Some(&id)).await
            } else {
                Ok(Vec::new())
            }
        })?;
        match rows {
            // Who only looks needs no right to the ledger.
            Err(error) if error.is("42501") && self.mode() == Mode::Plan => Ok(Vec::new()),
            rows => rows.map_err(|error| self.db_fault(error).into()),
        }
    }

    fn choose_run(self: &Rc<Self>, runs: Vec<RunRow>) -> Result<(), Trouble> {
        let resume = self.setup.wishes.resume.clone();
        let row = match &resume {
            Some(run) => {
                let found = runs.iter().find(|row| row.run == run.0).cloned();
                match found {
                    Some(row) => Some(self.successor(&row, &runs).unwrap_or(row)),
                    // Its process died before the ledger knew it: it never got to its first item.
                    None => return self.start_recording(),
                }
            }
            None => runs.into_iter().find(|row| row.state != RunState::RolledBack),
        };
        let Some(row) = row else { return self.start_recording() };
        let (repeatable, now) = match &*self.begun.borrow() {
            Some(begun) => (begun.repeatable, begun.inputs.clone()),
            None => (false, Value::Null),
        };
        if self.mode() == Mode::Undo {
            return self.take_up(row);
        }
        match row.state {
            RunState::Done if resume.is_some() => {
                self.nothing(msg!("host.resume-done", run = row.run))
            }
            RunState::RolledBack => Err(Self::fatal(
                Fault::usage("rolled-back", msg!("host.rolled-back", run = row.run))
                    .next(format!("runsheet run {}", self.setup.playbook.name)),
            )),
            RunState::Done if self.setup.wishes.again || repeatable => self.start_recording(),
            RunState::Done => {
                let older = row.inputs.get("older").and_then(Value::as_array);
                if older.is_some_and(|older| older.contains(&now["files"])) {
                    return self.nothing(msg!(
                        "host.newer-applied",
                        run = row.run,
                        at = row.started_at
                    ));
                }
                self.compare_with(row)
            }
            _ if resume.is_some() => {
                self.same_files(&row, &now)?;
                self.take_up(row)
            }
            _ if self.setup.wishes.again || row.steps == 0 => self.start_recording(),
            // Perhaps its process is at work: who holds the lease is asked first.
            RunState::Running => self.start_recording(),
            _ => self.unfinished(row, &now),
        }
    }

    /// The run that did, or does, what a run without any step never got to.
    fn successor(&self, row: &RunRow, runs: &[RunRow]) -> Option<RunRow> {
        if self.mode() == Mode::Undo || row.steps > 0 {
            return None;
        }
        // Newest first; ids of one second are in no order.
        let mut newer = runs.iter().take_while(|other| other.run != row.run);
        let stands = |other: &&RunRow| match other.state {
            RunState::Done => true,
            RunState::RolledBack => false,
            _ => other.steps > 0,
        };
        newer.find(stands).cloned()
    }

    /// The files of an unfinished run must be those it was started with.
    fn same_files(&self, row: &RunRow, now: &Value) -> Result<(), Trouble> {
        let changed: Vec<String> =
            [("files", "host.changed-file"), ("params", "host.changed-parameter-name")]
                .iter()
                .flat_map(|(part, key)| {
                    let (was, is) = (row.inputs[*part].as_object(), now[*part].as_object());
                    let names: Vec<&String> =
                        was.iter().chain(is.iter()).flat_map(|map| map.keys()).collect();
                    let mut names: Vec<&String> = names
                        .into_iter()
                        .filter(|name| {
                            was.and_then(|map| map.get(*name)) != is.and_then(|map| map.get(*name))
                        })
                        .collect();
                    names.sort();
                    names.dedup();
                    names
                        .into_iter()
                        .map(|name| crate::message::text(key, &[("path", name), ("name", name)]))
                        .collect::<Vec<_>>()
                })
                .collect();
        if changed.is_empty() {
            return Ok(());
        }
        if self.setup.wishes.accept_changes {
            self.emit(EventKind::Warning {
                text: msg!("host.changes-accepted", changes = changed.join("; ")),
            })?;
            return Ok(());
        }
        Err(Self::fatal(
            Fault::usage("inputs-changed", msg!("host.run-inputs-changed", run = row.run))
                .detail(changed.join("; "))
                .cause(msg!("host.inputs-changed.cause"))
                .remedy(msg!("host.run-inputs-changed.remedy"))
                .next(format!("runsheet resume {} --accept-changes", row.run)),
        ))
    }

    pub(super) fn unfinished(self: &Rc<Self>, row: RunRow, now: &Value) -> Result<(), Trouble> {
        let question = msg!("host.unfinished-question", run = row.run, steps = row.steps);
        let terminal = &self.setup.terminal;
        if terminal.yes || (terminal.interactive && self.confirm(&question).map_err(Self::fatal)?) {
            self.same_files(&row, now)?;
            return self.take_up(row);
        }
        let next = format!("runsheet resume {}", row.run);
        self.stood_before.set(true);
        *self.run.borrow_mut() = RunId(row.run.clone());
        Err(Self::fatal(
            Fault::failed(
                "unfinished-run",
                msg!(
                    "host.unfinished",
                    run = row.run,
                    by = row.started_by,
                    at = row.started_at,
                    steps = row.steps
                ),
            )
            .remedy(msg!("host.unfinished.remedy"))
            .next(next),
        ))
    }

    /// Goes on with a run that the ledger knows.
    fn take_up(self: &Rc<Self>, row: RunRow) -> Result<(), Trouble> {
        *self.run.borrow_mut() = RunId(row.run.clone());
        self.start_recording()?;
        // Read again under the lease: another process may have gone on with it meanwhile.
        self.load_replay(&row)?;
        let steps = self.replay.borrow().steps_done();
        self.emit(EventKind::Note { text: msg!("host.resuming", run = row.run, steps = steps) })?;
        Ok(())
    }

    pub(super) fn load_replay(self: &Rc<Self>, row: &RunRow) -> Result<(), Trouble> {
        let session = self.session()?;
        let ledger = self.worker.borrow().as_ref().map(|worker| worker.ledger.clone());
        let Some(ledger) = ledger else { return Ok(()) };
        let rows = self.wait(async {
            Ok((ledger.steps(&session, &row.run).await?, ledger.intents(&session, &row.run).await?))
        })?;
        let (steps, intents) = rows.map_err(|error| self.db_fault(error))?;
        let mut replay = Replay::new(steps, intents);
        // Where the database came up inside an item, that item and those before it were met
        // already.
        for title in self.titles.borrow().iter() {
            if replay.next_is(title) {
                let _ = replay.item(title);
            }
        }
        *self.replay.borrow_mut() = replay;
        Ok(())
    }

    fn nothing(self: &Rc<Self>, text: String) -> Result<(), Trouble> {
        self.emit(EventKind::Note { text })?;
        self.nothing_to_do.set(true);
        Err(Stop::Finished.into())
    }
}
