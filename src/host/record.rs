//! From the first new thing on: the lease is taken, the run's row and its file are opened.

use std::rc::Rc;

use serde_json::Value;

use super::gate::{Host, Mode};
use super::stop::Trouble;
use crate::journal::{KnownEpoch, Lease, LeaseWish, RunRow, RunState, TakeOver, started_by};
use crate::model::{EventKind, RunId};
use crate::msg;

impl Host {
    /// From here on something new happens: the lease is taken, the run's row and file opened.
    ///
    /// # Errors
    /// `lease-held`, `ledger-right`, `journal-write`, `outside-window`, `frozen`; what approval,
    /// policy and receipt refuse.
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
        self.as_approved()?;
        self.demand_policy()?;
        self.demand_rehearsal()?;
        let comparing = self.begun.borrow().as_ref().is_some_and(|begun| begun.comparing.is_some());
        let mut known = Vec::new();
        if connected {
            if let Some(row) = self.take_lease_unless_done(comparing)? {
                return self.compare_with(row);
            }
            super::failpoint::failpoint!("after-lease");
            known = self.known_runs()?;
            let newest = known
                .iter()
                .find(|row| row.state != RunState::RolledBack)
                .filter(|row| row.run != self.run_id().0);
            let anew = self.asked_anew();
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
        let new = self.setup.wishes.resume.is_none()
            && !comparing
            && !known.iter().any(|row| row.run == self.run_id().0);
        if connected && new && !self.adopted(&known)? && !self.asked_anew() {
            let checked = self.known_elsewhere(&known);
            if checked.is_err() {
                self.give_lease_back()?;
            }
            checked?;
        }
        if let Err(fault) = self.within_hours() {
            self.give_lease_back()?;
            return Err(Self::fatal(fault));
        }
        let mut folder = self.run_folder();
        if !folder.is_dir() {
            folder = self.setup.state.create_run(&self.run_id())?;
        }
        if let Err(fault) = self.recorder.borrow_mut().open(&folder) {
            self.give_lease_back()?;
            return Err(Self::fatal(fault));
        }
        if let Some(begun) = self.begun.borrow_mut().as_mut() {
            begun.recording = true;
            begun.comparing = None;
        }
        if comparing {
            for entry in self.undos.borrow().iter() {
                self.tell_rung(entry)?;
            }
        }
        if connected {
            let epoch = self.worker.borrow().as_ref().and_then(|w| Some(w.lease.as_ref()?.epoch));
            self.emit(EventKind::Server {
                server: self.server_value(),
                epoch: epoch.unwrap_or(0),
                accepted: self.accepted.get(),
                boot: crate::system::boot(),
            })?;
            self.mark_it()?;
            self.open_row(&known)?;
        }
        Ok(())
    }

    fn asked_anew(&self) -> bool {
        self.setup.wishes.again || self.begun.borrow().as_ref().is_some_and(|b| b.repeatable)
    }

    /// A run that was killed before its first step ended did nothing and is taken up under its own
    /// id, where it was begun with the same files and parameters.
    fn adopted(self: &Rc<Self>, known: &[RunRow]) -> Result<bool, Trouble> {
        let newest = known.first().filter(|row| row.state == RunState::Running && row.steps == 0);
        let same = |row: &&RunRow| {
            let begun = self.begun.borrow();
            let Some(begun) = begun.as_ref() else { return false };
            ["files", "params"].iter().all(|part| row.inputs[*part] == begun.inputs[*part])
        };
        let Some(row) = newest.filter(same).cloned() else { return Ok(false) };
        if self.asked_anew() {
            return Ok(false);
        }
        *self.run.borrow_mut() = RunId(row.run.clone());
        let checked = self.reconcile(Some(&row), false);
        if checked.is_err() {
            self.give_lease_back()?;
        }
        checked?;
        let lease = self.worker.borrow().as_ref().and_then(|worker| {
            Some((worker.session.clone(), worker.ledger.clone(), worker.lease.clone()?))
        });
        if let Some((session, ledger, lease)) = lease {
            self.wait(lease.rename(&session, &ledger, &row.run))?
                .map_err(|error| self.db_fault(error))?;
        }
        self.load_replay(&row)?;
        self.emit(EventKind::Note { text: msg!("host.resuming", run = row.run, steps = 0) })?;
        Ok(true)
    }

    /// Nothing is recorded until the playbook asks for something that the finished run has not.
    pub(super) fn compare_with(self: &Rc<Self>, row: RunRow) -> Result<(), Trouble> {
        let at = row.finished_at.as_deref().unwrap_or(&row.started_at);
        self.emit(EventKind::Note {
            text: msg!("host.plan-done", run = row.run, by = row.started_by, at = at),
        })?;
        *self.run.borrow_mut() = RunId(row.run.clone());
        self.reconcile(Some(&row), true)?;
        self.load_replay(&row)?;
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
                worker.lease.take().map(|lease| (kept.0, kept.1, lease))
            }
            None => None,
        };
        if let Some((session, ledger, lease)) = held {
            self.epoch.set(None);
            let released = self.looked_after(&session, lease.release(&session, &ledger));
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
        let before = known.iter().find(|row| row.run == run.0);
        let mut state = RunState::Running;
        if let (Some(before), true) = (before, self.is_way_back()) {
            // Whoever asks to take a run back, and is refused, has changed nothing.
            self.back.borrow_mut().stood = Some(before.state);
            state = before.state;
        }
        let Some(row) = self.row_of_run(state, before) else { return Ok(()) };
        let session = self.session()?;
        self.wait(ledger.open_run(&session, &row, epoch))?.map_err(|error| self.db_fault(error))?;
        if self.accepted.get() {
            self.wait(ledger.forget_report(&session, &run.0))?
                .map_err(|error| self.db_fault(error))?;
        }
        // Effects outside of the database that the ledger lost are asked about, not repeated.
        for effect in self.lost_effects.take() {
            let action = serde_json::to_value(&effect.action).unwrap_or(Value::Null);
            self.ledger_write(|ledger, run| {
                ledger.intent_sql(run, &effect.key, effect.ordinal, &action)
            })?;
        }
        Ok(())
    }

    /// The run's row; `before` is what the ledger has of it.
    pub(super) fn row_of_run(&self, state: RunState, before: Option<&RunRow>) -> Option<RunRow> {
        let begun = self.begun.borrow();
        let begun = begun.as_ref()?;
        let mut inputs = begun.inputs.clone();
        if let (Some(before), true) = (before, self.is_way_back()) {
            inputs = before.inputs.clone();
        } else if let Some(before) = before {
            let older = before.inputs.get("older").and_then(Value::as_array);
            let mut older = older.cloned().unwrap_or_default();
            if before.inputs["files"] != inputs["files"] {
                older.push(before.inputs["files"].clone());
            }
            inputs["older"] = Value::Array(older);
        }
        inputs["server"] = self.server_value();
        let approval = self.cleared.record.borrow().clone();
        if !approval.is_null() && !self.is_way_back() {
            inputs["approval"] = approval;
        } else if let Some(before) = before.map(|before| &before.inputs["approval"]) {
            inputs["approval"] = before.clone();
        }
        Some(RunRow {
            run: self.run_id().0,
            playbook: begun.id.clone(),
            title: begun.title.clone(),
            file: self.setup.playbook.name.clone(),
            state,
            inputs,
            started_by: started_by(),
            environment: self.setup.environment.name.clone(),
            started_at: String::new(),
            finished_at: None,
            steps: 0,
            head: String::new(),
        })
    }

    /// Takes the lease; or gives the finished run of another who did the work meanwhile.
    fn take_lease_unless_done(self: &Rc<Self>, comparing: bool) -> Result<Option<RunRow>, Trouble> {
        let id = self.begun.borrow().as_ref().map(|begun| begun.id.clone());
        let new = !comparing && !self.asked_anew() && self.setup.wishes.resume.is_none();
        if self.try_lease(id.as_deref().filter(|_| new && !self.is_way_back()))? {
            return Ok(None);
        }
        let newest = |row: &RunRow| row.state != RunState::RolledBack;
        match self.known_runs()?.into_iter().find(newest) {
            Some(row) if row.state == RunState::Done => Ok(Some(row)),
            // Taken back, or begun anew, between the two looks.
            _ => self.take_lease().map(|()| None),
        }
    }

    pub(super) fn take_lease(self: &Rc<Self>) -> Result<(), Trouble> {
        self.try_lease(None).map(drop)
    }

    /// False where the playbook that is named was finished by another run meanwhile.
    fn try_lease(self: &Rc<Self>, unless_done: Option<&str>) -> Result<bool, Trouble> {
        // What was known without the lease may have changed.
        self.known.take();
        let session = self.session()?;
        let ledger = match &*self.worker.borrow() {
            Some(worker) => worker.ledger.clone(),
            None => return Ok(true),
        };
        let (run, by) = (self.run_id().0, started_by());
        let epoch = self.known_epoch()?;
        let wishes = &self.setup.wishes;
        let wish = LeaseWish {
            run: &run,
            by: &by,
            wait: wishes.wait,
            take_over: match (&wishes.take_over_run, wishes.take_over) {
                (Some(run), _) => TakeOver::Run(run),
                (None, true) => TakeOver::Anybody,
                (None, false) => TakeOver::No,
            },
            had: self.epoch.get(),
            known_epoch: epoch.as_ref().map_or(0, KnownEpoch::get),
        };
        let mut waiting = |holder: &crate::journal::Holder| {
            let _ = self.emit(EventKind::Waiting {
                what: msg!("host.waiting-for-lease", holder = holder.describe()),
            });
        };
        let prepared = "SELECT string_agg(format('%s (%s, %s)', gid, owner, prepared), ', ')
            FROM pg_prepared_xacts WHERE database = current_database()";
        let taking = Lease::take_unless_done(&session, &ledger, &wish, unless_done, &mut waiting);
        let Some(lease) = self.wait(taking)?.map_err(Self::fatal)? else { return Ok(false) };
        // They hold their locks for ever, and no session is seen to hold them.
        let rows =
            self.wait(session.query(prepared, &[]))?.map_err(|error| self.db_fault(error))?;
        if let Some(Value::String(list)) = rows.rows.into_iter().flatten().next() {
            let text = msg!("host.prepared-transactions", list = list);
            self.emit(EventKind::Warning { text })?;
        }
        if let Some(was) = lease.restored {
            let known = wish.known_epoch;
            let text = msg!("host.lease-restored", was = was, known = known, now = lease.epoch);
            self.emit(EventKind::Warning { text })?;
        }
        let taken = lease.epoch;
        self.epoch.set(Some(taken));
        if let Some(worker) = self.worker.borrow_mut().as_mut() {
            worker.lease = Some(lease);
        }
        if let Some(known) = &epoch {
            known.raise(taken)?;
        }
        Ok(true)
    }
}
