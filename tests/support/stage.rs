//! A playbook played through the library, in this process: every event is kept, so that a test
//! can ask what was done and what was said.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runsheet::config::{Config, Environment};
use runsheet::engine::{Limits, RoadSetup, walk};
use runsheet::host::{HostSetup, Mode, OnFailure, Terminal, Wishes};
use runsheet::model::{EventKind, Fault, ItemState, Redactor, RunEvent};
use runsheet::playbook::Playbook;
use runsheet::postgres::Target;
use runsheet::report::Sink;
use runsheet::system::{Cancel, StateDir, offer_trampoline};
use serde_json::Value;

use super::{Cluster, Project};

/// A project and a database, ready to be played on.
pub struct Stage {
    pub project: Project,
    url: Option<String>,
    own: Option<Cluster>,
    set: Vec<(String, String)>,
    /// Stops what is being played.
    pub cancel: Cancel,
}

impl Stage {
    /// On a database of a cluster.
    pub fn on(cluster: &Cluster, database: &str) -> Self {
        Self::at(Some(cluster.url(database)))
    }

    /// On an empty database of a server of its own.
    pub fn alone() -> Self {
        let cluster = Cluster::start();
        cluster.create_database("app");
        let mut stage = Self::on(&cluster, "app");
        stage.own = Some(cluster);
        stage
    }

    /// Without any database: for checks only, a step needs one.
    pub fn bare() -> Self {
        Self::at(None)
    }

    /// On whatever this connection string leads to.
    pub fn at(url: Option<String>) -> Self {
        offer_trampoline(env!("CARGO_BIN_EXE_runsheet").into());
        Self { project: Project::new(), url, own: None, set: Vec::new(), cancel: Cancel::new() }
    }

    /// Writes runsheet.toml.
    pub fn config(self, toml: &str) -> Self {
        self.project.file("runsheet.toml", toml);
        self
    }

    /// Writes a file of the project.
    pub fn file(self, path: &str, text: &str) -> Self {
        self.project.file(path, text);
        self
    }

    /// `--set name=value`.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.set.push((name.into(), value.into()));
        self
    }

    /// The project's folder.
    pub fn path(&self) -> &Path {
        self.project.path()
    }

    /// Runs a playbook: its text behind `playbook("it")`, unless it begins one itself.
    pub fn run(&self, text: &str) -> Played {
        self.play(Mode::Run, text)
    }

    /// Plans it.
    pub fn plan(&self, text: &str) -> Played {
        self.play(Mode::Plan, text)
    }

    fn play(&self, mode: Mode, text: &str) -> Played {
        let text = if text.contains("playbook(") {
            text.to_string()
        } else {
            format!("let p = playbook(\"it\", #{{ repeatable: true }});\n{text}")
        };
        let nothing = |_: &str| None;
        let config = Config::load(self.path()).expect("the project's file");
        let environment: Environment = config
            .environment(None, Some(self.url.as_deref().unwrap_or("postgres:///none")), &nothing)
            .expect("an environment");
        let redactor = Redactor::default();
        let target = self.url.as_deref().map(|url| Target::parse(url, &nothing).expect("a url"));
        if let Some(target) = &target {
            target.teach(&redactor);
        }
        let kept = Kept::default();
        let setup = RoadSetup {
            sink: Box::new(kept.clone()),
            limits: Limits::default(),
            host: HostSetup {
                mode,
                project: self.path().to_path_buf(),
                state: StateDir::open(&config.state_dir).expect("a state folder"),
                environment,
                config,
                target,
                playbook: book(self.path(), &text),
                set: self.set.clone(),
                wishes: Wishes {
                    wait: Duration::ZERO,
                    take_over: false,
                    take_over_run: None,
                    on_failure: OnFailure::Stop,
                    again: true,
                    accept_changes: false,
                    accept_database: false,
                    unprotected: false,
                    approve: None,
                    reason: None,
                    until: None,
                    allow_pooler: false,
                    resume: None,
                },
                redactor,
                terminal: Terminal { interactive: false, yes: true },
                cancel: self.cancel.clone(),
                asks: Vec::new(),
                catches: text.contains("try"),
            },
        };
        let ended = walk(setup);
        let events = kept.0.lock().expect("the events").clone();
        let exit = ended.map(|ended| ended.exit);
        Played { exit, events, folder: self.path().join(".runsheet") }
    }
}

fn book(project: &Path, text: &str) -> Playbook {
    Playbook {
        name: "it".into(),
        path_display: "playbooks/it.rhai".into(),
        text: text.into(),
        root: project.to_path_buf(),
        origin: runsheet::playbook::Origin::Project,
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<RunEvent>>>);

impl Sink for Kept {
    fn event(&mut self, event: &RunEvent) {
        self.0.lock().expect("the events").push(event.clone());
    }

    fn finish(&mut self) {}
}

/// What happened.
pub struct Played {
    /// The exit code, or the fault before the first item.
    pub exit: Result<u8, Fault>,
    pub events: Vec<RunEvent>,
    folder: std::path::PathBuf,
}

impl Played {
    /// Everything went well.
    #[track_caller]
    pub fn fine(self) -> Self {
        assert!(matches!(self.exit, Ok(0)), "{:?}\n{:#?}", self.exit, self.faults());
        self
    }

    /// It failed with this code; gives the fault.
    #[track_caller]
    pub fn fails_with(&self, code: &str) -> Fault {
        let faults = self.faults();
        let found = faults.iter().find(|fault| fault.code == code);
        assert!(self.exit.as_ref().is_ok_and(|exit| *exit != 0), "{:?}\n{faults:#?}", self.exit);
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
}

fn holds(folder: &Path, canary: &[u8]) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.filter_map(Result::ok) {
        let path = entry.path();
        let found = match path.is_dir() {
            true => holds(&path, canary),
            false => std::fs::read(&path)
                .is_ok_and(|bytes| bytes.windows(canary.len()).any(|part| part == canary))
                .then(|| path.clone()),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}
