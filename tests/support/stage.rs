//! A playbook played through the library, in this process: every event is kept, so that a test
//! can ask what was done and what was said.

use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runsheet::config::{Config, Environment};
use runsheet::engine::{Limits, RoadSetup, walk};
use runsheet::host::{HostSetup, Mode, OnFailure, Terminal, Wishes};
use runsheet::model::{Redactor, RunEvent, RunId};
use runsheet::playbook::Playbook;
use runsheet::postgres::Target;
use runsheet::report::Sink;
use runsheet::system::{Cancel, StateDir, offer_trampoline};

use super::played::Played;
use super::{Cluster, Project};

/// A project and a database, ready to be played on.
pub struct Stage {
    pub project: Project,
    url: Option<String>,
    own: Option<Cluster>,
    set: Vec<(String, String)>,
    played: Cell<u32>,
    /// Stops what is being played.
    pub cancel: Cancel,
}

impl Stage {
    /// For a connection string.
    pub fn new(url: &str) -> Self {
        Self::at(Some(url.into()))
    }

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
        offer_trampoline(super::project::program());
        Self {
            project: Project::new(),
            url,
            own: None,
            set: Vec::new(),
            played: Cell::new(0),
            cancel: Cancel::new(),
        }
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

    /// Runs a playbook: its text behind `playbook(..)` with an id of its own, unless it begins one
    /// itself.
    pub fn run(&self, text: &str) -> Played {
        self.play(Mode::Run, text, None)
    }

    /// Plans it.
    pub fn plan(&self, text: &str) -> Played {
        self.play(Mode::Plan, text, None)
    }

    /// Goes on with a run.
    pub fn resume(&self, run: RunId, text: &str) -> Played {
        self.play(Mode::Run, text, Some(run))
    }

    fn play(&self, mode: Mode, text: &str, resume: Option<RunId>) -> Played {
        self.played.set(self.played.get() + 1);
        let text = if text.contains("playbook(") {
            text.to_string()
        } else {
            format!("let p = playbook(\"it{}\");\n{text}", self.played.get())
        };
        let nothing = |_: &str| None;
        let mut config = Config::load(self.path()).expect("the project's file");
        if config.file.is_none() {
            config.run.connect_tries = 1;
        }
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
            last: false,
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
                    again: resume.is_none(),
                    accept_changes: false,
                    accept_database: false,
                    unprotected: false,
                    approve: None,
                    sign: None,
                    reason: None,
                    until: None,
                    allow_pooler: false,
                    resume,
                },
                redactor,
                terminal: Terminal { interactive: false, yes: true },
                cancel: self.cancel.clone(),
                asks: Vec::new(),
                foretold: Default::default(),
                ahead: None,
                rehearsal: None,
                catches: text.contains("try"),
            },
        };
        let ended = walk(setup);
        let events = kept.0.lock().expect("the events").clone();
        let folder = self.path().join(".runsheet");
        match ended {
            Ok(ended) => {
                Played { exit: ended.exit, run: Some(ended.run), early: None, events, folder }
            }
            Err(fault) => {
                let exit = fault.kind.exit_code();
                Played { exit, run: None, early: Some(fault), events, folder }
            }
        }
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
