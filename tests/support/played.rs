//! What happened while a playbook was played.

use std::path::PathBuf;

use runsheet::model::{EventKind, Fault, ItemState, RunEvent, RunId};
use serde_json::Value;

use super::project::holds;

/// What happened.
pub struct Played {
    /// The exit code.
    pub exit: u8,
    /// The run, where it began.
    pub run: Option<RunId>,
    /// The fault before it began.
    pub early: Option<Fault>,
    pub events: Vec<RunEvent>,
    pub(super) folder: PathBuf,
}

impl Played {
    /// Everything went well.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        assert_eq!(self.exit, 0, "{:#?}\n{:#?}", self.early, self.faults());
        self
    }

    /// The same, to go on with.
    #[track_caller]
    pub fn fine(self) -> Self {
        self.ok();
        self
    }

    /// The first item that failed did so with this code; gives its fault.
    #[track_caller]
    pub fn fails(&self, code: &str) -> Fault {
        let fault = self.fault().unwrap_or_else(|| panic!("nothing failed: {:#?}", self.events));
        assert_eq!(fault.code, code, "{fault:#?}");
        fault
    }

    /// The first failed item's fault, else the run's.
    pub fn fault(&self) -> Option<Fault> {
        self.faults().into_iter().next()
    }

    /// It failed with this code; gives the fault.
    #[track_caller]
    pub fn fails_with(&self, code: &str) -> Fault {
        let faults = self.faults();
        let found = faults.iter().find(|fault| fault.code == code);
        assert!(self.exit != 0, "{faults:#?}");
        found.unwrap_or_else(|| panic!("{code} was expected\n{faults:#?}")).clone()
    }

    /// The faults of items and of the run.
    pub fn faults(&self) -> Vec<Fault> {
        let of = |event: &RunEvent| match &event.kind {
            EventKind::ItemFinished { outcome: ItemState::Failed { fault, .. }, .. } => {
                Some((**fault).clone())
            }
            EventKind::RunFinished { fault: Some(fault), .. } => Some((**fault).clone()),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }

    /// The value of an item.
    #[track_caller]
    pub fn value(&self, title: &str) -> Value {
        let of = |event: &RunEvent| match &event.kind {
            EventKind::ItemFinished { item, outcome: ItemState::Done { value }, .. }
                if item.title == title =>
            {
                Some(value.clone())
            }
            _ => None,
        };
        let found = self.events.iter().find_map(of);
        found.unwrap_or_else(|| panic!("{title} was not done\n{:#?}", self.faults()))
    }

    /// How an item ended.
    #[track_caller]
    pub fn outcome(&self, title: &str) -> ItemState {
        let of = |event: &RunEvent| match &event.kind {
            EventKind::ItemFinished { item, outcome, .. } if item.title == title => {
                Some(outcome.clone())
            }
            _ => None,
        };
        self.events.iter().find_map(of).unwrap_or_else(|| panic!("no item {title}"))
    }

    /// The events of a kind.
    pub fn all<T>(&self, pick: impl Fn(&EventKind) -> Option<T>) -> Vec<T> {
        self.events.iter().filter_map(|event| pick(&event.kind)).collect()
    }

    /// The events as they are journaled, one JSON line each.
    pub fn journal(&self) -> String {
        self.events.iter().map(|event| serde_json::to_string(event).expect("json") + "\n").collect()
    }

    /// Neither an event nor a file of the state folder holds the text.
    #[track_caller]
    pub fn shows_nowhere(&self, canary: &str) {
        assert!(!self.journal().contains(canary), "an event gives away {canary}");
        if let Some(file) = holds(&self.folder, canary.as_bytes()) {
            panic!("{} gives away {canary}", file.display());
        }
    }

    /// Notes and warnings, in order.
    pub fn remarks(&self) -> Vec<String> {
        let remark = |event: &RunEvent| match &event.kind {
            EventKind::Note { text } | EventKind::Warning { text } => Some(text.clone()),
            _ => None,
        };
        self.events.iter().filter_map(remark).collect()
    }

    /// What was compared: what, left, right, and whether it holds.
    pub fn compared(&self) -> Vec<(String, Value, Value, bool)> {
        let compared = |event: &RunEvent| match &event.kind {
            EventKind::Compared { what, left, right, holds } => {
                Some((what.clone(), left.clone(), right.clone(), *holds))
            }
            _ => None,
        };
        self.events.iter().filter_map(compared).collect()
    }

    /// The actions that a plan recorded, as `verb target`.
    pub fn planned(&self) -> Vec<String> {
        let action = |event: &RunEvent| match &event.kind {
            EventKind::Action { action, planned: true } => {
                Some(format!("{} {}", action.verb, action.target).trim().to_string())
            }
            _ => None,
        };
        self.events.iter().filter_map(action).collect()
    }
}
