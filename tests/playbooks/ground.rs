//! What the tests of the shipped playbooks stand on: a server with the sample data of a playbook,
//! a project with commands of its own, and the report of the newest run.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::faults::fingerprint;
use crate::support::project::Running;
use crate::support::{Cluster, Project, Ran};

/// A server with the database `app`, filled as the playbook's sample data fills it.
pub struct Ground {
    pub cluster: Cluster,
    pub project: Project,
    playbook: &'static str,
    pub before: String,
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
        let mut ground = Self { cluster, project, playbook, before: String::new() };
        ground.psql(&shipped(playbook, "schema.sql"), vars);
        ground.psql(&shipped(playbook, "data.sql"), vars);
        ground.remember();
        ground
    }

    /// An empty database, and no sample data.
    pub fn bare() -> Self {
        let (cluster, project) = (Cluster::start(), Project::new());
        cluster.create_database("app");
        Self { cluster, project, playbook: "", before: String::new() }
    }

    /// A file through psql, which must go well.
    #[track_caller]
    pub fn psql(&self, file: &Path, vars: &[&str]) {
        let ran = self.psql_ends(file, vars);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }

    /// A file through psql, however it ends.
    pub fn psql_ends(&self, file: &Path, vars: &[&str]) -> std::process::Output {
        let psql = runsheet::postgres::programs::Programs::new(None, None).find("psql", None);
        let mut command = Command::new(psql.expect("psql").path);
        command.args(["-X", "-q", "-d", &self.cluster.url("app"), "-v", "ON_ERROR_STOP=1"]);
        for var in vars {
            command.args(["-v", var]);
        }
        command.arg("-f").arg(file).output().expect("psql starts")
    }

    /// `runsheet WORDS.. --url URL --lang ko`
    pub fn call(&self, words: &[&str]) -> Ran {
        self.start(words).wait()
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
        self.call(&[&["rollback", self.newest_run().as_str(), "--yes"], more].concat())
    }

    /// The id of the newest run.
    pub fn newest_run(&self) -> String {
        let runs = std::fs::read_dir(self.project.path().join(".runsheet/runs")).expect("runs");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        runs.map(name).max().expect("a run").into_string().unwrap()
    }

    /// The Markdown report of the newest run.
    pub fn report(&self) -> String {
        self.project.read(&format!(".runsheet/runs/{}/report.md", self.newest_run()))
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

    /// A program of the project's own, found before all others and allowed.
    pub fn program(&mut self, name: &str, script: &str) {
        self.project.file(&format!("bin/{name}"), script);
        let path = self.project.path().join("bin").join(name);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        let bin = self.project.path().join("bin");
        let psql = runsheet::postgres::programs::Programs::new(None, None).find("psql", None);
        let psql = psql.expect("psql").path;
        let psql = psql.parent().expect("its folder");
        let others = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{others}", bin.display(), psql.display());
        self.project.env("PATH", &path);
        self.project.file("runsheet.toml", &format!("[commands]\nallow = [\"{name}\"]\n"));
    }

    /// Asks until the answer is true.
    #[track_caller]
    pub fn wait_until(&self, question: &str) {
        let since = std::time::Instant::now();
        while self.value(question) != "t" {
            let late = since.elapsed() > std::time::Duration::from_secs(20);
            assert!(!late, "never true: {question}");
        }
    }
}

/// A file beside a shipped playbook.
pub fn shipped(playbook: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks").join(playbook).join("sql").join(file)
}

/// A session that holds what its statement takes, until it is dropped.
pub struct Holder {
    pid: String,
    cluster_url: String,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Holder {
    /// Runs statements in a transaction that stays open.
    pub fn start(ground: &Ground, sql: &str) -> Self {
        let url = ground.cluster.url("app");
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (sql, at) = (sql.to_string(), url.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut config: tokio_postgres::Config = at.parse().expect("a url");
                config.application_name("holder");
                let (client, connection) =
                    config.connect(tokio_postgres::NoTls).await.expect("a session");
                let work = async {
                    client.batch_execute(&format!("BEGIN; {sql}")).await.expect("the statements");
                    let row = client.query_one("SELECT pg_backend_pid()", &[]).await.expect("pid");
                    ready.send(row.get::<_, i32>(0).to_string()).expect("somebody waits");
                    // Ended by the server, when the holder is dropped.
                    let _ = client.batch_execute("SELECT pg_sleep(120)").await;
                };
                let _ = tokio::join!(work, connection);
            });
        });
        let pid = is_ready.recv().expect("the session stands");
        Self { pid, cluster_url: url, thread: Some(thread) }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let sql = format!("SELECT pg_terminate_backend({})", self.pid);
        let _ = crate::support::cluster::query(&self.cluster_url, &sql);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
