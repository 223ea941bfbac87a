//! Literal option maps: unknown keys, wrong values, parameters, secrets.

use rhai::{Expr, Position};
use serde_json::Value;

use super::arguments::Matched;
use super::declared::{PARAMETER_KEYS, RESERVED, is_spelled};
use super::forms::Forms;
use super::{secrets, tree, words};
use crate::host::{Verb, bad_span, wrong_option};
use crate::model::{Fault, Risk, nearest, parse_estimate, parse_span};
use crate::msg;

/// Options of verbs that are durations, whichever verb has them.
const SPANS: &[&str] = &["timeout", "lock_timeout", "every", "wait", "pause", "during", "max_age"];
/// Options whose values are handed on by name: a secret may be among them.
const HANDED_ON: &[&str] = &["env", "vars", "headers"];
/// Items that take the options of items.
const ITEMS: &[&str] = &["check", "step", "verify", "manual", "approve"];

impl Forms<'_> {
    /// Looks at the option map of a verb.
    pub(super) fn options(&mut self, verb: &'static Verb, matched: &Matched<'_>) {
        let named: Vec<_> = verb.arguments().collect();
        let index = named.iter().position(|one| one.name == "options").or_else(|| {
            let mut maps = named.iter().enumerate().filter(|(_, one)| one.kind == "map");
            maps.next().filter(|_| maps.next().is_none()).map(|(index, _)| index)
        });
        let Some(Some(map @ Expr::Map(..))) = index.and_then(|index| matched.places.get(index))
        else {
            return;
        };
        if ITEMS.contains(&verb.name) {
            for (key, at, value) in tree::entries(map) {
                self.item_option(verb, key, at, value);
            }
            return;
        }
        let Some(known) = words::options_of(verb) else { return };
        for (key, at, value) in tree::entries(map) {
            if !known.contains(&key) {
                self.unknown_option(verb, key, &known, at);
            } else if verb.name == "playbook" {
                self.playbook_option(key, value);
            } else if SPANS.contains(&key) {
                self.duration(verb, key, value);
            } else if HANDED_ON.contains(&key) {
                for (name, _, value) in tree::entries(value) {
                    self.literal_secret(name, value);
                }
            }
        }
    }

    fn unknown_option(&mut self, verb: &Verb, key: &str, known: &[&str], at: Position) {
        let text = msg!("host.unknown-option", verb = verb.name, option = key);
        let fault = Fault::usage("unknown-option", text)
            .detail(msg!("host.known-options", options = known.join(", ")));
        let fault = match nearest(key, known.iter().copied()) {
            Some(near) => fault.remedy(msg!("host.did-you-mean", name = near)),
            None => fault.remedy(msg!("host.see-verb", verb = verb.name)),
        };
        self.findings.error(fault.place(self.unit().place(at)));
    }

    fn item_option(&mut self, verb: &Verb, key: &str, at: Position, value: &Expr) {
        let unit = self.unit();
        if key == "undo" {
            let literal = super::arguments::kind_of(value).is_some_and(|kind| kind != "fn");
            let fault = if verb.name != "step" {
                Fault::usage("wrong-option", msg!("verbs.undo-of-check", verb = verb.name))
            } else if literal {
                wrong_option(verb.name, "undo").remedy(msg!("verbs.undo-is-a-body"))
            } else {
                return;
            };
            self.findings.error(fault.place(unit.place(at)));
            return;
        }
        let known = tree::literal(value);
        // Of a value that is known only later, the name alone is looked at.
        let later = known.is_none();
        let Some(mut fault) = words::item_option(verb.name, key, known.unwrap_or(Value::Null))
        else {
            return;
        };
        if fault.code == "unknown-option" {
            if verb.name == "step" && nearest(key, ["undo"]).is_some() {
                fault = fault.remedy(msg!("host.did-you-mean", name = "undo"));
            }
            self.findings.error(fault.place(unit.place(at)));
        } else if !later {
            self.findings.error(fault.place(unit.place(value.start_position())));
        }
    }

    fn duration(&mut self, verb: &Verb, key: &str, value: &Expr) {
        let given = match tree::literal(value) {
            Some(Value::String(text)) => match parse_span(&text) {
                Ok(_) => return,
                Err(text) => text,
            },
            Some(other) => other.to_string(),
            None => return,
        };
        self.bad_duration(verb.name, key, &given, value);
    }

    fn bad_duration(&mut self, verb: &str, key: &str, given: &str, value: &Expr) {
        let place = self.unit().place(value.start_position());
        self.findings.error(bad_span(verb, key, given).place(place));
    }

    fn playbook_option(&mut self, key: &str, value: &Expr) {
        match (key, tree::literal(value)) {
            ("takes", Some(Value::String(text))) => {
                if let Err(text) = parse_estimate(&text) {
                    self.bad_duration("playbook", key, &text, value);
                }
            }
            ("takes", Some(other)) => self.bad_duration("playbook", key, &other.to_string(), value),
            ("risk", Some(given)) if serde_json::from_value::<Risk>(given.clone()).is_err() => {
                let words = Risk::ALL.map(Risk::word);
                let fault = wrong_option("playbook", key)
                    .detail(msg!("host.known-options", options = words.join(", ")));
                let near = given.as_str().and_then(|given| nearest(given, words));
                let fault = match near {
                    Some(near) => fault.remedy(msg!("host.did-you-mean", name = near)),
                    None => fault,
                };
                let place = self.unit().place(value.start_position());
                self.findings.error(fault.place(place));
            }
            ("params", _) => {
                for (name, at, value) in tree::entries(value) {
                    self.declared_parameter(name, at, value);
                }
            }
            _ => {}
        }
    }

    fn declared_parameter(&mut self, name: &str, at: Position, value: &Expr) {
        let unit = self.unit();
        if RESERVED.contains(&name) {
            self.findings.error(
                Fault::usage("reserved-parameter", msg!("engine.reserved-parameter", name = name))
                    .cause(msg!("engine.reserved-parameter.cause", names = RESERVED.join(", ")))
                    .remedy(msg!("engine.reserved-parameter.remedy"))
                    .place(unit.place(at)),
            );
        }
        if !is_spelled(value) {
            let keys = || tree::entries(value).map(|(key, at, _)| (key, at));
            let known = keys().filter(|(key, _)| PARAMETER_KEYS.contains(key)).count();
            let stranger = keys().find(|(key, _)| !PARAMETER_KEYS.contains(key));
            if let (1.., Some((key, at))) = (known, stranger) {
                let text = msg!("engine.parameter-key", name = name, key = key);
                let fault = Fault::usage("parameter-key", text)
                    .cause(msg!("engine.parameter-key.cause", keys = PARAMETER_KEYS.join(", ")));
                let fault = match nearest(key, PARAMETER_KEYS) {
                    Some(near) => fault.remedy(msg!("host.did-you-mean", name = near)),
                    None => fault,
                };
                self.findings.warning(fault.place(unit.place(at)));
            }
            return self.literal_secret(name, value);
        }
        let secret = tree::entry(value, "secret").and_then(tree::literal);
        if secret != Some(Value::Bool(true))
            && let Some(default) = tree::entry(value, "value")
        {
            self.literal_secret(name, default);
        }
    }

    /// A value under a name that says it is a secret.
    fn literal_secret(&mut self, name: &str, value: &Expr) {
        let Some(text) = tree::text(value).filter(|text| !text.is_empty()) else { return };
        if !secrets::is_secret_name(name) {
            return;
        }
        self.program.secrets.borrow_mut().push(text.into());
        self.findings.warning(
            Fault::usage("secret-in-script", msg!("engine.secret-in-script", name = name))
                .cause(msg!("engine.secret-in-script.cause"))
                .remedy(msg!("engine.secret-in-script.remedy"))
                .place(self.unit().place(value.start_position())),
        );
    }
}
