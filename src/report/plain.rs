//! The log where there is no terminal: one line per fact behind a clock, no control characters.
//!
//! Cheap by design: lines are buffered and flushed when an item ends, so a file with ten thousand
//! statements costs ten thousand short lines and a handful of writes. An item that ends soon costs
//! one line and its facts.

use std::io::Write;

use super::fault::render;
use super::harmless::{harmless, one_line};
use super::line::Line;
use super::log::Log;
use super::sink::{Sink, cleaned};
use super::statement::StatementWords;
use super::tell::{Teller, beginning};
use super::watch::{advance_name, wait_line};
use super::words::grouped;
use crate::model::{EventKind, Redactor, RunEvent, StatementReport, Watched, format_bytes};
use crate::msg;

/// Cells of a fault's lines in a log.
const FAULT_WIDTH: usize = 100;
/// A file with more statements than this is told in steps of a twentieth, and where it is slow.
const STATEMENTS_TOLD: u32 = 200;
/// A statement that took longer is always told.
const SLOW_MS: u64 = 1_000;
/// Progress of one thing is told at most this often.
const PROGRESS_EVERY_MS: u64 = 5_000;

/// Writes plain lines to `out` and the fault at the end to `faults`.
pub struct PlainSink {
    log: Log,
    faults: Box<dyn Write + Send>,
    redactor: Redactor,
    verbose: bool,
    teller: Teller,
    lines: Vec<Line>,
    statements: StatementWords,
    /// One line, kept so that it is not allocated for every statement.
    line: String,
    progress: Option<(String, u64)>,
    seen: Seen,
}

/// What was told of the watch: of whom, and when last.
#[derive(Default)]
struct Seen {
    waiters: Vec<i32>,
    at: u64,
}

impl PlainSink {
    /// A sink that writes to `out` and `faults`.
    pub fn new(
        out: Box<dyn Write + Send>,
        faults: Box<dyn Write + Send>,
        redactor: Redactor,
        verbose: bool,
    ) -> Self {
        Self {
            log: Log::new(out, redactor.clone()),
            faults,
            redactor,
            verbose,
            teller: Teller::new(verbose),
            lines: Vec::new(),
            statements: StatementWords::new(),
            line: String::new(),
            progress: None,
            seen: Seen::default(),
        }
    }

    /// Announces an item that takes long also where no event comes.
    pub fn watched(self) -> Self {
        self.log.watched();
        self
    }

    fn statement(&mut self, event: &RunEvent, done: &StatementReport) {
        if !self.verbose && done.of > STATEMENTS_TOLD && done.took_ms < SLOW_MS {
            let every = done.of.div_ceil(20);
            if !done.number.is_multiple_of(every) && done.number != done.of && done.number != 1 {
                return;
            }
        }
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        line.push_str("    ");
        self.statements.line(&mut line, done);
        self.log.line(&event.at, event.elapsed_ms, &line);
        self.line = line;
    }

    fn progress(
        &mut self,
        event: &RunEvent,
        what: &str,
        done: u64,
        total: Option<u64>,
        unit: &str,
    ) {
        let ended = total == Some(done);
        if let Some((known, last)) = &self.progress
            && known == what
            && !ended
            && unit != "attempt"
            && event.elapsed_ms.saturating_sub(*last) < PROGRESS_EVERY_MS
        {
            return;
        }
        self.progress = (!ended).then(|| (what.to_string(), event.elapsed_ms));
        let text = format!("    {what}: {}", amount(done, total, unit));
        self.log.announce();
        self.log.line(&event.at, event.elapsed_ms, &text);
    }

    /// How far, and who waits: at once where somebody is new, else every few seconds.
    fn watched_at(&mut self, event: &RunEvent, seen: &Watched) {
        let waiters: Vec<i32> = seen.waits.iter().map(|wait| wait.waiter.pid).collect();
        let new = waiters.iter().any(|pid| !self.seen.waiters.contains(pid));
        let due = event.elapsed_ms.saturating_sub(self.seen.at) >= PROGRESS_EVERY_MS;
        if !new && !due {
            return;
        }
        self.seen = Seen { waiters, at: event.elapsed_ms };
        self.log.announce();
        for advance in &seen.advances {
            let amount = amount(advance.done, advance.total, &advance.unit);
            let text = format!("    {}: {amount}", harmless(&advance_name(advance)));
            self.log.line(&event.at, event.elapsed_ms, &text);
        }
        for wait in &seen.waits {
            let text = format!("    {}", harmless(&wait_line(wait, 0)));
            self.log.line(&event.at, event.elapsed_ms, &text);
        }
        self.log.flush();
    }
}

/// "attempt 3/30", "38.2 MiB of 120.0 MiB (31 %)", "4,000 rows".
pub(super) fn amount(done: u64, total: Option<u64>, unit: &str) -> String {
    let number = |n: u64| if unit == "bytes" { format_bytes(n) } else { grouped(n) };
    let unit = match unit {
        "bytes" => String::new(),
        "rows" => msg!("report.unit.rows"),
        "statements" => msg!("report.unit.statements"),
        "blocks" => msg!("report.unit.blocks"),
        "sessions" => msg!("report.unit.sessions"),
        "attempt" => {
            let of = total.map(|total| format!("/{total}")).unwrap_or_default();
            return msg!("report.attempt", n = format!("{done}{of}"));
        }
        other => other.to_string(),
    };
    let text = match total {
        Some(total) if total > 0 => {
            let per_cent = (done.min(total) as f64 / total as f64 * 100.0).floor() as u64;
            let (done, total) = (number(done), number(total));
            msg!("report.amount-of", done = done, total = total, unit = unit, percent = per_cent)
        }
        _ => format!("{} {unit}", number(done)),
    };
    one_line(&text)
}

/// A line as text: indented by its depth, mark and number before it, the tail behind it.
pub(super) fn shape(line: &Line) -> String {
    let number = line.number.map(|number| format!("#{number} ")).unwrap_or_default();
    let indent = if number.is_empty() { "  ".repeat(line.depth) } else { String::new() };
    let mark = line.mark.as_ref().map(|mark| format!("{}: ", mark.word)).unwrap_or_default();
    let mut out = format!("{indent}{number}{mark}{}", harmless(&line.text));
    if !line.tail.is_empty() {
        out.push_str("  ");
        out.push_str(&harmless(&line.tail));
    }
    out
}

impl Sink for PlainSink {
    fn event(&mut self, event: &RunEvent) {
        match &event.kind {
            EventKind::Statement(done) => return self.statement(event, done),
            EventKind::Progress { what, done, total, unit } => {
                return self.progress(event, what, *done, *total, unit);
            }
            EventKind::Watched(seen) => return self.watched_at(event, seen),
            EventKind::ItemStarted { item } => {
                self.seen = Seen::default();
                self.log.begin(&event.at, event.elapsed_ms, shape(&beginning(item)));
            }
            // Somebody waits, and wants to know for what; or what follows is of no item.
            EventKind::Waiting { .. }
            | EventKind::Retry { .. }
            | EventKind::Section { .. }
            | EventKind::RunFinished { .. } => self.log.announce(),
            _ => {}
        }
        let mut lines = std::mem::take(&mut self.lines);
        self.teller.tell(event, &mut lines);
        if let EventKind::RunFinished { fault, .. } = &event.kind {
            if let Some(fault) = fault {
                self.log.flush();
                let mut fault = cleaned(fault, &self.redactor);
                fault.next = fault.next.or_else(|| self.teller.tally.next().map(str::to_string));
                let _ = self.faults.write_all(render(&fault, FAULT_WIDTH, false).as_bytes());
                let _ = self.faults.flush();
            }
            lines.extend(self.teller.tally.lines());
        }
        if matches!(event.kind, EventKind::ItemFinished { .. }) {
            let lines: Vec<String> = lines.iter().map(shape).collect();
            self.log.end(&event.at, &lines);
        } else {
            for line in &lines {
                self.log.line(&event.at, event.elapsed_ms, &shape(line));
            }
        }
        lines.clear();
        self.lines = lines;
        if !matches!(event.kind, EventKind::Notice { .. } | EventKind::Compared { .. }) {
            self.log.flush();
        }
    }

    fn quiet(&mut self) {
        self.log.announce();
        self.log.flush();
    }

    fn finish(&mut self) {
        self.quiet();
    }
}
