//! approve, tick: what people put their name to, before a run and behind it.

use serde_json::{Value, json};

use super::args::Road;
use super::database::Database;
use super::desk::Desk;
use super::known::{Known, Runs};
use super::road::{setup, sound};
use crate::engine::walk;
use crate::host::{Mode, Sign};
use crate::journal::{Recorder, started_by};
use crate::model::{Attestation, EventKind, Fault, FaultKind, ItemKind, RunEvent, RunId, nearest};
use crate::msg;
use crate::report::{ItemReport, Report, Sink, markdown};
use crate::system::write_atomic;

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
    let at = crate::system::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
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

/// Nothing is shown of what is taken down: the command says it in one line.
struct Quiet;

impl Sink for Quiet {
    fn event(&mut self, _: &RunEvent) {}

    fn finish(&mut self) {}
}

/// The report of a run, out of its own file or the ledger.
struct Night {
    report: Report,
    /// The run's file on this machine, where it is there.
    recorder: Option<Recorder>,
}

impl Night {
    fn of(desk: &Desk, database: &Database, known: &Known) -> Result<Self, Fault> {
        let folder = desk.existing_state().map(|state| state.run_dir(&RunId(known.run.clone())));
        if let Some(folder) = folder.filter(|folder| folder.join("events.jsonl").is_file()) {
            let mut recorder = Recorder::new(Box::new(Quiet), desk.redactor.clone());
            recorder.open(&folder)?;
            let report = Report::from_events(recorder.events());
            return Ok(Self { report, recorder: Some(recorder) });
        }
        let kept = match database.has_ledger()? {
            true => database.ask(database.ledger.report(&database.session, &known.run))?,
            false => None,
        };
        match kept.and_then(|value| serde_json::from_value::<Report>(value).ok()) {
            Some(report) => Ok(Self { report, recorder: None }),
            None => Err(Fault::usage("no-report", msg!("cli.no-report", run = known.run))
                .cause(msg!("cli.no-report.cause"))),
        }
    }

    /// File, report and ledger, under the lease: a runner may be about to write them itself.
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

    fn write(
        &mut self,
        desk: &Desk,
        database: &Database,
        known: &Known,
        title: &str,
        ticks: &[Attestation],
        patch: &Value,
    ) -> Result<(), Fault> {
        for attestation in ticks {
            if let Some(recorder) = &mut self.recorder {
                let attestation = attestation.clone();
                recorder.emit(EventKind::Attested { item: title.into(), attestation })?;
            }
            self.report.attest(title, attestation);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.flush()?;
            let state = desk.state()?;
            let folder = state.run_dir(&RunId(known.run.clone()));
            let pretty = serde_json::to_string_pretty(&self.report).unwrap_or_default();
            write_atomic(&folder.join("report.json"), pretty.as_bytes())?;
            write_atomic(&folder.join("report.md"), markdown(&self.report).as_bytes())?;
        }
        let report = serde_json::to_value(&self.report).unwrap_or_default();
        let report = desk.redactor.clean_value(&report);
        let (session, ledger) = (&database.session, &database.ledger);
        let known_rows = database.ask(ledger.tick(session, &known.run, title, patch, &report))?;
        if known_rows == 0 {
            let text = msg!("cli.nothing-to-tick", item = title);
            return Err(Fault::new(FaultKind::Usage, "nothing-to-tick", text));
        }
        Ok(())
    }
}
