//! The way back by undo steps: the undo bodies of finished steps in reverse, each a journaled step
//! of its own. `runsheet rollback RUN` and `--on-failure rollback` go the same road.
//!
//! An undo and the mark that its step is undone are one transaction, so a rollback that was killed
//! is gone on with and undoes nothing twice. Where an undo fails, the next rung is named.

use std::rc::Rc;

use rhai::Engine;

use super::gate::{Host, Mode};
use super::options::ItemOptions;
use super::scope::UndoEntry;
use super::stop::{Stop, Trouble};
use crate::journal::{IntentState, RunState};
use crate::model::{EventKind, Fault, FaultKind, FinalState, ItemKind, RungKind};
use crate::msg;

/// What a way back has to remember of its run.
#[derive(Default)]
pub struct Back {
    /// How the run stood when this process took it up to take it back.
    pub(super) stood: Option<RunState>,
    /// True from the moment before the first undo.
    pub(super) began: bool,
    /// Titles of the steps that are undone, newest first.
    pub(super) undone: Vec<String>,
}

/// A thousand titles say no more than the first ones and how many there are.
const NAMED: usize = 20;

fn named(titles: &[String]) -> String {
    let mut text = titles.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = titles.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text.push_str(&format!(" … (+{more})"));
    }
    text
}

impl Host {
    /// Undoes what stands, newest first.
    ///
    /// # Errors
    /// `no-undo` before anything is undone where a step has no way back; `partly-stands` behind
    /// the last undo where something is left that no undo takes back; the fault of the undo that
    /// failed. Each says what stands and names the next rung.
    pub fn roll_back(self: &Rc<Self>, engine: &Engine) -> Result<(), Fault> {
        let missing: Vec<String> = self.titles_where(|entry| entry.undo.is_none());
        if !missing.is_empty() {
            let fault = Fault::failed("no-undo", msg!("host.no-undo"))
                .detail(named(&missing))
                .cause(msg!("host.no-undo.cause"))
                .remedy(msg!("host.no-undo.remedy"));
            return Err(self.next_rung(fault, None));
        }
        self.mark_rolling_back()?;
        let mut left: Vec<UndoEntry> = std::mem::take(&mut *self.undos.borrow_mut());
        while let Some(mut entry) = left.pop() {
            let Some(undo) = entry.undo.take().filter(|_| entry.changes) else { continue };
            let key = format!("undo: {}", entry.key);
            let title = format!("undo: {}", entry.item.title);
            let options = ItemOptions {
                isolation: entry.options.isolation.clone(),
                lock_timeout: entry.options.lock_timeout.clone(),
                // Who owns what the step made may drop it again.
                role: entry.options.role.clone(),
                ..ItemOptions::default()
            };
            let done =
                self.perform_deferred(engine, ItemKind::Undo, &title, undo, Some(key), options);
            if let Err(trouble) = done {
                left.push(entry);
                *self.undos.borrow_mut() = left;
                return Err(self.undo_failed(trouble));
            }
            self.back.borrow_mut().undone.push(entry.item.title);
        }
        if !self.partly.borrow().is_empty() {
            return Err(self.partly_stands());
        }
        self.emit(EventKind::Note { text: msg!("host.rolled-back-all") })?;
        Ok(())
    }

    /// Reports the rung of a step that changes something: its undo, or that it has none.
    pub(super) fn tell_rung(self: &Rc<Self>, entry: &UndoEntry) -> Result<(), Fault> {
        // Of a finished run it is told once something new happens.
        if !entry.changes || self.comparing() {
            return Ok(());
        }
        let title = entry.item.title.clone();
        let proven = self.proven_way_back(&title);
        let run = (self.mode() != Mode::Plan).then(|| self.run_id());
        self.emit(EventKind::WayBack {
            rung: RungKind::Undo,
            item: Some(title.clone()),
            what: title,
            command: run.map(|run| format!("runsheet rollback {run}")),
            proven,
            blocked: entry.undo.is_none().then(|| msg!("host.no-undo-written")),
            gone: false,
        })
    }

    /// Reports that a run that changed something has no last rung.
    pub(super) fn tell_end_of_ladder(&self) {
        let nothing = self.standing() == 0 && self.back.borrow().undone.is_empty();
        if self.mode() != Mode::Run || nothing || self.dump_of_run().is_some() {
            return;
        }
        let _ = self.emit(EventKind::WayBack {
            rung: RungKind::Restore,
            item: None,
            what: String::new(),
            command: None,
            proven: None,
            blocked: Some(msg!("host.no-whole-dump")),
            gone: false,
        });
    }

    /// Titles of the steps that stand and of which this is true, oldest first.
    fn titles_where(&self, holds: impl Fn(&UndoEntry) -> bool) -> Vec<String> {
        let undos = self.undos.borrow();
        let found = undos.iter().filter(|entry| entry.changes && holds(entry));
        found.map(|entry| entry.item.title.clone()).collect()
    }

    /// From here on the run is neither resumed nor taken for done.
    fn mark_rolling_back(self: &Rc<Self>) -> Result<(), Fault> {
        self.back.borrow_mut().began = true;
        if !self.has_lease() {
            return Ok(());
        }
        let written = self.ledger_write(|ledger, run| ledger.state_sql(run, RunState::RollingBack));
        written.map_err(fault_of)
    }

    fn undo_failed(&self, trouble: Trouble) -> Fault {
        let mut fault = fault_of(trouble);
        if fault.kind == FaultKind::Usage {
            // Something stands, and the exit code has to say so.
            fault.kind = FaultKind::Failed;
        }
        let standing = self.titles_where(|_| true);
        let undone = self.back.borrow().undone.clone();
        let mut said = Vec::new();
        if !undone.is_empty() {
            said.push(msg!("host.these-undone", steps = undone.join(", ")));
        }
        said.push(msg!("host.these-stand", steps = standing.join(", ")));
        fault.done_so_far = Some(said.join("; "));
        let remedy = msg!("host.undo-failed.remedy", left = standing.join(", "));
        let remedy = match fault.remedy.take() {
            Some(first) => format!("{first}\n{remedy}"),
            None => remedy,
        };
        self.next_rung(fault.remedy(remedy), Some(format!("runsheet rollback {}", self.run_id())))
    }

    fn partly_stands(&self) -> Fault {
        let steps = self.partly.borrow().join(", ");
        let fault = Fault::failed("partly-stands", msg!("host.partly-left", steps = steps))
            .cause(msg!("host.partly-left.cause"))
            .remedy(msg!("host.partly-left.remedy"));
        self.next_rung(fault, None)
    }

    /// The fault with the command of the next rung; `first` is to be tried before it.
    fn next_rung(&self, fault: Fault, first: Option<String>) -> Fault {
        let restore = format!("runsheet rollback {} --restore", self.run_id());
        match (self.dump_of_run(), first) {
            (Some(dump), Some(first)) => {
                let known = fault.remedy.clone().unwrap_or_default();
                let more = msg!("host.next-rung", command = restore, dump = dump);
                fault.remedy(format!("{known}\n{more}")).next(first)
            }
            (Some(_), None) => fault.next(restore),
            (None, Some(first)) => {
                let known = fault.remedy.clone().unwrap_or_default();
                fault.remedy(format!("{known}\n{}", msg!("host.no-dump"))).next(first)
            }
            (None, None) => {
                let known = fault.remedy.clone().unwrap_or_default();
                fault.remedy(format!("{known}\n{}", msg!("host.no-dump")))
            }
        }
    }

    /// The first dump of the whole database that this run made: the path of its first file that
    /// can be restored into a new database.
    pub(super) fn dump_of_run(&self) -> Option<String> {
        let replay = self.replay.borrow();
        let mut made: Vec<(String, String)> = replay
            .intents()
            .filter(|row| row.state == IntentState::Done)
            .filter(|row| row.action.get("verb").is_some_and(|verb| verb == "pg::dump"))
            .filter(|row| row.value.get("partial").is_none_or(|partial| partial != true))
            .filter_map(|row| {
                let files = row.value.get("files")?.as_array()?;
                let best = files.iter().find(|file| file["format"] != "plain")?;
                let path = best.get("path")?.as_str()?.to_string();
                // Names begin alike and end with date and time.
                Some((path.rsplit('/').next().unwrap_or(&path).to_string(), path.clone()))
            })
            .collect();
        made.sort();
        made.into_iter().next().map(|(_, path)| path)
    }

    /// `runsheet rollback RUN`, after the script was replayed: shows what will be undone and what
    /// will be lost, asks, undoes, and says how it ended. Gives the exit code.
    pub fn finish_rollback(self: &Rc<Self>, engine: &Engine, script: Option<Fault>) -> u8 {
        if let Some(fault) = script {
            return self.leave(FinalState::FailedSomeStand, Some(&fault));
        }
        self.know_parts();
        let standing = self.standing();
        if standing == 0 && self.partly.borrow().is_empty() {
            let _ = self.emit(EventKind::Note { text: msg!("host.nothing-to-roll-back") });
            return self.close(FinalState::RolledBack, None);
        }
        if let Err(fault) = self.show_way_back() {
            return self.leave(FinalState::FailedSomeStand, Some(&fault));
        }
        let terminal = &self.setup.terminal;
        let protected = self.setup.environment.protected;
        let unable = !self.titles_where(|entry| entry.undo.is_none()).is_empty();
        // Nobody is asked about what cannot be done.
        let agreed = if unable || (terminal.yes && (!protected || self.approved.get())) {
            Ok(true)
        } else {
            self.confirm(&msg!("host.rollback-question", steps = standing))
        };
        match agreed {
            Ok(true) => {}
            Ok(false) => {
                let refused = msg!("host.rollback-refused");
                let fault = Fault::new(FaultKind::Refused, "not-approved", refused);
                return self.leave(FinalState::FailedSomeStand, Some(&fault));
            }
            Err(fault) => return self.leave(FinalState::FailedSomeStand, Some(&fault)),
        }
        self.replaying_is_over();
        match self.roll_back(engine) {
            Ok(()) => self.close(FinalState::RolledBack, None),
            Err(fault) if fault.code == "no-undo" => {
                self.leave(FinalState::FailedSomeStand, Some(&fault))
            }
            Err(fault) => {
                self.stood.set(None);
                self.close(FinalState::FailedSomeStand, Some(&fault))
            }
        }
    }

    /// Nothing was undone: the run stands as it stood, in the ledger and in its report.
    fn leave(self: &Rc<Self>, state: FinalState, fault: Option<&Fault>) -> u8 {
        self.left.set(true);
        self.close(state, fault)
    }

    /// What will be undone and what will be lost, before anybody is asked.
    ///
    /// # Errors
    /// `journal-write`, a lost server.
    pub(super) fn show_way_back(self: &Rc<Self>) -> Result<(), Fault> {
        for title in self.titles_where(|_| true).iter().rev() {
            self.emit(EventKind::Note { text: msg!("host.will-undo", title = title) })?;
        }
        if self.has_lease() && self.standing() > 0 {
            self.keep_snapshot().and_then(|()| self.tell_losses()).map_err(fault_of)?;
        }
        Ok(())
    }

    /// Steps that an earlier process left half done outside of a transaction.
    fn know_parts(&self) {
        let parts = self.replay.borrow().partly().to_vec();
        let mut partly = self.partly.borrow_mut();
        let new: Vec<String> = parts.into_iter().filter(|key| !partly.contains(key)).collect();
        partly.extend(new);
    }

    /// How the ledger has to call the run behind a way back that did not end well.
    pub(super) fn state_of_way_back(&self) -> Option<RunState> {
        let back = self.back.borrow();
        match (back.began, back.stood) {
            (true, _) => Some(RunState::RollingBack),
            // Its process is gone, or we would not have the lease.
            (false, Some(RunState::Running)) => Some(RunState::Failed),
            (false, stood) => stood,
        }
    }

    /// A run whose rollback has begun goes one way only.
    pub(super) fn rollback_begun(&self, run: &str) -> Trouble {
        self.stood_before.set(true);
        Self::fatal(
            Fault::failed("rollback-begun", msg!("host.rollback-begun", run = run))
                .cause(msg!("host.rollback-begun.cause"))
                .next(format!("runsheet rollback {run}")),
        )
    }

    /// Is this process here to take a run back?
    pub(super) fn is_way_back(&self) -> bool {
        self.mode() == Mode::Undo || self.back.borrow().stood.is_some()
    }
}

/// What went wrong, whatever way it came.
pub(super) fn fault_of(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::Fault(fault) => *fault,
        Trouble::Stop(Stop::Failed(fault)) => (*fault).clone(),
        other => Fault::failed("undo-failed", format!("{other:?}")),
    }
}
