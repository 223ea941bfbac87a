//! What follows from a run's facts without being an event: verdicts on estimates, and the ladder
//! of ways back.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::model::{BackupReport, ItemReport, Report, Rung, RungState, Timing, Verdict};
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
/// its backups. Cheapest first.
pub(super) fn ladder(report: &Report, named: Vec<Rung>) -> Vec<Rung> {
    let items: Items<'_> = report.items().map(|entry| (entry.item.title.as_str(), entry)).collect();
    let mut rungs = named;
    rungs.retain(|rung| {
        rung.kind != RungKind::Undo
            || rung.item.as_deref().is_none_or(|title| stands(&items, title))
    });
    let in_transactions = report.items().any(|entry| entry.xid.is_some());
    if in_transactions && rungs.iter().all(|rung| rung.kind != RungKind::Transaction) {
        rungs.push(Rung {
            state: RungState::Available,
            ..rung(RungKind::Transaction, None, msg!("report.ladder.transaction-what"))
        });
    }
    let undos = rungs.iter().filter(|rung| rung.kind == RungKind::Undo);
    let known: HashSet<String> = undos.filter_map(|rung| rung.item.clone()).collect();
    for entry in report.items().filter(|entry| entry.item.has_undo) {
        let title = entry.item.title.as_str();
        if stands(&items, title) && !known.contains(title) {
            rungs.push(rung(RungKind::Undo, Some(title), title.to_string()));
        }
    }
    for BackupReport { item, backup } in &report.backups {
        let Some(first) = backup.files.first() else {
            let what = backup.state.clone().unwrap_or_default();
            let mut restore = rung(RungKind::Restore, item.as_deref(), what);
            restore.command.clone_from(&backup.restore);
            rungs.push(restore);
            continue;
        };
        let proven = (backup.state.as_deref() == Some("verified"))
            .then(|| msg!("report.ladder.restored-and-compared"));
        let at = rungs.iter().position(|rung| {
            rung.kind == RungKind::Restore && backup.files.iter().any(|file| file.path == rung.what)
        });
        let at = at.unwrap_or_else(|| {
            let mut restore = rung(RungKind::Restore, item.as_deref(), first.path.clone());
            restore.command.clone_from(&backup.restore);
            rungs.push(restore);
            rungs.len() - 1
        });
        if rungs[at].state == RungState::Unproven && proven.is_some() {
            (rungs[at].state, rungs[at].proven) = (RungState::Available, proven);
        }
    }
    let dumps = rungs.iter().any(|r| r.kind == RungKind::Restore && r.why.is_none());
    rungs.retain(|rung| !(dumps && rung.kind == RungKind::Restore && rung.what.is_empty()));
    for rung in &mut rungs {
        undo_state(&items, rung);
    }
    let restored = rungs.iter().any(|r| r.kind == RungKind::Restore && r.state == RungState::Done);
    for rung in rungs.iter_mut().filter(|_| restored) {
        if rung.kind != RungKind::Transaction && rung.state != RungState::Done {
            rung.state = RungState::NotNeeded;
        }
    }
    // The newest step is undone first.
    rungs.reverse();
    rungs.sort_by_key(|rung| rung.kind);
    if let Some(first) = rungs.iter().position(|rung| rung.kind > RungKind::Undo) {
        rungs[first..].reverse();
        rungs[first..].sort_by_key(|rung| rung.kind);
    }
    rungs
}

fn rung(kind: RungKind, item: Option<&str>, what: String) -> Rung {
    let item = item.map(str::to_string);
    let (command, proven, why) = (None, None, None);
    Rung { kind, item, what, command, proven, state: RungState::Unproven, why }
}

/// A run's items by their titles.
type Items<'r> = HashMap<&'r str, &'r ItemReport>;

/// What a failed step did went with its transaction, what was skipped never happened.
fn stands(items: &Items<'_>, title: &str) -> bool {
    items.get(title).is_none_or(|entry| match &entry.outcome {
        Some(ItemState::Failed { .. }) => entry.xid.is_none(),
        Some(ItemState::Skipped { .. }) => false,
        _ => true,
    })
}

/// What the rollback made of an undo.
fn undo_state(items: &Items<'_>, rung: &mut Rung) {
    let Some(title) = rung.item.as_deref().filter(|_| rung.kind == RungKind::Undo) else { return };
    let entry = |title: &str| items.get(title);
    if entry(title).is_some_and(|entry| entry.undone) {
        rung.state = RungState::Done;
        return;
    }
    let undo = entry(&format!("undo: {title}"));
    if let Some(ItemState::Failed { fault, .. }) = undo.and_then(|entry| entry.outcome.as_ref()) {
        rung.state = RungState::Failed;
        rung.why = Some(fault.message.clone());
    } else if rung.proven.is_some() && rung.state == RungState::Unproven {
        rung.state = RungState::Available;
    }
}
