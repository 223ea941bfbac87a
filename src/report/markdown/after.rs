//! What stands at the end of the Markdown report: attachments, processes, inputs, contacts, and
//! what is to be done next.

use super::super::model::Report;
use super::super::paper::{code, code_cell, table, text};
use super::super::tell::mode_word;
use super::super::words::{contacts, end_of, moment, name_of, span, value_text};
use super::{checklist, heading};
use crate::model::{FinalState, format_bytes};
use crate::msg;

pub(super) fn attachments(report: &Report, out: &mut String) {
    use super::super::model::Evidence::Attached;
    let rows: Vec<_> = report
        .evidence()
        .filter_map(|(_, fact)| match fact {
            Attached { path, bytes, sha256 } => {
                Some(vec![code_cell(path), format_bytes(*bytes), code_cell(sha256)])
            }
            _ => None,
        })
        .collect();
    if !rows.is_empty() {
        heading(out, &msg!("report.md.attachments"));
        let headings = [msg!("report.md.place"), msg!("report.md.size"), "SHA-256".to_string()];
        out.push_str(&table(&headings, &rows, &[1]));
    }
}

pub(super) fn processes(report: &Report, out: &mut String) {
    if report.processes.len() < 2 {
        return;
    }
    heading(out, &msg!("report.md.processes"));
    let rows: Vec<_> = report
        .processes
        .iter()
        .map(|process| {
            let end = match process.state {
                Some(state) => end_of(state, 0).1,
                None => msg!("report.md.killed"),
            };
            vec![
                text(&mode_word(&process.mode)),
                text(&process.by),
                moment(&process.started),
                span(process.took_ms),
                text(&end),
            ]
        })
        .collect();
    let headings = [
        msg!("report.md.mode"),
        msg!("report.md.by"),
        msg!("report.md.started"),
        msg!("report.md.duration"),
        msg!("report.md.state"),
    ];
    out.push_str(&table(&headings, &rows, &[3]));
}

pub(super) fn inputs(report: &Report, out: &mut String) {
    let Some(inputs) = report.inputs.as_object().filter(|inputs| !inputs.is_empty()) else {
        return;
    };
    heading(out, &msg!("report.md.inputs"));
    let rows: Vec<_> = inputs
        .iter()
        .map(|(name, value)| vec![code_cell(name), code_cell(&value_text(value))])
        .collect();
    out.push_str(&table(&[msg!("report.md.input"), msg!("report.md.hash")], &rows, &[]));
}

pub(super) fn contact_table(report: &Report, out: &mut String) {
    let rows: Vec<_> = contacts(&report.contacts)
        .into_iter()
        .map(|(who, how)| vec![text(&who), text(&how)])
        .collect();
    if !rows.is_empty() {
        heading(out, &msg!("report.md.contacts"));
        out.push_str(&table(&[msg!("report.md.who"), msg!("report.md.how")], &rows, &[]));
    }
}

pub(super) fn next_steps(report: &Report, out: &mut String) {
    let mut steps = Vec::new();
    if let Some(next) = &report.next {
        steps.push(msg!("report.md.next-run", command = code(next)));
    }
    if !report.is_plan() {
        for entry in report.items().filter(|entry| checklist::is_open(entry)) {
            let title = text(&name_of(&entry.item));
            let number = entry.item.number.to_string();
            let item = entry.item.id.as_deref().unwrap_or(&number);
            let command = code(&format!("runsheet tick {} {item} --by NAME", report.run));
            steps.push(msg!("report.md.next-tick", title = title, command = command));
        }
    }
    if matches!(report.state, Some(FinalState::FailedSomeStand | FinalState::VerifyFailed)) {
        let command = format!("runsheet rollback {}", report.run);
        if report.next.as_deref() != Some(command.as_str()) {
            steps.push(msg!("report.md.next-rollback", command = code(&command)));
        }
    }
    if steps.is_empty() {
        return;
    }
    heading(out, &msg!("report.md.next"));
    steps.iter().for_each(|step| out.push_str(&format!("- [ ] {step}\n")));
}
