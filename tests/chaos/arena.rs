//! A server, a project and a playbook; how they look before a run and after one that nobody
//! disturbed.

use std::path::Path;
use std::time::{Duration, Instant};

use super::check::{self, Seen};
use super::played;
use super::proxy::Proxy;
use crate::support::cluster::query;
use crate::support::project::Running;
use crate::support::{Cluster, Project, Ran, comes, soon};

/// So many processes may be needed to end a run; more means that it is stuck.
const MOST_PROCESSES: usize = 12;
const DATABASE: &str = "shop";

/// What one trial found out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Processes that were killed or cut off.
    pub hits: u64,
    /// The longest time that a dead runner's session stayed on the server.
    pub ghost: Duration,
    /// Exits whose report was compared with the database.
    pub reports: u64,
}

impl Outcome {
    /// Adds another one.
    pub fn add(&mut self, other: &Outcome) {
        self.hits += other.hits;
        self.reports += other.reports;
        self.ghost = self.ghost.max(other.ghost);
    }
}

/// Where trials happen, one after another.
pub struct Arena {
    pub cluster: Cluster,
    pub project: Project,
    pub proxy: Proxy,
    /// What an undisturbed run leaves.
    wanted: Seen,
    before: Seen,
    /// How long that run took.
    pub took: Duration,
    /// COMMITs of that run.
    pub commits: u64,
    /// The server was crashed: temporary tables of dead sessions are its own to clear away.
    pub crashed: bool,
}

impl Arena {
    /// With the playbook of every kind of effect.
    pub fn new() -> Self {
        Self::with(played::ALL_KINDS)
    }

    /// With a playbook, played once without any disturbance.
    pub fn with(playbook: &str) -> Self {
        let cluster = Cluster::with_settings(&[("max_connections", "60"), ("autovacuum", "off")]);
        cluster.create_database(DATABASE);
        let project = Project::new();
        project
            .playbook("it", playbook)
            .file("sql/up.sql", played::UP_SQL)
            .file("sql/each.sql", played::EACH_SQL)
            .file("sql/indexes.sql", played::INDEXES_SQL)
            .file("tool.sh", played::TOOL)
            .file(
                "runsheet.toml",
                "[run]\nwait = \"30s\"\nconnect_tries = 100\nconnect_every = \"100ms\"\n\
                 [commands]\nallow = [\"sh\", \"grep\"]\n",
            );
        let proxy = Proxy::start(cluster.port());
        let mut arena = Self {
            cluster,
            project,
            proxy,
            wanted: Seen::default(),
            before: Seen::default(),
            took: Duration::ZERO,
            commits: 0,
            crashed: false,
        };
        arena.reset();
        arena.before = arena.seen();
        arena.proxy.plan(None);
        let url = arena.proxy.url(DATABASE);
        arena.start(&["run"], &url, "").wait().exits(0);
        arena.commits = arena.proxy.commits();
        arena.wanted = arena.seen();
        arena.reset();
        let since = Instant::now();
        arena.start(&["run"], &arena.url(), "").wait().exits(0);
        arena.took = since.elapsed();
        assert_eq!(arena.seen(), arena.wanted, "two undisturbed runs differ");
        arena
    }

    /// Everything as before the first run.
    pub fn reset(&self) {
        let state = self.project.path().join(".runsheet");
        let _ = std::fs::remove_dir_all(state);
        let _ = std::fs::remove_file(self.project.path().join("effects.txt"));
        self.cluster.sql(DATABASE, played::BASE);
    }

    /// Over the socket.
    pub fn url(&self) -> String {
        self.cluster.url(DATABASE)
    }

    /// Through the proxy.
    pub fn proxied(&self) -> String {
        self.proxy.url(DATABASE)
    }

    pub fn sql(&self, text: &str) {
        self.cluster.sql(DATABASE, text);
    }

    pub fn value(&self, text: &str) -> String {
        self.cluster.value(DATABASE, text)
    }

    /// Starts `run` or `resume`, with a crash point where one is named.
    pub fn start(&self, words: &[&str], url: &str, point: &str) -> Running {
        let mut all = words.to_vec();
        if words == ["run"] {
            all.push("it");
        }
        all.extend(["--yes", "--json", "--url", url]);
        let mut command = self.project.command(&all);
        if !point.is_empty() {
            command.env("RUNSHEET_FAILPOINT", point);
        }
        Running::start(command, self.project.path().to_path_buf())
    }

    /// Schema, rows and effects as they are.
    pub fn seen(&self) -> Seen {
        check::seen(&self.cluster, DATABASE, self.project.path())
    }

    /// Waits until no session of a dead runner is left; how long that took.
    pub fn ghost(&self) -> Duration {
        let since = Instant::now();
        soon("a dead runner's session ends", || self.value(check::SESSIONS) == "0");
        since.elapsed()
    }

    /// What a process said at its end is what the database says.
    pub fn report_is_true(&self, ran: &Ran, outcome: &mut Outcome) {
        outcome.reports += 1;
        let seen = self.seen();
        if let Err(why) = check::report_is_true(ran, &seen, &self.before, &self.wanted) {
            panic!("{why}\nexit {}\n{}\n{}", ran.code, ran.stdout, ran.stderr);
        }
    }

    /// Goes on with the run until it is done, and looks at everything that is left.
    pub fn finish(&self, outcome: &mut Outcome) {
        let mut last = String::new();
        for round in 0..MOST_PROCESSES {
            // The last word is that of `run`: done, and nothing to do.
            let words: &[&str] = if round % 2 == 0 { &["resume"] } else { &["run"] };
            let ran = self.start(words, &self.url(), "").wait();
            // Killed before the ledger knew the run: there is nothing that could be resumed.
            let nothing_open =
                words == ["resume"] && ran.code == 0 && !ran.stdout.contains("\"state\"");
            if !nothing_open {
                self.report_is_true(&ran, outcome);
            }
            if ran.code == 0 && words == ["run"] {
                self.nothing_is_left(outcome);
                return;
            }
            last = format!("{words:?} exit {}\n{}\n{}", ran.code, ran.stdout, ran.stderr);
        }
        panic!("stuck after {MOST_PROCESSES} processes: {last}");
    }

    /// The end is that of a run that nobody disturbed, and nothing lies about.
    fn nothing_is_left(&self, outcome: &mut Outcome) {
        let seen = self.seen();
        assert!(seen == self.wanted, "{}", seen.against(&self.wanted));
        outcome.ghost = outcome.ghost.max(self.ghost());
        self.clean();
    }

    /// No lock, transaction, temporary table, INVALID index and child is left.
    pub fn clean(&self) {
        let left = check::left_over(&self.cluster, DATABASE, self.crashed);
        assert!(left.is_empty(), "left over: {left}");
        comes("no child is left", || {
            let children = check::children(self.project.path());
            if children.is_empty() { Ok(()) } else { Err(format!("{children:?}")) }
        });
    }

    /// Holds a snapshot, so that whatever waits for old ones waits until this is dropped.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::hold(&self.url())
    }

    /// Asks until the answer is true, or the time is over; was it true?
    pub fn soon(&self, question: &str, limit: Duration) -> bool {
        let since = Instant::now();
        while since.elapsed() < limit {
            let answer = query(&self.url(), question);
            if answer.is_ok_and(|rows| rows == [[Some("t".to_string())]]) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        false
    }

    /// The project's folder.
    pub fn folder(&self) -> &Path {
        self.project.path()
    }
}

/// A session with a snapshot.
pub struct Snapshot {
    _client: tokio_postgres::Client,
    _runtime: tokio::runtime::Runtime,
}

impl Snapshot {
    fn hold(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let client = runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a session");
            tokio::spawn(connection);
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM items";
            client.batch_execute(begin).await.expect("a snapshot");
            client
        });
        Self { _client: client, _runtime: runtime }
    }
}
