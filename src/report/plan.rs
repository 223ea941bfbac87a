//! How a plan looks: what each step would do, in which words, with which risk and locks.
//!
//! While a plan runs, its actions are told one by one; [`plan_text`] gives the same text again
//! from a report, for an approval or a file.

use super::line::Line;
use super::model::{Evidence, Report};
use super::plain::shape;
use super::summary::Tally;
use super::table::fit;
use super::tell;
use super::words::{Tone, mark, name_of, risk_word, target_words};
use crate::model::{Action, Effect, Item, ItemKind, ItemState};
use crate::msg;

/// Lines of one statement that a plan shows; the file itself has the rest.
const STATEMENT_LINES_SHOWN: usize = 12;

/// The action in one line: `db::exec users: ALTER TABLE ..`.
pub(super) fn action_line(action: &Action) -> String {
    let mut line = action.verb.clone();
    if !action.target.is_empty() {
        line = format!("{line} {}", action.target);
    }
    if let Some(statement) = &action.statement {
        line = format!("{line}: {}", fit(&super::harmless::one_line(statement), 100));
    }
    line
}

/// The action as a plan shows it: verb and target, the statement, risk, locks, remarks.
pub(super) fn action_lines(action: &Action, out: &mut Vec<Line>) {
    let tone = if action.effect == Effect::Read { Tone::Dim } else { Tone::Plain };
    let head = format!("{} {}", action.verb, action.target);
    let mut line = Line::new(2, tone, head.trim_end());
    if let Some(risk) = action.risk {
        line.tail = msg!("report.plan.risk", risk = risk_word(risk));
    }
    out.push(line);
    if let Some(statement) = &action.statement {
        let lines: Vec<&str> = statement.trim().lines().collect();
        for text in lines.iter().take(STATEMENT_LINES_SHOWN) {
            out.push(Line::new(3, Tone::Plain, text.trim_end()));
        }
        if lines.len() > STATEMENT_LINES_SHOWN {
            let left = lines.len() - STATEMENT_LINES_SHOWN;
            out.push(Line::new(3, Tone::Dim, msg!("report.plan.more-lines", n = left)));
        }
    }
    for lock in &action.locks {
        out.push(Line::new(3, Tone::Dim, msg!("report.plan.lock", lock = lock)));
    }
    if action.opaque {
        out.push(Line::new(3, Tone::Warn, msg!("report.plan.opaque")));
    }
    for remark in &action.remarks {
        out.push(Line::new(3, Tone::Dim, remark));
    }
}

/// What stands beside an item in a plan: risk, estimate, whether it can be undone.
pub(super) fn item_tail(item: &Item) -> String {
    let mut parts = Vec::new();
    if let Some(risk) = item.risk {
        parts.push(msg!("report.plan.risk", risk = risk_word(risk)));
    }
    if let Some(takes) = &item.takes {
        parts.push(msg!("report.estimate", takes = takes));
    }
    if item.kind == ItemKind::Step {
        parts.push(if item.has_undo {
            msg!("report.plan.has-undo")
        } else {
            msg!("report.plan.no-undo")
        });
    }
    parts.join(" · ")
}

/// The plan in a report as plain text, a line end after each line.
pub fn plan_text(report: &Report) -> String {
    let mut lines = vec![Line::heading(msg!(
        "report.opening",
        mode = tell::mode_word("plan"),
        title = report.heading()
    ))];
    let target = target_words(&report.target);
    if !target.is_empty() {
        let target = msg!("report.opening.target", target = target);
        lines.push(Line::new(1, Tone::Dim, target));
    }
    for section in &report.sections {
        if let Some(title) = &section.title {
            lines.push(Line::heading(title));
        }
        for entry in &section.items {
            let mut line = Line::new(1, Tone::Plain, name_of(&entry.item))
                .mark(mark(entry.item.kind, entry.outcome.as_ref()))
                .tail(item_tail(&entry.item));
            line.number = Some(entry.item.number);
            lines.push(line);
            if let Some(ItemState::DecidedWhenItRuns { on }) = &entry.outcome {
                lines.push(Line::fact(msg!("report.decided-on", on = on)));
            }
            for done in &entry.actions {
                action_lines(&done.action, &mut lines);
            }
            for fact in &entry.evidence {
                if let Evidence::WillCheck { what } = fact {
                    lines.push(Line::new(2, Tone::Plain, msg!("report.will-check", what = what)));
                }
            }
            lines.extend(entry.points.iter().map(|point| Line::fact(format!("[ ] {point}"))));
        }
    }
    lines.extend(Tally::of(report).lines());
    let mut out = String::new();
    for line in &lines {
        if line.depth == 0 && !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&shape(line));
        out.push('\n');
    }
    out
}
