//! Has a statement that cannot run in a transaction happened? Asked after a crash.

use std::rc::Rc;

use super::alone::{Alone, happened as look};
use super::words::statements;
use crate::host::{Host, Trouble};

/// `Some(true)` it has, `Some(false)` it has not and may be run, `None` nobody can tell.
///
/// An INVALID index is the wreck of exactly this statement: it is cleared away, so that the
/// statement can be run again.
///
/// # Errors
/// The server's answer.
pub(in crate::verbs) fn happened(host: &Rc<Host>, sql: &str) -> Result<Option<bool>, Trouble> {
    match statements(sql).iter().find_map(|words| Alone::of(words)) {
        Some(lone) if lone.harmless() => Ok(Some(false)),
        Some(lone) => look(host, &lone),
        None => Ok(None),
    }
}
