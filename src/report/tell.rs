//! Turns events into lines of talk. The live checklist and the plain log say the same things in
//! the same words; they only differ in shape, and in what they keep to themselves.
//!
//! Holds what has to be remembered between two events: the way of the run, its counts, contacts.

use super::line::{Line, push_text};
use super::plan;
use super::summary::Tally;
use super::table::Table;
use super::words::{
    Tone, count_text, exceeds, grid, kind_word, mark, name_of, span, target_words, took_beside,
    value_text,
};
use crate::model::{
    Backup, EventKind, Item, ItemKind, ItemState, RunEvent, format_bytes, parse_estimate,
};
use crate::msg;

/// Rows of a playbook's table that are shown while the run goes on; the report has them all.
const TABLE_ROWS_SHOWN: usize = 20;

/// Says in lines what events mean.
pub(super) struct Teller {
    verbose: bool,
    /// True in a plan: actions are shown in full, and nothing was done.
    planning: bool,
    pub(super) tally: Tally,
}

impl Teller {
    pub(super) fn new(verbose: bool) -> Self {
        Self { verbose, planning: false, tally: Tally::default() }
    }

    /// Appends what the event has to say; many events say nothing. The end of the run is said by
    /// [`Tally::lines`], because the fault is printed elsewhere.
    pub(super) fn tell(&mut self, event: &RunEvent, out: &mut Vec<Line>) {
        self.tally.take(event);
        match &event.kind {
            EventKind::RunStarted { .. } => self.opening(&event.kind, out),
            EventKind::Inputs { inputs } if self.verbose => {
                for (name, value) in inputs.as_object().into_iter().flatten() {
                    let text = msg!("report.input", name = name, value = value_text(value));
                    out.push(Line::fact(text));
                }
            }
            EventKind::Section { title } => out.push(Line::heading(title)),
            EventKind::ItemFinished { item, outcome, took_ms, .. } => {
                self.item(item, outcome, *took_ms, out);
            }
            EventKind::Action { action, planned } => {
                if *planned {
                    plan::action_lines(action, out);
                } else if self.verbose {
                    out.push(Line::fact(plan::action_line(action)));
                }
            }
            EventKind::WillCheck { what } => {
                out.push(Line::new(2, Tone::Plain, msg!("report.will-check", what = what)));
            }
            EventKind::Points { points, .. } if self.planning => {
                out.extend(points.iter().map(|point| Line::fact(format!("[ ] {point}"))));
            }
            EventKind::WayBack { what, proven, command, blocked, .. }
                if self.planning || self.verbose =>
            {
                let way = match blocked {
                    Some(why) => msg!("report.way-back-blocked", what = what, why = why),
                    None => way_back(what, proven.as_deref(), command.as_deref()),
                };
                out.push(Line::fact(way));
            }
            EventKind::Intent { ordinal, action, .. } if self.verbose => {
                let action = plan::action_line(action);
                out.push(Line::fact(msg!("report.intent", n = ordinal, action = action)));
            }
            EventKind::Read { call, value, .. } if self.verbose => {
                out.push(Line::fact(format!("{call} = {}", value_text(value))));
            }
            EventKind::Compared { what, left, right, holds } => {
                out.push(compared(what, left, right, *holds));
            }
            EventKind::Attested { attestation, .. } => out.push(attested(attestation)),
            EventKind::Backup { backup } => backup_lines(backup, out),
            EventKind::Table { title, rows } => table_lines(title, rows, out),
            other => self.remark(other, out),
        }
    }

    /// What server, host and playbook say on the way.
    fn remark(&self, kind: &EventKind, out: &mut Vec<Line>) {
        match kind {
            EventKind::Notice { severity, text } => {
                let tone = if severity == "WARNING" { Tone::Warn } else { Tone::Dim };
                push_text(out, 2, tone, &format!("{severity}: {text}"));
            }
            EventKind::Retry { what, attempt, of, reason } => {
                let text = msg!("report.retry", what = what, n = attempt, of = of, reason = reason);
                push_text(out, 2, Tone::Warn, &text);
            }
            EventKind::Waiting { what } => {
                push_text(out, 2, Tone::Warn, &msg!("report.waiting", what = what));
            }
            EventKind::Note { text } => push_text(out, 2, Tone::Dim, text),
            EventKind::Text { markdown } => push_text(out, 2, Tone::Dim, markdown),
            EventKind::Warning { text } => {
                push_text(out, 2, Tone::Warn, &msg!("report.warning", text = text));
            }
            EventKind::Attached { path, bytes, .. } => {
                let size = format_bytes(*bytes);
                out.push(Line::fact(msg!("report.attached", path = path, size = size)));
            }
            _ => {}
        }
    }

    fn opening(&mut self, kind: &EventKind, out: &mut Vec<Line>) {
        let EventKind::RunStarted {
            run,
            mode,
            playbook,
            title,
            environment,
            target,
            by,
            takes,
            ..
        } = kind
        else {
            return;
        };
        self.planning = mode == "plan" || mode == "check";
        let title = if title.is_empty() || title == playbook {
            playbook.clone()
        } else {
            format!("{title} ({playbook})")
        };
        out.push(Line::heading(msg!("report.opening", mode = mode_word(mode), title = title)));
        let mut facts = vec![msg!("report.opening.run", run = run)];
        if let Some(environment) = environment {
            facts.push(msg!("report.opening.environment", name = environment));
        }
        let target = target_words(target);
        if !target.is_empty() {
            facts.push(msg!("report.opening.target", target = target));
        }
        if !by.is_empty() {
            facts.push(msg!("report.opening.by", by = by));
        }
        if let Some(takes) = takes {
            facts.push(msg!("report.opening.takes", takes = takes));
        }
        out.extend(facts.into_iter().map(|fact| Line::new(1, Tone::Dim, fact)));
    }

    fn item(&self, item: &Item, outcome: &ItemState, took_ms: u64, out: &mut Vec<Line>) {
        let not_done =
            matches!(
                outcome,
                ItemState::Planned | ItemState::WillCheck | ItemState::Skipped { .. }
            ) || matches!(outcome, ItemState::DecidedWhenItRuns { .. } | ItemState::NotAttested);
        let tail = if self.planning && not_done {
            plan::item_tail(item)
        } else if not_done || matches!(outcome, ItemState::Replayed { .. }) {
            String::new()
        } else {
            took_beside(took_ms, item.takes.as_deref())
        };
        let mut line = Line::new(1, Tone::Plain, name_of(item))
            .mark(mark(item.kind, Some(outcome)))
            .tail(tail);
        line.number = Some(item.number);
        if !not_done && exceeds(item.takes.as_deref(), took_ms) {
            line.tail_tone = Tone::Warn;
        }
        out.push(line);
        match outcome {
            ItemState::Skipped { reason } => push_text(out, 2, Tone::Dim, reason),
            ItemState::DecidedWhenItRuns { on } => {
                push_text(out, 2, Tone::Dim, &msg!("report.decided-on", on = on));
            }
            ItemState::Failed { fault, optional } => {
                push_text(out, 2, Tone::Bad, &fault.to_string());
                if *optional {
                    out.push(Line::fact(msg!("report.optional")));
                }
            }
            ItemState::NotAttested => out.push(Line::fact(msg!("report.not-attested"))),
            _ => {}
        }
    }
}

/// The way of a run in words: "plan", "resume".
pub(super) fn mode_word(mode: &str) -> String {
    match mode {
        "check" => msg!("report.mode.check"),
        "plan" => msg!("report.mode.plan"),
        "rehearse" => msg!("report.mode.rehearse"),
        "run" => msg!("report.mode.run"),
        "resume" => msg!("report.mode.resume"),
        "rollback" => msg!("report.mode.rollback"),
        other => other.to_string(),
    }
}

/// "#7 step G1.07 ..": what a plain log says when an item begins.
pub(super) fn beginning(item: &Item) -> Line {
    let kind = kind_word(item.kind);
    let text = msg!("report.began", kind = kind, title = name_of(item));
    let mut line = Line::new(1, Tone::Dim, text);
    line.number = Some(item.number);
    if let Some(takes) = &item.takes {
        line.tail = msg!("report.estimate", takes = takes);
    }
    line
}

/// The tail of the item that is running now: time so far beside the estimate.
pub(super) fn running_tail(elapsed_ms: u64, takes: Option<&str>) -> String {
    // Tenths of a second that run by are noise; whole seconds are enough.
    let shown = if elapsed_ms < 10_000 { elapsed_ms } else { elapsed_ms / 1000 * 1000 };
    match takes {
        Some(takes) if parse_estimate(takes).is_ok() => took_beside(shown, Some(takes)),
        _ => span(shown),
    }
}

pub(super) fn way_back(what: &str, proven: Option<&str>, command: Option<&str>) -> String {
    let proof = match proven {
        Some(proof) => msg!("report.proven", by = proof),
        None => msg!("report.unproven"),
    };
    match command {
        Some(command) => {
            msg!("report.way-back-command", what = what, proof = proof, command = command)
        }
        None => msg!("report.way-back", what = what, proof = proof),
    }
}

fn compared(what: &str, left: &serde_json::Value, right: &serde_json::Value, holds: bool) -> Line {
    let (left, right) = (count_text(left), count_text(right));
    if holds && left == right {
        Line::fact(msg!("report.compared-same", what = what, left = left, right = right))
    } else if holds {
        Line::fact(msg!("report.compared-holds", what = what, left = left, right = right))
    } else {
        let text = msg!("report.compared-differs", what = what, left = left, right = right);
        Line::new(2, Tone::Bad, text)
    }
}

fn attested(attestation: &crate::model::Attestation) -> Line {
    let (point, by) = (&attestation.point, &attestation.by);
    if attestation.attested {
        Line::fact(msg!("report.attested", point = point, by = by))
    } else {
        Line::new(2, Tone::Warn, msg!("report.passed-unattested", point = point, by = by))
    }
}

fn backup_lines(backup: &Backup, out: &mut Vec<Line>) {
    for file in &backup.files {
        let facts = [
            file.format.clone().unwrap_or_default(),
            file.bytes.map(format_bytes).unwrap_or_default(),
            backup.state.as_deref().map(super::words::backup_state).unwrap_or_default(),
        ];
        let sealed = (!backup.encrypted_to.is_empty()).then(|| msg!("report.backup.encrypted"));
        let facts = facts.into_iter().chain(sealed);
        let facts: Vec<_> = facts.filter(|fact| !fact.is_empty()).collect();
        let facts = facts.join(", ");
        out.push(Line::fact(msg!("report.backup", path = file.path, facts = facts)));
    }
    for place in &backup.uploaded {
        out.push(Line::fact(msg!("report.backup.uploaded", place = place)));
    }
    if backup.files.is_empty() {
        let state = backup.state.as_deref().unwrap_or_default();
        out.push(Line::fact(msg!("report.backup-external", state = state)));
    }
    if let Some(restore) = &backup.restore {
        out.push(Line::fact(msg!("report.restore-with", command = restore)));
    }
}

fn table_lines(title: &str, rows: &serde_json::Value, out: &mut Vec<Line>) {
    let (headings, cells) = grid(rows);
    let left_out = cells.len().saturating_sub(TABLE_ROWS_SHOWN);
    let mut table = Table::new(headings);
    cells.iter().take(TABLE_ROWS_SHOWN).for_each(|row| table.row(row));
    out.push(Line::new(2, Tone::Plain, title));
    out.extend(table.lines(160).into_iter().map(|line| Line::new(3, Tone::Dim, line)));
    if left_out > 0 {
        out.push(Line::new(3, Tone::Dim, msg!("report.more-rows", n = left_out)));
    }
}

/// True where an item is one that a person answers: nothing moves while it waits.
pub(super) fn is_for_a_person(item: &Item) -> bool {
    matches!(item.kind, ItemKind::Manual | ItemKind::Approve)
}
