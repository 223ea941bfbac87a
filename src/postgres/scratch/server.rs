//! One scratch server: started, asked, stopped, removed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::model::{Fault, quote_ident};
use crate::msg;
use crate::postgres::programs::{Program, Programs};
use crate::system::{AbortHook, apart, on_abort, write_fault};

use super::account::Account;
use super::folders::{make_folder, socket_dir};
use super::{owner, physical, template};

/// How long a start may take: a machine under load needs seconds, a broken one shows by then.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How a scratch server is to be started.
#[derive(Clone, Debug)]
pub struct ScratchOptions {
    /// Where to look for `initdb` and `postgres`.
    pub programs: Programs,
    /// The wanted major version; the next newer one is taken where it is missing.
    pub major: Option<u32>,
    /// The parent of the server's folder and of the templates. Where the server's account cannot
    /// reach it (root's project below a closed home), a folder for temporary files is used.
    pub dir: PathBuf,
    /// First part of the folder's name.
    pub name: String,
    /// Settings for postgresql.conf, as (name, value).
    pub settings: Vec<(String, String)>,
    /// The same, in front of those, until the server is restarted.
    pub at_first: Vec<(String, String)>,
    /// Listens on a free port of 127.0.0.1 too; else on the socket alone.
    pub tcp: bool,
    /// Runs `initdb` instead of copying the template: copies share one system identifier.
    pub fresh: bool,
}

impl ScratchOptions {
    /// Socket only, no settings, any version, from the template.
    pub fn new(programs: Programs, dir: impl Into<PathBuf>, name: &str) -> Self {
        Self {
            programs,
            major: None,
            dir: dir.into(),
            name: name.into(),
            settings: Vec::new(),
            at_first: Vec::new(),
            tcp: false,
            fresh: false,
        }
    }
}

/// Brings data into a folder that is not there yet.
pub type Fill<'f> = &'f mut dyn FnMut(&Path) -> Result<(), Fault>;

/// How a scratch server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Waits for sessions to end by themselves (SIGTERM).
    Smart,
    /// Ends the sessions, writes everything down (SIGINT).
    Fast,
    /// As if the power went: recovery at the next start (SIGQUIT).
    Immediate,
}

/// A private server. Stopped and removed when dropped.
pub struct ScratchServer {
    folder: PathBuf,
    sockets: PathBuf,
    port: u16,
    tcp: bool,
    at_first: Vec<(String, String)>,
    account: Account,
    postgres: Program,
    child: Arc<Mutex<Option<Child>>>,
    _owner: File,
    _hook: AbortHook,
}

impl ScratchServer {
    /// Starts a server, after ending those below `dir` whose process is gone.
    ///
    /// # Errors
    /// `program-not-found`, `scratch-initdb-failed`, `scratch-start-failed` (with the end of the
    /// server's log), `scratch-no-folder`, `scratch-programs-closed`, `write-failed`, `disk-full`.
    pub fn start(options: &ScratchOptions) -> Result<Self, Fault> {
        Self::start_with(options, None)
    }

    /// The same, with data that is brought into the empty folder (that of another scratch server);
    /// settings and rules of access are the template's all the same.
    ///
    /// # Errors
    /// As [`ScratchServer::start`], and those of bringing it.
    pub fn start_with(options: &ScratchOptions, fill: Option<Fill<'_>>) -> Result<Self, Fault> {
        let account = Account::choose();
        let initdb = options.programs.find_beside("initdb", &["postgres"], options.major)?;
        let postgres = Program { path: initdb.folder().join("postgres"), version: initdb.version };
        if account.other && !account.can_reach(initdb.folder()) {
            return Err(Fault::failed(
                "scratch-programs-closed",
                msg!("system.scratch-programs-closed", path = initdb.folder().display()),
            )
            .cause(msg!("system.scratch-programs-closed-cause", uid = account.uid)));
        }
        let parent = account.reachable(&options.dir)?;
        owner::clean_up_the_dead(&parent);

        let folder = make_folder(&parent, &format!("{}-", options.name), account)?;
        let keep_or_remove = RemoveUnlessKept(Some(folder.clone()));
        let sockets = socket_dir(&folder, account)?;
        let owner = owner::claim(&folder, &sockets)?;
        let data = folder.join("data");
        if let Some(fill) = fill {
            fill(&data)?;
            physical::adopt(&data, &template::template(&parent, &initdb, account)?, account)?;
        } else if options.fresh {
            template::init(&initdb, &data, account)?;
        } else {
            let template = template::template(&parent, &initdb, account)?;
            template::copy(&template, &data, account)
                .map_err(|error| write_fault(&data, &error))?;
        }
        let child = Arc::new(Mutex::new(None));
        let hook = {
            let (child, folder, sockets) = (child.clone(), folder.clone(), sockets.clone());
            on_abort(move || {
                end(&child, StopMode::Immediate);
                remove(&folder, &sockets);
            })
        };
        let mut server = Self {
            folder,
            sockets,
            port: 5432,
            tcp: options.tcp,
            at_first: options.at_first.clone(),
            account,
            postgres,
            child,
            _owner: owner,
            _hook: hook,
        };
        // From here on the server's own drop removes the folder.
        keep_or_remove.keep();
        server.configure(&options.settings)?;
        server.launch()?;
        Ok(server)
    }

    /// A connection string for a database over the socket.
    pub fn url(&self, database: &str) -> String {
        self.url_as(database, "postgres", "")
    }

    /// The same for another role, with startup options where there are any.
    pub fn url_as(&self, database: &str, user: &str, options: &str) -> String {
        let sockets = self.sockets.display().to_string();
        let (database, host, user) = (encoded(database), encoded(&sockets), encoded(user));
        let url = format!("postgresql:///{database}?host={host}&port={}&user={user}", self.port);
        match options {
            "" => url,
            options => format!("{url}&options={}", encoded(options)),
        }
    }

    /// A connection string over 127.0.0.1; None where the server listens on its socket alone.
    pub fn tcp_url(&self, database: &str) -> Option<String> {
        self.tcp
            .then(|| format!("postgresql://postgres@127.0.0.1:{}/{}", self.port, encoded(database)))
    }

    /// The folder of its socket, mode 0700: what libpq takes as `host`.
    pub fn socket_dir(&self) -> &Path {
        &self.sockets
    }

    /// Its port, also where it listens on the socket alone.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Major and minor version.
    pub fn version(&self) -> (u32, u32) {
        self.postgres.version
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Makes an empty database from template0, in UTF-8.
    ///
    /// # Errors
    /// `scratch-sql-failed` with what the server said.
    pub fn create_database(&self, name: &str) -> Result<(), Fault> {
        self.execute(
            "postgres",
            &format!("CREATE DATABASE {} TEMPLATE template0", quote_ident(name)),
        )
    }

    /// Runs SQL on a database, as the superuser.
    ///
    /// # Errors
    /// `scratch-sql-failed` with what the server said.
    pub fn execute(&self, database: &str, sql: &str) -> Result<(), Fault> {
        let failed = |said: String| {
            Fault::failed("scratch-sql-failed", msg!("system.scratch-sql-failed")).detail(said)
        };
        let config = self.url(database);
        apart(|| async {
            let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls)
                .await
                .map_err(|error| failed(said(&error)))?;
            let work = async {
                let done = client.batch_execute(sql).await.map_err(|error| failed(said(&error)));
                drop(client);
                done
            };
            let (done, _) = tokio::join!(work, connection);
            done
        })
    }

    /// Stops it; its data stays until it is dropped.
    pub fn stop(&mut self, mode: StopMode) {
        end(&self.child, mode);
    }

    /// Does it still have settings that a restart takes away?
    pub fn is_at_first(&self) -> bool {
        !self.at_first.is_empty()
    }

    /// Stops it (fast, where it still runs) and starts it again on the same data and port, without
    /// the settings that it had at first.
    ///
    /// # Errors
    /// `scratch-start-failed` with the end of the server's log.
    pub fn restart(&mut self) -> Result<(), Fault> {
        self.stop(StopMode::Fast);
        self.at_first.clear();
        self.launch()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn configure(&self, settings: &[(String, String)]) -> Result<(), Fault> {
        let path = self.data_dir().join("postgresql.conf");
        let mut text = String::from("\n# scratch server\n");
        let standard = [
            ("listen_addresses", if self.tcp { "127.0.0.1" } else { "" }),
            ("unix_socket_directories", &self.sockets.display().to_string()),
            ("unix_socket_permissions", "0700"),
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("max_wal_size", "2GB"),
            ("log_destination", "stderr"),
            ("logging_collector", "off"),
        ]
        .map(|(name, value)| (name.to_string(), value.to_string()));
        for (name, value) in standard.iter().chain(settings) {
            let value = value.replace('\\', "\\\\").replace('\'', "''");
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| write_fault(&path, &error))
    }

    fn launch(&mut self) -> Result<(), Fault> {
        if !self.tcp {
            return self.launch_once();
        }
        // The port is free when it is asked for, and may be taken a moment later.
        let chosen_before = self.port != 5432;
        let mut tries = if chosen_before { 1 } else { 5 };
        loop {
            if !chosen_before {
                self.port = free_port()?;
            }
            tries -= 1;
            match self.launch_once() {
                Err(fault) if tries > 0 && self.log().contains("could not bind") => drop(fault),
                result => return result,
            }
        }
    }

    fn launch_once(&mut self) -> Result<(), Fault> {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.log_file())
            .map_err(|error| write_fault(&self.log_file(), &error))?;
        let start_of_log = log.metadata().map_or(0, |meta| meta.len());
        let errors = log.try_clone().map_err(|error| write_fault(&self.log_file(), &error))?;
        let data = self.data_dir();
        let mut command = std::process::Command::new(&self.postgres.path);
        command
            .arg("-D")
            .arg(&data)
            .args(["-p", &self.port.to_string()])
            .args(self.at_first.iter().map(|(name, value)| format!("--{name}={value}")))
            // The caller's folder may be closed to the account.
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .envs(std::env::var_os("TZ").map(|zone| ("TZ", zone)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        self.account.apply(&mut command);
        let child = command.spawn().map_err(|error| self.start_fault(0, error.to_string()))?;
        let number = child.id();
        *hold(&self.child) = Some(child);
        let started = Instant::now();
        loop {
            if is_ready(&data, number) {
                return Ok(());
            }
            if let Some(status) = self.has_ended() {
                return Err(self.start_fault(start_of_log, status.to_string()));
            }
            if started.elapsed() > START_LIMIT {
                end(&self.child, StopMode::Immediate);
                return Err(self.start_fault(start_of_log, msg!("system.scratch-start-slow")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn has_ended(&self) -> Option<ExitStatus> {
        let mut child = hold(&self.child);
        let status = child.as_mut()?.try_wait().ok().flatten();
        if status.is_some() {
            *child = None;
        }
        status
    }

    fn start_fault(&self, from: u64, why: String) -> Fault {
        let mut text = String::new();
        if let Ok(mut file) = File::open(self.log_file())
            && file.seek(SeekFrom::Start(from)).is_ok()
        {
            let _ = file.read_to_string(&mut text);
        }
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(8)..].join("\n");
        Fault::failed("scratch-start-failed", msg!("system.scratch-start-failed", why = why))
            .detail(tail)
    }
}

impl Drop for ScratchServer {
    fn drop(&mut self) {
        end(&self.child, StopMode::Immediate);
        remove(&self.folder, &self.sockets);
    }
}

impl std::fmt::Debug for ScratchServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScratchServer").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Removes a half-made server where the start fails before there is a server to drop.
struct RemoveUnlessKept(Option<PathBuf>);

impl RemoveUnlessKept {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for RemoveUnlessKept {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn hold<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the server: the signal of the mode, and SIGKILL after ten seconds (a minute for a smart
/// stop, which waits for others). The server's children notice its death by themselves.
fn end(child: &Mutex<Option<Child>>, mode: StopMode) {
    let Some(mut child) = hold(child).take() else { return };
    let (signal, patience) = match mode {
        StopMode::Smart => (Signal::TERM, Duration::from_secs(60)),
        StopMode::Fast => (Signal::INT, Duration::from_secs(10)),
        StopMode::Immediate => (Signal::QUIT, Duration::from_secs(10)),
    };
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process(pid, signal);
    }
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn remove(folder: &Path, sockets: &Path) {
    owner::remove_sockets(folder, sockets);
    // A backend that is still ending may write a last file: once more, then it is left to the
    // next cleaning.
    for _ in 0..20 {
        if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The eighth line of `postmaster.pid` says `ready` once connections are taken.
fn is_ready(data: &Path, pid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(data.join("postmaster.pid")) else { return false };
    let mut lines = text.lines();
    lines.next().is_some_and(|line| line.trim() == pid.to_string())
        && lines.nth(6).is_some_and(|line| matches!(line.trim(), "ready" | "standby"))
}

fn free_port() -> Result<u16, Fault> {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).map_or_else(
        |error| {
            Err(Fault::failed("scratch-start-failed", msg!("system.no-free-port"))
                .detail(error.to_string()))
        },
        |address| Ok(address.port()),
    )
}

fn encoded(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'_').remove(b'-');
    utf8_percent_encode(text, KEPT).to_string()
}

fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_string())
}

#[cfg(test)]
mod tests;
