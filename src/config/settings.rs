//! The checked form of `runsheet.toml`: what every floor above reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::Policy;
use super::backup::Backup;
use super::window::{Freeze, Window};
use crate::message::Language;
use crate::model::{Fault, Redactor, Risk};

/// Parameters by name.
pub type Values = BTreeMap<String, Value>;

/// A project's settings, checked. Relative paths of the file have been joined to its folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// The project's folder.
    pub dir: PathBuf,
    /// The file that was read; None where there is none.
    pub file: Option<PathBuf>,
    /// `[project] name`; the folder's name where none is given.
    pub name: String,
    /// `[project] language`.
    pub language: Option<Language>,
    /// `[environments.NAME]`, names in NFC.
    pub environments: BTreeMap<String, EnvironmentSettings>,
    /// `[params]`: for every playbook.
    pub params: Values,
    /// `[playbook.NAME.params]`.
    pub playbook_params: BTreeMap<String, Values>,
    /// `[commands] allow`: program names that playbooks may start.
    pub commands: Vec<String>,
    /// `[commands] risk`: how dangerous a program is that changes something.
    pub command_risks: BTreeMap<String, Risk>,
    /// `[files] allow`: folders or files outside the project that playbooks may touch.
    pub files: Vec<PathBuf>,
    /// `[policy]`.
    pub policy: Policy,
    /// `[backup]`.
    pub backup: Backup,
    /// `[remedies]`: SQLSTATE or its first two characters to the team's own words.
    pub remedies: BTreeMap<String, String>,
    /// `[contacts]`, in the order of their names.
    pub contacts: Values,
    /// `[ledger] schema`.
    pub ledger_schema: String,
    /// `[state] dir`.
    pub state_dir: PathBuf,
    /// `[postgres] bin`: the folder with `pg_dump` and its kin.
    pub postgres_bin: Option<PathBuf>,
    /// `[run]`.
    pub run: RunDefaults,
    /// `[server] free_bytes_query`: SQL that answers the free bytes of the server's disk.
    pub free_bytes_query: Option<String>,
    /// What a reader should know, but that stops nothing: a password in the file.
    pub warnings: Vec<Fault>,
}

impl Config {
    /// The settings of a project without a file.
    pub fn default_for(dir: &Path) -> Self {
        let folder = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
        let name = folder
            .file_name()
            .map_or_else(|| "project".to_string(), |name| nfc(&name.to_string_lossy()));
        Self {
            dir: dir.to_path_buf(),
            file: None,
            name,
            language: None,
            environments: BTreeMap::new(),
            params: Values::new(),
            playbook_params: BTreeMap::new(),
            commands: Vec::new(),
            command_risks: BTreeMap::new(),
            files: Vec::new(),
            policy: Policy::default(),
            backup: Backup { dir: dir.join("backups"), ..Backup::default() },
            remedies: BTreeMap::new(),
            contacts: Values::new(),
            ledger_schema: "runsheet".into(),
            state_dir: dir.join(".runsheet"),
            postgres_bin: None,
            run: RunDefaults::default(),
            free_bytes_query: None,
            warnings: Vec::new(),
        }
    }
}

/// `[environments.NAME]` as it stands in the file. `Debug` shows no address.
#[derive(Clone, Default)]
pub struct EnvironmentSettings {
    /// The address, literally.
    pub url: Option<String>,
    /// The variable that holds the address.
    pub url_env: Option<String>,
    /// Asks for the typed name, a receipt and the identity.
    pub protected: bool,
    /// The file says that this one needs no protection, wherever it is.
    pub unprotected: bool,
    /// What the server must say of itself.
    pub expect: Expect,
    /// Parameters for this environment.
    pub params: Values,
    /// What a rehearsal does instead of a command.
    pub rehearsal_commands: BTreeMap<String, RehearsalCommand>,
    /// What a rehearsal puts in a column's place, `table.column` to an SQL expression.
    pub rehearsal_mask: BTreeMap<String, String>,
    /// When runs may begin; always where there is none.
    pub windows: Vec<Window>,
    /// Days on which no run begins.
    pub freeze: Vec<Freeze>,
    /// Its own table over `[policy]`.
    pub policy: Option<Policy>,
}

impl std::fmt::Debug for EnvironmentSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvironmentSettings")
            .field("url", &self.url.as_ref().map(|_| Redactor::BLANK))
            .field("url_env", &self.url_env)
            .field("protected", &self.protected)
            .field("unprotected", &self.unprotected)
            .field("expect", &self.expect)
            .finish_non_exhaustive()
    }
}

/// What the server must say of itself; checked against the server, never against the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Name of the database.
    pub database: Option<String>,
    /// Host, as the address gives it.
    pub host: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Role.
    pub user: Option<String>,
    /// The cluster's system identifier, in decimal digits.
    pub system_identifier: Option<String>,
}

impl Expect {
    /// True where nothing is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a rehearsal does instead of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RehearsalCommand {
    /// `"skip"`: it is recorded and not started.
    Skip,
    /// `"run"`: it is started as it is.
    Run,
    /// `["program", "argument"]`: this is started instead.
    Replace(Vec<String>),
}

/// `[run]`: how long a run waits for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDefaults {
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// How long a statement may take; None is without limit.
    pub statement_timeout: Option<Duration>,
    /// How long a run waits for another one to end.
    pub wait: Duration,
    /// After how long a statement is watched by a second session; None is never.
    pub watch: Option<Duration>,
    /// How often a connection is tried.
    pub connect_tries: u32,
    /// The pause between two tries.
    pub connect_every: Duration,
}

impl Default for RunDefaults {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(2),
            statement_timeout: None,
            wait: Duration::ZERO,
            watch: Some(Duration::from_secs(2)),
            connect_tries: 30,
            connect_every: Duration::from_secs(2),
        }
    }
}

/// A name in NFC, so that a Korean name typed on one machine is the same on another.
pub(super) fn nfc(name: &str) -> String {
    name.nfc().collect()
}
