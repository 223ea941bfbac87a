//! What the tests of the shipped playbooks stand on: a server with the sample data of a playbook,
//! a project with commands of its own, and the report of the newest run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::faults::fingerprint;
use crate::support::project::{LIMIT, Running};
use crate::support::{Cluster, Gate, Project, Ran};

/// A server with the database `app`, filled as the playbook's sample data fills it.
pub struct Ground {
    pub cluster: Cluster,
    pub project: Project,
    playbook: &'static str,
    pub before: String,
    /// How long one call of the program may take.
    pub patience: Duration,
}

impl Ground {
    /// The playbook's schema and rows; `vars` are psql variables, `rows=50`.
    pub fn new(playbook: &'static str, vars: &[&str]) -> Self {
        Self::prepared(playbook, "", vars)
    }

    /// The same, with statements run before the schema: roles that it wants.
    pub fn prepared(playbook: &'static str, sql: &str, vars: &[&str]) -> Self {
        let (cluster, project) = (Cluster::start(), Project::new());
        cluster.create_database("app");
        cluster.sql("app", sql);
        let patience = LIMIT;
        let mut ground = Self { cluster, project, playbook, before: String::new(), patience };
        ground.psql(&shipped(playbook, "schema.sql"), vars);
        ground.psql(&shipped(playbook, "data.sql"), vars);
        ground.remember();
        ground
    }

    /// An empty database, and no sample data.
    pub fn bare() -> Self {
        let (cluster, project) = (Cluster::start(), Project::new());
        cluster.create_database("app");
        Self { cluster, project, playbook: "", before: String::new(), patience: LIMIT }
    }

    /// A file through psql, which must go well.
    #[track_caller]
    pub fn psql(&self, file: &Path, vars: &[&str]) {
        self.cluster.psql("app", file, vars);
    }

    /// `runsheet WORDS.. --url URL --lang ko`
    pub fn call(&self, words: &[&str]) -> Ran {
        self.start(words).wait_for(self.patience)
    }

    /// The same, still running.
    pub fn start(&self, words: &[&str]) -> Running {
        let url = self.cluster.url("app");
        self.project.spawn(&[words, &["--url", &url, "--lang", "ko"]].concat())
    }

    /// `runsheet run PLAYBOOK --yes MORE..`
    pub fn run(&self, more: &[&str]) -> Ran {
        self.call(&[&["run", self.playbook, "--yes"], more].concat())
    }

    /// `runsheet rollback RUN --yes MORE..` of the newest run.
    pub fn back(&self, more: &[&str]) -> Ran {
        self.call(&[&["rollback", self.project.newest_run().as_str(), "--yes"], more].concat())
    }

    /// The Markdown report of the newest run.
    pub fn report(&self) -> String {
        self.project.read(&format!(".runsheet/runs/{}/report.md", self.project.newest_run()))
    }

    /// The report holds all of these.
    #[track_caller]
    pub fn report_shows(&self, words: &[&str]) {
        let report = self.report();
        for words in words {
            assert!(report.contains(words), "the report lacks {words:?}:\n{report}");
        }
    }

    pub fn value(&self, sql: &str) -> String {
        self.cluster.value("app", sql)
    }

    pub fn sql(&self, sql: &str) {
        self.cluster.sql("app", sql);
    }

    pub fn fingerprint(&self) -> String {
        fingerprint(&self.cluster, "app")
    }

    /// Takes the present state as the one to compare with.
    pub fn remember(&mut self) {
        self.before = self.fingerprint();
    }

    /// The database is as it was when the ground was laid, or last remembered.
    #[track_caller]
    pub fn unchanged(&self) {
        assert_eq!(self.fingerprint(), self.before, "the database has changed");
    }

    /// A shipped SQL file with a piece of it replaced, as a file of the project.
    #[track_caller]
    pub fn spoiled(&self, file: &str, piece: &str, other: &str) -> String {
        let text = std::fs::read_to_string(shipped(self.playbook, file)).expect("the file");
        assert!(text.contains(piece), "{file} has no {piece:?}");
        let path = format!("sql/{file}");
        self.project.file(&path, &text.replace(piece, other));
        path
    }

    /// A shipped SQL file as a file of the project, for one that includes it.
    pub fn copied(&self, file: &str) {
        let text = std::fs::read_to_string(shipped(self.playbook, file)).expect("the file");
        self.project.file(&format!("sql/{file}"), &text);
    }

    /// A program of the project's own, found before all others and allowed.
    pub fn program(&mut self, name: &str, script: &str) {
        self.project.program(name, script);
        self.project.file("runsheet.toml", &format!("[commands]\nallow = [\"{name}\"]\n"));
    }

    /// A session whose transaction holds what the statements have taken, until it is dropped.
    pub fn holder(&self, sql: &str) -> Gate {
        Gate::holding(&self.cluster.url("app"), "holder", sql)
    }

    /// Asks until the answer is true.
    #[track_caller]
    pub fn wait_until(&self, question: &str) {
        self.cluster.wait_until("app", question);
    }
}

/// A file beside a shipped playbook.
pub fn shipped(playbook: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks").join(playbook).join("sql").join(file)
}
