//! The checklist in the Markdown report: items with their evidence, statements, points that people
//! ticked.

use super::super::model::{Evidence, ItemReport, Report};
use super::super::paper::{code, code_cell, table, text};
use super::super::plan::item_tail;
use super::super::watch::{lock_wait_line, wait_line};
use super::super::words::{
    count_text, grouped, mark, moment, name_of, risk_word, span, took_beside,
};
use super::heading;
use crate::model::{Action, Attestation, ItemKind, ItemState};
use crate::msg;

/// The checklist, heading included.
pub(super) fn checklist(report: &Report) -> String {
    let mut out = String::new();
    if report.sections.is_empty() {
        return out;
    }
    heading(&mut out, &msg!("report.md.checklist"));
    for (at, section) in report.sections.iter().enumerate() {
        let title = match &section.title {
            Some(title) => Some(text(title)),
            None if section.way_back => Some(msg!("report.md.undo-section")),
            None => None,
        };
        if at > 0 {
            out.push('\n');
        }
        if let Some(title) = title {
            out.push_str(&format!("### {title}\n\n"));
        }
        section.items.iter().for_each(|entry| item(report, entry, &mut out));
    }
    out
}

fn item(report: &Report, entry: &ItemReport, out: &mut String) {
    let mark = mark(entry.item.kind, entry.outcome.as_ref());
    let mut facts = vec![mark.word];
    match &entry.outcome {
        Some(ItemState::Done { .. } | ItemState::Failed { .. }) => {
            facts.push(took_beside(entry.took_ms, entry.item.takes.as_deref()));
        }
        Some(ItemState::Planned | ItemState::WillCheck) => {
            let tail = item_tail(&entry.item);
            facts.extend((!tail.is_empty()).then_some(tail));
        }
        _ => {}
    }
    if entry.attempts > 1 {
        facts.push(msg!("report.md.attempts", n = entry.attempts));
    }
    if entry.undone {
        facts.push(msg!("report.md.undone-later"));
    }
    let name = text(&name_of(&entry.item));
    out.push_str(&format!("- {} **{name}**: {}\n", mark.symbol, text(&facts.join(", "))));
    let mut lines = Vec::new();
    match &entry.outcome {
        Some(ItemState::Skipped { reason }) => lines.push(text(reason)),
        Some(ItemState::DecidedWhenItRuns { on }) => {
            lines.push(text(&msg!("report.decided-on", on = on)));
        }
        Some(ItemState::Failed { fault, optional }) => {
            lines.push(text(&format!("{fault} ({})", fault.code)));
            lines.extend(optional.then(|| msg!("report.optional")));
        }
        Some(ItemState::NotAttested) => lines.push(msg!("report.not-attested")),
        _ => {}
    }
    if report.is_plan() {
        lines.extend(entry.actions.iter().map(|done| action(&done.action)));
        lines.extend(entry.points.iter().map(|point| format!("[ ] {}", text(point))));
    }
    // What a file includes is run as part of it, and stands in a line of its own.
    let ran_in_all: u32 = entry.files.iter().map(|file| file.ran).sum();
    for file in &entry.files {
        let of = if ran_in_all == file.of { file.ran } else { file.of };
        lines.push(text(&msg!(
            "report.md.file-summary",
            file = file.file,
            ran = grouped(file.ran.into()),
            of = grouped(of.into()),
            rows = grouped(file.rows),
            took = span(file.took_ms)
        )));
    }
    lines.extend(entry.evidence.iter().filter_map(evidence));
    if entry.omitted > 0 {
        lines.push(msg!("report.md.omitted", n = grouped(entry.omitted)));
    }
    lines.iter().for_each(|line| out.push_str(&format!("  - {line}\n")));
}

fn action(action: &Action) -> String {
    let mut line = code(&action.verb);
    if !action.target.is_empty() {
        line = format!("{line} {}", text(&action.target));
    }
    let mut facts: Vec<String> = Vec::new();
    if let Some(risk) = action.risk {
        facts.push(msg!("report.plan.risk", risk = risk_word(risk)));
    }
    facts.extend(action.locks.iter().map(|lock| msg!("report.plan.lock", lock = text(lock))));
    if action.opaque {
        facts.push(msg!("report.plan.opaque"));
    }
    facts.extend(action.remarks.iter().map(|remark| text(remark)));
    if !facts.is_empty() {
        line = format!("{line} ({})", facts.join("; "));
    }
    match &action.statement {
        Some(statement) => format!("{line}: {}", code(statement)),
        None => line,
    }
}

/// One piece of evidence as a line; None for what has a section of its own.
fn evidence(fact: &Evidence) -> Option<String> {
    Some(match fact {
        Evidence::Compared { what, left, right, holds } => {
            let (left, right) = (count_text(left), count_text(right));
            let line = if *holds && left == right {
                msg!("report.compared-same", what = what, left = left, right = right)
            } else if *holds {
                msg!("report.compared-holds", what = what, left = left, right = right)
            } else {
                msg!("report.compared-differs", what = what, left = left, right = right)
            };
            text(&line)
        }
        Evidence::Note { text: said } => text(said),
        Evidence::Notice { severity, text: said } => format!("{}: {}", text(severity), text(said)),
        Evidence::Warning { text: said } => {
            format!("**{}**", text(&msg!("report.warning", text = said)))
        }
        Evidence::Retry { what, attempt, of, reason } => {
            let line = msg!("report.retry", what = what, n = attempt, of = of, reason = reason);
            text(&line)
        }
        Evidence::Held { wait } => text(&wait_line(wait, 0)),
        Evidence::LockWaits { waits } => {
            let lines: Vec<String> = waits.iter().map(lock_wait_line).collect();
            text(&lines.join("; "))
        }
        Evidence::Waiting { what } => text(&msg!("report.waited", what = what)),
        Evidence::WillCheck { what } => text(&msg!("report.will-check", what = what)),
        Evidence::Attested { attestation } => attested(attestation),
        Evidence::Attached { path, .. } => msg!("report.md.attached", path = code(path)),
        Evidence::Intent { action: intended, done, .. } => {
            let state =
                if *done { msg!("report.md.intent-done") } else { msg!("report.md.intent-open") };
            format!("{}: {state}", action(intended))
        }
        Evidence::Table { .. } | Evidence::Text { .. } => return None,
    })
}

/// What was said outside of items, as a list line with its line end.
pub(super) fn loose(fact: &Evidence) -> String {
    match fact {
        // Warnings have a section of their own.
        Evidence::Warning { .. } | Evidence::Compared { .. } => String::new(),
        other => evidence(other).map(|line| format!("\n- {line}\n")).unwrap_or_default(),
    }
}

fn attested(attestation: &Attestation) -> String {
    let Attestation { point, by, at, attested } = attestation;
    let (point, by, at) = (text(point), text(by), moment(at));
    if *attested {
        msg!("report.md.attested", point = point, by = by, at = at)
    } else {
        msg!("report.md.passed-unattested", point = point, by = by, at = at)
    }
}

/// True where a person still has to tick.
pub(super) fn is_open(entry: &ItemReport) -> bool {
    let passed = entry
        .evidence
        .iter()
        .any(|fact| matches!(fact, Evidence::Attested { attestation } if !attestation.attested));
    entry.outcome == Some(ItemState::NotAttested) || (entry.item.kind == ItemKind::Manual && passed)
}

/// The points of manual items and approvals as tick boxes, by item: the success criteria.
pub(super) fn attestations(report: &Report) -> String {
    let mut out = String::new();
    let asked = |entry: &&ItemReport| {
        matches!(entry.item.kind, ItemKind::Manual | ItemKind::Approve)
            && (entry.outcome.is_some() || !entry.evidence.is_empty())
    };
    for entry in report.items().filter(asked) {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&format!("**{}**\n\n", text(&name_of(&entry.item))));
        let given: Vec<&Attestation> = entry
            .evidence
            .iter()
            .filter_map(|fact| match fact {
                Evidence::Attested { attestation } => Some(attestation),
                _ => None,
            })
            .collect();
        for attestation in &given {
            let tick = if attestation.attested { "x" } else { " " };
            out.push_str(&format!("- [{tick}] {}\n", attested(attestation)));
        }
        let missing =
            entry.points.iter().filter(|point| given.iter().all(|known| known.point != **point));
        for point in missing {
            let line = msg!("report.md.not-attested", point = text(point));
            out.push_str(&format!("- [ ] {line}\n"));
        }
        if given.is_empty() && entry.points.is_empty() {
            let done = matches!(entry.outcome, Some(ItemState::Done { .. }));
            let word = mark(entry.item.kind, entry.outcome.as_ref()).word;
            out.push_str(&format!("- [{}] {}\n", if done { "x" } else { " " }, text(&word)));
        }
    }
    out
}

/// The statements of every SQL file: all of a short one, the slowest of a long one.
pub(super) fn statements(report: &Report, out: &mut String) {
    let mut first = true;
    for (entry, file) in report.items().flat_map(|e| e.files.iter().map(move |file| (e, file))) {
        if std::mem::take(&mut first) {
            heading(out, &msg!("report.md.statements"));
        } else {
            out.push('\n');
        }
        out.push_str(&format!("### {} ({})\n\n", code(&file.file), text(&name_of(&entry.item))));
        if file.shown.len() < file.ran as usize {
            let (n, of) = (file.shown.len(), grouped(file.ran.into()));
            out.push_str(&format!("{}\n\n", msg!("report.md.slowest", n = n, of = of)));
        }
        let rows: Vec<_> = file
            .shown
            .iter()
            .map(|done| {
                vec![
                    format!("{}", done.number),
                    format!("{}", done.line),
                    code_cell(&done.text),
                    done.rows.map(grouped).unwrap_or_default(),
                    span(done.took_ms),
                ]
            })
            .collect();
        let headings = [
            msg!("report.md.number"),
            msg!("report.md.line"),
            msg!("report.md.statement"),
            msg!("report.md.rows"),
            msg!("report.md.took"),
        ];
        out.push_str(&table(&headings, &rows, &[0, 1, 3, 4]));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_from_the_server_stays_text() {
        let fact = Evidence::Compared {
            what: "a|b".into(),
            left: json!("<b>"),
            right: json!(2),
            holds: false,
        };
        assert_eq!(evidence(&fact).as_deref(), Some("a\\|b: \\<b> ≠ 2"));
    }
}
