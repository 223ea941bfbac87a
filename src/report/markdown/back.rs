//! Backups and the ladder of ways back in the Markdown report.

use super::super::model::{BackupReport, Report, Rung, RungState};
use super::super::paper::{block, code, code_cell, table, text};
use super::super::words::{backup_state, name_of};
use super::heading;
use crate::model::{RungKind, format_bytes};
use crate::msg;

pub(super) fn backups(report: &Report, out: &mut String) {
    if report.backups.is_empty() {
        return;
    }
    heading(out, &msg!("report.md.backup"));
    let mut rows = Vec::new();
    for BackupReport { backup, .. } in &report.backups {
        let mut state = backup.state.as_deref().map(backup_state).unwrap_or_default();
        if !backup.encrypted_to.is_empty() {
            state = format!("{state}; {}", msg!("report.backup.encrypted"));
        }
        if backup.files.is_empty() {
            rows.push(vec!["–".into(), String::new(), String::new(), text(&state)]);
        }
        for file in &backup.files {
            rows.push(vec![
                code_cell(&file.path),
                text(file.format.as_deref().unwrap_or("")),
                file.bytes.map(format_bytes).unwrap_or_default(),
                text(&state),
            ]);
        }
    }
    let headings = [
        msg!("report.md.place"),
        msg!("report.md.format"),
        msg!("report.md.size"),
        msg!("report.md.state"),
    ];
    out.push_str(&table(&headings, &rows, &[2]));
    let sums: Vec<_> = report
        .backups
        .iter()
        .flat_map(|entry| &entry.backup.files)
        .filter_map(|file| Some(format!("{}  {}", file.sha256.as_ref()?, file.path)))
        .collect();
    if !sums.is_empty() {
        out.push_str(&format!("\nSHA-256:\n\n{}", block("text", &sums.join("\n"))));
    }
    for place in report.backups.iter().flat_map(|entry| &entry.backup.uploaded) {
        out.push_str(&format!("\n{}\n", msg!("report.backup.uploaded", place = code(place))));
    }
    let commands: Vec<_> =
        report.backups.iter().filter_map(|b| b.backup.restore.as_deref()).collect();
    if !commands.is_empty() {
        out.push_str(&format!("\n{}:\n\n", msg!("report.md.restore")));
        out.push_str(&block("sh", &commands.join("\n")));
    }
}

/// All rungs of a run that changed something, each with its state: also those that this run has
/// not, so that nobody looks for them at night.
pub(super) fn way_back(report: &Report, out: &mut String) {
    if report.way_back.is_empty() {
        return;
    }
    heading(out, &msg!("report.md.way-back"));
    out.push_str(&format!("{}\n\n", msg!("report.md.way-back-intro")));
    const ALL: [RungKind; 5] = [
        RungKind::Transaction,
        RungKind::Undo,
        RungKind::RollbackFile,
        RungKind::BackupTable,
        RungKind::Restore,
    ];
    for (number, kind) in (1..).zip(ALL) {
        let rungs: Vec<&Rung> = report.way_back.iter().filter(|rung| rung.kind == kind).collect();
        let state = match rungs.is_empty() {
            true => format!(": {}", msg!("report.ladder.none")),
            false => String::new(),
        };
        out.push_str(&format!("{number}. **{}**{state}\n", rung_word(kind)));
        for rung in &rungs {
            out.push_str(&format!("   - {}\n", rung_line(report, rung)));
        }
        if let Some(line) = command_line(report, kind, &rungs) {
            out.push_str(&format!("   - {line}\n"));
        }
    }
}

/// What is typed for a rung; for undo steps once for all of them.
fn command_line(report: &Report, kind: RungKind, rungs: &[&Rung]) -> Option<String> {
    let open = |state: RungState| {
        !matches!(state, RungState::Done | RungState::NotNeeded | RungState::NotPossible)
    };
    let left = rungs.iter().any(|rung| open(rung.state));
    if report.is_plan() || !left || kind == RungKind::Transaction {
        return None;
    }
    match kind {
        RungKind::Undo => {
            let command = code(&format!("runsheet rollback {}", report.run));
            let blocked = rungs.iter().any(|rung| rung.state == RungState::NotPossible);
            Some(if blocked {
                msg!("report.ladder.refuses", command = command)
            } else {
                format!("**{}**", msg!("report.ladder.with", command = command))
            })
        }
        RungKind::RollbackFile | RungKind::BackupTable => Some(msg!("report.ladder.by-undo")),
        _ => {
            let command = rungs.iter().find(|rung| open(rung.state))?.command.as_deref()?;
            Some(format!("**{}**", msg!("report.ladder.command", command = code(command))))
        }
    }
}

fn rung_word(kind: RungKind) -> String {
    match kind {
        RungKind::Transaction => msg!("report.ladder.transaction"),
        RungKind::Undo => msg!("report.ladder.undo"),
        RungKind::RollbackFile => msg!("report.ladder.rollback-file"),
        RungKind::BackupTable => msg!("report.ladder.backup-table"),
        RungKind::Restore => msg!("report.ladder.restore"),
    }
}

fn rung_line(report: &Report, rung: &Rung) -> String {
    if rung.kind == RungKind::Transaction {
        return text(&rung.what);
    }
    let state = rung_state(rung);
    if rung.what.is_empty() {
        return state;
    }
    let mut line = match rung.kind {
        RungKind::Undo | RungKind::BackupTable => text(&rung.what),
        _ => code(&rung.what),
    };
    if rung.kind == RungKind::Undo
        && let Some(entry) =
            report.items().find(|entry| Some(&entry.item.title) == rung.item.as_ref())
    {
        let name = text(&name_of(&entry.item));
        line = if rung.what == entry.item.title { name } else { format!("{name}: {line}") };
    }
    format!("{line}: {state}")
}

fn rung_state(rung: &Rung) -> String {
    let why = text(rung.why.as_deref().unwrap_or_default());
    match rung.state {
        RungState::Done if rung.kind == RungKind::Undo => msg!("report.ladder.undone"),
        RungState::Done => match &rung.proven {
            Some(by) if rung.kind == RungKind::Restore => {
                msg!("report.ladder.gone-with", by = text(by))
            }
            _ => msg!("report.ladder.gone"),
        },
        RungState::Failed => format!("**{}**", msg!("report.ladder.failed", why = why)),
        RungState::NotPossible => {
            format!("**{}**", msg!("report.ladder.not-possible", why = why))
        }
        RungState::NotNeeded => msg!("report.ladder.not-needed"),
        RungState::Available => {
            msg!("report.proven", by = text(rung.proven.as_deref().unwrap_or_default()))
        }
        RungState::Unproven if rung.kind == RungKind::Restore => {
            format!("**{}**", msg!("report.ladder.unrestored"))
        }
        RungState::Unproven => format!("**{}**", msg!("report.unproven")),
    }
}
