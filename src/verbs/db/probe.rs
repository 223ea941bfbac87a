//! Statements that cannot run in a transaction: has one happened (asked after a crash), run one,
//! clear away what it leaves behind when it breaks off.
//!
//! The wreck is an INVALID index. It is never one that a session builds just now: that one is
//! waited for, then looked at again.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::alone::{Alone, Reindexed, Trace};
use super::words::statements;
use crate::host::{Host, Trouble};
use crate::model::{EventKind, Fault};
use crate::msg;

/// So long a build of another session (the orphan of a dead runner) is waited for.
const BUILD_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// An index as it is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Valid,
    /// A wreck, or one whose dropping broke off.
    Invalid,
    /// Another session works on it.
    BeingBuilt,
}

/// `Some(true)` it has, `Some(false)` it has not and may be run, `None` nobody can tell.
///
/// A wreck is cleared away, so that the statement can be run again.
///
/// # Errors
/// The server's answer.
pub(in crate::verbs) fn happened(host: &Rc<Host>, sql: &str) -> Result<Option<bool>, Trouble> {
    let all = statements(sql);
    let Some(lone) = all.first().and_then(|words| Alone::of(words)) else { return Ok(None) };
    match &lone.trace {
        Trace::Harmless => Ok(Some(false)),
        Trace::Unknown => Ok(None),
        Trace::Reindexed(what) => {
            clear_reindexed(host, what)?;
            Ok(Some(false))
        }
        Trace::Database { name, there } => {
            let ask = "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)";
            let found = host.query(ask, &[Value::from(name.as_str())])?;
            Ok(Some(found.first() == Some(&Value::Bool(*there))))
        }
        Trace::Index { name, there } => match (settled(host, name)?, there) {
            (Found::Valid, there) => Ok(Some(*there)),
            (Found::Nothing, there) => Ok(Some(!there)),
            (Found::Invalid, true) => {
                drop_index(host, name)?;
                Ok(Some(false))
            }
            // Half dropped. At the end of a run it is finished at once; else by its statement.
            (Found::Invalid, false) if host.is_tidying() => {
                drop_index(host, name)?;
                Ok(Some(true))
            }
            (Found::Invalid, false) => Ok(Some(false)),
            (Found::BeingBuilt, _) => Ok(None),
        },
    }
}

/// Runs a statement by `send`, with its own wreck cleared away before and after it.
///
/// # Errors
/// What `send` raises; `invalid-index` where the server says that all is well and it is not.
pub(in crate::verbs) fn run<E: From<Trouble>>(
    host: &Rc<Host>,
    sql: &str,
    send: impl FnOnce() -> Result<u64, E>,
) -> Result<u64, E> {
    let all = statements(sql);
    let trace = all.first().and_then(|words| Alone::of(words)).map(|lone| lone.trace);
    match &trace {
        Some(Trace::Index { name, there: true }) => {
            if found(host, name)? == Found::Invalid {
                host.emit(EventKind::Note { text: msg!("verbs.index-wreck", index = name) })
                    .map_err(Trouble::from)?;
                drop_index(host, name)?;
            }
            let before = found(host, name)?;
            let answer = send();
            // What was there before is not this statement's wreck.
            if answer.is_err() && before == Found::Nothing {
                let _ = host.tidying(|| match found(host, name) {
                    Ok(Found::Invalid) => drop_index(host, name),
                    _ => Ok(()),
                });
            }
            let rows = answer?;
            match found(host, name)? {
                Found::Valid => Ok(rows),
                _ => Err(Trouble::from(
                    Fault::failed("invalid-index", msg!("verbs.invalid-index", index = name))
                        .cause(msg!("verbs.invalid-index.cause")),
                )
                .into()),
            }
        }
        Some(Trace::Index { name, there: false }) => {
            let answer = send();
            // What its statement has begun, its statement ends when it is sent again.
            if answer.is_err() && found(host, name).is_ok_and(|found| found == Found::Invalid) {
                host.emit(EventKind::Warning { text: msg!("verbs.half-dropped", index = name) })
                    .map_err(Trouble::from)?;
            }
            answer
        }
        Some(Trace::Reindexed(what)) => {
            clear_reindexed(host, what)?;
            let answer = send();
            if answer.is_err() {
                let _ = host.tidying(|| clear_reindexed(host, what));
            }
            answer
        }
        _ => send(),
    }
}

/// The index once no other session works on it; `BeingBuilt` where that takes too long.
fn settled(host: &Rc<Host>, name: &str) -> Result<Found, Trouble> {
    let since = Instant::now();
    let limit = if host.is_tidying() { Duration::from_secs(3) } else { BUILD_LIMIT };
    loop {
        match found(host, name)? {
            Found::BeingBuilt if since.elapsed() < limit => host.pause(LOOK_AGAIN)?,
            other => return Ok(other),
        }
    }
}

fn found(host: &Rc<Host>, name: &str) -> Result<Found, Trouble> {
    let ask = "SELECT (SELECT CASE WHEN indisvalid THEN 1 \
            WHEN EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p \
                WHERE p.index_relid = indexrelid AND p.pid <> pg_catalog.pg_backend_pid()) THEN 3 \
            ELSE 2 END FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass($1))";
    let rows = host.query(ask, &[Value::from(name)])?;
    Ok(match rows.first().and_then(Value::as_i64) {
        Some(1) => Found::Valid,
        Some(2) => Found::Invalid,
        Some(_) => Found::BeingBuilt,
        None => Found::Nothing,
    })
}

fn drop_index(host: &Rc<Host>, name: &str) -> Result<(), Trouble> {
    host.run_alone(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).map(drop)
}

/// REINDEX CONCURRENTLY builds a copy beside each index and leaves it behind when it breaks off,
/// or the old one when it was about to drop it.
fn clear_reindexed(host: &Rc<Host>, what: &Reindexed) -> Result<(), Trouble> {
    let (tables, values) = match what {
        Reindexed::Named(name) => (
            "t.oid IN (SELECT coalesce(x.indrelid, named.relid) \
                FROM (SELECT pg_catalog.to_regclass($1)::oid AS relid \
                    UNION SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass($1))) named \
                LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = named.relid)",
            vec![Value::from(name.as_str())],
        ),
        Reindexed::Schema(name) => (
            "t.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)",
            vec![Value::from(name.as_str())],
        ),
        Reindexed::Database => ("t.relnamespace <> 'pg_catalog'::regnamespace", Vec::new()),
    };
    // Whoever builds indexes of a table anew has its lock until the last copy is in its place.
    let ask = format!(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' \
         AND EXISTS (SELECT FROM pg_catalog.pg_class t \
            WHERE i.indrelid IN (t.oid, t.reltoastrelid) AND {tables}) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p \
            JOIN pg_catalog.pg_locks l ON l.pid = p.pid AND l.locktype = 'relation' \
                AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted \
            WHERE p.pid <> pg_catalog.pg_backend_pid() AND p.datname = current_database() \
            AND l.relation = i.indrelid) ORDER BY 1"
    );
    let rows = host.query(&ask, &values)?;
    let wrecks: Vec<String> =
        rows.rows.iter().filter_map(|row| row.first()?.as_str().map(String::from)).collect();
    for wreck in wrecks {
        match drop_index(host, &wreck) {
            Ok(()) => {
                host.emit(EventKind::Note { text: msg!("verbs.copy-dropped", index = wreck) })?
            }
            // Another role's: that its copy lies there is no reason to build nothing.
            Err(Trouble::Fault(fault)) if fault.sqlstate.as_deref() == Some("42501") => {
                host.emit(EventKind::Warning {
                    text: msg!("verbs.copy-of-others", index = wreck),
                })?;
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(())
}
