//! What the server tells another session about a run that works: how far, and who waits for whom.
//!
//! One query, short and without locks, so that nothing waits for the looker: CREATE INDEX
//! CONCURRENTLY waits for every older snapshot.

use serde::Deserialize;

use super::super::session::Session;
use super::ask;
use crate::model::{Fault, Watched};

/// A relation's name without a lock and without an error where it is gone.
const NAME: &str = "nullif(p.relid, 0)::regclass::text";

/// One look at the sessions of a run: those that are called `runsheet/RUN` and `runsheet/RUN/..`.
///
/// # Errors
/// Those of the query.
pub async fn watched(session: &Session, run: &str) -> Result<Watched, Fault> {
    let advances = advances(session.server_version());
    // The time of a wait is in pg_locks from 14 on.
    let since = match session.server_version() >= 140_000 {
        true => "coalesce(l.waitstart, a.query_start)",
        false => "a.query_start",
    };
    let party = |alias: &str| {
        format!(
            "json_build_object('pid', {alias}.pid, 'ours', {alias}.pid IN (SELECT pid FROM ours), \
             'user', {alias}.usename, 'application_name', coalesce({alias}.application_name, ''), \
             'state', {alias}.state, 'millis', (1000 * greatest(0, extract(epoch FROM \
                pg_catalog.clock_timestamp() - {alias}.xact_start)))::bigint, \
             'query', nullif(left({alias}.query, 500), ''))"
        )
    };
    let (waiter, blocker) = (party("a"), party("b"));
    let sql = format!(
        "WITH activity AS MATERIALIZED (SELECT * FROM pg_catalog.pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_catalog.pg_backend_pid()), \
         ours AS MATERIALIZED (SELECT pid FROM activity WHERE application_name = 'runsheet/' || $1 \
            OR starts_with(application_name, 'runsheet/' || $1 || '/')), \
         waiting AS MATERIALIZED (SELECT pid, pg_catalog.pg_blocking_pids(pid) AS by \
            FROM activity WHERE wait_event_type = 'Lock') \
         SELECT json_build_object( \
            'advances', (SELECT coalesce(json_agg(p), '[]') FROM ({advances}) p \
                WHERE p.pid IN (SELECT pid FROM ours)), \
            'waits', (SELECT coalesce(json_agg(json_build_object( \
                    'waiter', {waiter}, 'relation', l.relation::regclass::text, \
                    'millis', (1000 * greatest(0, extract(epoch FROM \
                        pg_catalog.clock_timestamp() - {since})))::bigint, \
                    'by', (SELECT coalesce(json_agg({blocker} ORDER BY b.xact_start), '[]') \
                        FROM activity b WHERE b.pid = ANY (w.by))) ORDER BY {since}), '[]') \
                FROM waiting w JOIN activity a ON a.pid = w.pid \
                LEFT JOIN pg_catalog.pg_locks l ON l.pid = w.pid AND NOT l.granted \
                WHERE w.pid IN (SELECT pid FROM ours) \
                    OR w.by && (SELECT array_agg(pid) FROM ours)))"
    );
    ask(session, &sql, &[run.into()]).await
}

/// A lock that a session waits for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Awaited {
    /// Qualified, quoted name, where the lock is one of a relation.
    pub relation: Option<String>,
    /// `relation`, `transactionid`, ..
    pub kind: String,
    /// `AccessExclusiveLock`.
    pub mode: String,
    /// Since when; None in the first moment, and before 14.
    pub since: Option<String>,
    /// How long that is, in milliseconds.
    pub millis: Option<u64>,
}

/// What a backend waits for at this moment.
///
/// # Errors
/// Those of the query.
pub async fn awaited(session: &Session, pid: i32) -> Result<Option<Awaited>, Fault> {
    let since =
        if session.server_version() >= 140_000 { "l.waitstart" } else { "NULL::timestamptz" };
    let sql = format!(
        "SELECT (SELECT json_build_object( \
            'relation', (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
                JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = l.relation), \
            'kind', l.locktype, 'mode', l.mode, 'since', {since}::text, \
            'millis', (1000 * greatest(0, extract(epoch FROM \
                pg_catalog.clock_timestamp() - {since})))::bigint) \
         FROM pg_catalog.pg_locks l WHERE l.pid = $1 AND NOT l.granted LIMIT 1)"
    );
    ask(session, &sql, &[pid.into()]).await
}

/// Pid, command, table, phase, units done and in all, from every view that this server has.
fn advances(version: u32) -> String {
    let mut all = vec![
        // Only one of the three counts at a time: the others keep their last value.
        format!(
            "SELECT p.pid, p.command, {NAME} AS object, p.phase, \
             CASE WHEN p.lockers_total > 0 AND p.phase LIKE 'waiting%' THEN p.lockers_done \
                WHEN p.tuples_total > 0 THEN p.tuples_done ELSE p.blocks_done END AS done, \
             nullif(CASE WHEN p.lockers_total > 0 AND p.phase LIKE 'waiting%' THEN p.lockers_total \
                WHEN p.tuples_total > 0 THEN p.tuples_total ELSE p.blocks_total END, 0) AS total, \
             CASE WHEN p.phase LIKE 'waiting%' THEN 'sessions' \
                WHEN p.tuples_total > 0 THEN 'rows' ELSE 'blocks' END AS unit \
             FROM pg_catalog.pg_stat_progress_create_index p"
        ),
        format!(
            "SELECT p.pid, p.command, {NAME}, p.phase, p.heap_blks_scanned, \
             nullif(p.heap_blks_total, 0), 'blocks' FROM pg_catalog.pg_stat_progress_cluster p"
        ),
        format!(
            "SELECT p.pid, 'VACUUM', {NAME}, p.phase, p.heap_blks_scanned, \
             nullif(p.heap_blks_total, 0), 'blocks' FROM pg_catalog.pg_stat_progress_vacuum p"
        ),
        format!(
            "SELECT p.pid, 'ANALYZE', {NAME}, p.phase, p.sample_blks_scanned, \
             nullif(p.sample_blks_total, 0), 'blocks' FROM pg_catalog.pg_stat_progress_analyze p"
        ),
    ];
    if version >= 140_000 {
        // What comes through a pipe has no length; of a table that is read the planner has an idea.
        all.push(format!(
            "SELECT p.pid, p.command, {NAME}, '', \
             CASE WHEN p.bytes_total > 0 THEN p.bytes_processed ELSE p.tuples_processed END, \
             CASE WHEN p.bytes_total > 0 THEN p.bytes_total \
                WHEN p.command = 'COPY TO' THEN (SELECT nullif(greatest(c.reltuples, 0), 0)::bigint \
                    FROM pg_catalog.pg_class c WHERE c.oid = p.relid) END, \
             CASE WHEN p.bytes_total > 0 THEN 'bytes' ELSE 'rows' END \
             FROM pg_catalog.pg_stat_progress_copy p"
        ));
    }
    all.join(" UNION ALL ")
}
