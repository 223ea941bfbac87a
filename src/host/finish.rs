//! The end of a run: what runs on failure and always, the state in one word, report and ledger.

use std::path::Path;
use std::rc::Rc;

use rhai::{Engine, EvalAltResult, NativeCallContext};
use serde_json::{Value, json};

use super::diagnose::diagnose;
use super::gate::{Host, Mode, OnFailure};
use super::options::ItemOptions;
use super::scope::{Deferred, Frame};
use super::stop::{Stop, Trouble, stop_in};
use super::verb::{Call, Verb};
use crate::journal::{Lease, Ledger, RunState, StepRow, StepState, fenced};
use crate::message::{in_language, language};
use crate::model::{Effect, EventKind, Fault, FaultKind, FinalState, ItemKind};
use crate::msg;
use crate::postgres::{ConnectOptions, connect};
use crate::report::{Report, markdown};
use crate::system::write_atomic;

/// Stands for the call of a body that the host itself runs.
static DEFERRED: Verb = Verb {
    name: "deferred",
    args: "",
    effect: Effect::None,
    page: "",
    call: |_, _| Ok(rhai::Dynamic::UNIT),
};

impl Host {
    /// Ends the run after its script ended. Gives the exit code.
    pub fn finish(self: &Rc<Self>, engine: &Engine, end: Result<(), Box<EvalAltResult>>) -> u8 {
        let mut fault = self.fault_of(end).or_else(|| self.fallen.take());
        if let Some(overtaken) = fault.as_deref().and_then(|broken| self.overtaken(broken)) {
            fault = Some(Rc::new(overtaken));
        } else if let Some(overtaken) = fault.as_ref().and_then(|_| self.connect_to_end()) {
            fault = Some(Rc::new(overtaken));
        }
        let mut state = None;
        if self.mode() == Mode::Run && self.is_begun() {
            if let Some(broken) = fault.clone() {
                self.closing.set(true);
                self.run_deferred(engine, ItemKind::OnFailure);
                if self.wants_rollback(&broken) {
                    match self.roll_back(engine) {
                        Ok(()) => {
                            self.rolled_back.set(true);
                            state = Some(FinalState::FailedUnchanged);
                        }
                        Err(second) => fault = Some(Rc::new(with_more(&broken, second))),
                    }
                }
            }
            self.closing.set(true);
            self.run_deferred(engine, ItemKind::Always);
        }
        self.closing.set(true);
        if fault.is_none() {
            fault = self.failed.borrow().clone();
        }
        if fault.is_none() {
            fault = match self.mode() {
                Mode::Run => self.lost_steps().map(Rc::new),
                _ => self.sign().err().map(Rc::new),
            };
        }
        let state = state.unwrap_or_else(|| self.final_state(fault.as_deref()));
        self.close(state, fault.as_deref())
    }

    /// The fault with which a replayed script ended, where it did not end at the last finished
    /// step.
    pub fn script_fault(&self, end: Result<(), Box<EvalAltResult>>) -> Option<Fault> {
        self.fault_of(end).map(|fault| (*fault).clone())
    }

    /// The connection broke: perhaps because somebody took the lease over, who also ends our
    /// sessions. One look at the lease's row tells.
    fn overtaken(self: &Rc<Self>, broken: &Fault) -> Option<Fault> {
        let had = self.epoch.get()?;
        let lost = broken.kind == FaultKind::NoConnection
            || broken.sqlstate.as_deref().is_some_and(|state| state.starts_with("57P"))
            || self.worker.borrow().as_ref().is_none_or(|worker| worker.session.is_closed());
        let target = self.setup.target.as_ref().filter(|_| lost && broken.code != "fenced")?;
        let ledger = Ledger::new(&self.setup.config.ledger_schema);
        let newest = self.runtime.block_on(async {
            let session = connect(target, &ConnectOptions::default()).await.ok()?;
            Lease::newest_epoch(&session, &ledger).await.ok()?
        });
        newest.filter(|newest| *newest > had)?;
        let mut fault = fenced(None);
        fault.detail = Some(broken.message.clone());
        fault.places.clone_from(&broken.places);
        Some(fault)
    }

    fn is_begun(&self) -> bool {
        self.begun.borrow().as_ref().is_some_and(|begun| begun.recording)
    }

    fn fault_of(&self, end: Result<(), Box<EvalAltResult>>) -> Option<Rc<Fault>> {
        let error = end.err()?;
        match stop_in(&error) {
            Some(Stop::Finished | Stop::Skip(_)) => None,
            Some(Stop::Failed(fault)) => Some(fault),
            Some(Stop::Decided(on)) => {
                let _ =
                    self.emit(EventKind::Warning { text: msg!("host.plan-ends-here", on = on) });
                None
            }
            None if matches!(*error, EvalAltResult::ErrorTerminated(..)) => {
                Some(Rc::new(self.interrupted()))
            }
            None if self.mode() == Mode::Plan && super::planned::names_planned(&error) => {
                let _ = self.emit(EventKind::Warning {
                    text: msg!("host.plan-ends-here", on = super::planned::Planned::NAME),
                });
                None
            }
            None => Some(Rc::new(diagnose(&error, &self.sources, None))),
        }
    }

    /// The playbook no longer has a step that the finished run had.
    fn lost_steps(&self) -> Option<Fault> {
        if self.stopped.get() || self.nothing_to_do.get() || self.replay.borrow().is_over() {
            return None;
        }
        let lost = self.replay.borrow().left_over();
        Some(
            Fault::usage("steps-lost", msg!("host.steps-lost"))
                .detail(lost.join(", "))
                .remedy(msg!("host.inputs-changed.remedy")),
        )
    }

    fn wants_rollback(self: &Rc<Self>, fault: &Fault) -> bool {
        if self.standing() == 0 || fault.code == "fenced" {
            return false;
        }
        match self.setup.wishes.on_failure {
            OnFailure::Rollback => {
                // It was asked for beforehand: what cannot be shown does not stop it.
                let _ = self.show_way_back();
                true
            }
            OnFailure::Stop => false,
            OnFailure::Ask if self.setup.terminal.interactive => {
                let _ = self.show_way_back();
                let question = msg!("host.rollback-question", steps = self.standing());
                self.confirm(&question).unwrap_or(false)
            }
            OnFailure::Ask => false,
        }
    }

    /// Steps that changed something and stand.
    pub(super) fn standing(&self) -> usize {
        self.undos.borrow().iter().filter(|entry| entry.changes).count()
    }

    /// Remembers a step that failed after an effect of it had taken place.
    pub(super) fn note_part(&self, frame: Option<&Frame>, failed: bool) {
        let Some(frame) = frame else { return };
        let mut partly = self.partly.borrow_mut();
        partly.retain(|title| *title != frame.item.title);
        if failed && frame.took_effect {
            partly.push(frame.item.title.clone());
        }
    }

    /// Is the database other than before, as far as this run and its earlier processes know?
    fn something_stands(&self) -> bool {
        self.standing() > 0 || self.stood_before.get() || !self.partly.borrow().is_empty()
    }

    fn run_deferred(self: &Rc<Self>, engine: &Engine, kind: ItemKind) {
        let cell = if kind == ItemKind::Always { &self.always } else { &self.on_failure };
        let bodies: Vec<Deferred> = std::mem::take(&mut *cell.borrow_mut());
        for deferred in bodies {
            let title = deferred.title.clone();
            let options = ItemOptions::default();
            let done = self.perform_deferred(engine, kind, &title, deferred, None, options);
            if let Err(trouble) = done {
                let text = match trouble {
                    Trouble::Fault(fault) => fault.to_string(),
                    Trouble::Stop(Stop::Failed(fault)) => fault.to_string(),
                    other => format!("{other:?}"),
                };
                let _ = self.emit(EventKind::Warning {
                    text: msg!("host.deferred-failed", title = title, why = text),
                });
            }
        }
    }

    /// Runs a kept body as an item of its own.
    pub(super) fn perform_deferred(
        self: &Rc<Self>,
        engine: &Engine,
        kind: ItemKind,
        title: &str,
        deferred: Deferred,
        key: Option<String>,
        options: ItemOptions,
    ) -> Result<(), Trouble> {
        #[allow(deprecated)] // "volatile", not deprecated
        let context: NativeCallContext<'_> = deferred.context.create_context(engine);
        let call = Call { context: &context, verb: &DEFERRED, args: Vec::new() };
        let epoch = self.worker.borrow().as_ref().and_then(|w| w.lease.as_ref().map(|l| l.epoch));
        // The same body may run at the end of each process of a run: the epoch tells them apart.
        let key = key.unwrap_or_else(|| format!("{title} #{}", epoch.unwrap_or(0)));
        let item = self.new_item(kind, title, &options, false)?;
        self.item_keyed(&call, item, key, options, None, &deferred.body).map(drop)
    }

    fn final_state(&self, fault: Option<&Fault>) -> FinalState {
        match fault {
            None if self.mode() == Mode::Plan => FinalState::Planned,
            None if self.stopped.get() => FinalState::Stopped,
            None if self.nothing_to_do.get() || !self.is_recording_or_local() => {
                FinalState::NothingToDo
            }
            None => FinalState::Done,
            Some(fault) => Self::state_unknown(fault).unwrap_or_else(|| {
                let stands = self.something_stands();
                if self.mode() == Mode::Plan || !stands {
                    FinalState::FailedUnchanged
                } else if self.verify_failed.get() {
                    FinalState::VerifyFailed
                } else {
                    FinalState::FailedSomeStand
                }
            }),
        }
    }

    fn is_recording_or_local(&self) -> bool {
        self.begun
            .borrow()
            .as_ref()
            .is_none_or(|begun| begun.recording || begun.comparing.is_none())
    }

    fn exit_code(&self, state: FinalState, fault: Option<&Fault>) -> u8 {
        let Some(fault) = fault else { return 0 };
        match (state, fault.kind) {
            (_, FaultKind::Busy | FaultKind::Refused | FaultKind::Usage) => fault.kind.exit_code(),
            (FinalState::VerifyFailed, _) => 6,
            (FinalState::FailedSomeStand | FinalState::Unknown, _) => 5,
            (_, FaultKind::VerifyFailed) => 1,
            (_, kind) => kind.exit_code(),
        }
    }

    /// Says how it ended, writes the report, gives the lease back.
    pub(super) fn close(self: &Rc<Self>, state: FinalState, fault: Option<&Fault>) -> u8 {
        let exit = self.exit_code(state, fault);
        let changed = self.mode() != Mode::Plan
            && self.something_stands()
            && !matches!(state, FinalState::NothingToDo | FinalState::RolledBack);
        let next = self.next_command(state, fault);
        let mut fault = fault.cloned();
        if let Some(fault) = &mut fault {
            if fault.done_so_far.is_none() && self.mode() != Mode::Plan {
                fault.done_so_far = Some(self.done_so_far(state));
            }
            if fault.next.is_none() {
                fault.next.clone_from(&next);
            }
        }
        self.wait_for_no_standby();
        super::failpoint::failpoint!("before-close");
        let recording = self.is_begun();
        if recording {
            self.tell_end_of_ladder();
            let path = self.run_folder().join("report.md");
            let _ = self.emit(EventKind::ReportAt { path: as_typed(&path) });
        }
        let _ = self.emit(EventKind::RunFinished {
            state,
            changed,
            exit,
            next,
            fault: fault.map(Box::new),
        });
        if recording && self.left.get() {
            let _ = self.leave_ledger();
        } else if recording {
            self.write_report(state);
        }
        super::failpoint::failpoint!("after-close");
        let _ = self.give_lease_back();
        self.recorder.borrow_mut().finish();
        exit
    }

    /// Writes a run's report into its folder, for programs and for people.
    ///
    /// # Errors
    /// `write-failed`, `disk-full`.
    pub fn keep_report(folder: &Path, report: &Report) -> Result<(), Fault> {
        keep_json(folder, report)?;
        keep_markdown(folder, report)
    }

    fn done_so_far(&self, state: FinalState) -> String {
        let undos = self.undos.borrow();
        let standing: Vec<&str> =
            undos.iter().filter(|e| e.changes).map(|e| e.item.title.as_str()).collect();
        match state {
            FinalState::Unknown => msg!("host.state-unknown"),
            _ if self.stood_before.get() => msg!("host.earlier-stands"),
            _ => {
                let mut said = Vec::new();
                if !standing.is_empty() {
                    said.push(msg!("host.these-stand", steps = standing.join(", ")));
                }
                let partly = self.partly.borrow();
                if !partly.is_empty() {
                    said.push(msg!("host.partly-stands", steps = partly.join(", ")));
                }
                match said.is_empty() {
                    true => msg!("host.nothing-stands"),
                    false => said.join("; "),
                }
            }
        }
    }

    fn next_command(&self, state: FinalState, fault: Option<&Fault>) -> Option<String> {
        let run = self.run_id();
        if let Some(next) = fault.and_then(|fault| fault.next.clone()) {
            return Some(next);
        }
        match state {
            FinalState::FailedSomeStand | FinalState::Unknown => {
                Some(msg!("host.next-resume-or-rollback", run = run))
            }
            FinalState::VerifyFailed => Some(msg!("host.next-verify-failed", run = run)),
            FinalState::FailedUnchanged if self.mode() == Mode::Run => {
                Some(format!("runsheet run {}", self.setup.playbook.name))
            }
            FinalState::Stopped => Some(format!("runsheet resume {run}")),
            FinalState::Planned => Some(format!("runsheet run {}", self.setup.playbook.name)),
            _ => None,
        }
    }

    fn write_report(self: &Rc<Self>, state: FinalState) {
        let folder = self.run_folder();
        let _ = self.recorder.borrow_mut().flush();
        if self.recorder.borrow().overtaken() {
            return;
        }
        let Some(report) = self.recorder.borrow_mut().report() else { return };
        let ledger_state = match state {
            FinalState::Done | FinalState::NothingToDo => RunState::Done,
            FinalState::VerifyFailed => RunState::VerifyFailed,
            FinalState::RolledBack => RunState::RolledBack,
            // Undone at once: there is nothing left that could be resumed.
            _ if self.rolled_back.get() => RunState::RolledBack,
            _ => self.state_of_way_back().unwrap_or(RunState::Failed),
        };
        let language = language();
        let (folder, report) = (&*folder, &report);
        std::thread::scope(|scope| {
            // The server takes its copy in while the files are written.
            let kept = [keep_json, keep_markdown].map(|keep| {
                let keep = move || drop(in_language(language, || keep(folder, report)));
                std::thread::Builder::new().spawn_scoped(scope, keep).map_err(|_| keep())
            });
            if self.has_lease() {
                let text = serde_json::to_string(report).unwrap_or_default();
                let _ = self.keep_snapshot();
                let files = || kept.into_iter().for_each(|kept| drop(kept.map(|one| one.join())));
                let _ = self.close_ledger(ledger_state, text, files);
            }
        });
    }

    fn leave_ledger(self: &Rc<Self>) -> Result<(), Trouble> {
        self.tell()?;
        let Some(stood) = self.stood.get() else { return Ok(()) };
        // A run that was killed is one that failed, now that nobody works on it.
        let state = if stood == RunState::Running { RunState::Failed } else { stood };
        let (session, ledger) = {
            let worker = self.worker.borrow();
            let Some(worker) = worker.as_ref().filter(|worker| worker.lease.is_some()) else {
                return Ok(());
            };
            (worker.session.clone(), worker.ledger.clone())
        };
        let (run, head) = (self.run_id(), self.recorder.borrow().head());
        let leaving = ledger.leave_run(&session, &run.0, state, &head);
        self.looked_after(&session, leaving).map_err(|error| self.db_fault(error).into())
    }

    /// `files` waits for the report's files: where the ledger says that a run is over, they are
    /// there.
    fn close_ledger(
        self: &Rc<Self>,
        state: RunState,
        report: String,
        files: impl FnOnce(),
    ) -> Result<(), Trouble> {
        let (session, ledger, epoch) = {
            let worker = self.worker.borrow();
            let Some(worker) = worker.as_ref() else { return Ok(()) };
            let epoch = worker.lease.as_ref().map_or(0, |lease| lease.epoch);
            (worker.session.clone(), worker.ledger.clone(), epoch)
        };
        let (run, head) = (self.run_id(), self.recorder.borrow().head());
        if state == RunState::Done && !self.before.borrow().is_empty() {
            let row = StepRow {
                key: format!("end #{epoch}"),
                number: i64::from(self.number.get()) + 1,
                title: String::new(),
                kind: "end".into(),
                state: StepState::Done,
                value: Value::Null,
                before: self.before.borrow().clone(),
                inputs: json!({}),
                effects: Vec::new(),
                took_ms: 0,
                head: head.clone(),
            };
            let record = ledger.record_sql(&run.0, &row, epoch, None, false);
            let text = format!("BEGIN; {}; {record}; COMMIT", ledger.hold_sql());
            let answer = self.looked_after(&session, session.simple(&text));
            answer.map_err(|error| self.db_fault(error))?;
        }
        let closing = ledger.close_run(&session, &run.0, (state, &head), report, epoch, files);
        self.looked_after(&session, closing).map_err(|error| self.db_fault(error).into())
    }
}

fn keep_json(folder: &Path, report: &Report) -> Result<(), Fault> {
    let pretty = serde_json::to_string_pretty(report).unwrap_or_default();
    write_atomic(&folder.join("report.json"), pretty.as_bytes())
}

fn keep_markdown(folder: &Path, report: &Report) -> Result<(), Fault> {
    write_atomic(&folder.join("report.md"), markdown(report).as_bytes())
}

/// A path as the user would type it: from the current folder where it is below it.
pub(super) fn as_typed(path: &std::path::Path) -> String {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let below = here.ok().and_then(|here| path.strip_prefix(here).ok());
    below.unwrap_or(path).display().to_string()
}

/// The failure, with the failure of the way back below it.
fn with_more(fault: &Fault, second: Fault) -> Fault {
    let mut fault = fault.clone();
    fault.more.push(second);
    fault
}
