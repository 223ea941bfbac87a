//! The option maps of scripts: a map becomes a checked struct, and an unknown key is named with
//! its nearest neighbour.

use std::time::Duration;

use rhai::Dynamic;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::value::to_json;
use crate::model::{Fault, Risk, nearest, parse_estimate, parse_span};
use crate::msg;

/// A checked option map of a verb.
///
/// # Errors
/// `unknown-option` with the nearest name, `wrong-option` with the path inside the map.
pub fn options<T: DeserializeOwned>(verb: &str, map: &Dynamic) -> Result<T, Fault> {
    let value = if map.is_unit() { Value::Object(Default::default()) } else { to_json(map)? };
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let text = error.into_inner().to_string();
        unknown_field(verb, &text).unwrap_or_else(|| {
            wrong_option(verb, &path).detail(text).remedy(msg!("host.see-verb", verb = verb))
        })
    })
}

/// An option of a verb that has a value which it cannot have.
pub fn wrong_option(verb: &str, option: &str) -> Fault {
    Fault::usage("wrong-option", msg!("host.wrong-option", verb = verb, option = option))
}

/// serde says: unknown field `tkes`, expected one of `takes`, `undo`.
fn unknown_field(verb: &str, text: &str) -> Option<Fault> {
    let rest = text.strip_prefix("unknown field `")?;
    let (given, rest) = rest.split_once('`')?;
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let fault =
        Fault::usage("unknown-option", msg!("host.unknown-option", verb = verb, option = given))
            .detail(msg!("host.known-options", options = known.join(", ")));
    Some(match nearest(given, known.iter().copied()) {
        Some(name) => fault.remedy(msg!("host.did-you-mean", name = name)),
        None => fault.remedy(msg!("host.see-verb", verb = verb)),
    })
}

/// How often and how far apart something is tried again.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Retry {
    /// Tries in all.
    Tries(u32),
    /// Tries in all, and the pause between two.
    Paced {
        /// Tries in all.
        tries: u32,
        /// Pause, "2s".
        #[serde(default)]
        every: Option<String>,
    },
}

/// The options of an item, as the script gives them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemOptions {
    /// Estimate, "5m" or "5m..15m".
    pub takes: Option<String>,
    /// The run goes on where the item fails.
    #[serde(default)]
    pub optional: bool,
    /// Tried again where it fails.
    pub retry: Option<Retry>,
    /// The item may take this long.
    pub timeout: Option<String>,
    /// Waiting for a lock may take this long.
    pub lock_timeout: Option<String>,
    /// False: statements commit one by one, outside of a transaction of the step.
    pub transaction: Option<bool>,
    /// Isolation level of the step's transaction.
    pub isolation: Option<String>,
    /// Tables locked first, in this order.
    #[serde(default)]
    pub lock_tables: Vec<String>,
    /// Role in which the step's SQL runs.
    pub role: Option<String>,
    /// Risk as the playbook sees it.
    pub risk: Option<Risk>,
    /// Environments in which the item exists.
    pub when: Option<Value>,
    /// Live guards.
    pub guard: Option<Value>,
    /// A check or verify that is looked at again where its value is recorded already.
    pub every_run: Option<bool>,
    /// Short id, `G1.07`.
    #[serde(alias = "id")]
    pub item: Option<String>,
    /// The title of a decision's question.
    pub text: Option<String>,
}

impl ItemOptions {
    /// Checks what serde cannot: durations, levels.
    ///
    /// # Errors
    /// `wrong-option` with the option and what it may be.
    pub fn checked(self, verb: &str) -> Result<Self, Fault> {
        if let Some(takes) = &self.takes {
            parse_estimate(takes).map_err(|text| bad_span(verb, "takes", &text))?;
        }
        for (name, value) in [("timeout", &self.timeout), ("lock_timeout", &self.lock_timeout)] {
            if let Some(value) = value {
                parse_span(value).map_err(|text| bad_span(verb, name, &text))?;
            }
        }
        if let Some(Retry::Paced { every: Some(every), .. }) = &self.retry {
            parse_span(every).map_err(|text| bad_span(verb, "retry.every", &text))?;
        }
        if self.every_run.is_some() && !matches!(verb, "check" | "verify") {
            return Err(wrong_option(verb, "every_run").remedy(msg!("host.every-run.remedy")));
        }
        if self.guard.is_some() {
            return Err(Fault::usage("not-built", msg!("host.guard-not-built")));
        }
        if let Some(level) = &self.isolation {
            let known = ["read committed", "repeatable read", "serializable"];
            if !known.contains(&level.to_lowercase().as_str()) {
                return Err(wrong_option(verb, "isolation")
                    .detail(msg!("host.known-options", options = known.join(", "))));
            }
        }
        Ok(self)
    }

    /// Tries in all, and the pause between two.
    pub fn tries(&self) -> (u32, Duration) {
        match &self.retry {
            None => (1, Duration::ZERO),
            Some(Retry::Tries(tries)) => ((*tries).max(1), Duration::from_secs(1)),
            Some(Retry::Paced { tries, every }) => {
                let every = every.as_deref().and_then(|text| parse_span(text).ok());
                ((*tries).max(1), every.unwrap_or(Duration::from_secs(1)))
            }
        }
    }

    /// Does the item exist in this environment? `when` is a name or an array of names; a leading
    /// `!` excludes.
    pub fn applies_to(&self, environment: Option<&str>) -> bool {
        let names: Vec<&str> = match &self.when {
            None | Some(Value::Null) => return true,
            Some(Value::Bool(flag)) => return *flag,
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(_) => return true,
        };
        let here = environment.unwrap_or("");
        if names.iter().any(|name| name.strip_prefix('!') == Some(here)) {
            return false;
        }
        let wanted: Vec<_> = names.iter().filter(|name| !name.starts_with('!')).collect();
        wanted.is_empty() || wanted.iter().any(|name| **name == here)
    }
}

/// An option that should be a duration.
pub fn bad_span(verb: &str, option: &str, text: &str) -> Fault {
    wrong_option(verb, option)
        .detail(msg!("host.not-a-duration", text = text))
        .remedy(msg!("host.durations"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::from_json;
    use serde_json::json;

    #[test]
    fn a_mistyped_option_is_named_with_its_neighbour() {
        let map = from_json(json!({"tkes": "5m"}));
        let fault = options::<ItemOptions>("step", &map).unwrap_err();
        assert_eq!(fault.code, "unknown-option");
        assert!(fault.remedy.unwrap().contains("takes"));
    }

    #[test]
    fn a_wrong_type_is_named_with_its_path() {
        let map = from_json(json!({"lock_tables": ["a", 3]}));
        let fault = options::<ItemOptions>("step", &map).unwrap_err();
        assert!(fault.message.contains("lock_tables[1]"), "{}", fault.message);
    }

    #[test]
    fn when_picks_environments() {
        let only = |when: Value| ItemOptions { when: Some(when), ..Default::default() };
        assert!(only(json!("production")).applies_to(Some("production")));
        assert!(!only(json!(["production"])).applies_to(Some("staging")));
        assert!(!only(json!("!staging")).applies_to(Some("staging")));
        assert!(only(json!("!staging")).applies_to(None));
    }
}
