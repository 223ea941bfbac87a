//! The last lines of a run: its state in words, what changed, where the report lies, and the next
//! command. Counts as it goes, so that nothing has to be kept.

use super::line::{Line, push_text};
use super::model::Report;
use super::words::{Tone, contacts, end_of, is_failure, mark, risk_word, span, took_beside};
use crate::model::{Action, Effect, EventKind, FinalState, Item, ItemState, Risk, RunEvent};
use crate::msg;

/// What the summary needs to know.
#[derive(Default)]
pub(super) struct Tally {
    /// Words of marks and how often each was given, in order of appearance.
    marks: Vec<(String, usize)>,
    takes: Option<String>,
    contacts: serde_json::Value,
    report: Option<String>,
    end: Option<End>,
    risk: Option<Risk>,
    locks: Vec<String>,
    effects: usize,
    exceeded: Vec<String>,
    loose: usize,
}

struct End {
    state: FinalState,
    changed: bool,
    exit: u8,
    next: Option<String>,
    took_ms: u64,
}

impl Tally {
    pub(super) fn take(&mut self, event: &RunEvent) {
        match &event.kind {
            EventKind::RunStarted { takes, contacts, .. } => {
                self.takes.clone_from(takes);
                self.contacts = contacts.clone();
            }
            EventKind::ItemFinished { item, outcome, took_ms, .. } => {
                self.count(item, outcome, *took_ms);
            }
            EventKind::Action { action, planned: true } => self.plan(action),
            EventKind::ReportAt { path } => self.report = Some(path.clone()),
            EventKind::RunFinished { state, changed, exit, next, .. } => {
                self.end = Some(End {
                    state: *state,
                    changed: *changed,
                    exit: *exit,
                    next: next.clone(),
                    took_ms: event.elapsed_ms,
                });
            }
            _ => {}
        }
    }

    /// The same from a report; its end included.
    pub(super) fn of(report: &Report) -> Self {
        let mut tally = Self {
            takes: report.takes.clone(),
            contacts: report.contacts.clone(),
            report: report.report.clone(),
            ..Self::default()
        };
        for entry in report.items() {
            if let Some(outcome) = &entry.outcome {
                tally.count(&entry.item, outcome, entry.took_ms);
            }
            let planned = entry.actions.iter().filter(|done| done.planned);
            planned.for_each(|done| tally.plan(&done.action));
        }
        if let (Some(state), Some(changed), Some(exit)) =
            (report.state, report.changed, report.exit)
        {
            let (next, took_ms) = (report.next.clone(), report.took_ms);
            tally.end = Some(End { state, changed, exit, next, took_ms });
        }
        tally
    }

    fn count(&mut self, item: &Item, outcome: &ItemState, took_ms: u64) {
        let word = mark(item.kind, Some(outcome)).word;
        match self.marks.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => self.marks.push((word, 1)),
        }
        self.loose += usize::from(super::words::is_loose(outcome));
        if super::words::exceeds(item.takes.as_deref(), took_ms) {
            self.exceeded.push(super::words::name_of(item));
        }
    }

    fn plan(&mut self, action: &Action) {
        self.risk = self.risk.max(action.risk);
        if matches!(action.effect, Effect::Write | Effect::External) {
            self.effects += 1;
        }
        for lock in &action.locks {
            if !self.locks.contains(lock) {
                self.locks.push(lock.clone());
            }
        }
    }

    /// How often each mark was given: "12 passed, 4 done".
    pub(super) fn counts(&self) -> String {
        let parts = self.marks.iter().map(|(word, n)| msg!("report.count", n = n, word = word));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// The last lines, the next command last of all; nothing before the run ended.
    pub(super) fn lines(&self) -> Vec<Line> {
        let Some(end) = &self.end else { return Vec::new() };
        let (mark, sentence) = end_of(end.state, self.loose);
        let tone = mark.tone;
        let mut out = vec![Line::new(0, tone, sentence).mark(mark)];
        let planned = end.state == FinalState::Planned;
        let counts = self.counts();
        if !counts.is_empty() {
            let took = if planned {
                span(end.took_ms)
            } else {
                took_beside(end.took_ms, self.takes.as_deref())
            };
            out.push(Line::new(
                1,
                Tone::Plain,
                msg!("report.counts", counts = counts, took = took),
            ));
        }
        if planned {
            self.plan_lines(&mut out);
        } else {
            let changed =
                if end.changed { msg!("report.changed") } else { msg!("report.unchanged") };
            out.push(Line::new(1, Tone::Plain, changed));
        }
        for title in &self.exceeded {
            out.push(Line::new(1, Tone::Warn, msg!("report.exceeded", title = title)));
        }
        if is_failure(end.state) {
            for (who, how) in contacts(&self.contacts) {
                let text = if who.is_empty() { how } else { format!("{who}: {how}") };
                let text = msg!("report.contact", who = text);
                push_text(&mut out, 1, Tone::Plain, &text);
            }
        }
        if end.exit != 0 {
            out.push(Line::new(1, Tone::Plain, msg!("report.exit", code = end.exit)));
        }
        if let Some(path) = &self.report {
            out.push(Line::new(1, Tone::Plain, msg!("report.lies-at", path = path)));
        }
        if let Some(next) = &end.next {
            push_text(&mut out, 1, Tone::Heading, &msg!("report.next", command = next));
        }
        out
    }

    fn plan_lines(&self, out: &mut Vec<Line>) {
        if let Some(takes) = &self.takes {
            out.push(Line::new(1, Tone::Plain, msg!("report.plan.takes", takes = takes)));
        }
        let text = match self.risk {
            Some(risk) => {
                msg!("report.plan.effects-risk", n = self.effects, risk = risk_word(risk))
            }
            None => msg!("report.plan.effects", n = self.effects),
        };
        out.push(Line::new(1, Tone::Plain, text));
        if !self.locks.is_empty() {
            let locks = self.locks.join(", ");
            out.push(Line::new(1, Tone::Plain, msg!("report.plan.locks", locks = locks)));
        }
    }

    /// The command that the run's end names.
    pub(super) fn next(&self) -> Option<&str> {
        self.end.as_ref().and_then(|end| end.next.as_deref())
    }
}
