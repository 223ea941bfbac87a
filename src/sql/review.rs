//! A whole file, statement by statement: risk, locks, what it touches, what it loses.
//!
//! Reads as the run will read (includes, conditions, variables), without a server. For people and
//! for the plan; nothing is sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lint::{Examiner, Finding, lint_file};
use super::script::{Script, ScriptOptions, Unit};
use super::undo::Undo;
use super::validate::{summary, walk};
use crate::model::{Fault, Risk};

/// A file above this is data: no rule is asked about its rows.
const LARGEST_LINTED: u64 = 32 << 20;
/// How much of a statement is shown.
const SHOWN: usize = 200;

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// File, relative to the project.
    pub file: String,
    /// 1-based line of its first word.
    pub line: u32,
    /// In words: `alter table`.
    pub kind: String,
    /// What it changes, comma-separated; may be empty.
    pub target: String,
    /// Its risk.
    pub risk: Risk,
    /// `ACCESS EXCLUSIVE on users`.
    pub locks: Vec<String>,
    /// Tables that it writes anew, every row.
    #[serde(default)]
    pub rewrites: Vec<String>,
    /// Tables that it reads from end to end under its lock.
    #[serde(default)]
    pub scans: Vec<String>,
    /// The way back.
    pub undo: Undo,
    /// The form that stops nobody, where there is one.
    #[serde(default)]
    pub safer: Option<String>,
    /// Why it has this risk.
    pub reason: String,
    /// Its first 200 characters.
    pub text: String,
    /// True where it loses data.
    pub destructive: bool,
    /// False where it cannot run in a transaction.
    pub transactional: bool,
}

/// The review of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The highest risk of its statements; low for an empty file.
    pub risk: Risk,
    /// Every statement, in order.
    pub statements: Vec<Reviewed>,
    /// True where any of them loses data.
    pub destructive: bool,
    /// What they change, without repetition, in order.
    pub touches: Vec<String>,
    /// True where nobody can say beforehand what one of them changes.
    pub opaque: bool,
    /// True where all of them can run in one transaction.
    pub transactional: bool,
    /// As in [`super::Summary`].
    pub sha256: String,
    /// Every file that was read, the included ones too, with the hash of each.
    #[serde(skip)]
    pub files: Vec<(PathBuf, String)>,
    /// What the linter finds in its files; only where [`Review::with_findings`] has asked.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// Reviews a file. It need not be fit for a step's transaction: [`Reviewed::transactional`] says
/// which statements are not.
///
/// # Errors
/// What the script cannot read: see [`Script::next`].
pub fn review(root: &Path, path: &str, vars: BTreeMap<String, String>) -> Result<Review, Fault> {
    let mut script = Script::open(root, path, vars, ScriptOptions { transactional: false })?;
    let mut review = Review {
        risk: Risk::Low,
        statements: Vec::new(),
        destructive: false,
        touches: Vec::new(),
        opaque: false,
        transactional: true,
        sha256: String::new(),
        files: Vec::new(),
        findings: Vec::new(),
    };
    let mut examiner = Examiner::default();
    walk(&mut script, |unit| review.add(&unit, &mut examiner))?;
    let count = review.statements.len() as u32;
    let summary = summary(script, count)?;
    (review.sha256, review.files) = (summary.sha256, summary.files);
    Ok(review)
}

impl Review {
    /// Asks the linter about every file that a statement came from, as `runsheet lint` does.
    #[must_use]
    pub fn with_findings(mut self, root: &Path) -> Self {
        let mut asked: Vec<&str> = Vec::new();
        for file in self.statements.iter().map(|one| one.file.as_str()) {
            if asked.contains(&file) {
                continue;
            }
            asked.push(file);
            let path = root.join(file);
            let small = path.metadata().is_ok_and(|meta| meta.len() <= LARGEST_LINTED);
            if let (true, Ok(content)) = (small, std::fs::read(&path)) {
                self.findings.extend(lint_file(file, &content).findings);
            }
        }
        self
    }

    fn add(&mut self, unit: &Unit, examiner: &mut Examiner) {
        let (Unit::Statement { text, place, .. }
        | Unit::CopyFrom { text, place }
        | Unit::CopyFile { text, place, .. }) = unit
        else {
            return;
        };
        let one = examiner.examine(text);
        let info = one.info;
        // The file's own BEGIN and COMMIT are no part of what it does.
        if info.control.is_some() {
            return;
        }
        self.risk = self.risk.max(info.risk);
        self.destructive |= info.destructive;
        self.opaque |= info.opaque;
        self.transactional &= info.transactional;
        for object in &info.objects {
            if !self.touches.contains(object) {
                self.touches.push(object.clone());
            }
        }
        self.statements.push(Reviewed {
            file: place.file.clone(),
            line: place.line,
            kind: info.kind,
            target: info.objects.join(", "),
            risk: info.risk,
            locks: info.locks.iter().map(ToString::to_string).collect(),
            rewrites: info.rewrites,
            scans: info.scans,
            undo: one.undo,
            safer: one.safer,
            reason: info.reason,
            text: text.chars().take(SHOWN).collect(),
            destructive: info.destructive,
            transactional: info.transactional,
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_review_says_what_a_migration_does() {
        let folder = tempfile::tempdir().unwrap();
        let text = "BEGIN;\nCREATE TABLE hospitals (id int PRIMARY KEY);\n\
                    INSERT INTO hospitals SELECT id FROM users;\n\n\
                    ALTER TABLE users DROP COLUMN hospital;\nCOMMIT;\n";
        std::fs::write(folder.path().join("a.sql"), text).unwrap();
        let review = review(folder.path(), "a.sql", BTreeMap::new()).unwrap();
        assert_eq!((review.risk, review.destructive, review.opaque), (Risk::VeryHigh, true, false));
        assert_eq!(review.touches, ["hospitals", "users"]);
        let seen: Vec<_> = review
            .statements
            .iter()
            .map(|one| (one.line, one.kind.as_str(), one.target.as_str(), one.risk))
            .collect();
        assert_eq!(
            seen,
            [
                (2, "create table", "hospitals", Risk::Low),
                (3, "insert", "hospitals", Risk::Medium),
                (5, "alter table", "users", Risk::VeryHigh),
            ]
        );
        assert_eq!(review.statements[2].locks, ["ACCESS EXCLUSIVE on users"]);
        assert_eq!(review.statements[0].undo.sql(), Some("DROP TABLE hospitals"));
        let review = review.with_findings(folder.path());
        let rules: Vec<_> =
            review.findings.iter().map(|one| (one.line, one.rule.as_str())).collect();
        assert!(rules.contains(&(5, "ban-drop-column")) && rules.contains(&(5, "data-loss")));
        let json = serde_json::to_string(&review).unwrap();
        // Paths of this machine are for this process alone.
        let read = serde_json::from_str::<Review>(&json).unwrap();
        assert_eq!(Review { files: review.files.clone(), ..read }, review);
    }
}
