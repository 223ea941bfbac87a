//! The one place that every action passes: describe, decide, perform, record.
//!
//! The mode is asked here and nowhere else. A verb describes its action and hands over how it is
//! performed; whether that happens now, was done before, or is only written into the plan is
//! decided in [`Host::pass`] and [`Host::pass_external`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rhai::Dynamic;
use serde_json::Value;

use super::approval::Terminal;
use super::diagnose::Sources;
use super::effects::{External, changes_database};
use super::planned::{Planned, Tripped};
use super::scope::{Deferred, Frame, PlannedWrites, UndoEntry};
use super::stop::{Stop, Trouble};
use super::value::{from_json, to_json};
pub use super::worker::Ahead;
use super::worker::Worker;
use crate::config::{Config, Environment};
use crate::journal::{Recorded, Recorder, Replay};
use crate::model::{Action, Effect, EventKind, Fault, ItemKind, Redactor, RunId};
use crate::msg;
use crate::playbook::Playbook;
use crate::postgres::Target;
use crate::system::{Cancel, StateDir};

/// What the road is walked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reads are real, effects are recorded.
    Plan,
    /// Everything is real.
    Run,
    /// Finished steps give their recorded values, so that their undo bodies are known.
    Undo,
}

/// What happens when an item fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The run ends; what stands, stands.
    Stop,
    /// The steps that stand are undone.
    Rollback,
    /// A person decides.
    Ask,
}

/// What the command line wishes of a run.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// How long to wait for the lease.
    pub wait: Duration,
    /// End the holder and take the lease.
    pub take_over: bool,
    /// End only this run.
    pub take_over_run: Option<String>,
    /// What happens on failure.
    pub on_failure: OnFailure,
    /// Run again what was done.
    pub again: bool,
    /// Go on although inputs changed.
    pub accept_changes: bool,
    /// This database counts, although a file knows of more or of another server.
    pub accept_database: bool,
    /// A strange server goes unprotected.
    pub unprotected: bool,
    /// The code of the plan that was approved.
    pub approve: Option<String>,
    /// A plan that goes well is approved.
    pub sign: Option<super::Sign>,
    /// Why a guard is overridden.
    pub reason: Option<String>,
    /// Stop after this item.
    pub until: Option<String>,
    /// Behind a transaction pooler: transactional steps only.
    pub allow_pooler: bool,
    /// The run to go on with.
    pub resume: Option<RunId>,
}

/// Everything a host is built from.
pub struct HostSetup {
    /// What the road is walked for.
    pub mode: Mode,
    /// The project's folder.
    pub project: PathBuf,
    /// The state folder, where each run has a folder of its own.
    pub state: StateDir,
    /// The project's configuration.
    pub config: Config,
    /// The chosen environment.
    pub environment: Environment,
    /// The database.
    pub target: Option<Target>,
    /// The playbook.
    pub playbook: Playbook,
    /// `--set name=value`.
    pub set: Vec<(String, String)>,
    /// What the command line wishes.
    pub wishes: Wishes,
    /// Blanks secrets.
    pub redactor: Redactor,
    /// Whom to ask.
    pub terminal: Terminal,
    /// Stops the run.
    pub cancel: Cancel,
    /// Titles of items that ask a person, found without running.
    pub asks: Vec<String>,
    /// What the playbook's text shows of its risks, found without running.
    pub foretold: super::policy::Foresight,
    /// True where the playbook catches errors: steps then need savepoints.
    pub catches: bool,
    /// The connection, where it is on its way already.
    pub ahead: Option<Ahead>,
    /// The database is a copy, and everything else is left alone.
    pub rehearsal: Option<super::rehearsed::Rehearsal>,
}

/// What stands between a script and the world. One per run, on the script's thread.
pub struct Host {
    /// What it was built from.
    pub setup: HostSetup,
    mode: Cell<Mode>,
    pub(super) runtime: Arc<tokio::runtime::Runtime>,
    /// A connection on its way.
    pub(super) ahead: RefCell<Option<Ahead>>,
    pub(super) recorder: RefCell<Recorder>,
    pub(super) worker: RefCell<Option<Worker>>,
    pub(super) frames: RefCell<Vec<Frame>>,
    pub(super) section: RefCell<Option<String>>,
    pub(super) titles: RefCell<Vec<String>>,
    pub(super) known_titles: RefCell<HashSet<String>>,
    pub(super) number: Cell<u32>,
    pub(super) replay: RefCell<Replay>,
    pub(super) before: RefCell<Vec<Recorded>>,
    pub(super) reads: Cell<u32>,
    pub(super) undos: RefCell<Vec<UndoEntry>>,
    pub(super) always: RefCell<Vec<Deferred>>,
    pub(super) on_failure: RefCell<Vec<Deferred>>,
    pub(super) planned: RefCell<PlannedWrites>,
    pub(super) begun: RefCell<Option<super::begin::Begun>>,
    pub(super) run: RefCell<RunId>,
    /// The epoch that this process holds, or held when its connection broke.
    pub(super) epoch: Cell<Option<i64>>,
    pub(super) failed: RefCell<Option<Rc<Fault>>>,
    pub(super) closing: Cell<bool>,
    pub(super) verify_failed: Cell<bool>,
    pub(super) stopped: Cell<bool>,
    pub(super) last_changes: Cell<bool>,
    pub(super) stood_before: Cell<bool>,
    /// Steps that failed after effects of theirs had taken place.
    pub(super) partly: RefCell<Vec<String>>,
    pub(super) nothing_to_do: Cell<bool>,
    pub(super) rolled_back: Cell<bool>,
    /// A person said that this database counts.
    pub(super) accepted: Cell<bool>,
    /// Effects that only the file knows: made known to the ledger again.
    pub(super) lost_effects: RefCell<Vec<crate::journal::Announced>>,
    /// The server that the run is on.
    pub(super) server: RefCell<Option<Value>>,
    /// Was there a ledger before this run?
    pub(super) ledger_was_there: Cell<bool>,
    /// Somebody approved what the run began with.
    pub(super) approved: Cell<bool>,
    /// Who approved it, and whether a backup was made: what the policy asks for.
    pub(super) cleared: super::approval::approved::Cleared,
    /// A rollback was asked for, and nothing of the run was undone.
    pub(super) left: Cell<bool>,
    /// How the run stood before this process took it up.
    pub(super) stood: Cell<Option<crate::journal::RunState>>,
    pub(super) back: RefCell<super::undo::Back>,
    /// What was read of the ledger as the connection was made, until it is asked for.
    pub(super) known: RefCell<Option<crate::journal::Known>>,
    /// What was read of the ledger and not replayed yet.
    pub(super) known_rows: RefCell<Option<super::look::RowsOfRun>>,
    /// What the file of the probable last run told while the server answered.
    pub(super) foreseen: RefCell<Option<(RunId, crate::journal::Account)>>,
    /// Inside of a wait, what is reported is shown at once.
    pub(super) waiting: Cell<bool>,
    pub(super) behind: RefCell<Option<super::tidy::Behind>>,
    /// The step that committed last, and the snapshot behind its COMMIT.
    pub(super) snapshot: RefCell<Option<(String, String)>>,
    /// The transaction that the item which runs has, or had.
    pub(super) xid: RefCell<Option<String>>,
    pub(super) remedies: RefCell<BTreeMap<String, String>>,
    /// Texts of the playbook and everything it imports.
    pub sources: Rc<Sources>,
    /// The run's dump takes the place of its database: the ledger goes back with it.
    pub(super) restoring: Cell<bool>,
    /// When the lease's lock was looked at last.
    pub(super) lock_looked_at: Cell<Option<std::time::Instant>>,
    /// A COMMIT of this run waited for a synchronous standby.
    pub(super) unreplicated: Cell<bool>,
    /// Named locks for the rest of the run.
    pub(super) locks: RefCell<Vec<super::keep::NamedLock>>,
    pub(super) lock_watch: super::blockers::LockWatch,
    /// Where the step that runs began, in a rehearsal.
    pub(super) measuring: RefCell<super::measure::Measuring>,
    /// What a rehearsal has proven of this playbook.
    pub(super) proof: std::cell::OnceCell<super::policy::proof::Proof>,
    /// The risk that `playbook(..)` declares.
    pub(super) risk: Cell<Option<crate::model::Risk>>,
    /// How often a connection was tried, the one that was made included.
    pub(super) attempts: Cell<u32>,
    /// Nobody is there to ask: the playbook says so.
    pub(super) unattended: Cell<bool>,
    /// What stopped the script for good: a comparison in a sort swallows every error.
    pub(super) fallen: RefCell<Option<Rc<Fault>>>,
    pub(super) remarks: Cell<u32>,
    /// Verbs that were called so far.
    pub(super) calls: Cell<u64>,
    tripped: Tripped,
}

impl Host {
    /// A host on the calling thread.
    ///
    /// # Errors
    /// `internal` where the runtime cannot be made; `read-failed` where the state folder is not
    /// readable.
    pub fn new(
        mut setup: HostSetup,
        recorder: Recorder,
        sources: Rc<Sources>,
    ) -> Result<Rc<Self>, Fault> {
        let ahead = setup.ahead.take();
        let (runtime, run) = Ahead::begun(ahead.as_ref(), &setup)?;
        let remedies = setup.config.remedies.clone();
        Ok(Rc::new(Self {
            mode: Cell::new(setup.mode),
            runtime,
            ahead: RefCell::new(ahead),
            recorder: RefCell::new(recorder),
            worker: RefCell::default(),
            frames: RefCell::default(),
            section: RefCell::default(),
            titles: RefCell::default(),
            known_titles: RefCell::default(),
            number: Cell::new(0),
            replay: RefCell::default(),
            before: RefCell::default(),
            reads: Cell::new(0),
            undos: RefCell::default(),
            always: RefCell::default(),
            on_failure: RefCell::default(),
            planned: RefCell::default(),
            begun: RefCell::default(),
            run: RefCell::new(run),
            epoch: Cell::new(None),
            failed: RefCell::default(),
            closing: Cell::new(false),
            verify_failed: Cell::new(false),
            stopped: Cell::new(false),
            last_changes: Cell::new(false),
            stood_before: Cell::new(false),
            partly: RefCell::default(),
            nothing_to_do: Cell::new(false),
            rolled_back: Cell::new(false),
            accepted: Cell::new(false),
            lost_effects: RefCell::default(),
            server: RefCell::default(),
            ledger_was_there: Cell::new(false),
            approved: Cell::new(false),
            cleared: super::approval::approved::Cleared::default(),
            left: Cell::new(false),
            stood: Cell::new(None),
            back: RefCell::default(),
            known: RefCell::default(),
            known_rows: RefCell::default(),
            foreseen: RefCell::default(),
            waiting: Cell::new(false),
            behind: RefCell::default(),
            snapshot: RefCell::default(),
            xid: RefCell::default(),
            remedies: RefCell::new(remedies),
            sources,
            restoring: Cell::new(false),
            lock_looked_at: Cell::new(None),
            unreplicated: Cell::new(false),
            locks: RefCell::default(),
            lock_watch: super::blockers::LockWatch::default(),
            measuring: RefCell::default(),
            proof: std::cell::OnceCell::new(),
            risk: Cell::new(None),
            attempts: Cell::new(1),
            unattended: Cell::new(false),
            fallen: RefCell::default(),
            remarks: Cell::new(0),
            calls: Cell::new(0),
            tripped: Tripped::default(),
            setup,
        }))
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.mode.get()
    }

    /// A rollback has met every finished step; from here on effects are real.
    pub(super) fn replaying_is_over(&self) {
        self.mode.set(Mode::Run);
        self.replay.borrow_mut().end();
    }

    /// Where interpolated planned values leave their mark.
    pub fn tripped(&self) -> Tripped {
        self.tripped.clone()
    }

    /// The mark, taken off.
    pub fn take_tripped(&self) -> Option<String> {
        self.tripped.borrow_mut().take()
    }

    /// The run's id.
    pub fn run_id(&self) -> RunId {
        self.run.borrow().clone()
    }

    /// The run's folder.
    pub fn run_folder(&self) -> PathBuf {
        self.setup.state.run_dir(&self.run.borrow())
    }

    /// Lets an action of the database or without effect pass. `perform` is called where the
    /// decision is to perform.
    ///
    /// # Errors
    /// What `perform` raises, and `write-outside-step`, `write-in-check`, `mixed-effects`, and what
    /// the policy refuses.
    pub fn pass(
        self: &Rc<Self>,
        action: Action,
        planned_argument: Option<Planned>,
        perform: impl FnOnce() -> Result<Value, Trouble>,
    ) -> Result<Dynamic, Trouble> {
        self.may_go_on()?;
        if !self.in_step_transaction() {
            self.tell()?;
        }
        match action.effect {
            Effect::None if planned_argument.is_none() => perform().map(from_json),
            Effect::None => self.will_check(&action, planned_argument),
            Effect::Read => self.pass_read(action, planned_argument, perform),
            Effect::Write => {
                self.write_may_happen(&action)?;
                if self.mode() == Mode::Plan {
                    return self.record_planned(action);
                }
                self.within_policy(&action)?;
                self.still_the_same(&action)?;
                self.note_effect(&action)?;
                perform().map(from_json)
            }
            Effect::External => Err(Fault::failed("internal", "external action in pass").into()),
        }
    }

    fn pass_read(
        self: &Rc<Self>,
        action: Action,
        planned_argument: Option<Planned>,
        perform: impl FnOnce() -> Result<Value, Trouble>,
    ) -> Result<Dynamic, Trouble> {
        if self.mode() == Mode::Plan {
            if planned_argument.is_some() || self.planned.borrow().concern(&action) {
                return self.will_check(&action, planned_argument);
            }
            return match perform() {
                Err(Trouble::Fault(fault)) if self.planned.borrow().explain(&fault) => {
                    self.will_check(&action, None)
                }
                other => other.map(from_json),
            };
        }
        if !self.frames.borrow().is_empty() || self.closing.get() {
            return perform().map(from_json);
        }
        // A read outside of items: a resumed run must see what the first one saw.
        let call = format!(
            "{} {} {}",
            action.verb,
            action.target,
            action.statement.as_deref().unwrap_or("")
        );
        let call = call.split_whitespace().collect::<Vec<_>>().join(" ");
        let in_tail = self.replay.borrow().in_tail();
        if let Some(value) = self.replay.borrow_mut().read(&call)? {
            if in_tail && self.mode() == Mode::Run {
                // A step that was appended since is recorded behind it.
                self.before.borrow_mut().push(Recorded::Read { call, value: value.clone() });
            } else {
                self.before.borrow_mut().clear();
            }
            return Ok(from_json(value));
        }
        let value = perform()?;
        self.reads.set(self.reads.get() + 1);
        self.before.borrow_mut().push(Recorded::Read { call: call.clone(), value: value.clone() });
        self.emit(EventKind::Read { ordinal: self.reads.get(), call, value: value.clone() })?;
        Ok(from_json(value))
    }

    /// Lets an effect outside the run's transaction pass: announced before, settled after, and
    /// asked about where nobody knows.
    ///
    /// # Errors
    /// What performing raises, `intent-open` where a person has to say whether it happened.
    pub fn pass_external(
        self: &Rc<Self>,
        external: External<'_>,
        planned_argument: Option<Planned>,
    ) -> Result<Dynamic, Trouble> {
        self.may_go_on()?;
        self.write_may_happen(&external.action)?;
        if self.mode() == Mode::Plan {
            let _ = planned_argument;
            return self.record_planned(external.action);
        }
        self.within_policy(&external.action)?;
        self.still_the_same(&external.action)?;
        self.note_effect(&external.action)?;
        let changes = external.action.opaque || !external.action.touches.is_empty();
        let value = self.announce_and_perform(external, changes)?;
        Ok(from_json(value))
    }

    fn record_planned(&self, action: Action) -> Result<Dynamic, Trouble> {
        self.planned.borrow_mut().add(&action);
        let changes = changes_database(&action);
        let what = if action.target.is_empty() {
            action.verb.clone()
        } else {
            format!("{} {}", action.verb, action.target)
        };
        self.emit(EventKind::Action { action, planned: true })?;
        if let Some(frame) = self.frames.borrow_mut().last_mut() {
            frame.planned_effects += 1;
            frame.changes |= changes;
        }
        Ok(Dynamic::from(Planned::new(what)))
    }

    /// Is this a plan, inside an item of which something was recorded instead of done?
    pub fn only_planned(&self) -> bool {
        let frames = self.frames.borrow();
        let item = frames.last().filter(|_| self.mode() == Mode::Plan);
        item.is_some_and(|frame| frame.will_check || frame.item.kind == ItemKind::Step)
    }

    fn will_check(&self, action: &Action, argument: Option<Planned>) -> Result<Dynamic, Trouble> {
        let shown = action.statement.as_deref().unwrap_or(&action.target);
        let words = std::iter::once(action.verb.as_str()).chain(shown.split_whitespace());
        let what = words.collect::<Vec<_>>().join(" ");
        self.emit(EventKind::WillCheck { what: what.clone() })?;
        if let Some(frame) = self.frames.borrow_mut().last_mut() {
            frame.will_check = true;
        }
        Ok(Dynamic::from(Planned::new(argument.map_or(what, |planned| planned.what))))
    }

    /// Ctrl-C, a failed item, the end of a replay: nothing passes any more.
    ///
    /// # Errors
    /// The stop.
    pub fn may_go_on(&self) -> Result<(), Trouble> {
        if let Some(what) = self.take_tripped() {
            return Err(Stop::Decided(what).into());
        }
        if self.setup.cancel.is_cancelled() && !self.closing.get() {
            return Err(Stop::Failed(Rc::new(self.interrupted())).into());
        }
        if let (Some(fault), false) = (&*self.fallen.borrow(), self.closing.get()) {
            return Err(Stop::Failed(fault.clone()).into());
        }
        if self.begun.borrow().is_none() {
            return Err(Fault::usage("no-playbook", msg!("host.no-playbook"))
                .remedy(msg!("host.no-playbook.remedy"))
                .into());
        }
        Ok(())
    }

    /// The value as it will be recorded: what the script sees now is what a resumed run sees.
    ///
    /// # Errors
    /// `not-recordable`.
    pub fn normalised(&self, value: &Dynamic) -> Result<Value, Fault> {
        Ok(self.setup.redactor.clean_value(&to_json(value)?))
    }
}
