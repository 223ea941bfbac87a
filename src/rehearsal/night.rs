//! The order of a rehearsal: copy, forward, back, compare, forward again, once more; then the
//! receipt and the report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::copy::{Copy, Source, shown};
use super::disk::disk_need;
use super::evidence::touched;
use super::passes::{Passed, Place, Tell, Way, foretold, pass, state_folder};
use super::told::{Outcome, Progress};
use super::verdict::{against_start, lines, print};
use super::{crash, downtime, paper};
use crate::config::{Config, Environment};
use crate::journal::WayBackWord;
use crate::model::{
    EventKind, Fault, FinalState, ItemState, Redactor, RunEvent, RunId, format_span, quote_ident,
};
use crate::msg;
use crate::playbook::Playbook;
use crate::postgres::{ConnectOptions, Fingerprint, Target, connect};
use crate::system::{Cancel, StateDir, moment, new_run_id, runtime, write_atomic};

/// What is to be rehearsed, and how.
pub struct Wanted {
    /// The project's folder.
    pub project: PathBuf,
    /// The project's own state folder: receipts and reports.
    pub state: StateDir,
    /// The project's configuration.
    pub config: Config,
    /// The environment whose parameters and commands are used.
    pub environment: Environment,
    /// The playbook.
    pub playbook: Playbook,
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// True where it catches errors.
    pub catches: bool,
    /// `--set name=value`.
    pub set: Vec<(String, String)>,
    /// Blanks secrets.
    pub redactor: Redactor,
    /// Stops it.
    pub cancel: Cancel,
    /// What is copied.
    pub source: Source,
    /// The server that the copy is made on; None: a private one.
    pub on: Option<Box<Target>>,
    /// Keep so many percent of the rows of large tables; None: all.
    pub sample: Option<f64>,
    /// Make rows where only the schema is copied.
    pub generate: bool,
    /// Run anew what the source's ledger calls done.
    pub again: bool,
    /// Arguments of this very program that walk the same playbook on a copy; None: nothing is
    /// killed.
    pub crash: Option<Vec<String>>,
    /// Is told how far it is.
    pub tell: Tell,
}

impl Wanted {
    pub(super) fn tell(&self, phase: &'static str, text: &str) {
        (self.tell)(&Progress { phase, text: text.into() });
    }

    fn source_shown(&self) -> String {
        match &self.source {
            Source::Server { target, .. } => target.display(),
            Source::Dump { path, .. } => path.display().to_string(),
        }
    }
}

/// A rehearsal that ended, with its copy.
pub struct Rehearsed {
    /// What it found out.
    pub outcome: Outcome,
    /// The copy; it is removed when this is dropped.
    pub copy: Copy,
}

/// Rehearses. The source is only read.
///
/// # Errors
/// No copy can be made, or Ctrl-C. How the playbook itself fares is in the outcome.
pub fn rehearse(wanted: &Wanted) -> Result<Rehearsed, Fault> {
    let runtime = runtime()?;
    let started = moment();
    let copy = Copy::make(wanted, &runtime)?;
    copy.fresh()?;
    let mut night = Night::new(wanted, &runtime, &copy, started)?;
    night.play()?;
    wanted.cancel.check()?;
    let mut outcome = night.outcome;
    keep(wanted, &mut outcome)?;
    Ok(Rehearsed { outcome, copy })
}

/// What a rehearsal has in hand while it goes on.
pub(super) struct Night<'a> {
    pub(super) wanted: &'a Wanted,
    runtime: &'a Runtime,
    pub(super) copy: &'a Copy,
    pub(super) start: Fingerprint,
    state: StateDir,
    states: u32,
    /// Locks as a plan on the copy foretold them, by step.
    foretold: BTreeMap<String, Vec<String>>,
    /// Titles of the items that act on something that is not the copy.
    pub(super) outside: BTreeSet<String>,
    pub(super) outcome: Outcome,
}

impl<'a> Night<'a> {
    fn new(
        wanted: &'a Wanted,
        runtime: &'a Runtime,
        copy: &'a Copy,
        started: String,
    ) -> Result<Self, Fault> {
        let ledger = &wanted.config.ledger_schema;
        let start = print(runtime, &copy.admin(&copy.database)?, ledger)?;
        let (tables, rows) = (start.tables.len(), start.rows());
        let with_rows = !matches!(&wanted.source, Source::Server { with_rows: false, .. });
        let bytes = runtime.block_on(size_of(&copy.admin(&copy.database)?))?;
        let took = format_span(Duration::from_millis(copy.took_ms));
        wanted.tell("copy", &msg!("rehearsal.copied", tables = tables, rows = rows, took = took));
        let (major, minor) = (copy.source_version / 10_000, copy.source_version % 10_000);
        let outcome = Outcome {
            rehearsal: new_run_id().0,
            playbook: wanted.id.clone(),
            title: wanted.title.clone(),
            name: wanted.playbook.name.clone(),
            environment: wanted.environment.name.clone(),
            source: wanted.source_shown(),
            with_rows,
            started,
            versions: (shown((major, minor)), shown(copy.version())),
            size: (tables, rows, bytes),
            copy_ms: copy.took_ms,
            left_out: copy.left_out.clone(),
            forward: None,
            back: None,
            restore: None,
            again: None,
            second: None,
            downtime: Vec::new(),
            estimates: Vec::new(),
            lock_differences: Vec::new(),
            disk: None,
            way_back: WayBackWord::Unproven,
            lost: Vec::new(),
            difference: None,
            repeatable: false,
            varying: Vec::new(),
            not_done: Vec::new(),
            asked: Vec::new(),
            crashes: Vec::new(),
            nothing_to_do: false,
            exit: 0,
            fault: None,
            receipt: None,
            report: None,
        };
        let state = state_folder(&copy.folder(), 1)?;
        Ok(Self {
            wanted,
            runtime,
            copy,
            start,
            state,
            states: 1,
            foretold: BTreeMap::new(),
            outside: BTreeSet::new(),
            outcome,
        })
    }

    fn play(&mut self) -> Result<(), Fault> {
        let before = self.known_runs()?;
        let place = Place { target: self.copy.target()?, state: &self.state };
        self.foretold = foretold(self.wanted, place);
        let forward = self.pass("forward", Way::Forward, None)?;
        self.outside(&forward.events);
        if forward.state() == Some(FinalState::NothingToDo) {
            self.outcome.nothing_to_do = true;
            self.outcome.forward = Some(forward.told);
            return Ok(());
        }
        self.outcome.forward = Some(forward.told.clone());
        if !forward.went_well() {
            self.outcome.exit = if forward.told.exit == 2 { 2 } else { 1 };
            self.outcome.fault = forward.told.fault.clone();
            return Ok(());
        }
        let done = self.print()?;
        if before.contains(&forward.run.0) {
            // The steps that are new belong to a run that was there: its way back goes further.
            self.outcome.lost.push(msg!("rehearsal.lost.older-run"));
        } else {
            self.go_back(&forward)?;
        }
        let again = self.forward_again(&done)?;
        self.reckon();
        if let Some(again) = again {
            let touched = touched(&forward.events);
            self.crash(&done)?;
            if self.outcome.exit == 1 {
                return Ok(());
            }
            let receipt = self.receipt(&forward, &again, &done, touched)?;
            let path = receipt.write(&self.wanted.state)?;
            self.outcome.receipt = Some(path.display().to_string());
        }
        Ok(())
    }

    /// What the night costs those who use the tables.
    fn reckon(&mut self) {
        let Some(forward) = &self.outcome.forward else { return };
        let (again, larger) = (self.outcome.again.as_ref(), &self.copy.larger);
        let resolve = |name: &str| downtime::resolved(name, &self.start.schema);
        let downtime = downtime::downtime(forward, again, larger);
        let estimates = downtime::estimates(forward, again, larger);
        let differences = downtime::lock_differences(forward, &self.foretold, resolve);
        let disk = self.outcome.with_rows.then(|| disk_need(forward, larger, self.copy.whole));
        (self.outcome.downtime, self.outcome.estimates) = (downtime, estimates);
        (self.outcome.lock_differences, self.outcome.disk) = (differences, disk);
    }

    fn pass(&mut self, phase: &'static str, way: Way, run: Option<RunId>) -> Result<Passed, Fault> {
        let text = match phase {
            "forward" => msg!("rehearsal.phase.forward"),
            "back" => msg!("rehearsal.phase.back"),
            "restore" => msg!("rehearsal.phase.restore"),
            "again" => msg!("rehearsal.phase.again"),
            _ => msg!("rehearsal.phase.second"),
        };
        self.wanted.tell(phase, &text);
        self.copy.alone()?;
        let place = Place { target: self.copy.target()?, state: &self.state };
        let quiet = matches!(phase, "again" | "second");
        let passed = pass(self.wanted, place, way, run, quiet)?;
        self.wanted.cancel.check()?;
        Ok(passed)
    }

    fn print(&self) -> Result<Fingerprint, Fault> {
        let target = self.copy.admin(&self.copy.database)?;
        print(self.runtime, &target, &self.wanted.config.ledger_schema)
    }

    /// The way back by undo steps; where they cannot be gone, the last rung.
    fn go_back(&mut self, forward: &Passed) -> Result<(), Fault> {
        let run = Some(forward.run.clone());
        let back = self.pass("back", Way::Back, run.clone())?;
        self.outside(&back.events);
        let fault = back.told.fault.clone();
        let went_well = back.went_well();
        self.outcome.back = Some(back.told);
        if went_well {
            return self.judge();
        }
        let missing = fault.as_ref().is_some_and(|fault| fault.code == "no-undo");
        if let Some(fault) = &fault {
            let why = match (&fault.detail, missing) {
                (Some(steps), true) => msg!("rehearsal.lost.no-undo", steps = steps),
                _ => msg!("rehearsal.lost.failed", why = fault.message),
            };
            self.outcome.lost.push(why);
        }
        let dumped = fault.as_ref().and_then(|fault| fault.next.as_deref());
        if missing && dumped.is_some_and(|next| next.contains("--restore")) {
            let rung = self.pass("restore", Way::Restore, run)?;
            let well = rung.went_well();
            self.outcome.restore = Some(rung.told);
            if well {
                self.outcome.lost.clear();
                return self.judge();
            }
        }
        self.outcome.fault = fault;
        self.outcome.exit = 6;
        Ok(())
    }

    /// Is everything as at the start?
    fn judge(&mut self) -> Result<(), Fault> {
        if self.print()?.digest == self.start.digest {
            self.outcome.way_back = WayBackWord::Proven;
            return Ok(());
        }
        let ledger = &self.wanted.config.ledger_schema;
        let difference = against_start(self.runtime, self.copy, ledger)?;
        self.outcome.lost.extend(lines(&difference));
        self.outcome.difference = Some(difference);
        self.outcome.way_back = WayBackWord::Lossy;
        self.outcome.exit = 6;
        Ok(())
    }

    /// Forward once more, and a second run behind it. Gives the run where it went well.
    fn forward_again(&mut self, done: &Fingerprint) -> Result<Option<Passed>, Fault> {
        let undone = self.outcome.way_back == WayBackWord::Proven && self.outcome.restore.is_none();
        if !undone {
            self.begin_anew()?;
        }
        let again = self.pass("again", Way::Forward, None)?;
        self.outcome.again = Some(again.told.clone());
        if !again.went_well() {
            let why =
                again.told.fault.as_ref().map_or(String::new(), |fault| fault.message.clone());
            self.outcome.lost.push(msg!("rehearsal.lost.not-again", why = why));
            self.outcome.fault = again.told.fault;
            self.outcome.way_back = WayBackWord::Lossy;
            self.outcome.exit = 6;
            return Ok(None);
        }
        let print = self.print()?;
        let other =
            |(name, sum): (&String, _)| (print.tables.get(name) != Some(sum)).then(|| name.clone());
        self.outcome.varying = done.tables.iter().filter_map(other).collect();
        let second = self.pass("second", Way::Forward, None)?;
        self.outcome.repeatable = second.went_well() && self.print()?.digest == print.digest;
        self.outcome.second = Some(second.told);
        Ok(Some(again))
    }

    fn begin_anew(&mut self) -> Result<(), Fault> {
        let started = std::time::Instant::now();
        self.copy.fresh()?;
        let took = format_span(started.elapsed());
        self.wanted.tell("copy", &msg!("rehearsal.from-template", took = took));
        self.states += 1;
        self.state = state_folder(&self.copy.folder(), self.states)?;
        Ok(())
    }

    /// Kills a runner behind each item and resumes it.
    fn crash(&mut self, done: &Fingerprint) -> Result<(), Fault> {
        let Some(arguments) = &self.wanted.crash else { return Ok(()) };
        let steps = self.outcome.forward.iter().flat_map(|forward| &forward.steps);
        let titles: Vec<String> = steps.map(|step| step.title.clone()).collect();
        for (title, number) in titles.iter().zip(1..) {
            self.begin_anew()?;
            let at = crash::At { copy: self.copy, state: &self.state, arguments, number, title };
            let Some(mut told) = crash::kill_and_resume(self.wanted, &at)? else { continue };
            let mut print = self.print()?;
            for name in &self.outcome.varying {
                // Rows that are other ones each time: their number has to do.
                let (Some(now), Some(then)) = (print.tables.get_mut(name), done.tables.get(name))
                else {
                    continue;
                };
                if now.rows == then.rows {
                    now.sum.clone_from(&then.sum);
                }
            }
            told.differs = differs(done, &print);
            told.same = told.exit == 0 && told.differs.is_empty();
            if !told.same && self.outcome.exit == 0 {
                self.outcome.exit = 1;
            }
            self.outcome.crashes.push(told);
        }
        Ok(())
    }

    /// What was recorded and not done, and whom people would have asked.
    fn outside(&mut self, events: &[RunEvent]) {
        let mut item = String::new();
        for event in events {
            match &event.kind {
                EventKind::ItemStarted { item: begun } => item.clone_from(&begun.title),
                // Locks are not taken again on the way back, and are no effect.
                EventKind::Action { action, planned: true } if action.verb != "lock" => {
                    let what = action.statement.as_deref().unwrap_or(&action.target);
                    let line = format!("{item}: {} {what}", action.verb);
                    self.outside.insert(item.clone());
                    if !self.outcome.not_done.contains(&line) {
                        self.outcome.not_done.push(line);
                    }
                }
                EventKind::ItemFinished { item, outcome: ItemState::NotAttested, .. } => {
                    self.outcome.asked.push(item.title.clone());
                }
                _ => {}
            }
        }
    }

    /// The runs that the source's ledger knew of this playbook.
    fn known_runs(&self) -> Result<Vec<String>, Fault> {
        let schema = quote_ident(&self.wanted.config.ledger_schema);
        let there = self.ask("SELECT to_regclass($1)::text", &[json!(format!("{schema}.run"))])?;
        if there.is_null() {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT coalesce(json_agg(run), '[]') FROM {schema}.run");
        Ok(serde_json::from_value(self.ask(&sql, &[])?).unwrap_or_default())
    }

    pub(super) fn ask(&self, sql: &str, values: &[Value]) -> Result<Value, Fault> {
        let target = self.copy.admin(&self.copy.database)?;
        self.runtime.block_on(async {
            let session = connect(&target, &ConnectOptions::default()).await?;
            Ok(session.query(sql, values).await?.first().cloned().unwrap_or(Value::Null))
        })
    }
}

async fn size_of(target: &Target) -> Result<u64, Fault> {
    let session = connect(target, &ConnectOptions::default()).await?;
    let size = session.query("SELECT pg_database_size(current_database())", &[]).await?;
    Ok(size.first().and_then(Value::as_u64).unwrap_or(0))
}

/// Names of what is not the same.
fn differs(left: &Fingerprint, right: &Fingerprint) -> Vec<String> {
    let objects = crate::postgres::objects(left, right).into_iter().map(|one| one.what);
    let tables = left.tables.keys().chain(right.tables.keys()).collect::<BTreeSet<_>>();
    let tables =
        tables.into_iter().filter(|name| left.tables.get(*name) != right.tables.get(*name));
    objects.chain(tables.cloned()).collect()
}

/// Writes the report.
fn keep(wanted: &Wanted, outcome: &mut Outcome) -> Result<(), Fault> {
    let folder = wanted.state.folder("rehearsals")?.join(&outcome.rehearsal);
    std::fs::create_dir_all(&folder)
        .map_err(|error| crate::system::write_fault(&folder, &error))?;
    let path = folder.join("report.md");
    outcome.report = Some(path.display().to_string());
    let clean = |text: String| wanted.redactor.clean(&text).into_bytes();
    write_atomic(&path, &clean(paper::markdown(outcome)))?;
    let pretty = serde_json::to_string_pretty(outcome).unwrap_or_default();
    write_atomic(&folder.join("report.json"), &clean(pretty))
}
