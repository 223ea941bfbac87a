//! One walk on the copy: forward, back, or forward again; and what its events say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::night::Wanted;
use super::told::{PassTold, Progress, StepTold};
use crate::config::Expect;
use crate::engine::{Ended, Limits, RoadSetup, walk, walk_back_by_restore};
use crate::host::{HostSetup, Mode, OnFailure, Rehearsal, Terminal, Wishes};
use crate::model::{
    EventKind, Fault, FinalState, ItemKind, ItemState, LockWait, Measured, RunEvent, RunId,
    format_span,
};
use crate::msg;
use crate::postgres::Target;
use crate::report::{Silent, Sink};
use crate::system::StateDir;

/// How long a pass waits for the lease: a killed runner's session takes a moment to end.
const WAIT: Duration = Duration::from_secs(60);

/// Is told how far it is; also from the script's thread.
pub(super) type Tell = Arc<dyn Fn(&Progress) + Send + Sync>;

/// What is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `plan`
    Plan,
    /// `run`
    Forward,
    /// `rollback RUN`
    Back,
    /// `rollback RUN --restore`
    Restore,
}

/// A walk that ended.
pub(super) struct Passed {
    pub(super) run: RunId,
    pub(super) events: Vec<RunEvent>,
    pub(super) told: PassTold,
}

impl Passed {
    pub(super) fn went_well(&self) -> bool {
        self.told.exit == 0
    }

    /// How the run said that it ended.
    pub(super) fn state(&self) -> Option<FinalState> {
        self.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::RunFinished { state, .. } => Some(*state),
            _ => None,
        })
    }
}

/// Where a walk takes place.
pub(super) struct Place<'a> {
    pub(super) target: Target,
    pub(super) state: &'a StateDir,
}

/// Walks.
///
/// # Errors
/// Faults found before the run began.
pub(super) fn pass(
    wanted: &Wanted,
    place: Place<'_>,
    way: Way,
    resume: Option<RunId>,
    quiet: bool,
) -> Result<Passed, Fault> {
    let kept = Kept { events: Arc::default(), tell: wanted.tell.clone(), quiet };
    let events = kept.events.clone();
    let started = Instant::now();
    let ended = walked(wanted, place, way, resume, Box::new(kept))?;
    let took_ms = started.elapsed().as_millis() as u64;
    let events = std::mem::take(&mut *events.lock().unwrap_or_else(PoisonError::into_inner));
    let told = told(&events, ended.exit, took_ms);
    Ok(Passed { run: ended.run, events, told })
}

fn walked(
    wanted: &Wanted,
    place: Place<'_>,
    way: Way,
    resume: Option<RunId>,
    sink: Box<dyn Sink>,
) -> Result<Ended, Fault> {
    let mode = match way {
        Way::Plan => Mode::Plan,
        Way::Forward => Mode::Run,
        Way::Back | Way::Restore => Mode::Undo,
    };
    let host = host(wanted, place.target, place.state.clone(), mode, resume);
    let setup = RoadSetup { host, sink, limits: Limits::default(), last: false };
    match way {
        Way::Restore => walk_back_by_restore(setup, wanted.id.clone(), wanted.id.clone(), None),
        Way::Plan | Way::Forward | Way::Back => walk(setup),
    }
}

/// Locks as a plan foretells them, "ACCESS EXCLUSIVE on users" by the title of the step. Steps that
/// the plan cannot see into, or does not come to, are left out.
pub(super) fn foretold(wanted: &Wanted, place: Place<'_>) -> BTreeMap<String, Vec<String>> {
    let kept = Kept { events: Arc::default(), tell: Arc::new(|_| {}), quiet: true };
    let events = kept.events.clone();
    let Ok(_) = walked(wanted, place, Way::Plan, None, Box::new(kept)) else {
        return BTreeMap::new();
    };
    let (mut found, mut item) = (BTreeMap::<String, Vec<String>>::new(), String::new());
    let mut unseen = Vec::new();
    for event in events.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        match &event.kind {
            EventKind::ItemStarted { item: begun } => item.clone_from(&begun.title),
            EventKind::Action { action, .. } => {
                found.entry(item.clone()).or_default().extend(action.locks.iter().cloned());
                if action.opaque {
                    unseen.push(item.clone());
                }
            }
            _ => {}
        }
    }
    found.retain(|title, _| !unseen.contains(title));
    found
}

/// One forward walk on a copy that somebody else has made: what a rehearsal kills and resumes.
///
/// # Errors
/// As [`walk`].
pub fn inner_run(
    wanted: &Wanted,
    target: Target,
    state: &StateDir,
    resume: Option<RunId>,
) -> Result<u8, Fault> {
    let place = Place { target, state };
    walked(wanted, place, Way::Forward, resume, Box::new(Silent)).map(|ended| ended.exit)
}

fn host(
    wanted: &Wanted,
    target: Target,
    state: StateDir,
    mode: Mode,
    resume: Option<RunId>,
) -> HostSetup {
    let mut environment = wanted.environment.clone();
    let commands = std::mem::take(&mut environment.rehearsal_commands);
    // The guards are the source's: the copy is nobody's.
    (environment.protected, environment.unprotected) = (false, true);
    environment.expect = Expect::default();
    environment.url = None;
    let mut config = wanted.config.clone();
    config.backup.dir = state.root().join("backups");
    config.backup.keep = None;
    config.state_dir = state.root().to_path_buf();
    HostSetup {
        mode,
        project: wanted.project.clone(),
        state,
        config,
        environment,
        target: Some(target),
        playbook: wanted.playbook.clone(),
        set: wanted.set.clone(),
        wishes: Wishes {
            wait: WAIT,
            take_over: false,
            take_over_run: None,
            on_failure: OnFailure::Stop,
            again: wanted.again && resume.is_none() && mode == Mode::Run,
            accept_changes: false,
            accept_database: false,
            unprotected: false,
            approve: None,
            sign: None,
            reason: None,
            until: None,
            allow_pooler: false,
            resume,
        },
        redactor: wanted.redactor.clone(),
        // Nobody is asked: what people would be asked is listed.
        terminal: Terminal { interactive: false, yes: true },
        cancel: wanted.cancel.clone(),
        asks: Vec::new(),
        foretold: Default::default(),
        ahead: None,
        catches: wanted.catches,
        rehearsal: Some(Rehearsal { commands }),
    }
}

fn told(events: &[RunEvent], exit: u8, took_ms: u64) -> PassTold {
    let mut measured: BTreeMap<&str, &Measured> = BTreeMap::new();
    let mut told = PassTold { exit, took_ms, steps: Vec::new(), held: 0, fault: None };
    let (mut dumped, mut waited) = (None, Vec::new());
    for event in events {
        match &event.kind {
            EventKind::Measured { item, measured: found } => {
                measured.insert(item, found);
            }
            EventKind::Temporary { item, bytes } => {
                let title = item.strip_prefix("undo: ").unwrap_or(item);
                let step = told.steps.iter_mut().rfind(|step| step.title == title);
                if let Some(measured) = step.and_then(|step| step.measured.as_mut()) {
                    measured.temp_bytes = Some(*bytes);
                }
            }
            // Those who prove a dump name its files again, but not the database.
            EventKind::Backup { backup } if backup.database.is_some() => {
                let bytes: u64 = backup.files.iter().filter_map(|file| file.bytes).sum();
                *dumped.get_or_insert(0) += bytes;
            }
            EventKind::LockWaits { waits, .. } => waited.clone_from(waits),
            EventKind::ItemFinished { item, outcome, took_ms, .. } => {
                let (backup_bytes, waits) = (dumped.take(), std::mem::take(&mut waited));
                let failed = match outcome {
                    ItemState::Failed { fault, .. } => Some(fault.message.clone()),
                    ItemState::Done { .. } => None,
                    _ => continue,
                };
                match item.kind {
                    ItemKind::Check | ItemKind::Verify if failed.is_none() => told.held += 1,
                    ItemKind::Manual | ItemKind::Approve => {}
                    _ => {
                        let title = item.title.strip_prefix("undo: ").unwrap_or(&item.title);
                        let mut measured = measured.remove(item.title.as_str()).cloned();
                        for lock in measured.iter_mut().flat_map(|found| &mut found.locks) {
                            let of = |wait: &&LockWait| wait.relation.as_ref() == Some(&lock.table);
                            lock.waited_ms =
                                waits.iter().filter(of).map(|wait| wait.waited_ms).sum();
                        }
                        told.steps.push(StepTold {
                            title: title.into(),
                            took_ms: *took_ms,
                            measured,
                            failed,
                            takes: item.takes.clone(),
                            waits,
                            backup_bytes,
                        });
                    }
                }
            }
            EventKind::RunFinished { fault, .. } => {
                told.fault = fault.as_deref().cloned();
            }
            _ => {}
        }
    }
    told
}

/// Keeps the events, and says each item that ended.
struct Kept {
    events: Arc<Mutex<Vec<RunEvent>>>,
    tell: Tell,
    /// Says failures alone: it is the same once more.
    quiet: bool,
}

impl Sink for Kept {
    fn event(&mut self, event: &RunEvent) {
        if let EventKind::ItemFinished { item, outcome, took_ms, .. } = &event.kind {
            let mark = match outcome {
                ItemState::Failed { .. } => Some("✗"),
                ItemState::Done { .. } if !self.quiet => Some("✓"),
                ItemState::NotAttested if !self.quiet => Some("·"),
                _ => None,
            };
            let took = format_span(Duration::from_millis(*took_ms));
            let text = match outcome {
                ItemState::NotAttested => msg!("rehearsal.not-asked", title = item.title),
                _ => format!("{}  {took}", item.title),
            };
            if let Some(mark) = mark {
                (self.tell)(&Progress { phase: "item", text: format!("  {mark} {text}") });
            }
        }
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }

    fn finish(&mut self) {}
}

/// The folder of a walk's own state, below the copy's.
///
/// # Errors
/// As [`StateDir::open`].
pub(super) fn state_folder(work: &Path, number: u32) -> Result<StateDir, Fault> {
    StateDir::open(&work.join(format!("state-{number}")))
}
