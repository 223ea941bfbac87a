//! Playbooks walked through the library, with everything that happened in hand.

use std::sync::{Arc, Mutex};

use runsheet::config::Config;
use runsheet::engine::{Limits, RoadSetup, walk};
use runsheet::host::{HostSetup, Mode, OnFailure, Terminal, Wishes};
use runsheet::model::{EventKind, Fault, ItemState, Redactor, RunEvent, RunId};
use runsheet::playbook::{Origin, Playbook};
use runsheet::postgres::Target;
use runsheet::report::Sink;
use runsheet::system::{Cancel, StateDir};
use serde_json::Value;

/// A project folder in which playbooks are walked; its state stays between two of them.
pub struct Stage {
    folder: tempfile::TempDir,
    url: String,
    played: std::cell::Cell<u32>,
}

/// What is asked for beside the playbook.
#[derive(Default)]
pub struct Asked {
    /// `--set`.
    pub set: Vec<(String, String)>,
    /// The run to go on with.
    pub resume: Option<RunId>,
    /// `[server] free_bytes_query`.
    pub free_bytes_query: Option<String>,
}

struct Collector(Arc<Mutex<Vec<RunEvent>>>);

impl Sink for Collector {
    fn event(&mut self, event: &RunEvent) {
        self.0.lock().expect("events").push(event.clone());
    }

    fn finish(&mut self) {}
}

impl Stage {
    /// A project for one database.
    pub fn new(url: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("stage-").tempdir().expect("a folder");
        Self { folder, url: url.into(), played: std::cell::Cell::new(0) }
    }

    /// Runs a body between `playbook(..)` and the end.
    pub fn run(&self, text: &str) -> Played {
        self.play(Mode::Run, text, Asked::default())
    }

    /// Plans it.
    pub fn plan(&self, text: &str) -> Played {
        self.play(Mode::Plan, text, Asked::default())
    }

    /// Walks a playbook; `playbook(..)` with an id of its own is put before texts that have none.
    pub fn play(&self, mode: Mode, text: &str, asked: Asked) -> Played {
        self.played.set(self.played.get() + 1);
        let text = match text.contains("playbook(") {
            true => text.to_string(),
            false => format!("playbook(\"t{}\");\n{text}", self.played.get()),
        };
        let events = Arc::new(Mutex::new(Vec::new()));
        let folder = self.folder.path().to_path_buf();
        let mut config = Config::default_for(&folder);
        config.free_bytes_query = asked.free_bytes_query;
        config.run.connect_tries = 1;
        let environment =
            config.environment(None, Some(&self.url), &|_| None).expect("an environment");
        let playbook = Playbook {
            name: "t".into(),
            path_display: "playbooks/t.rhai".into(),
            text: text.clone(),
            origin: Origin::Project,
            root: folder.clone(),
        };
        let host = HostSetup {
            mode,
            project: folder.clone(),
            state: StateDir::open(&folder.join(".runsheet")).expect("a state folder"),
            config,
            environment,
            target: Some(Target::parse(&self.url, &|_| None).expect("a target")),
            playbook,
            set: asked.set,
            wishes: Wishes {
                wait: std::time::Duration::ZERO,
                take_over: false,
                take_over_run: None,
                on_failure: OnFailure::Stop,
                again: false,
                accept_changes: false,
                accept_database: false,
                unprotected: false,
                approve: None,
                reason: None,
                until: None,
                allow_pooler: false,
                resume: asked.resume,
            },
            redactor: Redactor::default(),
            terminal: Terminal { interactive: false, yes: true },
            cancel: Cancel::new(),
            asks: Vec::new(),
            catches: text.contains("try"),
        };
        let sink = Box::new(Collector(events.clone()));
        let ended = walk(RoadSetup { host, sink, limits: Limits::default() });
        let events = events.lock().expect("events").clone();
        match ended {
            Ok(ended) => Played { exit: ended.exit, run: Some(ended.run), early: None, events },
            Err(fault) => {
                Played { exit: fault.kind.exit_code(), run: None, early: Some(fault), events }
            }
        }
    }
}

/// How a walk ended.
pub struct Played {
    /// Exit code.
    pub exit: u8,
    /// The run, where it began.
    pub run: Option<RunId>,
    /// A fault found before it began.
    pub early: Option<Fault>,
    /// Everything that happened.
    pub events: Vec<RunEvent>,
}

impl Played {
    /// It ended well.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        assert_eq!(self.exit, 0, "{:#?}\n{:#?}", self.fault(), self.early);
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
        let of_item = self.events.iter().find_map(|event| match &event.kind {
            EventKind::ItemFinished { outcome: ItemState::Failed { fault, .. }, .. } => {
                Some((**fault).clone())
            }
            _ => None,
        });
        of_item.or_else(|| {
            self.events.iter().find_map(|event| match &event.kind {
                EventKind::RunFinished { fault: Some(fault), .. } => Some((**fault).clone()),
                _ => None,
            })
        })
    }

    /// The outcome of an item.
    #[track_caller]
    pub fn outcome(&self, title: &str) -> ItemState {
        let found = self.events.iter().find_map(|event| match &event.kind {
            EventKind::ItemFinished { item, outcome, .. } if item.title == title => {
                Some(outcome.clone())
            }
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no item {title}: {:#?}", self.fault()))
    }

    /// The value of a finished item.
    #[track_caller]
    pub fn value(&self, title: &str) -> Value {
        match self.outcome(title) {
            ItemState::Done { value } => value,
            other => panic!("{title}: {other:#?}"),
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
