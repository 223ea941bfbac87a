//! `playbook(id, ..)`: parameters, the look at the ledger before the first item, the lease.
//!
//! Where the database is not up yet, the look happens at the first connection instead.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use rhai::Dynamic;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::gate::{Host, Mode};
use super::stop::{Stop, Trouble};
use super::value::from_json;
use super::verb::Call;
use crate::config::{Declared, Resolved};
use crate::journal::{Lease, LeaseWish, Replay, RunRow, RunState, started_by};
use crate::model::{EventKind, Fault, FaultKind, Risk, RunId, parse_estimate};
use crate::msg;

/// What `playbook(..)` said.
pub struct Begun {
    /// The playbook's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its parameters.
    pub parameters: Vec<Resolved>,
    /// Meant to run each time.
    pub repeatable: bool,
    /// Hashes of playbook and imports, parameters without secrets.
    pub inputs: Value,
    /// Was the ledger looked at?
    pub looked: bool,
    /// A finished run is being compared: nothing is recorded until something new happens.
    pub comparing: Option<RunRow>,
    /// Is the run's file open?
    pub recording: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PlaybookOptions {
    title: Option<String>,
    guide: Option<String>,
    risk: Option<Risk>,
    database: Option<String>,
    takes: Option<String>,
    #[serde(default)]
    repeatable: bool,
    #[serde(default)]
    params: Map<String, Value>,
    #[serde(default)]
    remedies: BTreeMap<String, String>,
    #[serde(default)]
    contacts: Map<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ParameterOptions {
    value: Option<Value>,
    env: Option<String>,
    help: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    secret: bool,
    #[serde(default)]
    choices: Vec<Value>,
}

impl Host {
    /// Begins the run.
    ///
    /// # Errors
    /// `playbook-twice`, missing parameters, `no-terminal`, everything about connection and lease.
    pub fn begin(self: &Rc<Self>, call: &Call<'_, '_>) -> Result<Dynamic, Trouble> {
        if self.begun.borrow().is_some() {
            return Err(Fault::usage("playbook-twice", msg!("host.playbook-twice")).into());
        }
        let id = call.text(0);
        let options: PlaybookOptions = call.options(1)?;
        if let Some(takes) = &options.takes {
            parse_estimate(takes).map_err(|text| {
                Fault::usage(
                    "wrong-option",
                    msg!("host.wrong-option", verb = "playbook", option = "takes"),
                )
                .detail(msg!("host.not-a-duration", text = text))
            })?;
        }
        let declared = options
            .params
            .into_iter()
            .map(|(name, given)| declared(name, given))
            .collect::<Result<Vec<_>, _>>()?;
        let read = |name: &str| std::env::var(name).ok();
        let setup = &self.setup;
        let layers =
            setup.config.layers(&setup.playbook.name, &setup.environment, &read, &setup.set);
        let parameters = crate::config::resolve(&declared, &layers).map_err(Self::fatal)?;
        for parameter in parameters.iter().filter(|parameter| parameter.secret) {
            let text = parameter.value.as_str().map_or(parameter.value.to_string(), String::from);
            self.setup.redactor.add(&text);
        }
        {
            let mut remedies = self.remedies.borrow_mut();
            for (state, text) in options.remedies {
                remedies.entry(state).or_insert(text);
            }
        }
        if let Some(wanted) =
            options.database.as_deref().filter(|name| *name != self.database_name())
        {
            return Err(Self::fatal(
                Fault::new(FaultKind::Refused, "wrong-database", msg!("host.wrong-database"))
                    .detail(msg!(
                        "host.expected",
                        what = "database",
                        wanted = wanted,
                        found = self.database_name()
                    )),
            ));
        }
        let mut contacts = options.contacts;
        if let Value::Object(team) = json!(self.setup.config.contacts) {
            contacts.extend(team);
        }
        let title = options.title.unwrap_or_else(|| id.clone());
        let inputs = self.inputs(&parameters);
        *self.begun.borrow_mut() = Some(Begun {
            id: id.clone(),
            title: title.clone(),
            parameters,
            repeatable: options.repeatable,
            inputs: inputs.clone(),
            looked: false,
            comparing: None,
            recording: false,
        });
        let _ = (options.guide, options.risk);
        self.emit(EventKind::RunStarted {
            run: self.run_id(),
            mode: self.mode_word().into(),
            playbook: id.clone(),
            title,
            file: self.setup.playbook.path_display.clone(),
            environment: self.setup.environment.name.clone(),
            target: self.setup.target.as_ref().map_or(Value::Null, |target| {
                json!({
                    "url": target.display(), "database": target.database, "user": target.user,
                })
            }),
            by: started_by(),
            takes: options.takes,
            contacts: Value::Object(contacts),
            version: env!("CARGO_PKG_VERSION").into(),
        })?;
        self.emit(EventKind::Inputs { inputs })?;
        for note in self.setup.target.iter().flat_map(|target| target.notes.clone()) {
            self.emit(EventKind::Note { text: note })?;
        }
        self.somebody_to_ask().map_err(Self::fatal)?;
        self.confirm_protected().map_err(Self::fatal)?;
        self.first_look()?;
        Ok(self.parameter_map(&id))
    }

    fn mode_word(&self) -> &'static str {
        match self.mode() {
            Mode::Plan => "plan",
            Mode::Undo => "rollback",
            Mode::Run if self.setup.wishes.resume.is_some() => "resume",
            Mode::Run => "run",
        }
    }

    /// One try to connect. A server that is not up yet is waited for at the first need.
    fn first_look(self: &Rc<Self>) -> Result<(), Trouble> {
        if self.setup.target.is_none() {
            return Ok(());
        }
        match self.connect(1, Duration::ZERO) {
            Ok(_) => Ok(()),
            Err(Trouble::Fault(fault)) if fault.kind == FaultKind::NoConnection => {
                const LATER: [&str; 4] =
                    ["no-server", "starting-up", "timeout", "too-many-connections"];
                if LATER.contains(&fault.code.as_str()) {
                    return self
                        .emit(EventKind::Note {
                            text: msg!("host.not-up-yet", why = fault.message),
                        })
                        .map_err(Into::into);
                }
                Err(Self::fatal(*fault))
            }
            Err(Trouble::Fault(fault)) => Err(Self::fatal(*fault)),
            Err(other) => Err(other),
        }
    }

    fn inputs(&self, parameters: &[Resolved]) -> Value {
        let files: Map<String, Value> = self
            .sources
            .files()
            .into_iter()
            .filter(|(name, _)| !name.starts_with("std/") && !name.starts_with("stdlib/"))
            .map(|(name, text)| (name, Value::String(crate::playbook::hash_text(&text))))
            .collect();
        let params: Map<String, Value> = parameters
            .iter()
            .map(|p| {
                let value = if p.secret { json!("******") } else { p.value.clone() };
                (p.name.clone(), value)
            })
            .collect();
        json!({ "files": files, "params": params })
    }

    fn parameter_map(&self, id: &str) -> Dynamic {
        let begun = self.begun.borrow();
        let mut map = Map::new();
        for parameter in begun.iter().flat_map(|begun| &begun.parameters) {
            map.insert(parameter.name.clone(), parameter.value.clone());
        }
        map.insert("id".into(), json!(id));
        map.insert("database".into(), json!(self.database_name()));
        map.insert("env".into(), json!(self.setup.environment.name));
        map.insert("run_id".into(), json!(self.run_id().0));
        from_json(Value::Object(map))
    }

    /// The look at the ledger, once per connection: what is done, what is open, may we write.
    pub(super) fn opened(self: &Rc<Self>) -> Result<(), Trouble> {
        let looked = self.begun.borrow().as_ref().is_none_or(|begun| begun.looked);
        if looked {
            // A reconnect in the middle of a run: only the lease has to be taken anew.
            if self.begun.borrow().as_ref().is_some_and(|begun| begun.recording) {
                return self.take_lease();
            }
            return Ok(());
        }
        if let Some(begun) = self.begun.borrow_mut().as_mut() {
            begun.looked = true;
        }
        let standby = self.worker.borrow().as_ref().is_some_and(|worker| worker.identity.standby);
        if standby && self.mode() != Mode::Plan {
            return Err(Self::fatal(
                Fault::failed("standby", msg!("host.standby")).remedy(msg!("host.standby.remedy")),
            ));
        }
        let runs = self.known_runs()?;
        if self.mode() == Mode::Plan {
            if let Some(done) = runs.iter().find(|run| run.state == RunState::Done) {
                self.emit(EventKind::Note {
                    text: msg!(
                        "host.plan-done",
                        run = done.run,
                        by = done.started_by,
                        at = done.started_at
                    ),
                })?;
            }
            return Ok(());
        }
        self.choose_run(runs)
    }

    fn known_runs(self: &Rc<Self>) -> Result<Vec<RunRow>, Trouble> {
        let session = self.session()?;
        let (ledger, id) = {
            let worker = self.worker.borrow();
            let begun = self.begun.borrow();
            let (Some(worker), Some(begun)) = (worker.as_ref(), begun.as_ref()) else {
                return Ok(Vec::new());
            };
            (worker.ledger.clone(), begun.id.clone())
        };
        let rows = self.wait(async {
            if ledger.exists(&session).await? {
                ledger.runs(&session, Some(&id)).await
            } else {
                Ok(Vec::new())
            }
        })?;
        match rows {
            // Who only looks needs no right to the ledger.
            Err(error) if error.is("42501") && self.mode() == Mode::Plan => Ok(Vec::new()),
            rows => rows.map_err(|error| self.db_fault(error).into()),
        }
    }

    fn choose_run(self: &Rc<Self>, runs: Vec<RunRow>) -> Result<(), Trouble> {
        let resume = self.setup.wishes.resume.clone();
        let row = match &resume {
            Some(run) => {
                let found = runs.iter().find(|row| row.run == run.0).cloned();
                match found {
                    Some(row) => Some(self.successor(&row, &runs).unwrap_or(row)),
                    // Its process died before the ledger knew it: it never got to its first item.
                    None => return self.start_recording(),
                }
            }
            None => runs.into_iter().find(|row| row.state != RunState::RolledBack),
        };
        let Some(row) = row else { return self.start_recording() };
        let (repeatable, now) = match &*self.begun.borrow() {
            Some(begun) => (begun.repeatable, begun.inputs.clone()),
            None => (false, Value::Null),
        };
        if self.mode() == Mode::Undo {
            return self.take_up(row);
        }
        match row.state {
            RunState::Done if resume.is_some() => {
                self.nothing(msg!("host.resume-done", run = row.run))
            }
            RunState::RolledBack => Err(Self::fatal(
                Fault::usage("rolled-back", msg!("host.rolled-back", run = row.run))
                    .next(format!("runsheet run {}", self.setup.playbook.name)),
            )),
            RunState::Done if self.setup.wishes.again || repeatable => self.start_recording(),
            RunState::Done => {
                let older = row.inputs.get("older").and_then(Value::as_array);
                if older.is_some_and(|older| older.contains(&now["files"])) {
                    return self.nothing(msg!(
                        "host.newer-applied",
                        run = row.run,
                        at = row.started_at
                    ));
                }
                self.compare_with(row)
            }
            _ if resume.is_some() => {
                self.same_files(&row, &now)?;
                self.take_up(row)
            }
            _ if self.setup.wishes.again || row.steps == 0 => self.start_recording(),
            // Perhaps its process is at work: who holds the lease is asked first.
            RunState::Running => self.start_recording(),
            _ => self.unfinished(row, &now),
        }
    }

    /// The run that did, or does, what a run without any step never got to.
    fn successor(&self, row: &RunRow, runs: &[RunRow]) -> Option<RunRow> {
        // Newest first; ids of one second are in no order.
        let mut newer = runs.iter().take_while(|other| other.run != row.run);
        let newer = newer.find(|other| {
            other.state == RunState::Done
                || (other.steps > 0 && other.state != RunState::RolledBack)
        });
        newer.filter(|_| row.steps == 0).cloned()
    }

    /// The files of an unfinished run must be those it was started with.
    fn same_files(&self, row: &RunRow, now: &Value) -> Result<(), Trouble> {
        let changed: Vec<String> =
            [("files", "host.changed-file"), ("params", "host.changed-parameter-name")]
                .iter()
                .flat_map(|(part, key)| {
                    let (was, is) = (row.inputs[*part].as_object(), now[*part].as_object());
                    let names: Vec<&String> =
                        was.iter().chain(is.iter()).flat_map(|map| map.keys()).collect();
                    let mut names: Vec<&String> = names
                        .into_iter()
                        .filter(|name| {
                            was.and_then(|map| map.get(*name)) != is.and_then(|map| map.get(*name))
                        })
                        .collect();
                    names.sort();
                    names.dedup();
                    names
                        .into_iter()
                        .map(|name| crate::message::text(key, &[("path", name), ("name", name)]))
                        .collect::<Vec<_>>()
                })
                .collect();
        if changed.is_empty() {
            return Ok(());
        }
        if self.setup.wishes.accept_changes {
            self.emit(EventKind::Warning {
                text: msg!("host.changes-accepted", changes = changed.join("; ")),
            })?;
            return Ok(());
        }
        Err(Self::fatal(
            Fault::usage("inputs-changed", msg!("host.run-inputs-changed", run = row.run))
                .detail(changed.join("; "))
                .cause(msg!("host.inputs-changed.cause"))
                .remedy(msg!("host.run-inputs-changed.remedy"))
                .next(format!("runsheet resume {} --accept-changes", row.run)),
        ))
    }

    fn unfinished(self: &Rc<Self>, row: RunRow, now: &Value) -> Result<(), Trouble> {
        let question = msg!("host.unfinished-question", run = row.run, steps = row.steps);
        let terminal = &self.setup.terminal;
        if terminal.yes || (terminal.interactive && self.confirm(&question).map_err(Self::fatal)?) {
            self.same_files(&row, now)?;
            return self.take_up(row);
        }
        let next = format!("runsheet resume {}", row.run);
        self.stood_before.set(true);
        *self.run.borrow_mut() = RunId(row.run.clone());
        Err(Self::fatal(
            Fault::failed(
                "unfinished-run",
                msg!(
                    "host.unfinished",
                    run = row.run,
                    by = row.started_by,
                    at = row.started_at,
                    steps = row.steps
                ),
            )
            .remedy(msg!("host.unfinished.remedy"))
            .next(next),
        ))
    }

    /// Goes on with a run that the ledger knows.
    fn take_up(self: &Rc<Self>, row: RunRow) -> Result<(), Trouble> {
        *self.run.borrow_mut() = RunId(row.run.clone());
        self.start_recording()?;
        // Read again under the lease: another process may have gone on with it meanwhile.
        self.load_replay(&row)?;
        let steps = self.replay.borrow().steps_done();
        self.emit(EventKind::Note { text: msg!("host.resuming", run = row.run, steps = steps) })?;
        Ok(())
    }

    pub(super) fn load_replay(self: &Rc<Self>, row: &RunRow) -> Result<(), Trouble> {
        let session = self.session()?;
        let ledger = self.worker.borrow().as_ref().map(|worker| worker.ledger.clone());
        let Some(ledger) = ledger else { return Ok(()) };
        let rows = self.wait(async {
            Ok((ledger.steps(&session, &row.run).await?, ledger.intents(&session, &row.run).await?))
        })?;
        let (steps, intents) = rows.map_err(|error| self.db_fault(error))?;
        let mut replay = Replay::new(steps, intents);
        // Where the database came up inside an item, that item and those before it were met
        // already.
        for title in self.titles.borrow().iter() {
            if replay.next_is(title) {
                let _ = replay.item(title);
            }
        }
        *self.replay.borrow_mut() = replay;
        Ok(())
    }

    fn nothing(self: &Rc<Self>, text: String) -> Result<(), Trouble> {
        self.emit(EventKind::Note { text })?;
        self.nothing_to_do.set(true);
        Err(Stop::Finished.into())
    }

    /// From here on something new happens: the lease is taken, the run's row and file opened.
    ///
    /// # Errors
    /// `lease-held`, `ledger-right`, `journal-write`.
    pub(super) fn start_recording(self: &Rc<Self>) -> Result<(), Trouble> {
        let ready = self.begun.borrow().as_ref().is_none_or(|begun| begun.recording);
        if ready || self.mode() == Mode::Plan {
            return Ok(());
        }
        let connected = self.worker.borrow().is_some();
        if !connected && self.setup.target.is_some() {
            // The session's own look at the ledger comes back here.
            self.session()?;
            return self.start_recording();
        }
        let comparing = self.begun.borrow().as_ref().is_some_and(|begun| begun.comparing.is_some());
        let mut known = Vec::new();
        if connected {
            self.take_lease()?;
            known = self.known_runs()?;
            let newest = known
                .iter()
                .find(|row| row.state != RunState::RolledBack)
                .filter(|row| row.run != self.run_id().0);
            let anew = self.setup.wishes.again
                || self.begun.borrow().as_ref().is_some_and(|begun| begun.repeatable);
            if let (Some(row), false, false) = (newest, comparing, anew) {
                // While this run waited for the lease, another one did the work, or died of it.
                let row = row.clone();
                if row.state == RunState::Done {
                    self.give_lease_back()?;
                    return self.compare_with(row);
                }
                if row.steps > 0 && self.setup.wishes.resume.is_none() {
                    self.give_lease_back()?;
                    let now = self.begun.borrow().as_ref().map(|begun| begun.inputs.clone());
                    return self.unfinished(row, &now.unwrap_or(Value::Null));
                }
            }
        }
        let mut folder = self.run_folder();
        if !folder.is_dir() {
            folder = self.setup.state.create_run(&self.run_id())?;
        }
        self.recorder.borrow_mut().open(&folder)?;
        if let Some(begun) = self.begun.borrow_mut().as_mut() {
            begun.recording = true;
            begun.comparing = None;
        }
        if connected {
            self.open_row(&known)?;
        }
        Ok(())
    }

    /// Nothing is recorded until the playbook asks for something that the finished run has not.
    fn compare_with(self: &Rc<Self>, row: RunRow) -> Result<(), Trouble> {
        let at = row.finished_at.as_deref().unwrap_or(&row.started_at);
        self.emit(EventKind::Note {
            text: msg!("host.plan-done", run = row.run, by = row.started_by, at = at),
        })?;
        self.load_replay(&row)?;
        *self.run.borrow_mut() = RunId(row.run.clone());
        if let Some(begun) = self.begun.borrow_mut().as_mut() {
            begun.comparing = Some(row);
        }
        Ok(())
    }

    /// Gives the lease back to whoever waits for it.
    ///
    /// # Errors
    /// `journal-write`.
    pub(super) fn give_lease_back(&self) -> Result<(), Trouble> {
        let held = match self.worker.borrow_mut().as_mut() {
            Some(worker) => {
                let kept = (worker.session.clone(), worker.ledger.clone());
                worker.lease.take().map(|_| kept)
            }
            None => None,
        };
        if let Some((session, ledger)) = held {
            let released = self.runtime.block_on(Lease::release(&session, &ledger));
            if !matches!(released, Ok(true)) {
                self.emit(EventKind::Warning { text: msg!("host.lease-was-lost") })?;
            }
        }
        Ok(())
    }

    fn open_row(self: &Rc<Self>, known: &[RunRow]) -> Result<(), Trouble> {
        let run = self.run_id();
        let (ledger, epoch) = {
            let worker = self.worker.borrow();
            let Some(worker) = worker.as_ref() else { return Ok(()) };
            (worker.ledger.clone(), worker.lease.as_ref().map_or(0, |lease| lease.epoch))
        };
        let row = {
            let begun = self.begun.borrow();
            let Some(begun) = begun.as_ref() else { return Ok(()) };
            let mut inputs = begun.inputs.clone();
            if let Some(before) = known.iter().find(|row| row.run == run.0) {
                let mut older = before
                    .inputs
                    .get("older")
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default();
                if before.inputs["files"] != inputs["files"] {
                    older.push(before.inputs["files"].clone());
                }
                inputs["older"] = Value::Array(older);
            }
            RunRow {
                run: run.0.clone(),
                playbook: begun.id.clone(),
                title: begun.title.clone(),
                file: self.setup.playbook.name.clone(),
                state: RunState::Running,
                inputs,
                started_by: started_by(),
                environment: self.setup.environment.name.clone(),
                started_at: String::new(),
                finished_at: None,
                steps: 0,
                head: String::new(),
            }
        };
        let session = self.session()?;
        self.wait(ledger.open_run(&session, &row, epoch))?.map_err(|error| self.db_fault(error))?;
        Ok(())
    }

    fn take_lease(self: &Rc<Self>) -> Result<(), Trouble> {
        let session = self.session()?;
        let ledger = match &*self.worker.borrow() {
            Some(worker) => worker.ledger.clone(),
            None => return Ok(()),
        };
        let (run, by) = (self.run_id().0, started_by());
        let wish = LeaseWish {
            run: &run,
            by: &by,
            wait: self.setup.wishes.wait,
            take_over: self.setup.wishes.take_over,
            known_epoch: 0,
        };
        let mut waiting = |holder: &crate::journal::Holder| {
            let _ = self.emit(EventKind::Waiting {
                what: msg!("host.waiting-for-lease", holder = holder.describe()),
            });
        };
        let lease =
            self.wait(Lease::take(&session, &ledger, &wish, &mut waiting))?.map_err(Self::fatal)?;
        if let Some(worker) = self.worker.borrow_mut().as_mut() {
            worker.lease = Some(lease);
        }
        Ok(())
    }
}

/// A parameter as `playbook(..)` declares it: `name: value` or
/// `name: #{value, env, help, required, secret, choices}`.
///
/// # Errors
/// `wrong-option` where a field is of another type.
pub fn declared(name: String, given: Value) -> Result<Declared, Fault> {
    const KEYS: [&str; 6] = ["value", "env", "help", "required", "secret", "choices"];
    let spelled = given
        .as_object()
        .filter(|map| !map.is_empty() && map.keys().all(|key| KEYS.contains(&key.as_str())));
    let Some(map) = spelled else {
        return Ok(Declared { name, default: Some(given), ..Declared::default() });
    };
    let options: ParameterOptions =
        serde_json::from_value(Value::Object(map.clone())).map_err(|error| {
            Fault::usage(
                "wrong-option",
                msg!("host.wrong-option", verb = "playbook", option = format!("params.{name}")),
            )
            .detail(error.to_string())
        })?;
    Ok(Declared {
        name,
        default: options.value,
        env: options.env,
        help: options.help,
        required: options.required,
        secret: options.secret,
        choices: options.choices,
    })
}
