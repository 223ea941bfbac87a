//! resume, rollback, resolve: what goes on from an earlier run.

use serde_json::{Value, json};

use super::args::{Common, Road};
use super::database::Database;
use super::desk::Desk;
use super::known::{Known, Runs};
use super::road::{go, setup};
use crate::engine::{Outline, outline_of, walk_back_by_restore};
use crate::host::Mode;
use crate::journal::{IntentRow, IntentState, RunState, started_by};
use crate::model::{Fault, RunId, nearest};
use crate::msg;
use crate::playbook::{Origin, Playbook};

/// `runsheet resume [RUN]`
pub(super) fn resume(desk: &Desk, road: &Road, run: Option<&str>) -> Result<u8, Fault> {
    let runs = Runs::of(desk);
    let known = match run {
        Some(run) => runs.named(run)?,
        None => match one_open(&runs, "resume")? {
            Some(known) => known,
            None => {
                desk.talk(&msg!("cli.nothing-open"));
                return Ok(0);
            }
        },
    };
    // What was being done is gone on with: a run whose rollback has begun goes back.
    let mode = match known.state {
        RunState::RollingBack => {
            desk.talk(&msg!("cli.rollback-goes-on", run = known.run));
            Mode::Undo
        }
        _ => Mode::Run,
    };
    let playbook = playbook_of(desk, known)?;
    let outline = outline_of(&desk.project, &playbook);
    go(desk, road, playbook, outline, mode, Some(RunId(known.run.clone())))
}

/// `runsheet rollback [RUN] [--restore[=DUMP]]`
pub(super) fn rollback(
    desk: &Desk,
    road: &Road,
    run: Option<&str>,
    restore: Option<&Option<String>>,
) -> Result<u8, Fault> {
    let runs = Runs::of(desk);
    let known = match run {
        Some(run) => runs.named(run)?,
        None => one_open(&runs, "rollback")?.ok_or_else(|| {
            // What is done well is taken back only where it is named.
            let fault = Fault::usage("run-unnamed", msg!("cli.run-unnamed"));
            match runs.latest().first() {
                Some(known) => {
                    fault.detail(one_line(known)).next(format!("runsheet rollback {}", known.run))
                }
                None => fault.next("runsheet history"),
            }
        })?,
    };
    let id = RunId(known.run.clone());
    let Some(dump) = restore else {
        let playbook = playbook_of(desk, known)?;
        let outline = outline_of(&desk.project, &playbook);
        let desk = Desk::open(&as_it_ran(desk, known, &outline), &desk.redactor)?;
        return go(&desk, road, playbook, outline, Mode::Undo, Some(id));
    };
    // The last rung must not hang on a playbook that is gone, or that does not compile any more.
    let playbook = playbook_of(desk, known).unwrap_or_else(|_| Playbook {
        name: known.playbook.clone(),
        path_display: known.files.first().cloned().unwrap_or_default(),
        text: String::new(),
        origin: Origin::Project,
        root: desk.project.clone(),
    });
    let setup = setup(desk, road, playbook, Outline::default(), Mode::Undo, Some(id))?;
    let (id, title) = (known.playbook.clone(), known.title.clone());
    walk_back_by_restore(setup, id, title, dump.clone()).map(|ended| ended.exit)
}

/// What was done is taken back as it was done: with the run's own parameters, where the command
/// line does not name others.
fn as_it_ran(desk: &Desk, known: &Known, outline: &Outline) -> Common {
    let mut common = desk.common.clone();
    let named =
        |name: &str| desk.common.set.iter().any(|text| text.split('=').next() == Some(name));
    for (name, value) in &known.params {
        if named(name) || value.is_null() || !outline.params.contains(name) {
            continue;
        }
        let text = value.as_str().map_or_else(|| value.to_string(), String::from);
        common.set.push(format!("{name}={text}"));
    }
    common
}

/// The only open run; None where none is.
fn one_open<'r>(runs: &'r Runs, command: &str) -> Result<Option<&'r Known>, Fault> {
    match runs.open().as_slice() {
        [] => match &runs.unasked {
            Some(fault) => Err(fault.clone()),
            None => Ok(None),
        },
        [only] => Ok(Some(only)),
        several => {
            let lines: Vec<String> = several.iter().map(|known| one_line(known)).collect();
            Err(Fault::usage("several-open", msg!("cli.several-open", count = several.len()))
                .detail(lines.join("\n"))
                .next(format!("runsheet {command} RUN")))
        }
    }
}

fn one_line(known: &Known) -> String {
    let at = super::past::local_time(&known.started);
    format!("{}  {}  {at}  {}", known.run, known.playbook, known.by)
}

/// The playbook of an earlier run: by its file as the run's own journal or the ledger has it, else
/// by its id.
fn playbook_of(desk: &Desk, known: &Known) -> Result<Playbook, Fault> {
    let mut first = None;
    for file in &known.files {
        match crate::playbook::find(&desk.project, file) {
            Ok(playbook) => return Ok(playbook),
            Err(fault) => first = first.or(Some(fault)),
        }
    }
    let fault = first.unwrap_or_else(|| Fault::usage("playbook-unknown", known.playbook.clone()));
    Err(fault.cause(msg!("cli.playbook-of-run", run = known.run)))
}

/// `runsheet resolve [RUN] STEP --done|--redo`
pub(super) fn resolve(desk: &Desk, words: &[String], done: bool) -> Result<u8, Fault> {
    let (run, step) = match words {
        [run, step] => (Some(run.as_str()), step.as_str()),
        [step] => (None, step.as_str()),
        _ => {
            return Err(Fault::usage(
                "missing-argument",
                msg!("cli.missing-argument", argument = "STEP"),
            ));
        }
    };
    let runs = Runs::of(desk);
    let known = match run {
        Some(run) => runs.named(run)?,
        None => one_open(&runs, "resolve")?
            .ok_or_else(|| Fault::usage("nothing-open", msg!("cli.nothing-open")))?,
    };
    let database = Database::open(desk)?;
    if !database.has_ledger()? {
        return Err(Fault::usage("no-ledger", msg!("cli.no-ledger")));
    }
    let open = open_intents(&database, &known.run, step)?;
    let by = started_by();
    let (session, ledger) = (&database.session, &database.ledger);
    let (state, word) = match done {
        true => (IntentState::Done, msg!("cli.settled-done")),
        false => (IntentState::Redo, msg!("cli.settled-redo")),
    };
    database.under_lease(desk, &known.run, || {
        open.iter().try_for_each(|intent| {
            let value = json!({ "settled_by": by });
            let ordinal = Some(intent.ordinal);
            let sql = ledger.settle_sql(&known.run, &intent.key, ordinal, state, &value);
            database.ask(session.batch(&sql))
        })
    })?;
    let next = format!("runsheet resume {}", known.run);
    if desk.common.json {
        let list: Vec<Value> = open.iter().map(as_json).collect();
        desk.json(&json!({ "run": known.run, "state": state, "intents": list, "next": next }));
        return Ok(0);
    }
    for intent in &open {
        desk.out(&format!("{} #{}: {}: {word}\n", intent.key, intent.ordinal, described(intent)));
    }
    desk.talk(&msg!("cli.next", command = next));
    Ok(0)
}

/// The effects of a step that were announced and not settled.
fn open_intents(database: &Database, run: &str, step: &str) -> Result<Vec<IntentRow>, Fault> {
    let all = database.ask(database.ledger.intents(&database.session, run))?;
    let open: Vec<IntentRow> =
        all.into_iter().filter(|intent| intent.state == IntentState::Open).collect();
    let (here, elsewhere): (Vec<IntentRow>, Vec<IntentRow>) =
        open.into_iter().partition(|intent| {
            intent.key == step || intent.key.split_whitespace().next() == Some(step)
        });
    if !here.is_empty() {
        return Ok(here);
    }
    let mut keys: Vec<&str> = elsewhere.iter().map(|intent| intent.key.as_str()).collect();
    keys.dedup();
    let fault = Fault::usage("nothing-to-resolve", msg!("cli.nothing-to-resolve", step = step));
    Err(match nearest(step, keys.iter().copied()) {
        Some(guess) => fault.remedy(msg!("cli.did-you-mean", guess = guess)),
        None if keys.is_empty() => fault.next(format!("runsheet resume {run}")),
        None => fault.remedy(msg!("cli.open-steps", steps = keys.join(", "))),
    })
}

fn described(intent: &IntentRow) -> String {
    let text = |name: &str| intent.action.get(name).and_then(Value::as_str).unwrap_or_default();
    let (verb, target, statement) = (text("verb"), text("target"), text("statement"));
    crate::report::one_line(format!("{verb} {target} {statement}").trim())
}

fn as_json(intent: &IntentRow) -> Value {
    json!({ "step": intent.key, "ordinal": intent.ordinal, "action": intent.action })
}
