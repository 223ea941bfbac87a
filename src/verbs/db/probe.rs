//! Has a statement that cannot run in a transaction happened? Asked after a crash.

use std::rc::Rc;

use crate::host::{Host, Trouble};

/// `Some(true)` it has, `Some(false)` it has not and may be run, `None` nobody can tell.
///
/// # Errors
/// The server's answer.
pub(in crate::verbs) fn happened(_host: &Rc<Host>, _sql: &str) -> Result<Option<bool>, Trouble> {
    Ok(None)
}
