//! What the server's five-character states mean, why they occur, and what to do about them.
//!
//! A table of data: the texts are `messages/*/sqlstate.txt`, found by state and else by class (the
//! first two characters). It decides nothing, retries nothing and never looks at message text.
//! The session decorates its faults with it; a team's own words come from the configuration and
//! the playbook, and win.

mod names;

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::message;
use crate::model::Fault;
use crate::msg;

/// What the server names in its error, where it does; a team's words may insert each of them,
/// `{table}`, `{column}`, `{constraint}`, `{schema}`, `{type}`, `{detail}`, `{role}`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arguments<'a> {
    /// Table.
    pub table: Option<&'a str>,
    /// Column.
    pub column: Option<&'a str>,
    /// Constraint.
    pub constraint: Option<&'a str>,
    /// Schema.
    pub schema: Option<&'a str>,
    /// Data type.
    pub type_name: Option<&'a str>,
    /// The server's DETAIL, with the offending key.
    pub detail: Option<&'a str>,
    /// The role of the session.
    pub role: Option<&'a str>,
}

impl<'a> Arguments<'a> {
    fn pairs(&self) -> [(&'static str, Option<&'a str>); 7] {
        [
            ("table", self.table),
            ("column", self.column),
            ("constraint", self.constraint),
            ("schema", self.schema),
            ("type", self.type_name),
            ("detail", self.detail),
            ("role", self.role),
        ]
    }

    /// A team's text with what the server named; what it did not name is said to be so.
    fn fill(&self, text: &str) -> String {
        self.pairs().iter().fold(text.to_string(), |text, (name, value)| {
            let mark = format!("{{{name}}}");
            if !text.contains(&mark) {
                return text;
            }
            let value = value.map_or_else(|| msg!("sqlstate.not-named"), str::to_string);
            text.replace(&mark, &value)
        })
    }
}

/// A state in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The likely cause, in the language of the process.
    pub cause: Option<String>,
    /// What to do: the team's own words where there are any.
    pub remedy: Option<String>,
    /// The condition name of PostgreSQL's manual, `unique_violation`; empty for a state that it
    /// does not list.
    pub name: &'static str,
}

/// The condition name of a state, `unique_violation`; None for a state that the manual's
/// appendix A does not list.
pub fn condition_name(sqlstate: &str) -> Option<&'static str> {
    let at = names::NAMES.binary_search_by_key(&sqlstate, |(state, _)| state).ok()?;
    names::NAMES.get(at).map(|(_, name)| *name)
}

/// The team's own words for a state: the exact state wins over its class.
pub fn team_remedy<'t>(sqlstate: &str, team: &'t BTreeMap<String, String>) -> Option<&'t str> {
    let exact = team.get(sqlstate);
    exact.or_else(|| team.get(class_of(sqlstate)?)).map(String::as_str)
}

/// A state in words. `team` holds states or classes with the team's own remedies.
pub fn explain(
    sqlstate: &str,
    team: &BTreeMap<String, String>,
    arguments: &Arguments<'_>,
) -> Explained {
    Explained {
        cause: text(sqlstate, "cause", arguments),
        remedy: team_remedy(sqlstate, team)
            .map(|words| arguments.fill(words))
            .or_else(|| text(sqlstate, "remedy", arguments)),
        name: condition_name(sqlstate).unwrap_or(""),
    }
}

/// Gives a fault with a SQLSTATE, and those gathered in it, the cause and the remedy that they
/// lack. The team's words stand first; a remedy that the fault already had follows them.
pub fn decorate(fault: &mut Fault, team: &BTreeMap<String, String>) {
    for further in &mut fault.more {
        decorate(further, team);
    }
    let Some(state) = fault.sqlstate.clone() else { return };
    let arguments = Arguments { detail: fault.detail.as_deref(), ..Arguments::default() };
    let explained = explain(&state, team, &arguments);
    let teams_own = team_remedy(&state, team).is_some();
    fault.cause = fault.cause.take().or(explained.cause);
    // A remedy out of this table, given before the team's words were known, gives way to them.
    let own = fault.remedy.take().filter(|own| {
        !teams_own || text(&state, "remedy", &Arguments::default()).as_ref() != Some(own)
    });
    fault.remedy = match (own, explained.remedy) {
        // Decorating twice must not say the same twice.
        (Some(own), Some(team)) if teams_own && !own.starts_with(&team) => {
            Some(format!("{team}\n{own}"))
        }
        (own, explained) => own.or(explained),
    };
}

fn class_of(sqlstate: &str) -> Option<&str> {
    sqlstate.get(..2)
}

fn text(sqlstate: &str, what: &str, arguments: &Arguments<'_>) -> Option<String> {
    let pairs = arguments.pairs().map(|(name, value)| (name, value.unwrap_or("")));
    let given = pairs.each_ref().map(|(name, value)| (*name, value as &dyn Display));
    message::find(&format!("sqlstate.{sqlstate}.{what}"), &given)
        .or_else(|| message::find(&format!("sqlstate.{}.{what}", class_of(sqlstate)?), &given))
}

#[cfg(test)]
mod tests;
