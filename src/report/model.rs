//! The report of one run, folded from its events: what `report.json` holds, and what the Markdown
//! and the plan are printed from. Plain data; the folding itself is in `fold.rs`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{
    Action, Attestation, Backup, Fault, FinalState, Item, ItemState, LockWait, RungKind,
    StatementReport, Wait,
};

/// One run over all its processes: the first, resumes, the rollback.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run's id.
    pub run: String,
    /// `plan`, `run`, `resume`, `rollback`: the way of the last process.
    pub mode: String,
    /// Id of the playbook.
    pub playbook: String,
    /// Title for people; may be empty.
    pub title: String,
    /// The playbook's file.
    pub file: String,
    /// The environment, where one was chosen.
    pub environment: Option<String>,
    /// Host, port, database, user, version.
    pub target: Value,
    /// Who began the run, `user@host`.
    pub by: String,
    /// runsheet's version.
    pub version: String,
    /// When the first process began, RFC 3339.
    pub started: String,
    /// When the last event was written, RFC 3339.
    pub ended: String,
    /// Milliseconds in which a process was at work, all processes together.
    pub took_ms: u64,
    /// Estimate of the whole.
    pub takes: Option<String>,
    /// How it ended; None: the last process is still at work, or was killed.
    pub state: Option<FinalState>,
    /// True where the database is not as it was before the run.
    pub changed: Option<bool>,
    /// Exit code of the last process.
    pub exit: Option<u8>,
    /// The next command to type.
    pub next: Option<String>,
    /// Why the last process failed.
    pub fault: Option<Fault>,
    /// Where this report lies.
    pub report: Option<String>,
    /// Every process of the run, in order.
    pub processes: Vec<Process>,
    /// The checklist.
    pub sections: Vec<SectionReport>,
    /// What was said outside of every item.
    pub evidence: Vec<Evidence>,
    /// Estimates beside measured times.
    pub timings: Vec<Timing>,
    /// Backups made.
    pub backups: Vec<BackupReport>,
    /// Failures on the way, those that a resume made good included.
    pub faults: Vec<FaultReport>,
    /// The ladder: the ways back, cheapest first.
    pub way_back: Vec<Rung>,
    /// Hashes of playbook and files, parameters.
    pub inputs: Value,
    /// Contacts of the playbook.
    pub contacts: Value,
}

/// One process of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// `run`, `resume`, `rollback`.
    pub mode: String,
    /// Who, `user@host`.
    pub by: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When its last event was written, RFC 3339.
    pub ended: String,
    /// How long it was at work, in milliseconds.
    pub took_ms: u64,
    /// How it ended; None: it was killed, or is still at work.
    pub state: Option<FinalState>,
    /// Its exit code.
    pub exit: Option<u8>,
}

/// A heading and its items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SectionReport {
    /// Its title; None for items under no heading.
    pub title: Option<String>,
    /// True for the undo steps of a rollback.
    #[serde(default)]
    pub way_back: bool,
    /// Items in the order in which they began.
    pub items: Vec<ItemReport>,
}

/// An item, how it ended, and the evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemReport {
    /// The item.
    pub item: Item,
    /// How it ended; None: it began, and nobody wrote down its end.
    pub outcome: Option<ItemState>,
    /// When it began, RFC 3339.
    pub started: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How often it was tried, over all processes.
    pub attempts: u32,
    /// True where a rollback took it back.
    pub undone: bool,
    /// Transaction id of the step.
    pub xid: Option<String>,
    /// The points of a manual item.
    pub points: Vec<String>,
    /// What was said while it ran, in order.
    pub evidence: Vec<Evidence>,
    /// How much evidence was left out because there was too much of it.
    pub omitted: u64,
    /// What it did, or in a plan would do.
    pub actions: Vec<ItemAction>,
    /// Statements of SQL files, by file.
    pub files: Vec<FileStatements>,
}

impl ItemReport {
    /// Takes in who ticked a point; what was passed before without anybody is ticked by that.
    pub(super) fn attest(&mut self, attestation: &Attestation) {
        if attestation.attested {
            self.evidence.retain(|fact| match fact {
                Evidence::Attested { attestation: known } => {
                    known.attested || known.point != attestation.point
                }
                _ => true,
            });
        }
        self.evidence.push(Evidence::Attested { attestation: attestation.clone() });
        if self.outcome == Some(ItemState::NotAttested) && self.unattested().is_empty() {
            self.outcome = Some(ItemState::Done { value: Value::Null });
        }
    }

    /// The points that nobody has put a name to.
    pub fn open_points(&self) -> Vec<String> {
        let passed = self.outcome == Some(ItemState::NotAttested) || !self.unattested().is_empty();
        if passed { self.unattested() } else { Vec::new() }
    }

    fn unattested(&self) -> Vec<String> {
        let open = |fact: &Evidence| match fact {
            Evidence::Attested { attestation } if !attestation.attested => {
                Some(attestation.point.clone())
            }
            _ => None,
        };
        self.evidence.iter().filter_map(open).collect()
    }
}

/// Something that an item did or would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemAction {
    /// The action.
    pub action: Action,
    /// True where it was recorded and not performed.
    pub planned: bool,
}

/// One fact that shows something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// A number compared.
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
    /// A remark.
    Note {
        /// Its text.
        text: String,
    },
    /// Somebody ticked or decided.
    Attested {
        /// Who, what, when.
        attestation: Attestation,
    },
    /// The server said something.
    Notice {
        /// `NOTICE`, `WARNING`.
        severity: String,
        /// Its text.
        text: String,
    },
    /// What a reader must not miss.
    Warning {
        /// Its text.
        text: String,
    },
    /// A try failed and was tried again.
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
    /// A wait for a lock that the watch saw, at its longest.
    Held {
        /// Who waited for whom.
        wait: Wait,
    },
    /// The locks that the item waited for, the longest first.
    LockWaits {
        /// Each with its time.
        waits: Vec<LockWait>,
    },
    /// The run waited for somebody.
    Waiting {
        /// For what.
        what: String,
    },
    /// A table of the playbook.
    Table {
        /// Its title.
        title: String,
        /// Its rows.
        rows: Value,
    },
    /// A text of the playbook.
    Text {
        /// Markdown.
        markdown: String,
    },
    /// A file kept with the report.
    Attached {
        /// Path relative to the run's folder.
        path: String,
        /// Bytes.
        bytes: u64,
        /// SHA-256.
        sha256: String,
    },
    /// In a plan: will be looked at when it runs.
    WillCheck {
        /// What.
        what: String,
    },
    /// An effect that cannot be taken back was announced.
    Intent {
        /// Its number within the item.
        ordinal: u32,
        /// The action.
        action: Action,
        /// True once it is known to have happened.
        done: bool,
    },
}

/// The statements of one SQL file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileStatements {
    /// The file.
    pub file: String,
    /// Statements in the file.
    pub of: u32,
    /// Statements that ended.
    pub ran: u32,
    /// Rows touched by all of them.
    pub rows: u64,
    /// Milliseconds of all of them.
    pub took_ms: u64,
    /// All of them where they are few, else the slowest, in the file's order.
    pub shown: Vec<StatementReport>,
}

/// Whether a time was as estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Faster than the estimate's lower end.
    Under,
    /// As estimated.
    Within,
    /// Slower than the estimate's upper end.
    Over,
}

/// An estimate beside the measured time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The item's name; None for the whole run.
    pub item: Option<String>,
    /// The estimate as it was written.
    pub takes: String,
    /// Milliseconds measured.
    pub took_ms: u64,
    /// What that means; None where the estimate cannot be read, or the item did not end.
    pub verdict: Option<Verdict>,
}

/// A backup, and which item made it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Title of the item that made it.
    pub item: Option<String>,
    /// The backup.
    #[serde(flatten)]
    pub backup: Backup,
}

/// A failure, and where it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultReport {
    /// The item's name; None: outside of every item.
    pub item: Option<String>,
    /// When, RFC 3339.
    pub at: String,
    /// What failed.
    pub fault: Fault,
    /// True where the playbook allows it to fail.
    pub optional: bool,
    /// True where the same item was done later.
    pub made_good: bool,
}

/// A way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Which.
    pub kind: RungKind,
    /// Title of the item that it takes back, where it belongs to one.
    pub item: Option<String>,
    /// What it is.
    pub what: String,
    /// The command that goes this way.
    pub command: Option<String>,
    /// What proved it; None: never executed in a rehearsal.
    pub proven: Option<String>,
    /// How it stands.
    #[serde(default)]
    pub state: RungState,
    /// Why it is not possible, or why it failed.
    #[serde(default)]
    pub why: Option<String>,
}

/// How a rung of the ladder stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RungState {
    /// It was gone.
    Done,
    /// It was tried, and left nothing behind.
    Failed,
    /// It can be gone, and something proved it.
    Available,
    /// It can perhaps be gone: nobody has tried it on a copy.
    #[default]
    Unproven,
    /// It cannot be gone.
    NotPossible,
    /// Another rung has taken everything back.
    NotNeeded,
}

impl Report {
    /// Every item, in the order of the checklist.
    pub fn items(&self) -> impl Iterator<Item = &ItemReport> {
        self.sections.iter().flat_map(|section| &section.items)
    }

    /// Takes in what somebody ticked behind the run's end.
    pub fn attest(&mut self, title: &str, attestation: &Attestation) {
        let items = self.sections.iter_mut().flat_map(|section| &mut section.items);
        if let Some(entry) = items.into_iter().find(|entry| entry.item.title == title) {
            entry.attest(attestation);
        }
    }

    /// Every piece of evidence with its item; None for what was said outside of items.
    pub fn evidence(&self) -> impl Iterator<Item = (Option<&ItemReport>, &Evidence)> {
        let outside = self.evidence.iter().map(|fact| (None, fact));
        let inside = self
            .items()
            .flat_map(|entry| entry.evidence.iter().map(move |fact| (Some(entry), fact)));
        outside.chain(inside)
    }

    /// Title and id of the playbook for a headline.
    pub fn heading(&self) -> String {
        if self.title.is_empty() || self.title == self.playbook {
            self.playbook.clone()
        } else {
            format!("{} ({})", self.title, self.playbook)
        }
    }

    /// True where this is a plan: nothing was done.
    pub fn is_plan(&self) -> bool {
        self.mode == "plan" || self.mode == "check"
    }
}
