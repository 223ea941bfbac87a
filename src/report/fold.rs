//! Folds the events of a run, over all its processes, into its [`Report`].
//!
//! An item is known by its title. A second attempt replaces the evidence of the first; an item
//! that a resume only replays keeps what the first process recorded.

use std::collections::HashMap;

use super::model::{
    BackupReport, Evidence, FaultReport, FileStatements, ItemAction, ItemReport, Process, Report,
    Rung, RungState, SectionReport,
};
use super::reckoning::{ladder, timings};
use super::watch::is_same;
use super::words::name_of;
use crate::model::{EventKind, Item, ItemKind, ItemState, RunEvent, StatementReport, Wait};

/// Evidence of one item beyond which notices are only counted: a server can send one per row.
const EVIDENCE_KEPT: usize = 200;
/// Statements of a file that are all shown; of longer files the slowest.
const STATEMENTS_SHOWN: usize = 50;
const SLOWEST_SHOWN: usize = 20;

impl Report {
    /// The report of the run that these events are of, in their order. Events of other runs do not
    /// belong here; unfinished runs give a report with holes.
    pub fn from_events(events: &[RunEvent]) -> Self {
        let mut folding = Folding::default();
        events.iter().for_each(|event| folding.take(event));
        folding.report()
    }
}

/// A report in the making: events are folded in as they come.
#[derive(Default)]
pub struct Folding {
    report: Report,
    /// Section and index of each item by its title; a run may have thousands.
    places: HashMap<String, (usize, usize)>,
    /// Section and index of the item that is running.
    current: Option<(usize, usize)>,
    /// The running item's first attempt, which comes back where this one only replays.
    earlier: Option<ItemReport>,
    rungs: Vec<Rung>,
    elapsed_ms: u64,
    began: bool,
}

impl Folding {
    /// Folds the next event in.
    pub fn take(&mut self, event: &RunEvent) {
        self.began = true;
        if !matches!(event.kind, EventKind::RunStarted { .. }) {
            self.report.ended.clone_from(&event.at);
            if let Some(process) = self.report.processes.last_mut() {
                process.ended.clone_from(&event.at);
                process.took_ms = event.elapsed_ms;
            }
        }
        self.elapsed_ms = event.elapsed_ms;
        match &event.kind {
            EventKind::RunStarted { .. } => self.begin(event),
            EventKind::Inputs { inputs } => self.report.inputs = inputs.clone(),
            EventKind::Section { title } => {
                self.section(Some(title), false);
            }
            EventKind::ItemStarted { item } => self.item_began(item, &event.at),
            EventKind::ItemFinished { item, outcome, took_ms, xid } => {
                self.item_ended(item, outcome, *took_ms, xid.as_deref(), &event.at);
            }
            EventKind::Action { action, planned } => {
                if let Some(entry) = self.entry() {
                    entry.actions.push(ItemAction { action: action.clone(), planned: *planned });
                }
            }
            EventKind::Statement(statement) => self.statement(statement),
            EventKind::Points { item, points } => {
                if let Some(entry) = self.titled(item) {
                    entry.points.clone_from(points);
                }
            }
            EventKind::Attested { item, attestation } => {
                let fact = Evidence::Attested { attestation: attestation.clone() };
                match self.titled(item) {
                    Some(entry) => entry.attest(attestation),
                    None => self.report.evidence.push(fact),
                }
            }
            EventKind::Backup { backup } => {
                let item = self.entry().map(|entry| entry.item.title.clone());
                self.backup(BackupReport { item, backup: backup.clone() });
            }
            EventKind::WayBack { .. } => self.way_back(&event.kind),
            EventKind::IntentDone { item, ordinal, .. } => self.intent_done(item, *ordinal),
            EventKind::ReportAt { path } => self.report.report = Some(path.clone()),
            EventKind::RunFinished { .. } => self.end(event),
            EventKind::Watched(seen) => seen.waits.iter().for_each(|wait| self.held(wait)),
            other => {
                if let Some(fact) = evidence_of(other) {
                    self.evidence(fact);
                }
            }
        }
    }

    /// A rung is known by what it is; a later event knows better how it stands.
    fn way_back(&mut self, kind: &EventKind) {
        let EventKind::WayBack { rung, item, what, command, proven, blocked, gone } = kind else {
            return;
        };
        let known = self
            .rungs
            .iter()
            .position(|known| known.kind == *rung && known.item == *item && known.what == *what);
        let earlier = known.and_then(|at| self.rungs[at].proven.clone());
        let proven = proven.clone().or(earlier);
        let state = match (gone, blocked, &proven) {
            (true, _, _) => RungState::Done,
            (_, Some(_), _) => RungState::NotPossible,
            (_, _, Some(_)) => RungState::Available,
            _ => RungState::Unproven,
        };
        let rung = Rung {
            kind: *rung,
            item: item.clone(),
            what: what.clone(),
            command: command.clone(),
            proven,
            state,
            why: blocked.clone(),
        };
        match known {
            Some(at) => self.rungs[at] = rung,
            None => self.rungs.push(rung),
        }
    }

    /// A backup that was looked at again is the same backup, known better.
    fn backup(&mut self, backup: BackupReport) {
        let paths = |backup: &BackupReport| -> Vec<String> {
            backup.backup.files.iter().map(|file| file.path.clone()).collect()
        };
        let known = self
            .report
            .backups
            .iter_mut()
            .find(|known| !known.backup.files.is_empty() && paths(known) == paths(&backup));
        match known {
            Some(known) => known.backup.state = backup.backup.state.or(known.backup.state.take()),
            None => self.report.backups.push(backup),
        }
    }

    fn begin(&mut self, event: &RunEvent) {
        let EventKind::RunStarted {
            run,
            mode,
            playbook,
            title,
            file,
            environment,
            target,
            by,
            takes,
            contacts,
            version,
        } = &event.kind
        else {
            return;
        };
        self.current = None;
        self.earlier = None;
        let first = self.report.processes.is_empty();
        let report = &mut self.report;
        report.mode.clone_from(mode);
        report.ended.clone_from(&event.at);
        if first {
            report.run.clone_from(&run.0);
            report.started.clone_from(&event.at);
            report.by.clone_from(by);
        }
        report.playbook.clone_from(playbook);
        report.title.clone_from(title);
        report.file.clone_from(file);
        report.version.clone_from(version);
        report.target = target.clone();
        report.contacts = contacts.clone();
        report.environment = environment.clone().or(report.environment.take());
        report.takes = takes.clone().or(report.takes.take());
        (report.state, report.changed, report.exit) = (None, None, None);
        (report.next, report.fault) = (None, None);
        report.processes.push(Process {
            mode: mode.clone(),
            by: by.clone(),
            started: event.at.clone(),
            ended: event.at.clone(),
            took_ms: event.elapsed_ms,
            state: None,
            exit: None,
        });
    }

    fn end(&mut self, event: &RunEvent) {
        let EventKind::RunFinished { state, changed, exit, next, fault } = &event.kind else {
            return;
        };
        let report = &mut self.report;
        report.state = Some(*state);
        report.changed = Some(*changed);
        report.exit = Some(*exit);
        report.next.clone_from(next);
        report.fault = fault.as_deref().cloned();
        if let Some(process) = report.processes.last_mut() {
            (process.state, process.exit) = (Some(*state), Some(*exit));
        }
        if let Some(fault) = fault
            && !report
                .faults
                .iter()
                .any(|known| known.fault.code == fault.code && known.fault.message == fault.message)
        {
            report.faults.push(FaultReport {
                item: None,
                at: event.at.clone(),
                fault: (**fault).clone(),
                optional: false,
                made_good: false,
            });
        }
        self.current = None;
    }

    fn section(&mut self, title: Option<&str>, way_back: bool) -> usize {
        let sections = &mut self.report.sections;
        let known = sections
            .iter()
            .position(|known| known.title.as_deref() == title && known.way_back == way_back);
        known.unwrap_or_else(|| {
            sections.push(SectionReport {
                title: title.map(str::to_string),
                way_back,
                items: Vec::new(),
            });
            sections.len() - 1
        })
    }

    fn find(&self, title: &str) -> Option<(usize, usize)> {
        self.places.get(title).copied()
    }

    fn at(&mut self, at: (usize, usize)) -> Option<&mut ItemReport> {
        self.report.sections.get_mut(at.0)?.items.get_mut(at.1)
    }

    fn entry(&mut self) -> Option<&mut ItemReport> {
        self.at(self.current?)
    }

    fn titled(&mut self, title: &str) -> Option<&mut ItemReport> {
        let at = self.find(title)?;
        self.at(at)
    }

    fn item_began(&mut self, item: &Item, at: &str) {
        let mut fresh = ItemReport {
            item: item.clone(),
            outcome: None,
            started: at.to_string(),
            took_ms: 0,
            attempts: 1,
            undone: false,
            xid: None,
            points: Vec::new(),
            evidence: Vec::new(),
            omitted: 0,
            actions: Vec::new(),
            files: Vec::new(),
        };
        let place = match self.find(&item.title) {
            Some(place) => place,
            None => {
                let section = self.section(item.section.as_deref(), item.kind == ItemKind::Undo);
                let items = &mut self.report.sections[section].items;
                let place = (section, items.len());
                items.push(fresh);
                self.places.insert(item.title.clone(), place);
                self.current = Some(place);
                self.earlier = None;
                return;
            }
        };
        self.current = Some(place);
        self.earlier = None;
        if let Some(known) = self.at(place) {
            fresh.attempts = known.attempts + 1;
            self.earlier = Some(std::mem::replace(known, fresh));
        }
    }

    fn item_ended(
        &mut self,
        item: &Item,
        outcome: &ItemState,
        took_ms: u64,
        xid: Option<&str>,
        at: &str,
    ) {
        if self.entry().is_none_or(|entry| entry.item.title != item.title) {
            self.item_began(item, at);
        }
        let earlier = self.earlier.take();
        let Some(entry) = self.entry() else { return };
        if matches!(outcome, ItemState::Replayed { .. })
            && let Some(earlier) = earlier
            && earlier.outcome.is_some()
        {
            *entry = earlier;
        } else {
            entry.item = item.clone();
            entry.outcome = Some(outcome.clone());
            entry.took_ms = took_ms;
            entry.xid = xid.map(str::to_string);
        }
        let done = matches!(outcome, ItemState::Done { .. } | ItemState::Replayed { .. });
        let name = name_of(item);
        if done {
            for fault in &mut self.report.faults {
                fault.made_good |= fault.item.as_deref() == Some(name.as_str());
            }
        }
        if let ItemState::Failed { fault, optional } = outcome {
            self.report.faults.push(FaultReport {
                item: Some(name),
                at: at.to_string(),
                fault: (**fault).clone(),
                optional: *optional,
                made_good: false,
            });
        }
        if done && item.kind == ItemKind::Undo {
            let title = item.title.strip_prefix("undo: ").unwrap_or(&item.title).to_string();
            if let Some(step) = self.titled(&title) {
                step.undone = true;
            }
        }
        self.current = None;
    }

    fn evidence(&mut self, fact: Evidence) {
        let chatter = matches!(fact, Evidence::Notice { .. } | Evidence::Retry { .. });
        match self.entry() {
            Some(entry) if chatter && entry.evidence.len() >= EVIDENCE_KEPT => entry.omitted += 1,
            Some(entry) => entry.evidence.push(fact),
            None => self.report.evidence.push(fact),
        }
    }

    /// Each wait once, at its longest.
    fn held(&mut self, wait: &Wait) {
        let facts = match self
            .current
            .and_then(|(section, item)| self.report.sections.get_mut(section)?.items.get_mut(item))
        {
            Some(entry) => &mut entry.evidence,
            None => &mut self.report.evidence,
        };
        let full = facts.len() >= EVIDENCE_KEPT;
        let known = facts.iter_mut().find_map(|fact| match fact {
            Evidence::Held { wait: known } if is_same(known, wait) => Some(known),
            _ => None,
        });
        match known {
            Some(known) if known.millis <= wait.millis => *known = wait.clone(),
            // A web server that tries again and again brings a new session each time.
            None if !full => facts.push(Evidence::Held { wait: wait.clone() }),
            Some(_) | None => {}
        }
    }

    fn intent_done(&mut self, title: &str, number: u32) {
        let Some(entry) = self.titled(title) else { return };
        for fact in &mut entry.evidence {
            if let Evidence::Intent { ordinal, done, .. } = fact {
                *done |= *ordinal == number;
            }
        }
    }

    fn statement(&mut self, statement: &StatementReport) {
        let Some(entry) = self.entry() else { return };
        let known = entry.files.iter().position(|file| file.file == statement.file);
        let at = known.unwrap_or_else(|| {
            let file = statement.file.clone();
            entry.files.push(FileStatements { file, ..FileStatements::default() });
            entry.files.len() - 1
        });
        let file = &mut entry.files[at];
        file.of = statement.of;
        file.ran += 1;
        file.rows += statement.rows.unwrap_or(0);
        file.took_ms += statement.took_ms;
        file.shown.push(statement.clone());
        if file.shown.len() > STATEMENTS_SHOWN * 4 {
            keep_slowest(file);
        }
    }

    /// Was there any event?
    pub fn is_empty(&self) -> bool {
        !self.began
    }

    /// The report of all of them.
    pub fn report(mut self) -> Report {
        for section in &mut self.report.sections {
            for file in section.items.iter_mut().flat_map(|entry| &mut entry.files) {
                if file.ran as usize > STATEMENTS_SHOWN {
                    keep_slowest(file);
                }
            }
        }
        self.report.sections.retain(|section| !section.items.is_empty());
        self.report.took_ms = self.report.processes.iter().map(|process| process.took_ms).sum();
        self.report.timings = timings(&self.report);
        self.report.way_back = ladder(&self.report, self.rungs);
        self.report
    }
}

fn keep_slowest(file: &mut FileStatements) {
    file.shown.sort_by_key(|statement| std::cmp::Reverse(statement.took_ms));
    file.shown.truncate(SLOWEST_SHOWN);
    file.shown.sort_by_key(|statement| statement.number);
}

fn evidence_of(kind: &EventKind) -> Option<Evidence> {
    Some(match kind.clone() {
        EventKind::Compared { what, left, right, holds } => {
            Evidence::Compared { what, left, right, holds }
        }
        EventKind::Note { text } => Evidence::Note { text },
        EventKind::Notice { severity, text } => Evidence::Notice { severity, text },
        EventKind::Warning { text } => Evidence::Warning { text },
        EventKind::Retry { what, attempt, of, reason } => {
            Evidence::Retry { what, attempt, of, reason }
        }
        EventKind::LockWaits { waits, .. } => Evidence::LockWaits { waits },
        EventKind::Waiting { what } => Evidence::Waiting { what },
        EventKind::Table { title, rows } => Evidence::Table { title, rows },
        EventKind::Text { markdown } => Evidence::Text { markdown },
        EventKind::Attached { path, bytes, sha256 } => Evidence::Attached { path, bytes, sha256 },
        EventKind::WillCheck { what } => Evidence::WillCheck { what },
        EventKind::Intent { ordinal, action, .. } => {
            Evidence::Intent { ordinal, action, done: false }
        }
        _ => return None,
    })
}
