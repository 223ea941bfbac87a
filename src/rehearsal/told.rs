//! What a rehearsal found out, as data: shown by the terminal, written as JSON and Markdown.

use serde::Serialize;

use super::downtime::{Downtime, Estimate, LockDifference};
use crate::journal::WayBackWord;
use crate::model::{DiskNeed, Fault, LockWait, Measured};
use crate::postgres::Difference;

/// How far a rehearsal is: said as it happens.
#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    /// Stable word: `server`, `copy`, `forward`, `back`, `again`, `second`, `crash`, `item`.
    pub phase: &'static str,
    /// A sentence for people.
    pub text: String,
}

/// One step of a pass.
#[derive(Clone, Debug, Serialize)]
pub struct StepTold {
    /// Its title; of an undo the title of the step that it takes back.
    pub title: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What the server counted; None where it was not asked.
    pub measured: Option<Measured>,
    /// Why it failed.
    pub failed: Option<String>,
    /// How long it takes, as the playbook says.
    pub takes: Option<String>,
    /// Locks that it waited for, the longest first.
    pub waits: Vec<LockWait>,
    /// Bytes of the dumps that it made; None where it made none.
    pub backup_bytes: Option<u64>,
}

/// One walk on the copy.
#[derive(Clone, Debug, Serialize)]
pub struct PassTold {
    /// The exit code that a run with this end has.
    pub exit: u8,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Its steps, or the undo of them.
    pub steps: Vec<StepTold>,
    /// Checks and verifies that held.
    pub held: u32,
    /// Why it failed.
    pub fault: Option<Fault>,
}

/// What was killed and resumed.
#[derive(Clone, Debug, Serialize)]
pub struct CrashTold {
    /// The item behind whose end the runner was killed.
    pub after: String,
    /// Exit code of the resumed run.
    pub exit: u8,
    /// Its end is the same as without the kill.
    pub same: bool,
    /// What is not the same.
    pub differs: Vec<String>,
}

/// Everything about a rehearsal.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its id.
    pub rehearsal: String,
    /// The playbook's id.
    pub playbook: String,
    /// Its title.
    pub title: String,
    /// The name to type.
    pub name: String,
    /// The environment whose settings were used.
    pub environment: Option<String>,
    /// What was copied.
    pub source: String,
    /// False where only the schema was copied.
    pub with_rows: bool,
    /// When it began, with its zone.
    pub started: String,
    /// Versions of source and copy, "15.18".
    pub versions: (String, String),
    /// Tables, rows and bytes of the copy.
    pub size: (usize, u64, u64),
    /// How long copying took, in milliseconds.
    pub copy_ms: u64,
    /// What is on the source and not on the copy.
    pub left_out: Vec<String>,
    /// Forward.
    pub forward: Option<PassTold>,
    /// The way back.
    pub back: Option<PassTold>,
    /// The last rung, where the undo steps could not lead back: the restore of the run's own dump.
    pub restore: Option<PassTold>,
    /// Forward again.
    pub again: Option<PassTold>,
    /// The second run behind it.
    pub second: Option<PassTold>,
    /// How long tables were closed to others.
    pub downtime: Vec<Downtime>,
    /// How long the steps may take on the source.
    pub estimates: Vec<Estimate>,
    /// Locks that were not the foretold ones.
    pub lock_differences: Vec<LockDifference>,
    /// The free disk that a run needs; None where it did not come to its end, or the copy has none of
    /// the source's rows.
    pub disk: Option<DiskNeed>,
    /// The word about the way back.
    pub way_back: WayBackWord,
    /// What it loses or leaves over, one line each.
    pub lost: Vec<String>,
    /// The same as data.
    pub difference: Option<Difference>,
    /// A second run found nothing to do and changed nothing.
    pub repeatable: bool,
    /// Tables whose rows are other ones each time.
    pub varying: Vec<String>,
    /// Commands and other effects outside of the copy: recorded, not done.
    pub not_done: Vec<String>,
    /// What people would have been asked.
    pub asked: Vec<String>,
    /// Killed behind each item and resumed.
    pub crashes: Vec<CrashTold>,
    /// Nothing was left to do on the source.
    pub nothing_to_do: bool,
    /// The exit code.
    pub exit: u8,
    /// Why it ended as it did, where it did not end well.
    pub fault: Option<Fault>,
    /// The receipt's file.
    pub receipt: Option<String>,
    /// The report's file.
    pub report: Option<String>,
}
