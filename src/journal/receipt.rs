//! The receipt: what a rehearsal proved, bound to what it proved it of.
//!
//! A file of mode 0600 in the state folder, with a checksum so that an edited one is refused. It
//! says what was rehearsed; whether that suffices for a run is decided above.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::{DiskNeed, Fault, FaultKind, hex};
use crate::msg;
use crate::system::{StateDir, write_atomic};

/// The folder of receipts in the state folder.
const FOLDER: &str = "receipts";
/// Receipts of one playbook that are kept.
const KEPT: usize = 5;

/// What a rehearsal found out about the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WayBackWord {
    /// Gone on the copy, and the copy was as before.
    Proven,
    /// Gone on the copy, and something was not as before.
    Lossy,
    /// It could not be gone, or was not gone.
    Unproven,
}

/// The database behind a copy, whatever its address was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its name.
    pub database: String,
    /// The identifier of its cluster, which physical copies of it share; None where the role may
    /// not see it, or a dump has no manifest.
    pub system_identifier: Option<String>,
}

impl Origin {
    /// Are both the same database, as far as is known of both?
    pub fn is(&self, other: &Self) -> bool {
        let differ = match (&self.system_identifier, &other.system_identifier) {
            (Some(one), Some(two)) => one != two,
            _ => false,
        };
        self.database == other.database && !differ
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = self.system_identifier.as_deref().unwrap_or("?");
        write!(f, "{} ({server})", self.database)
    }
}

/// What one step took in the rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenStep {
    /// Its title.
    pub title: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How long its undo took, where it was undone.
    pub back_ms: Option<u64>,
    /// It, or its undo, acts on something that is not the copy: that was recorded and not done.
    pub outside: bool,
}

/// What was rehearsed, and how it ended. Forward went well, or there is no receipt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The rehearsal's id.
    pub rehearsal: String,
    /// The playbook's id.
    pub playbook: String,
    /// When it ended, RFC 3339 with zone.
    pub at: String,
    /// Who rehearsed.
    pub by: String,
    /// The environment whose settings were used.
    pub environment: Option<String>,
    /// What was copied, without any password.
    pub source: String,
    /// The database that was copied; None in receipts of before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// False where only the schema was copied.
    pub with_rows: bool,
    /// The source's version, 150018.
    pub server: u32,
    /// The copy's version.
    pub copy_server: u32,
    /// Content hashes of playbook, imports and SQL files.
    pub files: BTreeMap<String, String>,
    /// The parameters, secrets blanked.
    pub params: Value,
    /// Each object of the source's schema to a hash of what counts of it.
    pub schema: BTreeMap<String, String>,
    /// Tables that the playbook locked or wrote.
    pub touched: Vec<String>,
    /// Objects of the schema that the playbook makes.
    pub made: Vec<String>,
    /// What is known about the way back.
    pub way_back: WayBackWord,
    /// What it loses, one line each.
    pub lost: Vec<String>,
    /// A second run found nothing to do.
    pub repeatable: bool,
    /// How long forward took, in milliseconds.
    pub forward_ms: u64,
    /// How long the way back took, where it was gone.
    pub back_ms: Option<u64>,
    /// The free disk that a run needs; None where the copy had none of the source's rows, and in
    /// receipts of before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskNeed>,
    /// The steps.
    pub steps: Vec<ProvenStep>,
    /// The checksum of everything above.
    #[serde(default)]
    pub checksum: String,
}

impl Receipt {
    /// Writes it, and removes the oldest of the same playbook. Gives its path.
    ///
    /// # Errors
    /// `write-failed`, `disk-full`.
    pub fn write(mut self, state: &StateDir) -> Result<PathBuf, Fault> {
        self.checksum = self.sum();
        let folder = state.folder(FOLDER)?;
        let path = folder.join(format!("{}.json", self.rehearsal));
        let text = serde_json::to_string_pretty(&self).unwrap_or_default();
        write_atomic(&path, text.as_bytes())?;
        let own =
            |path: &PathBuf| read(path).is_ok_and(|receipt| receipt.playbook == self.playbook);
        let same: Vec<PathBuf> = files(&folder).into_iter().filter(own).collect();
        for old in same.iter().take(same.len().saturating_sub(KEPT)) {
            let _ = std::fs::remove_file(old);
        }
        Ok(path)
    }

    /// The newest of a playbook; one with rows before one of the schema alone.
    ///
    /// # Errors
    /// `receipt-edited` where the newest one does not fit its checksum.
    pub fn newest(state: &StateDir, playbook: &str) -> Result<Option<Self>, Fault> {
        let mut without_rows = None;
        for path in files(&state.root().join(FOLDER)).iter().rev() {
            // Nobody can say whose a broken one is: it stands in the way until it is removed.
            let receipt = read(path)?;
            if receipt.playbook != playbook {
                continue;
            }
            if receipt.with_rows {
                return Ok(Some(receipt));
            }
            without_rows = without_rows.or(Some(receipt));
        }
        Ok(without_rows)
    }

    fn sum(&self) -> String {
        let bare = Self { checksum: String::new(), ..self.clone() };
        let text = serde_json::to_string(&bare).unwrap_or_default();
        hex(&Sha256::digest(format!("runsheet receipt\n{text}").as_bytes()))
    }
}

/// The hash under which an object's text stands in a receipt.
pub fn object_hash(body: &str) -> String {
    hex(&Sha256::digest(body.as_bytes())[..12])
}

/// Oldest first: rehearsals' ids sort by time.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Result<Receipt, Fault> {
    let edited = |why: String| {
        let path = path.display();
        Fault::new(
            FaultKind::Refused,
            "receipt-edited",
            msg!("journal.receipt-edited", path = path),
        )
        .detail(why)
        .cause(msg!("journal.receipt-edited.cause"))
        .remedy(msg!("journal.receipt-edited.remedy", path = path))
    };
    let text = std::fs::read_to_string(path).map_err(|error| edited(error.to_string()))?;
    let receipt: Receipt =
        serde_json::from_str(&text).map_err(|error| edited(error.to_string()))?;
    let sum = receipt.sum();
    if sum == receipt.checksum {
        return Ok(receipt);
    }
    Err(edited(msg!("journal.receipt-sums", wanted = receipt.checksum, found = sum)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn receipt(rehearsal: &str, playbook: &str) -> Receipt {
        Receipt {
            rehearsal: rehearsal.into(),
            playbook: playbook.into(),
            at: "2026-11-21T11:00:00+00:00".into(),
            by: "me@here".into(),
            environment: None,
            source: "postgresql://me@/app".into(),
            origin: None,
            with_rows: true,
            server: 150_018,
            copy_server: 150_018,
            files: BTreeMap::from([("playbooks/it.rhai".into(), "a".into())]),
            params: json!({ "z": 1, "a": 2.5 }),
            schema: BTreeMap::new(),
            touched: Vec::new(),
            made: Vec::new(),
            way_back: WayBackWord::Lossy,
            lost: vec!["users.phone".into()],
            repeatable: true,
            forward_ms: 12,
            back_ms: Some(3),
            disk: None,
            steps: Vec::new(),
            checksum: String::new(),
        }
    }

    #[test]
    fn an_edited_receipt_is_refused_and_an_untouched_one_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        let path = receipt("r1", "it").write(&state).unwrap();
        let read = Receipt::newest(&state, "it").unwrap().unwrap();
        assert_eq!(read.way_back, WayBackWord::Lossy);
        assert!(Receipt::newest(&state, "other").unwrap().is_none());
        let text = std::fs::read_to_string(&path).unwrap().replace("lossy", "proven");
        std::fs::write(&path, text).unwrap();
        assert_eq!(Receipt::newest(&state, "it").unwrap_err().code, "receipt-edited");
    }

    #[test]
    fn another_database_is_told_by_what_is_known_of_both() {
        let origin = |database: &str, server: Option<&str>| Origin {
            database: database.into(),
            system_identifier: server.map(String::from),
        };
        let shop = origin("shop", Some("73"));
        assert!(shop.is(&origin("shop", Some("73"))));
        assert!(!shop.is(&origin("shop", Some("74"))));
        assert!(!shop.is(&origin("mall", Some("73"))));
        assert!(shop.is(&origin("shop", None)) && !origin("mall", None).is(&shop));
    }

    #[test]
    fn the_newest_counts_and_few_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        receipt("r0", "other").write(&state).unwrap();
        for number in 1..=7 {
            receipt(&format!("r{number}"), "it").write(&state).unwrap();
        }
        assert_eq!(Receipt::newest(&state, "it").unwrap().unwrap().rehearsal, "r7");
        assert!(Receipt::newest(&state, "other").unwrap().is_some());
        assert_eq!(files(&state.root().join(FOLDER)).len(), KEPT + 1);
    }
}
