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
use super::inputs::is_own;
use super::options::{bad_span, wrong_option};
use super::stop::Trouble;
use super::value::from_json;
use super::verb::Call;
use crate::config::{Declared, Resolved};
use crate::journal::{RunRow, started_by};
use crate::model::{EventKind, Fault, FaultKind, Risk, parse_estimate};
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
    unattended: bool,
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
            parse_estimate(takes).map_err(|text| bad_span("playbook", "takes", &text))?;
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
        let contacts = options.contacts;
        let title = options.title.unwrap_or_else(|| id.clone());
        let _ = options.guide;
        self.risk.set(options.risk);
        self.unattended.set(options.unattended);
        let inputs = self.inputs(&parameters);
        let begun = Begun {
            id: id.clone(),
            title,
            parameters,
            repeatable: options.repeatable,
            inputs,
            looked: false,
            comparing: None,
            recording: false,
        };
        self.announce(begun, options.takes, contacts)?;
        self.overrides()?;
        self.somebody_to_ask().map_err(Self::fatal)?;
        self.confirm_protected().map_err(Self::fatal)?;
        self.first_look()?;
        if self.mode() == Mode::Plan {
            self.tell_hours()?;
            self.tell_policy()?;
            self.tell_risk_back()?;
            self.tell_code()?;
        }
        self.tell_proof()?;
        Ok(self.parameter_map(&id))
    }

    /// Begins a way back that needs no script: a restore must not hang on a playbook that may be
    /// gone or broken.
    ///
    /// # Errors
    /// As [`Host::begin`].
    pub fn begin_without_script(self: &Rc<Self>, id: &str, title: &str) -> Result<(), Trouble> {
        let begun = Begun {
            id: id.into(),
            title: title.into(),
            parameters: Vec::new(),
            repeatable: false,
            inputs: json!({}),
            looked: false,
            comparing: None,
            recording: false,
        };
        self.restoring.set(true);
        self.announce(begun, None, Map::new())?;
        self.overrides()?;
        self.confirm_protected().map_err(Self::fatal)?;
        self.connect(1, Duration::ZERO).map(drop)
    }

    /// Says what begins, and remembers it.
    fn announce(
        &self,
        begun: Begun,
        takes: Option<String>,
        mut contacts: Map<String, Value>,
    ) -> Result<(), Trouble> {
        if let Value::Object(team) = json!(self.setup.config.contacts) {
            contacts.extend(team);
        }
        let (id, title, inputs) = (begun.id.clone(), begun.title.clone(), begun.inputs.clone());
        *self.begun.borrow_mut() = Some(begun);
        self.emit(EventKind::RunStarted {
            run: self.run_id(),
            mode: self.mode_word().into(),
            playbook: id,
            title,
            file: self.setup.playbook.path_display.clone(),
            environment: self.setup.environment.name.clone(),
            target: self.setup.target.as_ref().map_or(Value::Null, |target| {
                json!({
                    "url": target.display(), "database": target.database, "user": target.user,
                })
            }),
            by: started_by(),
            takes,
            contacts: Value::Object(contacts),
            version: env!("CARGO_PKG_VERSION").into(),
        })?;
        self.emit(EventKind::Inputs { inputs })?;
        for note in self.setup.target.iter().flat_map(|target| target.notes.clone()) {
            self.emit(EventKind::Note { text: note })?;
        }
        Ok(())
    }

    fn mode_word(&self) -> &'static str {
        match self.mode() {
            Mode::Plan => "plan",
            Mode::Undo => "rollback",
            _ if self.setup.rehearsal.is_some() => "rehearse",
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
        let mut files: Map<String, Value> = self
            .sources
            .files()
            .into_iter()
            .filter(|(name, _)| is_own(name))
            .map(|(name, text)| (name, Value::String(crate::model::hash_text(&text))))
            .collect();
        files.extend(self.named_sql(parameters));
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
            wrong_option("playbook", &format!("params.{name}")).detail(error.to_string())
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
