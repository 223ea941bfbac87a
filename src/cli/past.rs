//! What was: report, history, status, lock.

use std::path::Path;

use serde_json::{Value, json};

use super::args::ReportFormat;
use super::database::Database;
use super::desk::Desk;
use super::known::{Known, Runs};
use crate::journal::{Lease, RunState, read_events};
use crate::model::{Fault, RunId};
use crate::msg;
use crate::playbook::Origin;
use crate::report::{Report, Table, markdown};

/// `status --exit-code` where something is pending or open.
const PENDING: u8 = 10;

/// A moment as ledger and journal write it, in the zone of this machine: `2026-11-21 03:15:42 +09:00`.
pub(super) fn local_time(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => crate::system::at_home(moment).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        Err(_) => text.to_string(),
    }
}

fn state_word(state: RunState) -> String {
    match state {
        RunState::Running => msg!("cli.state.running"),
        RunState::Failed => msg!("cli.state.failed"),
        RunState::Done => msg!("cli.state.done"),
        RunState::VerifyFailed => msg!("cli.state.verify-failed"),
        RunState::RollingBack => msg!("cli.state.rolling-back"),
        RunState::RolledBack => msg!("cli.state.rolled-back"),
    }
}

fn as_json(known: &Known) -> Value {
    json!({
        "run": known.run,
        "playbook": known.playbook,
        "title": known.title,
        "state": known.state,
        "steps": known.steps,
        "by": known.by,
        "environment": known.environment,
        "started": local_time(&known.started),
        "ended": known.ended.as_deref().map(local_time),
        "local_only": known.local_only,
    })
}

/// Says why the ledger is missing from what is shown.
fn tell_unasked(desk: &Desk, runs: &Runs) {
    if let Some(fault) = &runs.unasked {
        desk.talk(&msg!("cli.ledger-unasked", why = fault));
    }
}

/// `runsheet history [PLAYBOOK]`
pub(super) fn history(desk: &Desk, playbook: Option<&str>) -> Result<u8, Fault> {
    let runs = Runs::of(desk);
    tell_unasked(desk, &runs);
    let wanted = |known: &&Known| {
        playbook.is_none_or(|name| {
            known.playbook == name
                || known.files.iter().any(|file| file == name)
                || known.files.iter().any(|file| file.ends_with(&format!("/{name}.rhai")))
        })
    };
    let shown: Vec<&Known> = runs.all.iter().filter(wanted).collect();
    if desk.common.json {
        desk.json(&Value::Array(shown.into_iter().map(as_json).collect()));
        return Ok(0);
    }
    if shown.is_empty() {
        desk.talk(&msg!("cli.no-runs"));
        return Ok(0);
    }
    let mut table = Table::new([
        msg!("cli.column.run"),
        msg!("cli.column.playbook"),
        msg!("cli.column.state"),
        msg!("cli.column.steps"),
        msg!("cli.column.started"),
        msg!("cli.column.by"),
    ])
    .right(3);
    for known in shown {
        let mut state = state_word(known.state);
        if known.local_only {
            state = msg!("cli.state.local-only", state = state);
        }
        let started = local_time(&known.started);
        let steps = known.steps.to_string();
        table.row([&known.run, &known.playbook, &state, &steps, &started, &known.by]);
    }
    desk.out(&table.text(desk.width()));
    Ok(0)
}

/// `runsheet status [--exit-code]`
pub(super) fn status(desk: &Desk, exit_code: bool) -> Result<u8, Fault> {
    let runs = Runs::of(desk);
    if let (true, Some(fault)) = (exit_code, &runs.unasked) {
        // A script that asks must not take "could not look" for "nothing pending".
        return Err(fault.clone());
    }
    tell_unasked(desk, &runs);
    let mut rows: Vec<(String, Option<&Known>)> = Vec::new();
    let latest = runs.latest();
    for listed in crate::playbook::list(&desk.project) {
        let id = listed.id.clone().unwrap_or_else(|| listed.name.clone());
        let known = latest.iter().find(|known| known.playbook == id).copied();
        if listed.origin == Origin::Project || known.is_some() {
            rows.push((id, known));
        }
    }
    for known in &latest {
        if !rows.iter().any(|(id, _)| *id == known.playbook) {
            rows.push((known.playbook.clone(), Some(known)));
        }
    }
    let pending = rows.iter().any(|(_, known)| known.is_none_or(|k| k.state != RunState::Done));
    let code = if exit_code && pending { PENDING } else { 0 };
    if desk.common.json {
        let list = rows.iter().map(|(id, known)| match known {
            Some(known) => as_json(known),
            None => json!({ "playbook": id, "state": "pending" }),
        });
        desk.json(&Value::Array(list.collect()));
        return Ok(code);
    }
    if rows.is_empty() {
        desk.talk(&msg!("cli.no-playbooks"));
        return Ok(0);
    }
    let mut table = Table::new([
        msg!("cli.column.playbook"),
        msg!("cli.column.state"),
        msg!("cli.column.run"),
        msg!("cli.column.started"),
        msg!("cli.column.by"),
    ]);
    for (id, known) in &rows {
        match known {
            Some(known) => table.row([
                id,
                &state_word(known.state),
                &known.run,
                &local_time(&known.started),
                &known.by,
            ]),
            None => table.row([id, &msg!("cli.state.pending")]),
        }
    }
    desk.out(&table.text(desk.width()));
    for known in runs.open() {
        let word = if known.state == RunState::RollingBack { "rollback" } else { "resume" };
        let command = format!("runsheet {word} {}", known.run);
        desk.talk(&msg!("cli.open-run", run = known.run, command = command));
    }
    Ok(code)
}

/// `runsheet lock`
pub(super) fn lock(desk: &Desk) -> Result<u8, Fault> {
    let database = Database::open(desk)?;
    let holder = database.ask(Lease::holder(&database.session, &database.ledger))?;
    if desk.common.json {
        desk.json(&holder.as_ref().map_or(Value::Null, |holder| {
            json!({
                "run": holder.run, "by": holder.holder, "pid": holder.pid,
                "since": holder.since.as_deref().map(local_time), "application": holder.application,
            })
        }));
        return Ok(0);
    }
    match holder {
        Some(holder) => desk.out(&format!("{}\n", holder.describe())),
        None => desk.out(&format!("{}\n", msg!("cli.lease-free"))),
    }
    Ok(0)
}

/// `runsheet report [RUN]`: the newest one where none is named.
pub(super) fn report(desk: &Desk, run: Option<&str>, format: ReportFormat) -> Result<u8, Fault> {
    let state = desk.existing_state();
    let local = |id: &str| {
        let state = state.as_ref()?;
        local_report(&state.run_dir(&RunId(id.into())))
    };
    let newest = state.as_ref().and_then(|state| state.runs().ok()?.pop()).map(|run| run.0);
    if let Some(found) = run.map(String::from).or(newest).and_then(|id| local(&id)) {
        return Ok(give(desk, &found, format));
    }
    let runs = Runs::of(desk);
    let known = match (run, runs.all.first()) {
        (Some(run), _) => runs.named(run)?,
        (None, Some(known)) => known,
        (None, None) => {
            return Err(runs
                .unasked
                .unwrap_or_else(|| Fault::usage("run-unknown", msg!("cli.no-runs"))));
        }
    };
    if let Some(found) = local(&known.run) {
        return Ok(give(desk, &found, format));
    }
    let database = Database::open(desk)?;
    kept_report(&database, &known.run).map(|report| give(desk, &report, format))
}

/// The report of a run from its own file on this machine.
pub(super) fn local_report(folder: &Path) -> Option<Report> {
    let events = read_events(folder).ok().filter(|events| !events.is_empty())?;
    Some(Report::from_events(&events))
}

/// The report of a run that the ledger keeps.
///
/// # Errors
/// `no-report`.
pub(super) fn kept_report(database: &Database, run: &str) -> Result<Report, Fault> {
    let kept = match database.has_ledger()? {
        true => database.ask(database.ledger.report(&database.session, run))?,
        false => None,
    };
    kept.and_then(|value| serde_json::from_value::<Report>(value).ok()).ok_or_else(|| {
        Fault::usage("no-report", msg!("cli.no-report", run = run))
            .cause(msg!("cli.no-report.cause"))
            .next(format!("runsheet resume {run}"))
    })
}

fn give(desk: &Desk, report: &Report, format: ReportFormat) -> u8 {
    if desk.common.json || format == ReportFormat::Json {
        desk.json(&serde_json::to_value(report).unwrap_or_default());
    } else {
        desk.out(&markdown(report));
    }
    0
}
