//! What the linter says, as data: statements with their judgement, findings with their rule.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Risk, TableSize};
use crate::sql::Lock;
use crate::sql::undo::Undo;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth knowing.
    Note,
    /// Wants a second look.
    Warning,
    /// Cannot be read, or will certainly fail.
    Error,
}

impl Level {
    /// The stable word: `note`, `warning`, `error`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's name: squawk's own, or one of ours.
    pub rule: String,
    /// How grave it is.
    pub level: Level,
    /// The file, as it was named.
    pub file: String,
    /// 1-based line.
    pub line: u32,
    /// 1-based column, in characters.
    pub column: u32,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Why it is accepted, where a comment says so.
    pub allowed: Option<String>,
}

/// One statement and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The file, as it was named.
    pub file: String,
    /// 1-based line of its first word.
    pub line: u32,
    /// 1-based line of its last word.
    pub last_line: u32,
    /// 1-based column of its first word, in characters.
    pub column: u32,
    /// In words: `alter table`.
    pub kind: String,
    /// What it writes or alters.
    pub objects: Vec<String>,
    /// Its risk.
    pub risk: Risk,
    /// Why it has this risk.
    pub reason: String,
    /// The table locks that it takes, ACCESS SHARE left out.
    pub locks: Vec<Lock>,
    /// Tables that it writes anew, every row.
    pub rewrites: Vec<String>,
    /// Tables that it reads from end to end under its lock.
    pub scans: Vec<String>,
    /// False where it cannot run in a transaction.
    pub transactional: bool,
    /// True where it loses data.
    pub destructive: bool,
    /// True where nobody can say beforehand what it changes.
    pub unknown: bool,
    /// True where it works only on what the file itself created.
    pub new: bool,
    /// The way back.
    pub undo: Undo,
    /// How large the tables are whose locks it takes, by name; empty where no server was asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<String, TableSize>,
    /// The form that stops nobody, where there is one.
    pub safer: Option<String>,
    /// Its beginning: the first 200 characters.
    pub text: String,
}

/// A file, read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linted {
    /// The file, as it was named.
    pub file: String,
    /// The highest risk of its statements; low for an empty file.
    pub risk: Risk,
    /// Every statement but the file's own BEGIN and COMMIT, in order.
    pub statements: Vec<Judged>,
    /// Every finding, by line; accepted ones too.
    pub findings: Vec<Finding>,
    /// The files that it includes, at whatever depth, in their order and as they are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<String>,
    /// The same files, canonical.
    #[serde(skip)]
    pub include_paths: Vec<PathBuf>,
}

impl Linted {
    /// Nothing found yet.
    pub(super) fn empty(file: &str) -> Self {
        Self {
            file: file.to_string(),
            risk: Risk::Low,
            statements: Vec::new(),
            findings: Vec::new(),
            includes: Vec::new(),
            include_paths: Vec::new(),
        }
    }

    /// Puts the findings in order: file by file, by line, each once.
    pub fn sort(&mut self) {
        let includes = &self.includes;
        let rank = |one: &Finding| {
            let at = includes.iter().position(|name| *name == one.file).map_or(0, |at| at + 1);
            (at, one.line, one.column)
        };
        self.findings.sort_by_key(rank);
        // A file that is included twice is found wanting once.
        if !self.includes.is_empty() {
            let mut known = HashSet::new();
            self.findings.retain(|one| {
                known.insert((
                    one.file.clone(),
                    one.line,
                    one.column,
                    one.rule.clone(),
                    one.message.clone(),
                ))
            });
        }
    }
}
