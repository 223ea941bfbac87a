//! The look at the ledger before the first item: what is done, what is open, which run this is.

use std::rc::Rc;

use serde_json::Value;

use super::gate::{Host, Mode};
use super::stop::{Stop, Trouble};
use crate::journal::{IntentRow, Replay, RunRow, RunState, StepRow};
use crate::model::{EventKind, Fault, RunId};
use crate::msg;

/// The steps of a run and its announced effects.
pub(super) type RowsOfRun = (Vec<StepRow>, Vec<IntentRow>);

impl Host {
    /// The look at the ledger, once per connection: what is done, what is open, may we write.
    pub(super) fn opened(self: &Rc<Self>) -> Result<(), Trouble> {
        let standby = self.worker.borrow().as_ref().is_some_and(|worker| worker.identity.standby);
        if standby && self.mode() != Mode::Plan {
            return Err(Self::fatal(
                Fault::failed("standby", msg!("host.standby")).remedy(msg!("host.standby.remedy")),
            ));
        }
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
        let id = self.begun.borrow().as_ref().map(|begun| begun.id.clone());
        self.runs_of(Some(&id.unwrap_or_default()))
    }

    fn runs_of(self: &Rc<Self>, playbook: Option<&str>) -> Result<Vec<RunRow>, Trouble> {
        let session = self.session()?;
        let ledger = match &*self.worker.borrow() {
            Some(worker) => worker.ledger.clone(),
            None => return Ok(Vec::new()),
        };
        let over = |row: &RunRow| matches!(row.state, RunState::Done | RunState::RolledBack);
        let known = self.runs_known(playbook);
        let rows = self.wait(async {
            if let (Some(playbook), None) = (playbook, &self.setup.wishes.resume) {
                let rows = match known {
                    None => ledger.known(&session, playbook, None).await?.and_then(|it| it.runs),
                    known => known,
                };
                // Of a run that is over, nobody asks how far it got.
                if rows.as_ref().is_none_or(|rows| rows.iter().all(over)) {
                    return Ok(rows);
                }
            }
            if ledger.exists(&session).await? {
                ledger.runs(&session, playbook).await.map(Some)
            } else {
                Ok(None)
            }
        })?;
        match rows {
            // Who only looks needs no right to the ledger.
            Err(error) if error.is("42501") && self.mode() == Mode::Plan => Ok(Vec::new()),
            Err(error) => Err(self.db_fault(error).into()),
            Ok(rows) => {
                // The lease makes the ledger: only what was there before it counts.
                if !self.has_lease() {
                    self.ledger_was_there.set(rows.is_some());
                }
                Ok(rows.unwrap_or_default())
            }
        }
    }

    /// What was read as the connection was made, once; None where that was nothing of this playbook.
    fn runs_known(&self, playbook: Option<&str>) -> Option<Vec<RunRow>> {
        let mut known = self.known.borrow_mut();
        let same = known.as_mut().filter(|known| playbook == Some(known.playbook.as_str()));
        same?.runs.take()
    }

    fn choose_run(self: &Rc<Self>, runs: Vec<RunRow>) -> Result<(), Trouble> {
        let resume = self.setup.wishes.resume.clone();
        let row = match &resume {
            Some(run) => {
                let found = match runs.iter().find(|row| row.run == run.0) {
                    Some(row) => Some(row.clone()),
                    // The playbook's id is an input like any other: it may have been edited.
                    None => self.runs_of(None)?.into_iter().find(|row| row.run == run.0),
                };
                match found {
                    Some(row) => Some(self.successor(&row, &runs).unwrap_or(row)),
                    // Its process died before the ledger knew it: it never got to its first item.
                    None => {
                        self.reconcile(None, false)?;
                        return self.start_recording();
                    }
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
            RunState::RollingBack
                if resume.is_some() || (row.steps > 0 && !self.setup.wishes.again) =>
            {
                Err(self.rollback_begun(&row.run))
            }
            RunState::Done if resume.is_some() => {
                *self.run.borrow_mut() = RunId(row.run.clone());
                self.reconcile(Some(&row), true)?;
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
        // Newest first; the ledger numbers them.
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
                            // A file that was not there then may be the work of a step.
                            if name.ends_with(".sql")
                                && was.is_some_and(|map| !map.contains_key(*name))
                            {
                                return false;
                            }
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
        self.stood_before.set(row.steps > 0);
        Err(Self::fatal(
            Fault::usage("inputs-changed", msg!("host.run-inputs-changed", run = row.run))
                .detail(changed.join("; "))
                .cause(msg!("host.inputs-changed.cause"))
                .remedy(msg!("host.run-inputs-changed.remedy"))
                .next(format!("runsheet resume {} --accept-changes", row.run)),
        ))
    }

    pub(super) fn unfinished(self: &Rc<Self>, row: RunRow, now: &Value) -> Result<(), Trouble> {
        if row.state == RunState::RollingBack {
            return Err(self.rollback_begun(&row.run));
        }
        let question = msg!("host.unfinished-question", run = row.run, steps = row.steps);
        let terminal = &self.setup.terminal;
        let alone = self.unattended.get() && !terminal.interactive;
        let goes_on = terminal.yes
            || alone
            || (terminal.interactive && self.confirm(&question).map_err(Self::fatal)?);
        if goes_on {
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
        *self.cleared.of_run.borrow_mut() = row.inputs["approval"].clone();
        self.reconcile(Some(&row), false)?;
        self.stood.set(Some(row.state));
        let has_file = self.run_folder().join("events.jsonl").is_file();
        self.start_recording()?;
        if !has_file && row.steps > 0 {
            self.emit(EventKind::Note { text: msg!("host.no-file", run = row.run) })?;
        }
        // Read again under the lease: another process may have gone on with it meanwhile.
        self.load_replay(&row)?;
        let steps = self.replay.borrow().steps_done();
        self.emit(EventKind::Note { text: msg!("host.resuming", run = row.run, steps = steps) })?;
        Ok(())
    }

    /// The steps and the announced effects of a run.
    pub(super) fn rows_of(self: &Rc<Self>, row: &RunRow) -> Result<RowsOfRun, Trouble> {
        if let Some((run, steps, intents)) = self.known.take().and_then(|known| known.done)
            && run == row.run
        {
            return Ok((steps, intents));
        }
        let session = self.session()?;
        let Some(ledger) = self.ledger() else { return Ok(RowsOfRun::default()) };
        // Both on their way at once: one round trip.
        let rows = self.wait(futures_util::future::try_join(
            ledger.steps(&session, &row.run),
            ledger.intents(&session, &row.run),
        ))?;
        rows.map_err(|error| self.db_fault(error).into())
    }

    pub(super) fn load_replay(self: &Rc<Self>, row: &RunRow) -> Result<(), Trouble> {
        let (steps, intents) = match self.known_rows.take() {
            Some(rows) => rows,
            None => self.rows_of(row)?,
        };
        steps.iter().for_each(|step| self.note_backup(&step.effects, &step.value));
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
