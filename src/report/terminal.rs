//! The live checklist: items tick as they end, the one that runs moves below them.
//!
//! A thread draws at most ten times a second from what the events left behind, so a thousand quick
//! steps or ten thousand statements cost a handful of redraws. An item that ends before the next
//! redraw is never drawn as running.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::fault::{render, wrapped};
use super::harmless::{harmless, one_line};
use super::line::{Line, painted};
use super::plain::amount;
use super::plan::action_line;
use super::screen::{Screen, terminal_size};
use super::sink::{Sink, cleaned};
use super::statement::StatementWords;
use super::table::pad;
use super::tell::{Teller, is_for_a_person, running_tail};
use super::watch::{advance_name, wait_line};
use super::words::{Tone, grouped, mark_width, name_of, span};
use crate::message::{Language, in_language, language};
use crate::model::{EventKind, Item, Redactor, RunEvent, Wait, Watched, format_bytes};
use crate::msg;

/// Ten redraws a second.
const FRAME: Duration = Duration::from_millis(100);
/// Lines under one item that are kept while it runs; the rest is in the report.
const FACTS_KEPT: usize = 60;
/// Statements that took longer stay on the screen.
const SLOW_MS: u64 = 1_000;
/// Sessions that wait are shown up to this number.
const WAITS_SHOWN: usize = 3;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Draws a live checklist on `out`, and the fault at the end on `faults`.
pub struct LiveSink {
    shared: Arc<Shared>,
    painter: Option<JoinHandle<()>>,
    faults: Box<dyn Write + Send>,
    teller: Teller,
    statements: StatementWords,
    verbose: bool,
}

struct Shared {
    state: Mutex<Live>,
    wake: Condvar,
}

/// What the painter needs.
struct Live {
    screen: Screen,
    redactor: Redactor,
    colour: bool,
    mark_width: usize,
    language: Language,
    /// Formatted lines that stay, not yet drawn.
    pending: String,
    /// Lines of the running item, shown when it ends.
    facts: Vec<Line>,
    omitted: usize,
    current: Option<Current>,
    waiting: Option<(String, Instant)>,
    /// True while a question is on the screen.
    quiet: bool,
    closed: bool,
    moving: bool,
    frame: usize,
}

struct Current {
    item: Item,
    since: Instant,
    doing: Option<String>,
    progress: Vec<Moving>,
    /// What the watch saw last.
    advances: Vec<Moving>,
    waits: Vec<(Wait, Instant)>,
}

struct Moving {
    what: String,
    unit: String,
    done: u64,
    total: Option<u64>,
    since: Instant,
    first: u64,
}

impl LiveSink {
    /// A sink that draws on `out` (a terminal) and writes the final fault to `faults`.
    pub fn new(
        out: Box<dyn Write + Send>,
        faults: Box<dyn Write + Send>,
        redactor: Redactor,
        colour: bool,
        verbose: bool,
    ) -> Self {
        let screen = Screen::new(out, terminal_size);
        Self::on_screen(screen, faults, redactor, (colour, verbose), true)
    }

    /// The same on a given screen; where it is not `moving`, only lines that stay are drawn.
    pub(super) fn on_screen(
        screen: Screen,
        faults: Box<dyn Write + Send>,
        redactor: Redactor,
        (colour, verbose): (bool, bool),
        moving: bool,
    ) -> Self {
        let state = Live {
            screen,
            redactor,
            colour,
            mark_width: mark_width(),
            language: language(),
            pending: String::new(),
            facts: Vec::new(),
            omitted: 0,
            current: None,
            waiting: None,
            quiet: false,
            closed: false,
            moving,
            frame: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new() });
        let painter = {
            let shared = Arc::clone(&shared);
            // Without a thread nothing moves, and everything is still written when an item ends.
            let thread = std::thread::Builder::new().name("checklist".into());
            moving.then(|| thread.spawn(move || shared.paint()).ok()).flatten()
        };
        Self {
            shared,
            painter,
            faults,
            teller: Teller::new(verbose),
            statements: StatementWords::new(),
            verbose,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Live> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paint(&self) {
        let mut state = self.lock();
        while !state.closed {
            state.draw();
            state = self
                .wake
                .wait_timeout_while(state, FRAME, |state| !state.closed)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Live {
    fn draw(&mut self) {
        let block =
            if self.quiet || self.closed || !self.moving { Vec::new() } else { self.block() };
        let stay = std::mem::take(&mut self.pending);
        self.screen.draw(&stay, &block);
    }

    fn block(&mut self) -> Vec<String> {
        in_language(self.language, || {
            let mut lines = Vec::new();
            if let Some(current) = &self.current
                && current.since.elapsed() >= FRAME
                && !is_for_a_person(&current.item)
            {
                self.frame = self.frame.wrapping_add(1);
                let spinner = SPINNER[self.frame % SPINNER.len()];
                self.running(current, spinner, &mut lines);
            }
            if let Some((what, since)) = &self.waiting {
                let text = msg!("report.waiting", what = what);
                let since = span(since.elapsed().as_millis() as u64 / 1000 * 1000);
                lines.push(self.safe(&format!("      {text}  {since}")));
            }
            lines
        })
    }

    fn running(&self, current: &Current, spinner: &str, lines: &mut Vec<String>) {
        let elapsed = current.since.elapsed().as_millis() as u64;
        let word = pad(&msg!("report.mark.running"), self.mark_width);
        let title = pad(&name_of(&current.item), self.title_width());
        let tail = running_tail(elapsed, current.item.takes.as_deref());
        lines.push(self.safe(&format!("  {spinner} {word}  {title}  {tail}")));
        if let Some(doing) = &current.doing {
            lines.push(self.safe(&format!("      {doing}")));
        }
        for moving in current.advances.iter().take(2) {
            lines.push(self.safe(&format!("      {}", one_line(&moving.what))));
            lines.push(self.safe(&format!("      {}", moving.bar())));
        }
        for moving in current.progress.iter().rev().take(4) {
            lines.push(self.safe(&format!("      {}", moving.line())));
        }
        for (wait, since) in current.waits.iter().take(WAITS_SHOWN) {
            let line = self.safe(&wait_line(wait, since.elapsed().as_millis() as u64));
            let room = self.screen.width().saturating_sub(8).max(20);
            let line = wrapped(&line, room);
            lines.extend(line.lines().take(3).map(|line| format!("      {line}")));
        }
        if current.waits.len() > WAITS_SHOWN {
            let more = msg!("host.blockers-more", count = current.waits.len() - WAITS_SHOWN);
            lines.push(self.safe(&format!("      {more}")));
        }
        // Slow statements are among the facts; while they run, the line above names them.
        let word = msg!("report.statement");
        let facts: Vec<_> =
            self.facts.iter().rev().filter(|fact| !fact.text.starts_with(&word)).take(3).collect();
        for fact in facts.into_iter().rev() {
            lines.push(self.safe(&format!("      {}", fact.text)));
        }
    }

    fn safe(&self, text: &str) -> String {
        harmless(&self.redactor.clean(text)).replace(['\n', '\t'], " ")
    }

    fn title_width(&self) -> usize {
        self.screen.width().saturating_sub(self.mark_width + 36).clamp(24, 56)
    }

    /// Adds a line that stays, in its shape.
    fn stay(&mut self, line: &Line) {
        let text = self.safe(&line.text);
        let tail = self.safe(&line.tail);
        let out = match &line.mark {
            Some(mark) if line.depth > 0 => {
                let word = pad(&mark.word, self.mark_width);
                let head = painted(&format!("{} {word}", mark.symbol), mark.tone, self.colour);
                let text = if tail.is_empty() { text } else { pad(&text, self.title_width()) };
                let tail = painted(&tail, line.tail_tone, self.colour);
                format!("  {head}  {text}  {tail}")
            }
            Some(mark) => {
                let head = format!("{} {}: {text}", mark.symbol, mark.word);
                format!("\n{}", painted(&head, line.tone, self.colour))
            }
            None => {
                let indent = match line.depth {
                    0 => "\n",
                    1 => "  ",
                    2 => "      ",
                    _ => "          ",
                };
                let tail = if tail.is_empty() { tail } else { format!("  {tail}") };
                format!("{indent}{}", painted(&format!("{text}{tail}"), line.tone, self.colour))
            }
        };
        self.pending.push_str(out.trim_end_matches(' '));
        self.pending.push('\n');
    }

    fn flush_facts(&mut self) {
        for line in std::mem::take(&mut self.facts) {
            self.stay(&line);
        }
        if self.omitted > 0 {
            let text = msg!("report.more-facts", n = grouped(self.omitted as u64));
            self.stay(&Line::fact(text));
            self.omitted = 0;
        }
    }

    fn fact(&mut self, line: Line) {
        if self.facts.len() < FACTS_KEPT || line.tone == Tone::Bad {
            self.facts.push(line);
        } else {
            self.omitted += 1;
        }
    }

    fn progress(&mut self, what: &str, done: u64, total: Option<u64>, unit: &str) {
        let Some(current) = &mut self.current else { return };
        match current.progress.iter_mut().find(|known| known.what == what) {
            Some(known) => (known.done, known.total) = (done, total),
            None => current.progress.push(Moving {
                what: what.into(),
                unit: unit.into(),
                done,
                total,
                since: Instant::now(),
                first: done,
            }),
        }
        if total == Some(done) && unit != "attempt" {
            current.progress.retain(|known| known.what != what);
        }
    }
}

impl Current {
    fn saw(&mut self, seen: &Watched) {
        let now = Instant::now();
        self.waits = seen.waits.iter().map(|wait| (wait.clone(), now)).collect();
        let mut known = std::mem::take(&mut self.advances);
        for advance in &seen.advances {
            let what = advance_name(advance);
            let mut moving = match known.iter().position(|one| one.what == what) {
                Some(at) => known.swap_remove(at),
                None => Moving {
                    what,
                    unit: advance.unit.clone(),
                    done: 0,
                    total: None,
                    since: now,
                    first: advance.done,
                },
            };
            (moving.done, moving.total) = (advance.done, advance.total);
            self.advances.push(moving);
        }
    }
}

impl Moving {
    /// "dump  [#####---------------] 38.2 MiB of 120.0 MiB (31 %), 4.1 MiB/s, 20s left".
    fn line(&self) -> String {
        let amount = amount(self.done, self.total, &self.unit);
        let what = one_line(&self.what);
        if self.unit == "attempt" {
            return format!("{what}: {amount}");
        }
        format!("{what}  {}", self.bar())
    }

    /// "[#####---------------] 38.2 MiB of 120.0 MiB (31 %), 4.1 MiB/s, 20s left".
    fn bar(&self) -> String {
        let amount = amount(self.done, self.total, &self.unit);
        let bar = self.total.filter(|total| *total > 0).map(|total| {
            let full = (self.done.min(total) as f64 / total as f64 * 20.0) as usize;
            format!("[{}{}] ", "#".repeat(full), "-".repeat(20 - full))
        });
        let mut out = format!("{}{amount}", bar.unwrap_or_default());
        let seconds = self.since.elapsed().as_secs_f64();
        let moved = self.done.saturating_sub(self.first) as f64;
        // A rate out of the first second would be a guess.
        if seconds >= 1.0 && moved > 0.0 {
            let rate = moved / seconds;
            let shown = match self.unit.as_str() {
                "bytes" => format_bytes(rate as u64),
                _ => grouped(rate as u64),
            };
            if let Some(left) = self.total.map(|total| total.saturating_sub(self.done)) {
                let left = span((left as f64 / rate) as u64 * 1000);
                out.push_str(&format!(", {}", msg!("report.time-left", span = left)));
            }
            out.push_str(&format!(", {shown}/s"));
        }
        out
    }
}

impl Sink for LiveSink {
    fn event(&mut self, event: &RunEvent) {
        let mut lines = Vec::new();
        self.teller.tell(event, &mut lines);
        let mut live = self.shared.lock();
        if !matches!(event.kind, EventKind::Attested { .. }) {
            live.quiet = false;
        }
        live.waiting = None;
        match &event.kind {
            EventKind::ItemStarted { item } => {
                live.flush_facts();
                live.current = Some(Current {
                    item: item.clone(),
                    since: Instant::now(),
                    doing: None,
                    progress: Vec::new(),
                    advances: Vec::new(),
                    waits: Vec::new(),
                });
            }
            EventKind::ItemFinished { .. } => {
                live.current = None;
                // The item first, then what was said while it ran, then why it failed.
                for (at, line) in lines.drain(..).enumerate() {
                    live.stay(&line);
                    if at == 0 {
                        live.flush_facts();
                    }
                }
            }
            EventKind::Statement(done) => {
                if self.verbose || done.took_ms >= SLOW_MS {
                    let mut text = String::new();
                    self.statements.line(&mut text, done);
                    live.fact(Line::fact(text));
                }
                live.progress(&done.file, done.number.into(), Some(done.of.into()), "statements");
                if let Some(current) = &mut live.current {
                    current.doing = Some(self.statements.short(done));
                }
            }
            EventKind::Watched(seen) => {
                if let Some(current) = &mut live.current {
                    current.saw(seen);
                }
            }
            EventKind::Progress { what, done, total, unit } => {
                live.progress(what, *done, *total, unit);
            }
            EventKind::Action { action, .. } | EventKind::Intent { action, .. } => {
                if let Some(current) = &mut live.current {
                    current.doing = Some(action_line(action));
                }
            }
            EventKind::Waiting { what } => {
                live.waiting = Some((what.clone(), Instant::now()));
                if live.current.is_some() {
                    lines.clear();
                }
            }
            EventKind::RunFinished { fault, .. } => {
                live.current = None;
                live.flush_facts();
                live.draw();
                if let Some(fault) = fault {
                    let mut fault = cleaned(fault, &live.redactor);
                    // The summary ends with the command: once is enough on one screen.
                    if fault.next.as_deref() == self.teller.tally.next() {
                        fault.next = None;
                    }
                    let text = render(&fault, live.screen.width(), live.colour);
                    let _ = self.faults.write_all(format!("\n{text}").as_bytes());
                    let _ = self.faults.flush();
                }
                lines.extend(self.teller.tally.lines());
            }
            _ => {}
        }
        for line in lines {
            if live.current.is_some() && line.depth > 0 {
                live.fact(line);
            } else {
                live.stay(&line);
            }
        }
        if matches!(event.kind, EventKind::RunFinished { .. }) || self.painter.is_none() {
            live.draw();
        }
    }

    fn quiet(&mut self) {
        let mut live = self.shared.lock();
        live.flush_facts();
        live.quiet = true;
        live.draw();
    }

    fn finish(&mut self) {
        {
            let mut live = self.shared.lock();
            live.flush_facts();
            live.closed = true;
            live.draw();
        }
        self.shared.wake.notify_all();
        if let Some(painter) = self.painter.take() {
            let _ = painter.join();
        }
    }
}

impl Drop for LiveSink {
    fn drop(&mut self) {
        self.finish();
    }
}
