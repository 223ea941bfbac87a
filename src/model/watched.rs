//! What a second session saw of a run while one of its statements worked.

use serde::{Deserialize, Serialize};

/// One look: how far the server is, and who waits for whom. Both are lists of this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Work of the run that the server reports progress of.
    #[serde(default)]
    pub advances: Vec<Advance>,
    /// Waits for locks that the run has a part in.
    #[serde(default)]
    pub waits: Vec<Wait>,
}

impl Watched {
    /// Nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.advances.is_empty() && self.waits.is_empty()
    }
}

/// How far a command is, from the server's `pg_stat_progress_*` views.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// Process that works on it.
    pub pid: i32,
    /// `CREATE INDEX CONCURRENTLY`, `COPY FROM`, `VACUUM`, ..
    pub command: String,
    /// The table.
    pub object: Option<String>,
    /// The server's name of what it does now; empty where it has only one phase.
    pub phase: String,
    /// Units of this phase done.
    pub done: u64,
    /// Units of this phase in all, where the server knows.
    pub total: Option<u64>,
    /// `blocks`, `rows`, `bytes`, `sessions`.
    pub unit: String,
}

/// Somebody waits for a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Who waits.
    pub waiter: Party,
    /// Who is in the way, the oldest transaction first.
    pub by: Vec<Party>,
    /// The relation whose lock it is, where it is one.
    pub relation: Option<String>,
    /// Since so many milliseconds.
    pub millis: u64,
}

/// How long a step waited for one lock, until it got it or gave up; several waits for the same one
/// together. Looked at from time to time: at least so long, and short waits are not seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockWait {
    /// Qualified, quoted name of the table or index, where it is the lock of one or of its rows.
    pub relation: Option<String>,
    /// The server's word for what is locked: `relation`, `tuple`, `transactionid`, `virtualxid`,
    /// `advisory`, ..; `unknown` where only the lock timeout is known.
    pub kind: String,
    /// As the server calls it, `AccessExclusiveLock`.
    pub mode: String,
    /// Milliseconds, at least.
    pub waited_ms: u64,
}

/// One session of those that wait or are waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Process id of its backend.
    pub pid: i32,
    /// True for the run's own session and those of its commands.
    pub ours: bool,
    /// Its role.
    pub user: Option<String>,
    /// What it calls itself.
    pub application_name: String,
    /// `active`, `idle in transaction`, ..; None where this role may not see it.
    pub state: Option<String>,
    /// Age of its transaction in milliseconds.
    pub millis: Option<u64>,
    /// Its current or last statement, at most 500 characters.
    pub query: Option<String>,
}
