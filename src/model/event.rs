//! What happens in a run, as facts. The doer reports them; terminal, journal and report read them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, Backup, Fault, LockWait, Measured, Risk, Watched};

/// A run's id: sorts by time, `20261121-031542-7f3a`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an item of the checklist is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// Must hold before anything changes.
    Check,
    /// May change things.
    Step,
    /// Must hold afterwards.
    Verify,
    /// A person ticks.
    Manual,
    /// A person decides.
    Approve,
    /// Runs at the end whatever happened.
    Always,
    /// Runs only after a failure.
    OnFailure,
    /// The way back of a step.
    Undo,
}

/// An item of the checklist: its title is its stable name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Title in NFC; unique among check, step, verify, manual and approve.
    pub title: String,
    /// Short id, `G1.07`: from the options, or the first word of the title where it looks like one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// 1-based number in the run.
    pub number: u32,
    /// The estimate as the playbook gives it, "5m..15m".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<String>,
    /// Risk given by the playbook or found in its statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// True where the playbook says how it is undone.
    #[serde(default)]
    pub has_undo: bool,
    /// Heading under which it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
}

/// How an item ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ItemState {
    /// It holds, or it was done.
    Done {
        /// What the body returned, where that is JSON.
        #[serde(default)]
        value: Value,
    },
    /// Done by an earlier process of the same run; the recorded value was used.
    Replayed {
        /// The recorded value.
        #[serde(default)]
        value: Value,
    },
    /// The playbook said `skip(reason)`, or `when` did not match.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It failed. An optional item's failure does not end the run.
    Failed {
        /// What failed.
        fault: Box<Fault>,
        /// True where the run goes on.
        optional: bool,
    },
    /// In a plan: will be done by the run.
    Planned,
    /// In a plan: depends on something only planned.
    WillCheck,
    /// In a plan: its flow hangs on a planned value.
    DecidedWhenItRuns {
        /// On what.
        on: String,
    },
    /// A manual item nobody ticked.
    NotAttested,
}

/// Who ticked or decided what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The point ticked, or the approval's title.
    pub point: String,
    /// Who.
    pub by: String,
    /// When, RFC 3339 with zone.
    pub at: String,
    /// False where `--yes` passed it and nobody attested.
    pub attested: bool,
}

/// One statement of an SQL file, after it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementReport {
    /// File.
    pub file: String,
    /// 1-based line of its first word.
    pub line: u32,
    /// Its number and the number of all, 3 of 17.
    pub number: u32,
    /// Number of all statements of the file.
    pub of: u32,
    /// First words, for display.
    pub text: String,
    /// Rows touched, where the server says.
    pub rows: Option<u64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How a run ended, and what that says about the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalState {
    /// Everything done and verified (0).
    Done,
    /// Nothing was left to do (0).
    NothingToDo,
    /// A plan or a check ended (0).
    Planned,
    /// Stopped where `--until` said (0).
    Stopped,
    /// Failed, and the database is as before.
    FailedUnchanged,
    /// Failed, and some steps stand: resume or roll back.
    FailedSomeStand,
    /// All steps done, a verify failed: the changes stand.
    VerifyFailed,
    /// Rolled back whole (0 when it was asked for).
    RolledBack,
    /// Nobody can say: the answer to a COMMIT or a command was lost and has to be looked up.
    Unknown,
}

/// A rung of the ladder: the ways back, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RungKind {
    /// The step's own transaction: a step that fails leaves nothing behind.
    Transaction,
    /// The `undo` of a step.
    Undo,
    /// A rollback file, or the rollback section of a migration file.
    RollbackFile,
    /// Backup tables, `db::snapshot_table`.
    BackupTable,
    /// The restore of a backup.
    Restore,
}

/// One fact. `at` is the wall clock with its zone; `elapsed_ms` is monotonic since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// 1-based, without gaps within a run.
    pub seq: u64,
    /// RFC 3339 with zone, to the millisecond.
    pub at: String,
    /// Milliseconds since this process began the run.
    pub elapsed_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A run, plan, resume or rollback begins.
    RunStarted {
        /// The run.
        run: RunId,
        /// `plan`, `run`, `rehearse`, `resume`, `rollback`.
        mode: String,
        /// Id from `playbook(..)`.
        playbook: String,
        /// Title for people.
        title: String,
        /// The playbook's file.
        file: String,
        /// Environment's name, where one was chosen.
        environment: Option<String>,
        /// Host, port, database, user, version: never a password.
        target: Value,
        /// Who runs it, `user@host`.
        by: String,
        /// Estimate of the whole, as the playbook gives it.
        takes: Option<String>,
        /// Contacts for report and failures.
        contacts: Value,
        /// runsheet's version.
        version: String,
    },
    /// Inputs of the run: hashes of playbook, imports and SQL files, parameters (secrets blanked).
    Inputs {
        /// Path or parameter name to hash or value.
        inputs: Value,
    },
    /// The lease was taken: on which server and database, with which epoch.
    Server {
        /// `database`, `system_identifier`, `timeline`; what the role may not see is null.
        server: Value,
        /// The lease's epoch.
        epoch: i64,
        /// True where a person said that this database counts, although the file knew of more:
        /// what stands above this line is no longer claimed to be done.
        #[serde(default)]
        accepted: bool,
        /// The runner's machine since it was started, where the system names that.
        #[serde(default)]
        boot: Option<String>,
    },
    /// A heading.
    Section {
        /// Its title.
        title: String,
    },
    /// An item begins.
    ItemStarted {
        /// The item.
        item: Item,
    },
    /// An item ended.
    ItemFinished {
        /// The item.
        item: Item,
        /// How.
        outcome: ItemState,
        /// How long it took, in milliseconds.
        took_ms: u64,
        /// Transaction id of the step, where it had one.
        xid: Option<String>,
    },
    /// In a plan: what would be done. In a run: what is about to be done outside a transaction.
    Action {
        /// The action.
        action: Action,
        /// True where it was recorded and not performed.
        planned: bool,
    },
    /// In a plan: an expectation that will be looked at when it runs.
    WillCheck {
        /// What.
        what: String,
    },
    /// The points of a manual item that a person is to tick: known before anybody ticks them.
    Points {
        /// The item's title.
        item: String,
        /// The points, in their order.
        points: Vec<String>,
    },
    /// A way back that exists.
    WayBack {
        /// Which rung of the ladder.
        rung: RungKind,
        /// Title of the item that it takes back, where it belongs to one.
        item: Option<String>,
        /// What it is: a file, a table, a dump.
        what: String,
        /// The command that goes this way, where there is one.
        command: Option<String>,
        /// What proved it, "rehearsal of 2026-11-20"; None: it was never executed in a rehearsal.
        proven: Option<String>,
        /// Why this way cannot be gone; None: nothing is known that stands in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blocked: Option<String>,
        /// True where it was gone just now.
        #[serde(default)]
        gone: bool,
    },
    /// Where the report of this run is written; said once, before the run ends.
    ReportAt {
        /// The file's path as the user would type it.
        path: String,
    },
    /// Written and synced before an effect that cannot be taken back.
    Intent {
        /// The item's title.
        item: String,
        /// The item's key in the ledger.
        #[serde(default)]
        key: String,
        /// Number of the effect within the item, from 1.
        ordinal: u32,
        /// What is about to be done.
        action: Action,
    },
    /// The effect is known to have happened.
    IntentDone {
        /// The item's title.
        item: String,
        /// Number of the effect within the item.
        ordinal: u32,
        /// Its recorded value.
        value: Value,
    },
    /// A read made outside of steps, kept so that a resumed run sees the same.
    Read {
        /// Its number.
        ordinal: u32,
        /// Verb and arguments in one line.
        call: String,
        /// What it gave.
        value: Value,
    },
    /// A statement of an SQL file ended.
    Statement(StatementReport),
    /// In a rehearsal: what a step did to the copy.
    Measured {
        /// The item's title.
        item: String,
        /// What the server counted.
        measured: Measured,
    },
    /// In a rehearsal, behind the COMMIT of a step: the temporary files that it wrote.
    Temporary {
        /// The item's title.
        item: String,
        /// How large all of them were.
        bytes: u64,
    },
    /// What another session saw while a statement worked for long: replaces what was seen before.
    Watched(Watched),
    /// The locks that an item had to wait for.
    LockWaits {
        /// The item's title.
        item: String,
        /// The longest first.
        waits: Vec<LockWait>,
    },
    /// How far something is.
    Progress {
        /// What, "dump", "001.sql".
        what: String,
        /// Units done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// "statements", "bytes", "rows", "attempt".
        unit: String,
    },
    /// The server said something.
    Notice {
        /// `NOTICE`, `WARNING`.
        severity: String,
        /// Its text.
        text: String,
    },
    /// A try failed and will be tried again.
    Retry {
        /// What.
        what: String,
        /// The try that failed.
        attempt: u32,
        /// Tries in all.
        of: u32,
        /// Why.
        reason: String,
    },
    /// The run waits for somebody.
    Waiting {
        /// For what; the holder is named in it.
        what: String,
    },
    /// `note(..)`, or a remark of the host.
    Note {
        /// Its text.
        text: String,
    },
    /// `report::table(..)`.
    Table {
        /// Its title.
        title: String,
        /// Rows: arrays of maps.
        rows: Value,
    },
    /// `report::text(..)`.
    Text {
        /// Markdown.
        markdown: String,
    },
    /// `report::attach(..)`.
    Attached {
        /// Path of the copy, relative to the run's folder.
        path: String,
        /// Its size in bytes.
        bytes: u64,
        /// Its SHA-256.
        sha256: String,
    },
    /// A number compared and found equal, or not.
    Compared {
        /// What.
        what: String,
        /// Left value.
        left: Value,
        /// Right value.
        right: Value,
        /// Whether they hold.
        holds: bool,
    },
    /// A backup was made.
    Backup {
        /// Files, formats, sizes, sums, state, restore command.
        backup: Backup,
    },
    /// Who ticked or decided what.
    Attested {
        /// Item's title.
        item: String,
        /// The attestation.
        attestation: Attestation,
    },
    /// Warnings: a comment of the host that a reader must not miss.
    Warning {
        /// Its text.
        text: String,
    },
    /// The run ended.
    RunFinished {
        /// How.
        state: FinalState,
        /// True where the database is not as it was before the run.
        changed: bool,
        /// Exit code.
        exit: u8,
        /// The next command to type, where there is one.
        next: Option<String>,
        /// Why it failed.
        fault: Option<Box<Fault>>,
    },
}
