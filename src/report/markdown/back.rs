//! Backups and the ladder of ways back in the Markdown report.

use super::super::model::{BackupReport, Report, Rung};
use super::super::paper::{block, code, code_cell, table, text};
use super::super::words::{backup_state, name_of};
use super::heading;
use crate::model::{ItemKind, ItemState, RungKind, format_bytes};
use crate::msg;

pub(super) fn backups(report: &Report, out: &mut String) {
    if report.backups.is_empty() {
        return;
    }
    heading(out, &msg!("report.md.backup"));
    let mut rows = Vec::new();
    for BackupReport { backup, .. } in &report.backups {
        let state = backup.state.as_deref().map(backup_state).unwrap_or_default();
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
    let commands: Vec<_> =
        report.backups.iter().filter_map(|b| b.backup.restore.as_deref()).collect();
    if !commands.is_empty() {
        out.push_str(&format!("\n{}:\n\n", msg!("report.md.restore")));
        out.push_str(&block("sh", &commands.join("\n")));
    }
}

pub(super) fn way_back(report: &Report, out: &mut String) {
    let without: Vec<_> = report
        .items()
        .filter(|entry| entry.item.kind == ItemKind::Step && !entry.item.has_undo)
        // A backup leaves nothing that would have to be taken back.
        .filter(|entry| {
            let makes_backup =
                |backup: &BackupReport| backup.item.as_deref() == Some(entry.item.title.as_str());
            !report.backups.iter().any(makes_backup)
        })
        .filter(|entry| {
            matches!(
                entry.outcome,
                Some(ItemState::Done { .. } | ItemState::Replayed { .. } | ItemState::Planned)
            )
        })
        .map(|entry| text(&name_of(&entry.item)))
        .collect();
    if report.way_back.is_empty() && without.is_empty() {
        return;
    }
    heading(out, &msg!("report.md.way-back"));
    out.push_str(&format!("{}\n\n", msg!("report.md.way-back-intro")));
    let mut number = 0;
    let mut last = None;
    for rung in &report.way_back {
        if last != Some(rung.kind) {
            number += 1;
            out.push_str(&format!("{number}. **{}**\n", rung_word(rung.kind)));
            if rung.kind == RungKind::Undo && !report.is_plan() {
                let command = code(&format!("runsheet rollback {}", report.run));
                out.push_str(&format!("   - {}\n", msg!("report.ladder.with", command = command)));
            }
            last = Some(rung.kind);
        }
        out.push_str(&format!("   - {}\n", rung_line(report, rung)));
    }
    if !without.is_empty() && !report.way_back.is_empty() {
        out.push('\n');
    }
    if !without.is_empty() {
        let steps = without.join(", ");
        out.push_str(&format!("{}\n", msg!("report.ladder.without-undo", steps = steps)));
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
    let mut line = match rung.kind {
        RungKind::Transaction | RungKind::Undo => text(&rung.what),
        _ => code(&rung.what),
    };
    if rung.kind == RungKind::Undo
        && let Some(entry) =
            report.items().find(|entry| Some(&entry.item.title) == rung.item.as_ref())
    {
        let name = text(&name_of(&entry.item));
        if rung.what != entry.item.title {
            line = format!("{name}: {line}");
        }
        if entry.undone {
            return format!("{line}: {}", msg!("report.ladder.undone"));
        }
    }
    if rung.kind != RungKind::Transaction {
        let proof = match &rung.proven {
            Some(by) => msg!("report.proven", by = text(by)),
            None => format!("**{}**", msg!("report.unproven")),
        };
        line = format!("{line}: {proof}");
    }
    match &rung.command {
        Some(command) => format!("{line}\n     {}", code(command)),
        None => line,
    }
}
