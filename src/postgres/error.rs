//! What the server said when it refused something, and the fault that people see.
//!
//! Decisions are taken by SQLSTATE, never by the text, which may be in any language.

use std::fmt::Display;

use tokio_postgres::error::ErrorPosition;

use crate::message;
use crate::model::{Fault, FaultKind};
use crate::msg;

/// An error of the server or of the connection. Fields are as the protocol names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DbError {
    /// The SQLSTATE; None where the error is not the server's.
    pub sqlstate: Option<String>,
    /// `ERROR`, `FATAL`, `PANIC`; empty where the error is not the server's.
    pub severity: String,
    /// What failed, in the server's language.
    pub message: String,
    /// The server's DETAIL: which key, which value.
    pub detail: Option<String>,
    /// The server's HINT.
    pub hint: Option<String>,
    /// 1-based position in the statement, in characters.
    pub position: Option<u32>,
    /// The statement inside a function that failed, where it was one; its own position.
    pub internal_query: Option<(String, u32)>,
    /// The server's CONTEXT: the functions that were running.
    pub where_: Option<String>,
    /// Schema of the object.
    pub schema: Option<String>,
    /// Table of the object.
    pub table: Option<String>,
    /// Column of the object.
    pub column: Option<String>,
    /// Constraint that was broken.
    pub constraint: Option<String>,
    /// Data type of the object.
    pub datatype: Option<String>,
    /// True where the session is gone: nobody can say whether an open COMMIT was done.
    pub connection_lost: bool,
    /// A code of our own, where the error is ours: `unsupported-type`.
    pub code: Option<&'static str>,
    /// A remedy of our own.
    pub remedy: Option<String>,
}

impl DbError {
    /// An error of our own, with its stable code.
    pub(super) fn own(code: &'static str, message: String) -> Self {
        Self { code: Some(code), message, ..Self::default() }
    }

    /// True for this SQLSTATE.
    pub fn is(&self, sqlstate: &str) -> bool {
        self.sqlstate.as_deref() == Some(sqlstate)
    }

    /// A file that could not be read or written in the middle of a COPY, as the COPY's failure.
    pub fn of_file(fault: &Fault) -> Self {
        Self {
            message: fault.message.clone(),
            detail: fault.detail.clone(),
            remedy: fault.remedy.clone(),
            code: Some("copy-file"),
            ..Self::default()
        }
    }

    /// The fault that people see: with cause and remedy where the table of SQLSTATEs knows them.
    pub fn into_fault(self) -> Fault {
        let kind = if self.connection_lost { FaultKind::NoConnection } else { FaultKind::Failed };
        let code = match (self.code, self.connection_lost) {
            (Some(code), _) => code,
            (None, true) => "connection-lost",
            (None, false) => "sql-error",
        };
        let mut fault = Fault::new(kind, code, self.message.clone());
        fault.detail = self.details();
        fault.cause = self.sentence("cause");
        // The server's hint is made for this very case; the table is made for its kind.
        fault.remedy =
            self.remedy.clone().or_else(|| self.sentence("remedy")).or_else(|| self.hint.clone());
        if self.connection_lost && fault.cause.is_none() {
            fault.cause = Some(msg!("postgres.connection-lost-cause"));
        }
        fault.sqlstate = self.sqlstate;
        fault
    }

    /// DETAIL, HINT, the inner statement and CONTEXT, one a line.
    fn details(&self) -> Option<String> {
        let hint = self.hint.as_ref().map(|hint| msg!("postgres.hint", text = hint));
        let inner = self.internal_query.as_ref();
        let inner = inner.map(|(text, _)| msg!("postgres.inner-query", text = text.trim()));
        let context = self.where_.as_ref().map(|text| msg!("postgres.context", text = text));
        let lines: Vec<String> =
            [self.detail.clone(), hint, inner, context].into_iter().flatten().collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// The sentence for this SQLSTATE, or for its class (its first two characters).
    fn sentence(&self, what: &str) -> Option<String> {
        let state = self.sqlstate.as_deref()?;
        let named = |name: &Option<String>, unnamed: String| name.clone().unwrap_or(unnamed);
        let table = named(&self.table, msg!("postgres.unnamed-table"));
        let column = named(&self.column, msg!("postgres.unnamed-column"));
        let constraint = named(&self.constraint, msg!("postgres.unnamed-constraint"));
        let detail = self.detail.clone().unwrap_or_default();
        let arguments: [(&str, &dyn Display); 5] = [
            ("table", &table),
            ("column", &column),
            ("constraint", &constraint),
            ("detail", &detail),
            ("message", &self.message),
        ];
        let exact = message::find(&format!("sqlstate.{state}.{what}"), &arguments);
        let class = || message::find(&format!("sqlstate.{}.{what}", state.get(..2)?), &arguments);
        exact.or_else(class)
    }
}

impl Display for DbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DbError {}

impl From<DbError> for Fault {
    fn from(error: DbError) -> Self {
        error.into_fault()
    }
}

/// SQLSTATEs after which the server closes the session.
fn ends_session(state: &str, severity: &str) -> bool {
    // 25P03 and 57P05 are the idle timeouts; 57P0x are shutdowns and pg_terminate_backend.
    let known = ["57P01", "57P02", "57P03", "57P04", "57P05", "25P03"].contains(&state);
    // 08P01 as an ERROR is a wrong number of parameters: the session goes on.
    let connection = state.starts_with("08") && state != "08P01";
    known || connection || severity == "FATAL" || severity == "PANIC"
}

impl From<&tokio_postgres::error::DbError> for DbError {
    fn from(error: &tokio_postgres::error::DbError) -> Self {
        let text = |text: Option<&str>| text.map(str::to_string);
        let (position, internal_query) = match error.position() {
            Some(ErrorPosition::Original(at)) => (Some(*at), None),
            Some(ErrorPosition::Internal { position, query }) => {
                (None, Some((query.clone(), *position)))
            }
            None => (None, None),
        };
        Self {
            sqlstate: Some(error.code().code().to_string()),
            severity: error.severity().to_string(),
            message: error.message().to_string(),
            detail: text(error.detail()),
            hint: text(error.hint()),
            position,
            internal_query,
            where_: text(error.where_()),
            schema: text(error.schema()),
            table: text(error.table()),
            column: text(error.column()),
            constraint: text(error.constraint()),
            datatype: text(error.datatype()),
            connection_lost: ends_session(error.code().code(), error.severity()),
            code: None,
            remedy: None,
        }
    }
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(server) = error.as_db_error() {
            return Self::from(server);
        }
        // Display says only "error communicating with the server"; the cause is below.
        let mut text = error.to_string();
        let mut below = std::error::Error::source(&error);
        let io = below.is_some_and(|cause| cause.is::<std::io::Error>());
        while let Some(cause) = below {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            below = cause.source();
        }
        let lost = error.is_closed() || io;
        let message = if lost { msg!("postgres.connection-lost") } else { text.clone() };
        Self {
            message,
            detail: lost.then_some(text),
            connection_lost: lost,
            code: (!lost).then_some("protocol"),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_error_of_the_server_keeps_its_words_and_its_state() {
        let error = DbError {
            sqlstate: Some("23503".into()),
            message: "update violates foreign key".into(),
            detail: Some("Key (id)=(7) is still referenced.".into()),
            hint: Some("Look there.".into()),
            ..DbError::default()
        };
        let fault = error.into_fault();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Failed, "sql-error"));
        assert_eq!(fault.sqlstate.as_deref(), Some("23503"));
        let detail = fault.detail.unwrap();
        assert!(detail.contains("(id)=(7)") && detail.contains("Look there."));
        assert!(fault.remedy.is_some());
    }

    #[test]
    fn a_lost_session_is_told_by_its_state_and_not_by_its_text() {
        assert!(ends_session("57P01", "FATAL"));
        assert!(ends_session("08006", "ERROR"));
        assert!(ends_session("25P03", "FATAL"));
        assert!(!ends_session("57014", "ERROR"));
        assert!(!ends_session("08P01", "ERROR"));
        let lost = DbError { connection_lost: true, ..DbError::default() };
        assert_eq!(lost.into_fault().kind, FaultKind::NoConnection);
    }
}
