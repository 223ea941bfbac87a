//! Who holds what another session waits for.
//!
//! Two ways to ask: while somebody waits the server itself knows (`pg_blocking_pids`, from another
//! session); afterwards only the holders of the tables' locks can be listed. Decides nothing.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::session::Session;
use super::ask;
use crate::model::Fault;

/// A session, or a prepared transaction, that others wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// Process id of its backend; 0 for a prepared transaction.
    pub pid: i32,
    /// Its role.
    pub user: Option<String>,
    /// What it calls itself.
    pub application_name: String,
    /// `client backend`, `autovacuum worker`, ..; None where this role may not see it.
    pub backend: Option<String>,
    /// `active`, `idle in transaction`, ..; None where this role may not see it.
    pub state: Option<String>,
    /// Since when its transaction is open, with its zone.
    pub since: Option<String>,
    /// How long that is, in milliseconds.
    pub millis: Option<u64>,
    /// Its current or last statement, at most 500 characters.
    pub query: Option<String>,
    /// True where it waits for a lock itself.
    pub waits: bool,
    /// The name of the prepared transaction.
    pub prepared: Option<String>,
}

/// What a session waits for, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standstill {
    /// The relation, where it waits for the lock of one.
    pub relation: Option<String>,
    /// Those who hold it up: who waits for nobody first, then the oldest transaction.
    pub by: Vec<Blocker>,
}

const SESSION: &str = "json_build_object('pid', a.pid, 'user', a.usename, \
    'application_name', coalesce(a.application_name, ''), 'backend', a.backend_type, \
    'state', a.state, 'since', coalesce(a.xact_start, a.state_change)::text, \
    'millis', (1000 * greatest(0, extract(epoch FROM pg_catalog.clock_timestamp() \
        - coalesce(a.xact_start, a.state_change))))::bigint, \
    'query', nullif(left(a.query, 500), ''), \
    'waits', coalesce(a.wait_event_type = 'Lock', false), 'prepared', NULL)";

/// In which order they are named.
const ORDER: &str = "ORDER BY coalesce(a.wait_event_type = 'Lock', false), \
    coalesce(a.xact_start, a.state_change)";

/// What a backend waits for at this moment; None where it waits for no lock.
///
/// # Errors
/// Those of the query.
pub async fn standstill(session: &Session, pid: i32) -> Result<Option<Standstill>, Fault> {
    // A prepared transaction has no process: it is found by the lock that it holds
    // beside that on its own transaction id.
    let sql = format!(
        "WITH waits AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks \
            WHERE pid = $1 AND NOT granted), \
         blocking AS MATERIALIZED (SELECT unnest(pg_catalog.pg_blocking_pids($1)) AS pid) \
         SELECT CASE WHEN EXISTS (SELECT FROM blocking) THEN json_build_object( \
            'relation', (SELECT relation::regclass::text FROM waits \
                WHERE relation IS NOT NULL LIMIT 1), \
            'by', (SELECT coalesce(json_agg({SESSION} {ORDER}), '[]') \
                FROM pg_catalog.pg_stat_activity a WHERE a.pid IN (SELECT pid FROM blocking))::jsonb \
            || (SELECT coalesce(json_agg(json_build_object('pid', 0, 'user', p.owner, \
                    'application_name', '', 'since', p.prepared::text, \
                    'millis', (1000 * greatest(0, extract(epoch FROM \
                        pg_catalog.clock_timestamp() - p.prepared)))::bigint, \
                    'waits', false, 'prepared', p.gid)), '[]') \
                FROM pg_catalog.pg_prepared_xacts p WHERE p.database = current_database() \
                AND EXISTS (SELECT FROM waits w JOIN pg_catalog.pg_locks h \
                    ON h.granted AND h.pid IS NULL AND h.locktype = w.locktype \
                    AND h.relation IS NOT DISTINCT FROM w.relation \
                    AND h.transactionid IS NOT DISTINCT FROM w.transactionid \
                    JOIN pg_catalog.pg_locks own ON own.pid IS NULL \
                    AND own.virtualtransaction = h.virtualtransaction \
                    WHERE own.transactionid = p.transaction))::jsonb) \
         END"
    );
    ask(session, &sql, &[pid.into()]).await
}

/// The other sessions that hold one of these locks, (relation as in SQL, mode as `pg_locks` writes
/// it), in a transaction that is older than so many milliseconds. What does not exist is passed
/// over.
///
/// # Errors
/// Those of the query.
pub async fn holders(
    session: &Session,
    locks: &[(String, String)],
    older_than_ms: u64,
) -> Result<Vec<Blocker>, Fault> {
    let sql = format!(
        "SELECT coalesce(json_agg({SESSION} {ORDER}), '[]') FROM pg_catalog.pg_stat_activity a \
         WHERE a.pid <> pg_catalog.pg_backend_pid() \
         AND coalesce(a.xact_start < pg_catalog.clock_timestamp() \
            - $2::bigint * interval '1 millisecond', true) \
         AND a.pid IN (SELECT l.pid FROM pg_catalog.pg_locks l \
            JOIN json_array_elements($1::json) AS w ON l.relation = to_regclass(w->>0)::oid \
                AND l.mode = w->>1 \
            WHERE l.granted AND l.locktype = 'relation' AND l.database = \
                (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))"
    );
    ask(session, &sql, &[json!(json!(locks).to_string()), older_than_ms.into()]).await
}
