//! What bad input and broken surroundings get: the exit code, the words that say what, where and
//! what to do, and a database that is as it was before (or as the message says).

mod blockers;
mod command;
mod connection;
mod death;
mod journal;
mod lease;
mod lock_queue;
mod named_lock;
mod pooler;
mod reindex;
mod restore_rung;
mod resume;
mod rollback;
mod script;
pub mod secrets;
mod server;
mod silence;
mod small_step;
mod sql_file;
mod steps;
mod takeover;
mod together;
mod watch;

use crate::support::project::Running;
use crate::support::{Cluster, Project, Ran, comes};

/// A database with something in it, and a project beside it.
pub struct Desk {
    pub cluster: Cluster,
    pub project: Project,
    database: &'static str,
    before: String,
}

impl Desk {
    /// A server of its own, and `playbooks/it.rhai` with this body behind `playbook(..)`.
    pub fn new(body: &str) -> Self {
        Self::with(&[], body)
    }

    /// The same with settings of postgresql.conf.
    pub fn with(settings: &[(&str, &str)], body: &str) -> Self {
        let cluster = Cluster::with_settings(settings);
        cluster.create_database("shop");
        cluster.sql(
            "shop",
            "CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL); \
             INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 20) n",
        );
        let desk =
            Self { before: String::new(), cluster, project: Project::new(), database: "shop" };
        desk.body(body);
        let before = desk.fingerprint();
        Self { before, ..desk }
    }

    /// Writes the playbook anew.
    pub fn body(&self, body: &str) -> &Self {
        let begin = "let p = playbook(\"it\", #{ title: \"It\" });\n";
        let text =
            if body.contains("playbook(") { body.into() } else { format!("{begin}{body}\n") };
        self.project.playbook("it", &text);
        self
    }

    /// The database is that of the environment `live` too, whose address `LIVE` gives; with more
    /// lines, the first ones of which are the environment's own.
    pub fn live(&mut self, lines: &str) -> &mut Self {
        let url = self.url();
        self.project.env("LIVE", &url);
        let text = format!("[environments.live]\nurl_env = \"LIVE\"\n{lines}");
        self.project.file("runsheet.toml", &text);
        self
    }

    pub fn url(&self) -> String {
        self.cluster.url(self.database)
    }

    /// `runsheet WORDS.. --url URL`.
    pub fn call(&self, words: &[&str]) -> Ran {
        self.start(words).wait()
    }

    /// The same, still running.
    pub fn start(&self, words: &[&str]) -> Running {
        let url = self.url();
        self.project.spawn(&[words, &["--url", &url]].concat())
    }

    /// `runsheet run it --yes`.
    pub fn run(&self) -> Ran {
        self.call(&["run", "it", "--yes"])
    }

    pub fn sql(&self, text: &str) {
        self.cluster.sql(self.database, text);
    }

    pub fn value(&self, text: &str) -> String {
        self.cluster.value(self.database, text)
    }

    /// Everything that a playbook can change: tables with their rows, indexes, sequences, views.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.cluster, self.database)
    }

    /// The database is as it was when the desk was made.
    #[track_caller]
    pub fn unchanged(&self) -> &Self {
        assert_eq!(self.fingerprint(), self.before, "the database has changed");
        self
    }

    /// Takes the present state as the one to compare with.
    pub fn remember(&mut self) {
        self.before = self.fingerprint();
    }

    /// No session, lock or transaction of a run is left.
    #[track_caller]
    pub fn nothing_is_left(&self) -> &Self {
        self.wait_until(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'runsheet%')
                AND NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')",
        );
        self
    }

    /// Asks until the answer is true.
    #[track_caller]
    pub fn wait_until(&self, question: &str) {
        self.cluster.wait_until(self.database, question);
    }

    /// The newest run's file has so many lines that hold all of these words.
    #[track_caller]
    pub fn wait_for_events(&self, count: usize, words: &[&str]) {
        comes(&format!("{count} lines with {words:?}"), || {
            // Nothing is there before the run has begun.
            let runs = std::fs::read_dir(self.project.path().join(".runsheet/runs"));
            let newest = runs.into_iter().flatten().filter_map(|run| Some(run.ok()?.path())).max();
            let file = newest.map(|run| run.join("events.jsonl"));
            let journal = file.and_then(|file| std::fs::read_to_string(file).ok());
            let journal = journal.unwrap_or_default();
            let meant = |line: &&str| words.iter().all(|word| line.contains(word));
            let found = journal.lines().filter(meant).count();
            if found >= count { Ok(()) } else { Err(journal) }
        });
    }

    /// A statement of the run that holds this word is being executed now.
    #[track_caller]
    pub fn wait_for_statement(&self, word: &str) {
        self.wait_until(&format!(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active'
             AND application_name LIKE 'runsheet%' AND query LIKE '%{word}%')"
        ));
    }

    /// For after a kill: see [`Cluster::end_the_dead`].
    pub fn end_the_dead(&self) -> &Self {
        self.cluster.end_the_dead(self.database);
        self
    }

    /// Kills a run. What the server still does for a client that is gone is ended here, to spare
    /// the wait.
    #[track_caller]
    pub fn kill(&self, run: Running) {
        run.kill();
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name LIKE 'runsheet%'",
        );
        self.nothing_is_left();
    }

    /// The newest run.
    pub fn newest_run(&self) -> String {
        self.project.newest_run()
    }

    /// A file of the newest run.
    pub fn of_run(&self, file: &str) -> String {
        self.project.read(&format!(".runsheet/runs/{}/{file}", self.newest_run()))
    }

    /// The newest run's report.
    pub fn report_of_run(&self) -> serde_json::Value {
        serde_json::from_str(&self.of_run("report.json")).expect("a report")
    }
}

/// The tables and views of the schemas whose name fits the condition.
pub fn tables(cluster: &Cluster, database: &str, schemas: &str) -> Vec<String> {
    let rows = cluster.query(
        database,
        &format!(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'v', 'm') AND n.nspname {schemas} ORDER BY 1"
        ),
    );
    rows.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

/// One text that is the same if and only if schema and rows are the same; the ledger not counted.
/// Needs nothing that a server may be built without (the XML functions would).
pub fn fingerprint(cluster: &Cluster, database: &str) -> String {
    let mut lines = tables(cluster, database, "!~ '^(pg_|information_schema|runsheet)'");
    for table in &mut lines {
        let rows =
            format!("SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {table} AS t");
        let [row] = &cluster.query(database, &rows)[..] else { panic!("one row: {rows}") };
        *table = format!("table {table} {}", row[0].as_deref().unwrap_or("empty"));
    }
    let schema = cluster.value(
        database,
        "SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM (
           SELECT format('column %s %s %s %s', a.attrelid::regclass, a.attname,
                format_type(a.atttypid, a.atttypmod), a.attnotnull) AS line
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r'
               AND n.nspname !~ '^(pg_|information_schema|runsheet)'
           UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname !~ '^(pg_|information_schema|runsheet)'
           UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
             FROM pg_constraint WHERE conrelid <> 0 AND connamespace::regnamespace::text !~ '^(pg_|information_schema|runsheet)'
           UNION ALL SELECT format('schema %s', nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|runsheet)'
         ) AS lines",
    );
    format!("{}\n{schema}", lines.join("\n"))
}
