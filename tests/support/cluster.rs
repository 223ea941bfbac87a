//! A private PostgreSQL for one test, from a cached template (about 0.3 s), stopped and deleted
//! when dropped. Works as root and as an ordinary user.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use runsheet::postgres::programs::Programs;
use runsheet::postgres::scratch::{ScratchOptions, ScratchServer, StopMode};

use super::wait::{comes, soon};

/// A running server. Its superuser is `postgres`, without a password.
pub struct Cluster {
    server: ScratchServer,
}

/// A row as text; None is NULL.
pub type Row = Vec<Option<String>>;

impl Cluster {
    /// A server with the defaults of the version that is installed.
    pub fn start() -> Self {
        Self::with_settings(&[])
    }

    /// A server with settings of postgresql.conf: `&[("log_statement", "all")]`.
    pub fn with_settings(settings: &[(&str, &str)]) -> Self {
        Self::launch(settings, false)
    }

    /// A server with a system identifier of its own (0.5 s more): the other ones are copies of
    /// one template and share theirs.
    pub fn fresh() -> Self {
        Self::launch(&[], true)
    }

    fn launch(settings: &[(&str, &str)], fresh: bool) -> Self {
        let folder = option_env!("CARGO_TARGET_TMPDIR")
            .map_or_else(std::env::temp_dir, PathBuf::from)
            .join("clusters");
        let mut options = ScratchOptions::new(Programs::new(None, None), folder, "c");
        options.tcp = true;
        options.fresh = fresh;
        // The default from 14 on: what tests say of passwords is the same for every version.
        let scram = [("password_encryption", "scram-sha-256")];
        options.settings = scram
            .iter()
            .chain(settings)
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let server = ScratchServer::start(&options)
            .unwrap_or_else(|fault| panic!("no server for this test: {fault}\n{fault:#?}"));
        Self { server }
    }

    /// The server itself.
    pub fn scratch(&self) -> &ScratchServer {
        &self.server
    }

    /// Connection string over the socket.
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// Connection string over 127.0.0.1.
    pub fn tcp_url(&self, database: &str) -> String {
        self.server.tcp_url(database).expect("tests' servers listen on 127.0.0.1")
    }

    /// Its port, the same for socket and 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Major version.
    pub fn major(&self) -> u32 {
        self.server.version().0
    }

    /// Whether it was built with TLS; the packages that are unpacked without root's help are not.
    pub fn speaks_tls(&self) -> bool {
        let library = "SELECT setting FROM pg_settings WHERE name = 'ssl_library'";
        let speaks = !self.value("postgres", library).is_empty();
        if !speaks {
            eprintln!("skipped: this PostgreSQL was built without TLS");
        }
        speaks
    }

    /// Whether it was built with ICU; the packages that are unpacked without root's help are not.
    pub fn knows_icu(&self) -> bool {
        let knows = "SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu')";
        let knows = self.value("postgres", knows) == "t";
        if !knows {
            eprintln!("left out: this PostgreSQL was built without ICU");
        }
        knows
    }

    /// Makes an empty database.
    pub fn create_database(&self, name: &str) {
        self.server.create_database(name).unwrap_or_else(|fault| panic!("{fault}"));
    }

    /// Runs statements; panics with the server's message.
    pub fn sql(&self, database: &str, text: &str) {
        self.query(database, text);
    }

    /// The rows of the last statement that gave any, as text; panics with the server's message.
    pub fn query(&self, database: &str, text: &str) -> Vec<Row> {
        match query(&self.url(database), text) {
            Ok(rows) => rows,
            Err(error) => panic!("{error}\nin: {text}\nserver's log:\n{}", tail(&self.log())),
        }
    }

    /// The one value that a query gives, as text; panics where it is NULL or not there.
    pub fn value(&self, database: &str, text: &str) -> String {
        match self.query(database, text).as_slice() {
            [row] if row.len() == 1 => row[0].clone().unwrap_or_else(|| panic!("NULL: {text}")),
            rows => panic!("not one value but {rows:?}: {text}"),
        }
    }

    /// A file through psql, `vars` as its variables (`rows=50`); it must go well.
    #[track_caller]
    pub fn psql(&self, database: &str, file: &Path, vars: &[&str]) {
        let ran = self.psql_ends(database, file, vars);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }

    /// The same, however it ends.
    pub fn psql_ends(&self, database: &str, file: &Path, vars: &[&str]) -> Output {
        let psql = Programs::new(None, None).find("psql", None);
        let mut command = Command::new(psql.expect("psql").path);
        command.args(["-X", "-q", "-d", &self.url(database), "-v", "ON_ERROR_STOP=1"]);
        for var in vars {
            command.args(["-v", var]);
        }
        command.arg("-f").arg(file).output().expect("psql starts")
    }

    /// Asks until the answer is true.
    #[track_caller]
    pub fn wait_until(&self, database: &str, question: &str) {
        comes(question, || match self.value(database, question) {
            answer if answer == "t" => Ok(()),
            answer => Err(answer),
        });
    }

    /// Asks until no session of a runner or of its commands is left.
    #[track_caller]
    pub fn wait_for_no_runner(&self, database: &str) {
        self.wait_until(
            database,
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'runsheet%')",
        );
    }

    /// Has the server read its settings and its rules of access again. It is told by a signal:
    /// sessions that begin before it has come are let in by the old rules. A session takes the
    /// time of the last reading from the server as it begins.
    #[track_caller]
    pub fn reload(&self) {
        let before = self.value("postgres", "SELECT pg_conf_load_time()");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let newer = format!("SELECT pg_conf_load_time() > '{before}'");
        soon("the settings are read again", || self.value("postgres", &newer) == "t");
    }

    /// Puts lines in front of pg_hba.conf; they hold when this returns.
    #[track_caller]
    pub fn admit(&self, lines: &str) {
        let file = self.data_dir().join("pg_hba.conf");
        let old = std::fs::read_to_string(&file).expect("the rules");
        // As root in a test, the file stays the server's: it is written in place.
        std::fs::write(&file, format!("{lines}\n{old}")).expect("the new rules");
        self.reload();
        let wrong = "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL";
        assert_eq!(self.value("postgres", wrong), "0", "{lines}");
    }

    /// After a runner was killed in the middle of a statement: from 14 on the server notices it
    /// within a second; before, somebody has to end the statement, as docs/servers.md says.
    pub fn end_the_dead(&self, database: &str) {
        if self.major() < 14 {
            self.sql(
                database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name LIKE 'runsheet%' AND state = 'active' \
                 AND application_name NOT LIKE '%/watch' AND pid <> pg_backend_pid()",
            );
        }
    }

    /// The server's data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.server.data_dir()
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Stops it as if the power went.
    pub fn crash(&mut self) {
        self.server.stop(StopMode::Immediate);
    }

    /// Stops it, sessions ended.
    pub fn stop(&mut self) {
        self.server.stop(StopMode::Fast);
    }

    /// Starts it again on the same data and port; stops it first where it runs.
    pub fn restart(&mut self) {
        self.server.restart().unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// Runs statements over any connection string, on a thread with a runtime of its own, so that
/// it can be called from inside another runtime.
pub fn query(url: &str, text: &str) -> Result<Vec<Row>, String> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let (client, connection) =
                    tokio_postgres::connect(url, tokio_postgres::NoTls).await.map_err(message)?;
                let work = async {
                    let messages = client.simple_query(text).await.map_err(message);
                    drop(client);
                    messages
                };
                let (messages, _) = tokio::join!(work, connection);
                Ok(last_rows(messages?))
            })
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn message(error: tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!(
            "{} {}{}",
            error.code().code(),
            error.message(),
            error.detail().map(|detail| format!(" ({detail})")).unwrap_or_default()
        ),
        None => error.to_string(),
    }
}

fn last_rows(messages: Vec<tokio_postgres::SimpleQueryMessage>) -> Vec<Row> {
    use tokio_postgres::SimpleQueryMessage::{Row as Data, RowDescription};
    let mut rows = Vec::new();
    for message in messages {
        match message {
            RowDescription(_) => rows.clear(),
            Data(row) => {
                let row = (0..row.len()).map(|at| row.get(at).map(str::to_string)).collect();
                rows.push(row);
            }
            _ => {}
        }
    }
    rows
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[test]
fn a_cluster_answers_crashes_and_comes_back() {
    let mut cluster = Cluster::with_settings(&[("log_statement", "all")]);
    cluster.create_database("Shop");
    cluster.sql("Shop", "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, NULL)");
    let rows = cluster.query("Shop", "SELECT 9; SELECT * FROM t");
    assert_eq!(rows, [[Some("1".to_string()), None]]);
    assert_eq!(query(&cluster.tcp_url("Shop"), "SELECT 1").unwrap().len(), 1);
    assert!(query(&cluster.url("Shop"), "SELEKT").unwrap_err().starts_with("42601"));
    assert!(cluster.log().contains("CREATE TABLE t"));
    cluster.crash();
    assert!(query(&cluster.url("Shop"), "SELECT 1").is_err());
    cluster.restart();
    assert_eq!(cluster.value("Shop", "SELECT count(*) FROM t"), "1");
    let data = cluster.data_dir();
    drop(cluster);
    assert!(!data.exists());
}
