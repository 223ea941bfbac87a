//! From the first new thing on: the lease is taken, the run's row and its file are opened.

use std::rc::Rc;

use serde_json::Value;

use super::gate::{Host, Mode};
use super::stop::Trouble;
use crate::journal::{Lease, LeaseWish, RunRow, RunState, started_by};
use crate::model::{EventKind, RunId};
use crate::msg;

impl Host {
    /// From here on something new happens: the lease is taken, the run's row and file opened.
    ///
    /// # Errors
    /// `lease-held`, `ledger-right`, `journal-write`.
    pub(super) fn start_recording(self: &Rc<Self>) -> Result<(), Trouble> {
        let ready = self.begun.borrow().as_ref().is_none_or(|begun| begun.recording);
        if ready || self.mode() == Mode::Plan {
            return Ok(());
        }
        let connected = self.worker.borrow().is_some();
        if !connected && self.setup.target.is_some() {
            // The session's own look at the ledger comes back here.
            self.session()?;
            return self.start_recording();
        }
        let comparing = self.begun.borrow().as_ref().is_some_and(|begun| begun.comparing.is_some());
        let mut known = Vec::new();
        if connected {
            self.take_lease()?;
            super::failpoint::failpoint!("after-lease");
            known = self.known_runs()?;
            let newest = known
                .iter()
                .find(|row| row.state != RunState::RolledBack)
                .filter(|row| row.run != self.run_id().0);
            let anew = self.setup.wishes.again
                || self.begun.borrow().as_ref().is_some_and(|begun| begun.repeatable);
            if let (Some(row), false, false) = (newest, comparing, anew) {
                // While this run waited for the lease, another one did the work, or died of it.
                let row = row.clone();
                if row.state == RunState::Done {
                    self.give_lease_back()?;
                    return self.compare_with(row);
                }
                if row.steps > 0 && self.setup.wishes.resume.is_none() {
                    self.give_lease_back()?;
                    let now = self.begun.borrow().as_ref().map(|begun| begun.inputs.clone());
                    return self.unfinished(row, &now.unwrap_or(Value::Null));
                }
            }
        }
        let mut folder = self.run_folder();
        if !folder.is_dir() {
            folder = self.setup.state.create_run(&self.run_id())?;
        }
        self.recorder.borrow_mut().open(&folder)?;
        if let Some(begun) = self.begun.borrow_mut().as_mut() {
            begun.recording = true;
            begun.comparing = None;
        }
        if connected {
            self.open_row(&known)?;
        }
        Ok(())
    }

    /// Nothing is recorded until the playbook asks for something that the finished run has not.
    pub(super) fn compare_with(self: &Rc<Self>, row: RunRow) -> Result<(), Trouble> {
        let at = row.finished_at.as_deref().unwrap_or(&row.started_at);
        self.emit(EventKind::Note {
            text: msg!("host.plan-done", run = row.run, by = row.started_by, at = at),
        })?;
        self.load_replay(&row)?;
        *self.run.borrow_mut() = RunId(row.run.clone());
        if let Some(begun) = self.begun.borrow_mut().as_mut() {
            begun.comparing = Some(row);
        }
        Ok(())
    }

    /// Gives the lease back to whoever waits for it.
    ///
    /// # Errors
    /// `journal-write`.
    pub(super) fn give_lease_back(&self) -> Result<(), Trouble> {
        let held = match self.worker.borrow_mut().as_mut() {
            Some(worker) => {
                let kept = (worker.session.clone(), worker.ledger.clone());
                worker.lease.take().map(|_| kept)
            }
            None => None,
        };
        if let Some((session, ledger)) = held {
            let released = self.runtime.block_on(Lease::release(&session, &ledger));
            if !matches!(released, Ok(true)) {
                self.emit(EventKind::Warning { text: msg!("host.lease-was-lost") })?;
            }
        }
        Ok(())
    }

    fn open_row(self: &Rc<Self>, known: &[RunRow]) -> Result<(), Trouble> {
        let run = self.run_id();
        let (ledger, epoch) = {
            let worker = self.worker.borrow();
            let Some(worker) = worker.as_ref() else { return Ok(()) };
            (worker.ledger.clone(), worker.lease.as_ref().map_or(0, |lease| lease.epoch))
        };
        let row = {
            let begun = self.begun.borrow();
            let Some(begun) = begun.as_ref() else { return Ok(()) };
            let mut inputs = begun.inputs.clone();
            if let Some(before) = known.iter().find(|row| row.run == run.0) {
                let mut older = before
                    .inputs
                    .get("older")
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default();
                if before.inputs["files"] != inputs["files"] {
                    older.push(before.inputs["files"].clone());
                }
                inputs["older"] = Value::Array(older);
            }
            RunRow {
                run: run.0.clone(),
                playbook: begun.id.clone(),
                title: begun.title.clone(),
                file: self.setup.playbook.name.clone(),
                state: RunState::Running,
                inputs,
                started_by: started_by(),
                environment: self.setup.environment.name.clone(),
                started_at: String::new(),
                finished_at: None,
                steps: 0,
                head: String::new(),
            }
        };
        let session = self.session()?;
        self.wait(ledger.open_run(&session, &row, epoch))?.map_err(|error| self.db_fault(error))?;
        Ok(())
    }

    pub(super) fn take_lease(self: &Rc<Self>) -> Result<(), Trouble> {
        let session = self.session()?;
        let ledger = match &*self.worker.borrow() {
            Some(worker) => worker.ledger.clone(),
            None => return Ok(()),
        };
        let (run, by) = (self.run_id().0, started_by());
        let (ghost, former) = self.ghost.borrow_mut().take().unzip();
        let wish = LeaseWish {
            run: &run,
            by: &by,
            wait: self.setup.wishes.wait,
            take_over: self.setup.wishes.take_over,
            known_epoch: 0,
            ghost,
        };
        let mut waiting = |holder: &crate::journal::Holder| {
            let _ = self.emit(EventKind::Waiting {
                what: msg!("host.waiting-for-lease", holder = holder.describe()),
            });
        };
        let lease =
            self.wait(Lease::take(&session, &ledger, &wish, &mut waiting))?.map_err(Self::fatal)?;
        let epoch = lease.epoch;
        if let Some(worker) = self.worker.borrow_mut().as_mut() {
            worker.lease = Some(lease);
        }
        match former {
            // Somebody had it between the lost connection and this one.
            Some(former) if epoch != former + 1 => {
                // The ledger is that one's: nothing of this process is written any more.
                self.give_lease_back()?;
                Err(Self::fatal(Self::fenced()))
            }
            _ => Ok(()),
        }
    }
}
