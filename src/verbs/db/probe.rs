//! Has a statement that cannot run in a transaction happened? Asked after a crash.

use std::rc::Rc;

use serde_json::Value;

use super::alone::{Alone, Trace};
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
    let all = statements(sql);
    let Some(lone) = all.first().and_then(|words| Alone::of(words)) else { return Ok(None) };
    let (ask, name, there) = match &lone.trace {
        Trace::Index { name, there } => (
            "SELECT (SELECT indisvalid FROM pg_catalog.pg_index \
             WHERE indexrelid = pg_catalog.to_regclass($1))",
            name,
            *there,
        ),
        Trace::Database { name, there } => {
            ("SELECT (SELECT true FROM pg_catalog.pg_database WHERE datname = $1)", name, *there)
        }
        Trace::Harmless => return Ok(Some(false)),
        Trace::Unknown => return Ok(None),
    };
    let found = host.query(ask, &[Value::from(name.as_str())])?;
    let found = found.first().and_then(Value::as_bool);
    if there && found == Some(false) {
        host.run_alone(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"))?;
        return Ok(Some(false));
    }
    Ok(Some(found.is_some() == there))
}
