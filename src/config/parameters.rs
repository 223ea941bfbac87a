//! The parameters of a playbook: which layer gives each value, and whether it is one it may have.
//!
//! Weak to strong: the playbook's default, `[params]`, `[playbook.NAME.params]`, the environment's
//! `params`, the parameter's own variable, an answer typed at a prompt, `--set`. Asking is done
//! elsewhere, with [`missing`].

use serde_json::Value;

use super::Environment;
use super::reader::neighbours;
use super::settings::{Config, Values, nfc};
use crate::model::{Fault, Redactor, nearest};
use crate::msg;

/// A parameter as the playbook declares it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Its default; also says which type texts are read as.
    pub default: Option<Value>,
    /// The variable that it may be given by.
    pub env: Option<String>,
    /// What it is, for people.
    pub help: Option<String>,
    /// It must have a value that is not empty.
    pub required: bool,
    /// It is blanked wherever text leaves the process.
    pub secret: bool,
    /// The only values that it may have; empty allows all.
    pub choices: Vec<Value>,
}

/// Which layer gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamSource {
    /// The playbook.
    Default,
    /// `[params]`.
    Project,
    /// `[playbook.NAME.params]`.
    Playbook,
    /// The environment's `params`.
    Environment,
    /// The parameter's own variable, named.
    Variable(String),
    /// Typed at a prompt.
    Prompt,
    /// `--set`.
    Set,
}

/// A parameter with its value. `Debug` blanks a secret.
#[derive(Clone, PartialEq)]
pub struct Resolved {
    /// Its name.
    pub name: String,
    /// Its value; null where nothing gives one and none is required.
    pub value: Value,
    /// Which layer gave it.
    pub source: ParamSource,
    /// It is blanked wherever text leaves the process.
    pub secret: bool,
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = if self.secret { Redactor::BLANK.into() } else { self.value.to_string() };
        write!(f, "{} = {value} ({:?})", self.name, self.source)
    }
}

/// What may give a parameter its value, weak to strong.
pub struct Layers<'a> {
    /// `[params]`.
    pub project: &'a Values,
    /// `[playbook.NAME.params]`.
    pub playbook: &'a Values,
    /// The environment's `params`.
    pub environment: &'a Values,
    /// Reads a variable of the process; an empty one counts as unset.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Answers typed at a prompt, name and text.
    pub prompted: &'a [(String, String)],
    /// `--set NAME=TEXT`; of two with one name the later one holds.
    pub set: &'a [(String, String)],
}

impl Config {
    /// The layers for one playbook in one environment.
    pub fn layers<'a>(
        &'a self,
        playbook: &str,
        environment: &'a Environment,
        env: &'a dyn Fn(&str) -> Option<String>,
        set: &'a [(String, String)],
    ) -> Layers<'a> {
        static NONE: Values = Values::new();
        Layers {
            project: &self.params,
            playbook: self.playbook_params.get(&nfc(playbook)).unwrap_or(&NONE),
            environment: &environment.params,
            env,
            prompted: &[],
            set,
        }
    }
}

/// Splits `NAME=TEXT`, as `--set` takes it.
///
/// # Errors
/// `set-syntax` (usage) where there is no `=` or no name.
pub fn parse_assignment(text: &str) -> Result<(String, String), Fault> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((nfc(name.trim()), value.to_string())),
        // The text may be a secret without its name: it is not repeated.
        _ => Err(Fault::usage("set-syntax", msg!("config.set-syntax"))
            .remedy(msg!("config.set-syntax.remedy"))),
    }
}

/// The required parameters that no layer gives, in the order of the playbook: what to ask for.
pub fn missing<'d>(declared: &'d [Declared], layers: &Layers<'_>) -> Vec<&'d Declared> {
    declared
        .iter()
        .filter(|one| one.required)
        .filter(|one| match given(one, layers) {
            Some((Given::Text(text), _)) => text.is_empty(),
            Some((Given::Value(value), _)) => is_nothing(&value),
            None => true,
        })
        .collect()
}

/// Gives every declared parameter its value, in the order of the playbook.
///
/// # Errors
/// `parameters` (usage), with one fault in `more` for each complaint: `param-unknown`,
/// `param-type`, `param-choice`, `param-missing`.
pub fn resolve(declared: &[Declared], layers: &Layers<'_>) -> Result<Vec<Resolved>, Fault> {
    let mut complaints = unknown_names(declared, layers);
    let mut resolved = Vec::with_capacity(declared.len());
    for one in declared {
        match value_of(one, layers) {
            Ok(value) => resolved.push(value),
            Err(fault) => complaints.push(*fault),
        }
    }
    let missing = missing(declared, layers);
    if !missing.is_empty() {
        complaints.push(missing_fault(&missing));
    }
    match complaints.len() {
        0 => Ok(resolved),
        count => {
            let message = match count {
                1 => complaints[0].message.clone(),
                _ => msg!("config.parameter-complaints", count = count),
            };
            let mut fault = Fault::usage("parameters", message);
            if let [only] = complaints.as_slice() {
                fault.detail.clone_from(&only.detail);
                fault.cause.clone_from(&only.cause);
                fault.remedy.clone_from(&only.remedy);
            }
            fault.more = complaints;
            Err(fault)
        }
    }
}

enum Given {
    Text(String),
    Value(Value),
}

/// The strongest layer that says something.
fn given(one: &Declared, layers: &Layers<'_>) -> Option<(Given, ParamSource)> {
    let name = nfc(&one.name);
    let typed = |pairs: &[(String, String)]| {
        pairs.iter().rev().find(|(given, _)| nfc(given) == name).map(|(_, text)| text.clone())
    };
    if let Some(text) = typed(layers.set) {
        return Some((Given::Text(text), ParamSource::Set));
    }
    if let Some(text) = typed(layers.prompted) {
        return Some((Given::Text(text), ParamSource::Prompt));
    }
    if let Some(variable) = &one.env
        && let Some(text) = (layers.env)(variable).filter(|text| !text.is_empty())
    {
        return Some((Given::Text(text), ParamSource::Variable(variable.clone())));
    }
    configured(&name, layers)
        .map(|(value, source)| (Given::Value(value.clone()), source))
        .or_else(|| one.default.clone().map(|value| (Given::Value(value), ParamSource::Default)))
}

fn configured<'a>(name: &str, layers: &Layers<'a>) -> Option<(&'a Value, ParamSource)> {
    let files = [
        (layers.environment, ParamSource::Environment),
        (layers.playbook, ParamSource::Playbook),
        (layers.project, ParamSource::Project),
    ];
    files.into_iter().find_map(|(values, source)| values.get(name).map(|value| (value, source)))
}

fn value_of(one: &Declared, layers: &Layers<'_>) -> Result<Resolved, Box<Fault>> {
    let (value, source) = match given(one, layers) {
        None => (Value::Null, ParamSource::Default),
        Some((Given::Value(value), source)) => {
            let value = fitted(value, model(one, layers))
                .map_err(|found| Box::new(type_fault(one, layers, &found, &source)))?;
            (value, source)
        }
        // Nothing typed for a required one is reported as missing, not as a wrong type.
        Some((Given::Text(text), source)) if one.required && text.is_empty() => {
            (Value::Null, source)
        }
        Some((Given::Text(text), source)) => {
            let value = read_text(&text, model(one, layers))
                .ok_or_else(|| Box::new(type_fault(one, layers, &Value::from(text), &source)))?;
            (value, source)
        }
    };
    if !one.choices.is_empty() && !value.is_null() && !one.choices.contains(&value) {
        return Err(Box::new(choice_fault(one, &value, &source)));
    }
    Ok(Resolved { name: one.name.clone(), value, source, secret: one.secret })
}

/// The value whose type counts: the default, else the first choice, else what a file gives.
fn model<'a>(one: &'a Declared, layers: &Layers<'a>) -> Option<&'a Value> {
    one.default
        .as_ref()
        .filter(|value| !value.is_null())
        .or_else(|| one.choices.first())
        .or_else(|| configured(&nfc(&one.name), layers).map(|(value, _)| value))
}

/// A text as the type of the model; None where it is not one.
fn read_text(text: &str, model: Option<&Value>) -> Option<Value> {
    let trimmed = text.trim();
    match model {
        Some(Value::Number(number)) if number.is_f64() => {
            trimmed.parse().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
        }
        Some(Value::Number(_)) => trimmed.replace('_', "").parse::<i64>().ok().map(Value::from),
        Some(Value::Bool(_)) => match trimmed.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(Value::Bool(true)),
            "false" | "no" | "off" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        Some(Value::Array(_)) => serde_json::from_str(text).ok().filter(Value::is_array),
        Some(Value::Object(_)) => serde_json::from_str(text).ok().filter(Value::is_object),
        Some(Value::String(_) | Value::Null) | None => Some(Value::String(text.to_string())),
    }
}

/// A value of a file, if it is of the type of the model; the value back where it is not.
fn fitted(value: Value, model: Option<&Value>) -> Result<Value, Value> {
    match (model, &value) {
        (None | Some(Value::Null), _) | (_, Value::Null) => Ok(value),
        (Some(Value::Number(wanted)), Value::Number(found)) => {
            match (wanted.is_f64(), found.is_f64()) {
                (true, false) => {
                    let number = found.as_f64().and_then(serde_json::Number::from_f64);
                    number.map(Value::Number).ok_or(value)
                }
                (false, true) => Err(value),
                _ => Ok(value),
            }
        }
        (Some(wanted), found)
            if std::mem::discriminant(wanted) == std::mem::discriminant(found) =>
        {
            Ok(value)
        }
        _ => Err(value),
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

fn shown(one: &Declared, value: &Value) -> String {
    match value {
        _ if one.secret => Redactor::BLANK.into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The layer in words that a user finds again.
fn origin(name: &str, source: &ParamSource) -> String {
    match source {
        ParamSource::Default => msg!("config.source.default"),
        ParamSource::Project => msg!("config.source.project"),
        ParamSource::Playbook => msg!("config.source.playbook"),
        ParamSource::Environment => msg!("config.source.environment"),
        ParamSource::Variable(variable) => msg!("config.source.variable", variable = variable),
        ParamSource::Prompt => msg!("config.source.prompt"),
        ParamSource::Set => format!("--set {name}"),
    }
}

fn type_fault(one: &Declared, layers: &Layers<'_>, found: &Value, source: &ParamSource) -> Fault {
    let (wanted, example) = match model(one, layers) {
        Some(Value::Number(number)) if number.is_f64() => (msg!("config.type.fraction"), "0.5"),
        Some(Value::Number(_)) => (msg!("config.type.number"), "30"),
        Some(Value::Bool(_)) => (msg!("config.type.flag"), "true"),
        Some(Value::Array(_)) => (msg!("config.type.list"), "[\"a\", \"b\"]"),
        Some(Value::Object(_)) => (msg!("config.type.table"), "{\"a\": 1}"),
        _ => (msg!("config.type.text"), "\"..\""),
    };
    let (name, found) = (&one.name, shown(one, found));
    Fault::usage("param-type", msg!("config.param-type", name = name, wanted = wanted))
        .detail(msg!("config.param-found", found = found, origin = origin(name, source)))
        .remedy(msg!("config.param-type.remedy", example = example))
}

fn choice_fault(one: &Declared, value: &Value, source: &ParamSource) -> Fault {
    let choices: Vec<String> = one.choices.iter().map(|choice| shown(one, choice)).collect();
    let (name, found) = (&one.name, shown(one, value));
    let mut fault = Fault::usage("param-choice", msg!("config.param-choice", name = name))
        .detail(msg!("config.param-found", found = found, origin = origin(name, source)));
    if !one.secret {
        fault.remedy =
            Some(neighbours(&found, choices.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    fault
}

fn unknown_names(declared: &[Declared], layers: &Layers<'_>) -> Vec<Fault> {
    let names: Vec<String> = declared.iter().map(|one| nfc(&one.name)).collect();
    let set = layers.set.iter().map(|(name, _)| (name, ParamSource::Set));
    let playbook = layers.playbook.keys().map(|name| (name, ParamSource::Playbook));
    set.chain(playbook)
        .map(|(name, source)| (nfc(name), source))
        .filter(|(name, _)| !names.contains(name))
        .map(|(name, source)| {
            let mut fault =
                Fault::usage("param-unknown", msg!("config.param-unknown", name = name));
            fault.detail = Some(origin(&name, &source));
            fault.remedy = Some(match nearest(&name, names.iter().map(String::as_str)) {
                Some(guess) => msg!("config.did-you-mean", guess = guess),
                None if names.is_empty() => msg!("config.param-none"),
                None => msg!("config.one-of", known = names.join(", ")),
            });
            fault
        })
        .collect()
}

fn missing_fault(missing: &[&Declared]) -> Fault {
    let names = missing.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
    let ways = missing.iter().map(|one| {
        let name = &one.name;
        let help = one.help.as_deref().map(|help| format!("  # {help}")).unwrap_or_default();
        match &one.env {
            // A secret on a command line stays in the shell's history.
            Some(variable) if one.secret => format!("{variable}=..{help}"),
            Some(variable) => format!("--set {name}=..  |  {variable}=..{help}"),
            None => format!("--set {name}=..{help}"),
        }
    });
    Fault::usage("param-missing", msg!("config.param-missing", names = names))
        .detail(ways.collect::<Vec<_>>().join("\n"))
        .remedy(msg!("config.param-missing.remedy"))
}

#[cfg(test)]
mod tests;
