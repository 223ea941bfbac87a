//! An SQL statement in one line. Its words are looked up once: a restored dump has a hundred
//! thousand of them.

use std::fmt::Write;

use super::harmless::one_line;
use super::table::fit;
use super::words::{grouped, span};
use crate::model::StatementReport;
use crate::msg;

/// The words of a statement's line in the language in which it was made.
pub(super) struct StatementWords {
    statement: String,
    one_row: String,
    /// What stands before and behind a number of rows.
    rows: (String, String),
}

impl StatementWords {
    pub(super) fn new() -> Self {
        let rows = msg!("report.rows", n = '\0');
        let (before, behind) = rows.split_once('\0').unwrap_or(("", ""));
        Self {
            statement: msg!("report.statement"),
            one_row: msg!("report.row"),
            rows: (before.into(), behind.into()),
        }
    }

    /// "statement 3/120 sql/003.sql:41 ALTER TABLE users  (12 rows, 1.2s)", appended to `out`.
    pub(super) fn line(&self, out: &mut String, done: &StatementReport) {
        let StatementReport { file, line, number, of, text, rows, took_ms } = done;
        let _ = write!(out, "{} {number}/{of} {file}:{line} {text}  (", self.statement);
        match rows {
            Some(1) => out.push_str(&self.one_row),
            Some(rows) => {
                out.push_str(&self.rows.0);
                out.push_str(&grouped(*rows));
                out.push_str(&self.rows.1);
            }
            None => {}
        }
        if rows.is_some() {
            out.push_str(", ");
        }
        out.push_str(&span(*took_ms));
        out.push(')');
    }
    /// "statement 17/120  ALTER TABLE users ..  1.2s": beside a progress bar that names the file.
    pub(super) fn short(&self, done: &StatementReport) -> String {
        let text = fit(&one_line(&done.text), 60);
        let took = span(done.took_ms);
        format!("{} {}/{}  {text}  {took}", self.statement, done.number, done.of)
    }
}
