//! What a verb is about to do, as data: plan, approval, progress and report all show actions.

use serde::{Deserialize, Serialize};

use super::Risk;

/// What kind of effect an action has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Touches nothing outside the process: an expectation, a note.
    None,
    /// Reads the database, a file, a health address.
    Read,
    /// Changes the database, through the run's own session.
    Write,
    /// Changes something outside the run's transaction: a command, a dump, a file, an HTTP write.
    External,
}

/// What a verb is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The verb, `db::exec`.
    pub verb: String,
    /// What it does to the world.
    pub effect: Effect,
    /// What it acts on: a table, a file, an address; may be empty.
    pub target: String,
    /// The SQL text or the command line, blanked of secrets where it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// How dangerous it is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// Locks that it will take, "ACCESS EXCLUSIVE on users".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<String>,
    /// Tables that it changes, lower-cased, where they are known; empty and `opaque` otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<String>,
    /// True where nobody can say beforehand what it changes (DO blocks, commands).
    #[serde(default)]
    pub opaque: bool,
    /// Remarks for the plan: "runs alone, outside a transaction".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl Action {
    /// An action of a verb on a target.
    pub fn new(verb: &str, effect: Effect, target: impl Into<String>) -> Self {
        Self {
            verb: verb.into(),
            effect,
            target: target.into(),
            statement: None,
            risk: None,
            locks: Vec::new(),
            touches: Vec::new(),
            opaque: false,
            remarks: Vec::new(),
        }
    }

    /// Adds the SQL text or command line.
    #[must_use]
    pub fn statement(mut self, statement: impl Into<String>) -> Self {
        self.statement = Some(statement.into());
        self
    }
}
