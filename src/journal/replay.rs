//! What an unfinished run has already done, in the order in which the script asked for it.
//!
//! A resumed run executes the script again; each item and each outer read is met here first. The
//! order must be the recorded one: a playbook that takes another turn is stopped, not guessed at.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{IntentRow, IntentState, StepRow, StepState};
use crate::model::Fault;
use crate::msg;

/// One thing the script did before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Recorded {
    /// A read outside of items: verb and arguments in one line, and what it gave.
    Read {
        /// Verb and arguments.
        call: String,
        /// What it gave.
        value: Value,
    },
    /// A check or verify that held, or an item that was skipped.
    Item {
        /// Its key.
        key: String,
        /// What its body returned.
        value: Value,
    },
    /// A journaled step that is done.
    Step {
        /// Its key.
        key: String,
        /// What its body returned.
        value: Value,
        /// Hashes of what it used.
        inputs: Value,
        /// Verbs that it used.
        effects: Vec<String>,
        /// True where a rollback that did not end has taken it back already.
        #[serde(default)]
        undone: bool,
    },
}

impl Recorded {
    fn name(&self) -> &str {
        match self {
            Self::Read { call, .. } => call,
            Self::Item { key, .. } | Self::Step { key, .. } => key,
        }
    }

    fn is_step(&self) -> bool {
        matches!(self, Self::Step { .. })
    }
}

/// The recorded sequence, consumed from the front.
#[derive(Debug, Default)]
pub struct Replay {
    sequence: VecDeque<Recorded>,
    intents: HashMap<(String, u32), IntentRow>,
    steps: usize,
    /// Steps among the sequence.
    steps_left: usize,
    partly: Vec<String>,
}

impl Replay {
    /// From the ledger's rows of one run, ordered by their number.
    pub fn new(steps: Vec<StepRow>, intents: Vec<IntentRow>) -> Self {
        let mut sequence = VecDeque::new();
        let mut count = 0;
        let partly = begun_only(&steps, &intents);
        let mut rest: VecDeque<StepRow> = steps.into();
        while let Some(step) = rest.pop_front() {
            let later: Vec<String> = match step.kind.as_str() {
                "end" => {
                    rest.iter().flat_map(|row| &row.before).map(|met| met.name().into()).collect()
                }
                _ => Vec::new(),
            };
            if step.kind == "end" {
                // What held behind the last step, kept when the run ended well; where steps were
                // appended since, it was met again and is kept with them.
                let met_later = |met: &Recorded| later.iter().any(|name| name == met.name());
                sequence.extend(step.before.into_iter().filter(|met| !met_later(met)));
                continue;
            }
            if !matches!(step.kind.as_str(), "step" | "manual" | "approve") {
                continue;
            }
            let undone = step.state == StepState::Undone;
            count += usize::from(!undone);
            sequence.extend(step.before);
            sequence.push_back(Recorded::Step {
                key: step.key,
                value: step.value,
                inputs: step.inputs,
                effects: step.effects,
                undone,
            });
        }
        let intents =
            intents.into_iter().map(|row| ((row.key.clone(), row.ordinal), row)).collect();
        let steps_left = sequence.iter().filter(|met| met.is_step()).count();
        Self { sequence, intents, steps: count, steps_left, partly }
    }

    /// Steps that never ended, and of whose effects some took place: their keys.
    pub fn partly(&self) -> &[String] {
        &self.partly
    }

    /// Every announced effect, in no order.
    pub fn intents(&self) -> impl Iterator<Item = &IntentRow> {
        self.intents.values()
    }

    /// From here on new things happen. What is known of announced effects stays known: a way back
    /// may have begun some.
    pub fn end(&mut self) {
        self.sequence.clear();
        self.steps_left = 0;
    }

    /// How many journaled steps were done.
    pub fn steps_done(&self) -> usize {
        self.steps
    }

    /// True where nothing recorded is left: from here on the run does new things.
    pub fn is_over(&self) -> bool {
        self.sequence.is_empty()
    }

    /// Is this the key that was recorded next?
    pub fn next_is(&self, key: &str) -> bool {
        self.sequence.front().is_some_and(|recorded| recorded.name() == key)
    }

    /// Remembers how an announced effect ended in this process.
    pub fn note_intent(
        &mut self,
        key: &str,
        ordinal: u32,
        action: Value,
        state: IntentState,
        value: Value,
    ) {
        let row = IntentRow { key: key.into(), ordinal, action, state, value };
        self.intents.insert((key.to_string(), ordinal), row);
    }

    /// An announced effect is known to stand so.
    pub fn settle_intent(&mut self, key: &str, ordinal: u32, state: IntentState, value: Value) {
        let known = self.intents.get(&(key.to_string(), ordinal));
        let action = known.map_or(Value::Null, |row| row.action.clone());
        self.note_intent(key, ordinal, action, state, value);
    }

    /// The recorded value of an outer read.
    ///
    /// # Errors
    /// `diverged` where the run did something else at this place.
    pub fn read(&mut self, call: &str) -> Result<Option<Value>, Fault> {
        self.pass_tail(call);
        match self.sequence.front() {
            None => Ok(None),
            Some(Recorded::Read { call: recorded, value }) if recorded == call => {
                let value = value.clone();
                self.sequence.pop_front();
                Ok(Some(value))
            }
            Some(other) => Err(diverged(other.name(), call)),
        }
    }

    /// The recorded end of an item with this key.
    ///
    /// # Errors
    /// `diverged` where the run did something else at this place.
    pub fn item(&mut self, key: &str) -> Result<Option<Recorded>, Fault> {
        self.pass_tail(key);
        match self.sequence.front() {
            None => Ok(None),
            Some(Recorded::Item { key: recorded, .. } | Recorded::Step { key: recorded, .. })
                if recorded == key =>
            {
                let met = self.sequence.pop_front();
                self.steps_left -= usize::from(met.as_ref().is_some_and(Recorded::is_step));
                Ok(met)
            }
            Some(other) => Err(diverged(other.name(), key)),
        }
    }

    /// Is what comes next kept only because the run ended well? Behind the last step there are
    /// checks and reads, which may be made once more.
    pub fn in_tail(&self) -> bool {
        !self.is_over() && self.steps_left == 0
    }

    /// Steps that were appended to the playbook since come before what was checked at the end.
    fn pass_tail(&mut self, name: &str) {
        while self.in_tail() && !self.next_is(name) {
            self.sequence.pop_front();
        }
    }

    /// What is known of an effect that had been announced: done with its value, or still open.
    pub fn intent(&self, key: &str, ordinal: u32) -> Option<(IntentState, Value)> {
        let row = self.intents.get(&(key.to_string(), ordinal))?;
        Some((row.state, row.value.clone()))
    }

    /// Keys of steps that were not met again: the playbook has lost them.
    pub fn left_over(&self) -> Vec<String> {
        self.sequence.iter().map(|recorded| recorded.name().to_string()).collect()
    }
}

/// Keys of steps without a row of their own, with an effect on the database that took place or may
/// have.
fn begun_only(steps: &[StepRow], intents: &[IntentRow]) -> Vec<String> {
    let changes = |row: &IntentRow| {
        let touches = row.action.get("touches").and_then(Value::as_array);
        row.action.get("opaque").and_then(Value::as_bool) == Some(true)
            || touches.is_some_and(|tables| !tables.is_empty())
    };
    let mut keys: Vec<String> = intents
        .iter()
        .filter(|row| row.state != IntentState::Redo && changes(row))
        .filter(|row| !row.key.starts_with("undo: "))
        .filter(|row| !steps.iter().any(|step| step.key == row.key))
        .map(|row| row.key.clone())
        .collect();
    keys.dedup();
    keys
}

fn diverged(recorded: &str, asked: &str) -> Fault {
    Fault::usage("diverged", msg!("journal.diverged", recorded = recorded, asked = asked))
        .cause(msg!("journal.diverged.cause"))
        .remedy(msg!("journal.diverged.remedy"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn step(key: &str, before: Vec<Recorded>) -> StepRow {
        StepRow {
            key: key.into(),
            number: 1,
            title: key.into(),
            kind: "step".into(),
            state: StepState::Done,
            value: Value::from(7),
            before,
            inputs: Value::Null,
            effects: vec![],
            took_ms: 1,
            head: String::new(),
        }
    }

    #[test]
    fn reads_and_steps_come_back_in_their_order_and_no_other() {
        let read = Recorded::Read { call: "db::count users".into(), value: Value::from(3) };
        let mut replay = Replay::new(vec![step("a", vec![read]), step("b", vec![])], vec![]);
        assert_eq!(replay.read("db::count users").unwrap(), Some(Value::from(3)));
        assert!(matches!(replay.item("a").unwrap(), Some(Recorded::Step { .. })));
        assert_eq!(replay.item("c").unwrap_err().code, "diverged");
        assert!(replay.item("b").unwrap().is_some());
        assert!(replay.is_over());
        assert_eq!(replay.item("c").unwrap(), None);
    }
    #[test]
    fn a_step_that_was_appended_is_met_before_the_checks_behind_the_last_one() {
        let held = Recorded::Item { key: "it holds".into(), value: Value::Null };
        let end = StepRow { kind: "end".into(), ..step("end", vec![held]) };
        let rows = || vec![step("a", vec![]), end.clone()];
        let mut replay = Replay::new(rows(), vec![]);
        assert!(replay.item("a").unwrap().is_some());
        assert_eq!(replay.item("b").unwrap(), None);
        assert!(replay.is_over());
        // Once more, with the appended step behind it.
        let held = end.before.clone();
        let again = [rows(), vec![step("b", held), StepRow { before: vec![], ..end }]].concat();
        let mut replay = Replay::new(again, vec![]);
        for key in ["a", "it holds", "b"] {
            assert!(replay.item(key).unwrap().is_some(), "{key}");
        }
        assert!(replay.is_over());
    }
}
