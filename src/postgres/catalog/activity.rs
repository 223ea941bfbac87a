//! Who is connected, who waits for whom, and references that point to nothing.

use serde::{Deserialize, Serialize};

use super::super::session::Session;
use super::{ask, unquoted};
use crate::model::{Fault, quote_ident, quote_name};

/// One session of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Process id of its backend.
    pub pid: i32,
    /// Its role.
    pub user: Option<String>,
    /// What it calls itself.
    pub application_name: String,
    /// Address of the client; None for a Unix socket.
    pub client: Option<String>,
    /// `active`, `idle`, `idle in transaction`, ..; None where this role may not see it.
    pub state: Option<String>,
    /// Since when it is in this state, with its zone.
    pub since: Option<String>,
    /// When its transaction began, with its zone.
    pub transaction_since: Option<String>,
    /// Its current or last statement, at most 500 characters.
    pub query: Option<String>,
    /// Those who block it.
    pub blocked_by: Vec<i32>,
}

const FIELDS: &str = "json_build_object('pid', a.pid, 'user', a.usename, \
    'application_name', coalesce(a.application_name, ''), 'client', host(a.client_addr), \
    'state', a.state, 'since', a.state_change::text, 'transaction_since', a.xact_start::text, \
    'query', left(a.query, 500), 'blocked_by', pg_blocking_pids(a.pid))";

/// The other sessions of this database, but for those with these application names.
///
/// # Errors
/// Those of the query.
pub async fn sessions(session: &Session, except: &[&str]) -> Result<Vec<Activity>, Fault> {
    let sql = format!(
        "SELECT coalesce(json_agg({FIELDS} ORDER BY a.backend_start), '[]') \
         FROM pg_stat_activity a WHERE a.datname = current_database() \
         AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend' \
         AND a.application_name <> ALL ($1::text[])"
    );
    ask(session, &sql, &[except.into()]).await
}

/// The sessions of this database that wait for a lock, with those who block them.
///
/// # Errors
/// Those of the query.
pub async fn waiting(session: &Session) -> Result<Vec<Activity>, Fault> {
    let sql = format!(
        "SELECT coalesce(json_agg({FIELDS} ORDER BY a.state_change), '[]') \
         FROM pg_stat_activity a WHERE a.datname = current_database() \
         AND a.wait_event_type = 'Lock'"
    );
    ask(session, &sql, &[]).await
}

/// References that point to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphans {
    /// Rows of the child whose key is not in the parent.
    pub count: u64,
    /// Up to ten of these keys, as text, in their order.
    pub sample: Vec<String>,
}

/// Rows of `child` whose `column` is not NULL and not among `parent`'s `key`.
///
/// # Errors
/// Those of the query: 42P01, 42703 where a table or column is missing, 42883 where the types
/// cannot be compared.
pub async fn orphans(
    session: &Session,
    child: &str,
    column: &str,
    parent: &str,
    key: &str,
) -> Result<Orphans, Fault> {
    let plain = |name: &str| quote_ident(&unquoted(name));
    let sql = format!(
        "WITH orphan AS MATERIALIZED (SELECT c.{column} AS k FROM {child} AS c \
            WHERE c.{column} IS NOT NULL \
            AND NOT EXISTS (SELECT FROM {parent} AS p WHERE p.{key} = c.{column})) \
         SELECT json_build_object('count', (SELECT count(*) FROM orphan), 'sample', \
            (SELECT coalesce(json_agg(k::text), '[]') FROM \
                (SELECT k FROM orphan GROUP BY k ORDER BY k LIMIT 10) AS sampled))",
        column = plain(column),
        child = quote_name(child),
        parent = quote_name(parent),
        key = plain(key),
    );
    ask(session, &sql, &[]).await
}
