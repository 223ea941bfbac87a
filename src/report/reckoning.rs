//! What follows from a run's facts without being an event: verdicts on estimates, and the ladder
//! of ways back.

use std::time::Duration;

use super::model::{BackupReport, Report, Rung, Timing, Verdict};
use super::words::name_of;
use crate::model::{FinalState, ItemState, RungKind, parse_estimate};
use crate::msg;

/// Estimates beside measured times, the whole run last; nothing for a plan.
pub(super) fn timings(report: &Report) -> Vec<Timing> {
    if report.is_plan() {
        return Vec::new();
    }
    let timing = |item: Option<String>, takes: &String, took_ms, ended: bool| Timing {
        item,
        takes: takes.clone(),
        took_ms,
        verdict: ended.then(|| verdict(takes, took_ms)).flatten(),
    };
    let mut out: Vec<Timing> = report
        .items()
        .filter_map(|entry| {
            let takes = entry.item.takes.as_ref()?;
            let ended = matches!(entry.outcome, Some(ItemState::Done { .. }));
            Some(timing(Some(name_of(&entry.item)), takes, entry.took_ms, ended))
        })
        .collect();
    if let Some(takes) = &report.takes {
        let forward = report.processes.iter().filter(|process| process.mode != "rollback");
        let took_ms = forward.map(|process| process.took_ms).sum();
        // A run that stopped early was not faster than estimated.
        let ended = report.processes.iter().any(|process| {
            matches!(process.state, Some(FinalState::Done | FinalState::VerifyFailed))
        });
        out.push(timing(None, takes, took_ms, ended));
    }
    out
}

fn verdict(takes: &str, took_ms: u64) -> Option<Verdict> {
    let (low, high) = parse_estimate(takes).ok()?;
    let took = Duration::from_millis(took_ms);
    Some(if took > high {
        Verdict::Over
    } else if took < low && low < high {
        Verdict::Under
    } else {
        Verdict::Within
    })
}

/// The rungs that the run named, and those that follow from it: its transactions, its undo steps,
/// its backups.
pub(super) fn ladder(report: &Report, named: Vec<Rung>) -> Vec<Rung> {
    // What a failed step did went with its transaction, what was skipped never happened.
    let stands = |title: &str| {
        report.items().find(|entry| entry.item.title == title).is_none_or(|entry| {
            match &entry.outcome {
                Some(ItemState::Failed { .. }) => entry.xid.is_none(),
                Some(ItemState::Skipped { .. }) => false,
                _ => true,
            }
        })
    };
    let mut rungs = named;
    rungs.retain(|rung| rung.kind != RungKind::Undo || rung.item.as_deref().is_none_or(&stands));
    let rung = |kind, item: Option<&str>, what: String| Rung {
        kind,
        item: item.map(str::to_string),
        what,
        command: None,
        proven: None,
    };
    let known = |rungs: &[Rung], kind: RungKind, item: Option<&str>| {
        rungs
            .iter()
            .any(|rung| rung.kind == kind && (item.is_none() || rung.item.as_deref() == item))
    };
    let in_transactions = report.items().any(|entry| entry.xid.is_some());
    if in_transactions && !known(&rungs, RungKind::Transaction, None) {
        rungs.push(rung(RungKind::Transaction, None, msg!("report.ladder.transaction-what")));
    }
    for entry in report.items().filter(|e| e.item.has_undo && stands(&e.item.title)) {
        let title = entry.item.title.as_str();
        if !known(&rungs, RungKind::Undo, Some(title)) {
            rungs.push(rung(RungKind::Undo, Some(title), title.to_string()));
        }
    }
    for BackupReport { item, backup } in &report.backups {
        let named = rungs
            .iter()
            .any(|rung| rung.kind == RungKind::Restore && rung.command == backup.restore);
        if named {
            continue;
        }
        let paths: Vec<_> = backup.files.iter().map(|file| file.path.as_str()).collect();
        let mut restore = rung(RungKind::Restore, item.as_deref(), paths.join(", "));
        restore.command.clone_from(&backup.restore);
        if backup.state.as_deref() == Some("verified") {
            restore.proven = Some(msg!("report.ladder.restored-and-compared"));
        }
        rungs.push(restore);
    }
    rungs.sort_by_key(|rung| rung.kind);
    rungs
}
