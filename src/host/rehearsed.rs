//! The gate in a rehearsal: what is not the copy is not touched.
//!
//! Database work, dumps and restores are really done, on the copy. Commands, files of the project
//! and addresses are the real world: a command is replaced as the environment says, or recorded and
//! not done; an address is not asked.

use std::collections::BTreeMap;
use std::rc::Rc;

use rhai::Dynamic;
use serde_json::Value;

use super::effects::External;
use super::gate::{Host, Mode};
use super::planned::Planned;
use super::stop::Trouble;
use super::value::from_json;
use crate::config::RehearsalCommand;
use crate::model::{Action, EventKind};

/// What a rehearsal does instead of commands.
#[derive(Clone, Debug, Default)]
pub struct Rehearsal {
    /// By the program's name.
    pub commands: BTreeMap<String, RehearsalCommand>,
}

impl Host {
    /// Lets a command pass. `with` starts another one in its place.
    ///
    /// # Errors
    /// As [`Host::pass_external`].
    pub fn pass_command<'a>(
        self: &Rc<Self>,
        argv: &[String],
        mut external: External<'a>,
        planned_argument: Option<Planned>,
        with: impl FnOnce(Vec<String>) -> Result<Value, Trouble> + 'a,
    ) -> Result<Dynamic, Trouble> {
        let instead = self.setup.rehearsal.as_ref().map(|rehearsal| {
            let program = argv.first().map_or("", String::as_str);
            let name = program.rsplit('/').next().unwrap_or(program);
            let known = rehearsal.commands.get(program).or_else(|| rehearsal.commands.get(name));
            known.cloned().unwrap_or(RehearsalCommand::Skip)
        });
        match instead {
            None | Some(RehearsalCommand::Run) => self.pass_external(external, planned_argument),
            Some(RehearsalCommand::Skip) => self.pass_outside(external, planned_argument),
            Some(RehearsalCommand::Replace(argv)) => {
                external.action.statement = Some(argv.join(" "));
                external.perform = Box::new(move || with(argv));
                self.pass_external(external, planned_argument)
            }
        }
    }

    /// Lets an effect on something that is not the database pass; a rehearsal records it, and gives
    /// the value that it has where it was found done.
    ///
    /// # Errors
    /// As [`Host::pass_external`].
    pub fn pass_outside(
        self: &Rc<Self>,
        external: External<'_>,
        planned_argument: Option<Planned>,
    ) -> Result<Dynamic, Trouble> {
        if self.setup.rehearsal.is_none() || self.mode() == Mode::Plan {
            return self.pass_external(external, planned_argument);
        }
        self.may_go_on()?;
        self.write_may_happen(&external.action)?;
        // It counts as a change: the real run will have to take it back.
        self.note_effect(&external.action)?;
        self.emit(EventKind::Action { action: external.action, planned: true })?;
        Ok(from_json(external.probed))
    }

    /// Lets a look at something that is not the database pass; a rehearsal does not look, and gives
    /// `stand_in`.
    ///
    /// # Errors
    /// As [`Host::pass`].
    pub fn pass_look_outside(
        self: &Rc<Self>,
        action: Action,
        planned_argument: Option<Planned>,
        stand_in: Value,
        perform: impl FnOnce() -> Result<Value, Trouble>,
    ) -> Result<Dynamic, Trouble> {
        if self.setup.rehearsal.is_none() || self.mode() == Mode::Plan {
            return self.pass(action, planned_argument, perform);
        }
        self.may_go_on()?;
        self.emit(EventKind::Action { action, planned: true })?;
        Ok(from_json(stand_in))
    }
}
