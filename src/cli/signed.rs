//! approve, tick: what people put their name to, before a run and behind it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::args::Road;
use super::database::Database;
use super::desk::Desk;
use super::known::{Known, Runs};
use super::past::{kept_report, local_report};
use super::road::{setup, sound};
use crate::engine::walk;
use crate::host::{Host, Mode, Sign};
use crate::journal::{Recorder, started_by};
use crate::model::{Attestation, EventKind, Fault, FaultKind, ItemKind, RunId, nearest};
use crate::msg;
use crate::report::{ItemReport, Report, Silent};

/// `runsheet approve PLAYBOOK --by NAME [--because TEXT]`: the plan, and a name under it.
pub(super) fn approve(
    desk: &Desk,
    name: &str,
    by: &str,
    because: Option<&str>,
) -> Result<u8, Fault> {
    let sign = Sign { by: named(by)?, because: because.map(String::from) };
    let (playbook, outline) = sound(desk, name)?;
    let mut road = setup(desk, &Road::default(), playbook, outline, Mode::Plan, None)?;
    road.host.wishes.sign = Some(sign);
    walk(road).map(|ended| ended.exit)
}

/// A name that says who.
fn named(by: &str) -> Result<String, Fault> {
    let by = by.trim();
    if by.is_empty() || by.contains(char::is_control) {
        let fault = msg!("cli.wrong-value", argument = "--by", value = by);
        return Err(Fault::usage("wrong-value", fault).remedy(msg!("cli.by.remedy")));
    }
    Ok(by.to_string())
}

/// `runsheet tick [RUN] ITEM --by NAME`: a point that nobody attested while the run went on.
pub(super) fn tick(
    desk: &Desk,
    words: &[String],
    by: &str,
    because: Option<&str>,
) -> Result<u8, Fault> {
    let (run, item) = match words {
        [run, item] => (Some(run.as_str()), item.as_str()),
        [item] => (None, item.as_str()),
        _ => {
            let text = msg!("cli.missing-argument", argument = "ITEM");
            return Err(Fault::usage("missing-argument", text));
        }
    };
    let name = named(by)?;
    let runs = Runs::of(desk);
    let known = match run {
        Some(run) => runs.named(run)?,
        None => runs.all.first().ok_or_else(|| {
            runs.unasked.clone().unwrap_or_else(|| Fault::usage("run-unknown", msg!("cli.no-runs")))
        })?,
    };
    let database = Database::open(desk)?;
    let mut night = Night::of(desk, &database, known)?;
    let (title, points) = {
        let entry = found(&night.report, item)?;
        (entry.item.title.clone(), entry.open_points())
    };
    if points.is_empty() {
        desk.talk(&msg!("cli.ticked-already", item = title));
        return Ok(0);
    }
    let at = crate::system::moment();
    let account = started_by();
    let signed = match because {
        Some(why) => format!("{name} ({account}): {why}"),
        None => format!("{name} ({account})"),
    };
    let ticks: Vec<Attestation> = points
        .iter()
        .map(|point| Attestation {
            point: point.clone(),
            by: signed.clone(),
            at: at.clone(),
            attested: true,
        })
        .collect();
    let patch = json!({
        "attested": true,
        "ticked": { "by": name, "account": account, "at": at, "because": because },
    });
    night.keep(desk, &database, known, &title, &ticks, &patch)?;
    if desk.common.json {
        desk.json(&json!({
            "run": known.run, "item": title, "points": points, "by": name, "at": at,
        }));
    } else {
        desk.out(&format!("{}\n", msg!("cli.ticked", item = title, run = known.run, by = name)));
    }
    Ok(0)
}

/// The item that is named by title, id, number, or the beginning of a title.
fn found<'r>(report: &'r Report, word: &str) -> Result<&'r ItemReport, Fault> {
    let asked =
        |entry: &&ItemReport| matches!(entry.item.kind, ItemKind::Manual | ItemKind::Approve);
    let all: Vec<&ItemReport> = report.items().filter(asked).collect();
    let named = |entry: &&&ItemReport| {
        let item = &entry.item;
        item.title == word || item.id.as_deref() == Some(word) || item.number.to_string() == word
    };
    if let Some(entry) = all.iter().find(named) {
        return Ok(entry);
    }
    let begins: Vec<_> = all.iter().filter(|entry| entry.item.title.starts_with(word)).collect();
    if let [only] = begins.as_slice() {
        return Ok(only);
    }
    let titles: Vec<&str> = all.iter().map(|entry| entry.item.title.as_str()).collect();
    let fault = Fault::usage("nothing-to-tick", msg!("cli.nothing-to-tick", item = word));
    Err(match nearest(word, titles.iter().copied()) {
        Some(guess) => fault.remedy(msg!("cli.did-you-mean", guess = guess)),
        None if titles.is_empty() => fault,
        None => fault.remedy(msg!("cli.one-of", known = titles.join(", "))),
    })
}

/// The report of a run, out of its own file or the ledger.
struct Night {
    report: Report,
    /// The run's folder on this machine, where it is there.
    folder: Option<PathBuf>,
}

impl Night {
    fn of(desk: &Desk, database: &Database, known: &Known) -> Result<Self, Fault> {
        let folder = desk.existing_state().map(|state| state.run_dir(&RunId(known.run.clone())));
        let folder = folder.filter(|folder| folder.join("events.jsonl").is_file());
        let report = match folder.as_deref().and_then(local_report) {
            Some(report) => report,
            None => kept_report(database, &known.run)?,
        };
        Ok(Self { report, folder })
    }

    /// Ledger, file and report, under the lease: a runner may be about to write them itself.
    fn keep(
        &mut self,
        desk: &Desk,
        database: &Database,
        known: &Known,
        title: &str,
        ticks: &[Attestation],
        patch: &Value,
    ) -> Result<(), Fault> {
        if !database.has_ledger()? {
            return Err(Fault::usage("no-ledger", msg!("cli.no-ledger")));
        }
        database.under_lease(desk, &known.run, || {
            self.write(desk, database, known, title, ticks, patch)
        })
    }

    /// The ledger first: what it does not take stands nowhere, and can be ticked again.
    fn write(
        &mut self,
        desk: &Desk,
        database: &Database,
        known: &Known,
        title: &str,
        ticks: &[Attestation],
        patch: &Value,
    ) -> Result<(), Fault> {
        ticks.iter().for_each(|attestation| self.report.attest(title, attestation));
        let report = serde_json::to_value(&self.report).unwrap_or_default();
        let (report, patch) =
            (desk.redactor.clean_value(&report), desk.redactor.clean_value(patch));
        let (session, ledger) = (&database.session, &database.ledger);
        let rows = database.ask(ledger.tick(session, &known.run, title, &patch, &report))?;
        if rows == 0 {
            let text = msg!("cli.nothing-to-tick", item = title);
            return Err(Fault::new(FaultKind::Usage, "nothing-to-tick", text));
        }
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut recorder = Recorder::new(Box::new(Silent), desk.redactor.clone());
        recorder.open(folder)?;
        for attestation in ticks.iter().cloned() {
            recorder.emit(EventKind::Attested { item: title.into(), attestation })?;
        }
        recorder.flush()?;
        recorder.report().map_or(Ok(()), |report| Host::keep_report(folder, &report))
    }
}
