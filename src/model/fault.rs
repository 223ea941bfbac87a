//! A fault: what failed, where in the user's own files, why, and what to do next.
//!
//! The kind alone picks the exit code (see [`FaultKind::exit_code`] and, for a run whose earlier
//! steps stand, [`super::FinalState`]). Texts are written in the language of the process.

use serde::{Deserialize, Serialize};

/// What kind of failure this is. The kind alone decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Something that was tried failed (1, or 5 where steps of the run stand).
    Failed,
    /// The command line, the configuration or the playbook is wrong (2).
    Usage,
    /// Another run holds the lease (3).
    Busy,
    /// An approval, receipt, attestation or policy is missing (4).
    Refused,
    /// Every step is done, and a verify failed: the changes stand (6).
    VerifyFailed,
    /// The database cannot be reached (7).
    NoConnection,
    /// Interrupted by Ctrl-C (130, or 5 where steps stand).
    Interrupted,
    /// Ended by SIGTERM or SIGHUP (143, or 5 where steps stand).
    Terminated,
}

impl FaultKind {
    /// The exit code where no step of the run stands.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Busy => 3,
            Self::Refused => 4,
            Self::VerifyFailed => 6,
            Self::NoConnection => 7,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// One place in a user's file: the line is carried along, so that a report can underline it
/// long after the file was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Path as the user would type it, relative to the project where possible.
    pub file: String,
    /// 1-based line; 0 where only the file is known.
    pub line: u32,
    /// 1-based column in characters; 0 where only the line is known.
    pub column: u32,
    /// How many characters to underline (at least 1 where a column is known).
    pub length: u32,
    /// What to say at the underline; may be empty.
    pub label: String,
    /// The text of that line, without its line end.
    pub source: String,
}

impl Place {
    /// The place at a byte offset of a text.
    pub fn at_offset(file: &str, text: &str, offset: usize, length: u32) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line = before.matches('\n').count() as u32 + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = text[start..offset].chars().count() as u32 + 1;
        let source = text[start..].lines().next().unwrap_or("").to_string();
        Self { file: file.into(), line, column, length, label: String::new(), source }
    }

    /// The place of a whole line (1-based) of a text.
    pub fn at_line(file: &str, text: &str, line: u32) -> Self {
        let source = text.lines().nth((line as usize).saturating_sub(1)).unwrap_or("").to_string();
        let indent = source.chars().take_while(|c| c.is_whitespace()).count() as u32;
        let length = (source.trim().chars().count() as u32).max(1);
        Self { file: file.into(), line, column: indent + 1, length, label: String::new(), source }
    }

    /// Same place with a label at the underline.
    #[must_use]
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }
}

/// A failure as people and scripts see it. In a script: `e.code`, `e.message`, `e.sqlstate`,
/// `e.detail`, `e.remedy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Picks the exit code.
    pub kind: FaultKind,
    /// A stable kebab-case name, `count-mismatch`.
    pub code: String,
    /// What failed, one sentence without a full stop.
    pub message: String,
    /// Values and keys that show it: both counts, the server's DETAIL, the tail of a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The likely cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do. Who does not know it does not guess one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The next command to type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The server's SQLSTATE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// Where, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// What had already been done when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_so_far: Option<String>,
    /// Further faults found at the same time (a configuration's complaints).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<Fault>,
}

impl Fault {
    /// A fault with kind, code and message.
    pub fn new(kind: FaultKind, code: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            detail: None,
            cause: None,
            remedy: None,
            next: None,
            sqlstate: None,
            places: Vec::new(),
            done_so_far: None,
            more: Vec::new(),
        }
    }

    /// Something that was tried failed.
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Self::new(FaultKind::Failed, code, message)
    }

    /// The command line, the configuration or the playbook is wrong.
    pub fn usage(code: &str, message: impl Into<String>) -> Self {
        Self::new(FaultKind::Usage, code, message)
    }

    /// Adds the values that show it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the likely cause.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds the next command to type.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Adds the server's SQLSTATE.
    #[must_use]
    pub fn sqlstate(mut self, state: impl Into<String>) -> Self {
        self.sqlstate = Some(state.into());
        self
    }

    /// Adds a place, after (outside of) those already known.
    #[must_use]
    pub fn place(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
