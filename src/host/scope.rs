//! What the host remembers while a body runs, and what a plan remembers of its recorded effects.

use std::collections::BTreeSet;
use std::time::Instant;

use rhai::{FnPtr, NativeCallContextStore};
use serde_json::{Map, Value};

use super::options::ItemOptions;
use crate::model::{Action, Effect, Fault, Item, ItemKind};

/// The transaction of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// Nothing was sent yet.
    None,
    /// Open.
    Open {
        /// Its id; empty where it was not asked for.
        xid: String,
    },
}

/// An item whose body runs.
pub struct Frame {
    /// The item.
    pub item: Item,
    /// Its stable name in the ledger.
    pub key: String,
    /// Its options.
    pub options: ItemOptions,
    /// The step's transaction.
    pub transaction: Transaction,
    /// Nothing in it can have left another role or other settings behind.
    pub settled: bool,
    /// Has the step written to the database inside its transaction?
    pub wrote: bool,
    /// Has it had an effect outside of its transaction?
    pub external: bool,
    /// Has an effect of it taken place that no rollback of its transaction takes back?
    pub took_effect: bool,
    /// Does what it did count as a change of the database?
    pub changes: bool,
    /// Effects announced so far.
    pub ordinal: u32,
    /// Verbs that it used.
    pub effects: Vec<String>,
    /// Hashes of files and values of parameters that it used.
    pub inputs: Map<String, Value>,
    /// Did it run a file that says how it is taken back?
    pub rollback_file: bool,
    /// When its time is over.
    pub deadline: Option<Instant>,
    /// In a plan: effects recorded.
    pub planned_effects: u32,
    /// In a plan: something in it depends on a recorded effect.
    pub will_check: bool,
}

impl Frame {
    /// A frame at the beginning of an item.
    pub fn new(item: Item, key: String, options: ItemOptions, deadline: Option<Instant>) -> Self {
        Self {
            item,
            key,
            options,
            transaction: Transaction::None,
            settled: true,
            wrote: false,
            external: false,
            took_effect: false,
            changes: false,
            ordinal: 0,
            effects: Vec::new(),
            inputs: Map::new(),
            rollback_file: false,
            deadline,
            planned_effects: 0,
            will_check: false,
        }
    }

    /// May the item change things?
    pub fn may_write(&self) -> bool {
        matches!(
            self.item.kind,
            ItemKind::Step | ItemKind::Undo | ItemKind::Always | ItemKind::OnFailure
        )
    }

    /// Does it leave a trace of the tables that it touched? It costs as much as a small statement,
    /// and only a way back of the step's own asks for it.
    pub fn traced(&self) -> bool {
        self.item.has_undo || self.item.kind == ItemKind::Undo || self.rollback_file
    }

    /// Do the step's statements share one transaction?
    pub fn transactional(&self) -> bool {
        self.options.transaction != Some(false)
    }
}

/// A body kept for later, with the context it was written in.
pub struct Deferred {
    /// The item's title.
    pub title: String,
    /// The body; its captured values are copies.
    pub body: FnPtr,
    /// The script's state where it was given.
    pub context: NativeCallContextStore,
}

/// The way back of a finished step.
pub struct UndoEntry {
    /// The step.
    pub item: Item,
    /// Its key in the ledger.
    pub key: String,
    /// How it is undone, where the playbook says so.
    pub undo: Option<Deferred>,
    /// Does it have to be undone at all?
    pub changes: bool,
    /// The step's options: its undo has the same role and patience.
    pub options: ItemOptions,
}

/// A copy of a body that later turns of a loop cannot change: captured variables are shared, and
/// without this all undos of a loop would see its last value.
pub fn snapshot(body: &FnPtr) -> FnPtr {
    let mut copy = body.clone();
    for value in copy.iter_curry_mut() {
        *value = value.flatten_clone();
    }
    copy
}

/// What a plan has recorded so far: reads that could depend on it are not answered.
#[derive(Default)]
pub struct PlannedWrites {
    tables: BTreeSet<String>,
    opaque: bool,
    any: bool,
}

impl PlannedWrites {
    /// Adds a recorded effect.
    pub fn add(&mut self, action: &Action) {
        match action.effect {
            Effect::Write => {
                self.any = true;
                self.tables.extend(action.touches.iter().map(|table| bare(table)));
                self.opaque |= action.opaque || action.touches.is_empty();
            }
            Effect::External => {
                self.any |= action.opaque || !action.touches.is_empty();
                self.tables.extend(action.touches.iter().map(|table| bare(table)));
                self.opaque |= action.opaque;
            }
            Effect::None | Effect::Read => {}
        }
    }

    /// Could this read see something else when it runs?
    pub fn concern(&self, read: &Action) -> bool {
        if self.opaque && !read.touches.is_empty() {
            return true;
        }
        if !self.any {
            return false;
        }
        // A read of everything names no table that could be compared.
        if read.statement.is_none() && read.touches.iter().any(|table| table == "*") {
            return true;
        }
        let words = |text: &str| {
            text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                .map(str::to_lowercase)
                .collect::<BTreeSet<_>>()
        };
        let mut seen = words(read.statement.as_deref().unwrap_or(""));
        seen.extend(words(&read.target));
        seen.extend(read.touches.iter().map(|table| bare(table)));
        self.tables.iter().any(|table| seen.contains(table))
    }

    /// Does a recorded effect explain why this read failed: it looks for what is not made yet?
    pub fn explain(&self, fault: &Fault) -> bool {
        const MISSING: [&str; 6] = ["42P01", "42703", "42704", "42883", "3F000", "42P17"];
        self.any && fault.sqlstate.as_deref().is_some_and(|state| MISSING.contains(&state))
    }
}

/// The last part of a possibly qualified name, lower-cased, without quotes.
fn bare(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).trim_matches('"').to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(touches: &[&str], opaque: bool) -> Action {
        let mut action = Action::new("db::exec", Effect::Write, "");
        action.touches = touches.iter().map(|table| (*table).to_string()).collect();
        action.opaque = opaque;
        action
    }

    fn read(sql: &str) -> Action {
        let mut action = Action::new("db::count", Effect::Read, "").statement(sql);
        action.touches = vec!["?".into()];
        action
    }

    #[test]
    fn a_read_of_a_table_that_will_change_is_not_answered() {
        let mut planned = PlannedWrites::default();
        assert!(!planned.concern(&read("SELECT count(*) FROM users")));
        planned.add(&write(&["public.\"Users\""], false));
        assert!(planned.concern(&read("SELECT count(*) FROM users")));
        assert!(!planned.concern(&read("SELECT count(*) FROM hospitals")));
    }

    #[test]
    fn after_an_opaque_write_no_data_is_read() {
        let mut planned = PlannedWrites::default();
        planned.add(&write(&[], true));
        assert!(planned.concern(&read("SELECT 1 FROM anything")));
        assert!(!planned.concern(&Action::new("db::setting", Effect::Read, "work_mem")));
    }
}
