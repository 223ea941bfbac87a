//! The lease: the right to change this database.
//!
//! Two walls. A session advisory lock, taken by polling (a blocked `pg_advisory_lock` deadlocks
//! CREATE INDEX CONCURRENTLY), keeps well-behaved runners apart and dies with its session. The
//! epoch in the lease row is what correctness rests on: every step's transaction shares-locks it,
//! and whoever takes the lease raises it, so a runner that lost its lock cannot commit any more.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Ledger;
use crate::model::{Fault, FaultKind, format_span};
use crate::msg;
use crate::postgres::{DbError, Session};

/// The advisory key of the lease: fixed, because advisory locks are apart per database already.
const LEASE_KEY: i64 = 7_310_027_716_305_216;
/// How often a waiting runner tries again.
const POLL: Duration = Duration::from_millis(250);
/// How long the ended sessions of a dead process's commands may take to go.
const CHILDREN_LIMIT: Duration = Duration::from_secs(10);

/// Who holds the lease, as far as the server can say.
#[derive(Clone, Debug, Default)]
pub struct Holder {
    /// The run.
    pub run: Option<String>,
    /// `user@host` of the runner.
    pub holder: Option<String>,
    /// Its server process.
    pub pid: i64,
    /// When that process began, as the server prints it.
    pub backend_start: String,
    /// Its application_name.
    pub application: String,
    /// When it took the lease.
    pub since: Option<String>,
}

impl Holder {
    /// One line for people: run, who, pid, since.
    pub fn describe(&self) -> String {
        msg!(
            "journal.holder",
            run = self.run.as_deref().unwrap_or("?"),
            by = self.holder.as_deref().unwrap_or(&self.application),
            pid = self.pid,
            since = self.since.as_deref().unwrap_or(&self.backend_start)
        )
    }
}

/// How much somebody wants the lease.
pub struct LeaseWish<'a> {
    /// The run that asks.
    pub run: &'a str,
    /// `user@host`.
    pub by: &'a str,
    /// How long to wait while another holds it.
    pub wait: Duration,
    /// End the holder's backends and take it.
    pub take_over: bool,
    /// An epoch known from elsewhere (the run's file): never go below it.
    pub known_epoch: i64,
    /// This very process's lost session: it is ended, not waited for.
    pub ghost: Option<Ghost>,
}

/// A session of ours that was lost.
#[derive(Clone, Debug)]
pub struct Ghost {
    /// Its server process.
    pub pid: i64,
    /// When that process began, as the server prints it.
    pub backend_start: String,
}

/// The right to change this database, while its session lives.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The number that every step's transaction looks at.
    pub epoch: i64,
    /// When the session that took it began, as the server prints it.
    pub backend_start: String,
    /// How long this runner waited for it.
    pub waited: Duration,
}

impl Lease {
    /// Takes the lease: polls for the lock, makes the ledger where it is missing, raises the epoch.
    /// `waiting` is told whenever the holder changes.
    ///
    /// # Errors
    /// `lease-held` (kind Busy) names the holder when the time is over.
    pub async fn take(
        session: &Session,
        ledger: &Ledger,
        wish: &LeaseWish<'_>,
        waiting: &mut dyn FnMut(&Holder),
    ) -> Result<Self, Fault> {
        let since = Instant::now();
        let mut shown = None;
        if let Some(Ghost { pid, backend_start }) = wish.ghost.clone() {
            let ghost = Holder { pid, backend_start, ..Holder::default() };
            terminate(session, &ghost).await.map_err(DbError::into_fault)?;
        }
        while !try_lock(session, LEASE_KEY).await? {
            let holder = holder(session, ledger).await.map_err(DbError::into_fault)?;
            if let Some(holder) = &holder {
                if wish.take_over {
                    terminate(session, holder).await.map_err(DbError::into_fault)?;
                } else if shown != Some(holder.pid) {
                    shown = Some(holder.pid);
                    waiting(holder);
                }
            }
            if since.elapsed() >= wish.wait && !(wish.take_over && since.elapsed().as_secs() < 30) {
                return Err(held(holder.unwrap_or_default(), wish.wait));
            }
            tokio::time::sleep(POLL.min(wish.wait.max(Duration::from_millis(20)))).await;
        }
        if !ledger.exists(session).await.map_err(DbError::into_fault)? {
            ledger.create(session).await?;
        }
        end_children(session, wish.run).await?;
        let (epoch, backend_start) =
            raise(session, ledger, wish).await.map_err(DbError::into_fault)?;
        Ok(Self { epoch, backend_start, waited: since.elapsed() })
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// The server's answer, where it says that the lock was not held.
    pub async fn release(session: &Session, ledger: &Ledger) -> Result<bool, DbError> {
        let sql = format!(
            "UPDATE {}.lease SET run = NULL, holder = NULL
            WHERE backend_pid = pg_backend_pid()",
            ledger.schema()
        );
        session.batch(&sql).await?;
        let values = [json!(LEASE_KEY)];
        let rows = session.query("SELECT pg_advisory_unlock($1::bigint)", &values).await?;
        Ok(rows.rows.first().and_then(|row| row.first()) == Some(&Value::Bool(true)))
    }

    /// Who holds the lease now; None where nobody does.
    pub async fn holder(session: &Session, ledger: &Ledger) -> Result<Option<Holder>, DbError> {
        holder(session, ledger).await
    }

    /// Does this session still hold the lock? (DISCARD ALL and pg_advisory_unlock_all drop it.)
    pub async fn still_held(session: &Session) -> Result<bool, DbError> {
        let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
            AND pid = pg_backend_pid() AND objsubid = 1
            AND (classid::bigint << 32 | objid::bigint) = $1::bigint
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let rows = session.query(sql, &[json!(LEASE_KEY)]).await?.rows;
        Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_i64) == Some(1))
    }
}

async fn try_lock(session: &Session, key: i64) -> Result<bool, Fault> {
    let rows = session.query("SELECT pg_try_advisory_lock($1::bigint)", &[json!(key)]).await;
    let rows = rows.map_err(DbError::into_fault)?.rows;
    Ok(rows.first().and_then(|row| row.first()) == Some(&Value::Bool(true)))
}

async fn holder(session: &Session, ledger: &Ledger) -> Result<Option<Holder>, DbError> {
    let locks = "SELECT a.pid::bigint, a.backend_start::text, a.application_name::text
        FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let rows = session.query(locks, &[json!(LEASE_KEY)]).await?.rows;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let text = |at: usize| row.get(at).and_then(Value::as_str).unwrap_or_default().to_string();
    let mut holder = Holder {
        pid: row.first().and_then(Value::as_i64).unwrap_or(0),
        backend_start: text(1),
        application: text(2),
        ..Holder::default()
    };
    if ledger.exists(session).await? {
        let sql = format!(
            "SELECT run, holder, since::text FROM {}.lease WHERE backend_pid = $1::integer
             AND backend_start::text = $2",
            ledger.schema()
        );
        let values = [json!(holder.pid), json!(holder.backend_start)];
        if let Some(row) = session.query(&sql, &values).await?.rows.into_iter().next() {
            let text = |at: usize| row.get(at).and_then(Value::as_str).map(String::from);
            (holder.run, holder.holder, holder.since) = (text(0), text(1), text(2));
        }
    }
    Ok(Some(holder))
}

/// Ends the holder's backend (that very one: pids are used again) and its children's sessions,
/// which carry the run in their application_name.
async fn terminate(session: &Session, holder: &Holder) -> Result<(), DbError> {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND datname = current_database()
        AND ((pid = $1::integer AND backend_start::text = $2)
             OR ($3::text <> '' AND application_name LIKE 'runsheet/' || $3 || '%'))";
    let values = [
        json!(holder.pid),
        json!(holder.backend_start),
        json!(holder.run.as_deref().unwrap_or("")),
    ];
    session.query(sql, &values).await.map(drop)
}

/// Commands that a dead process of this run had started may have left statements running on the
/// server; they are ended before anybody asks what they did.
async fn end_children(session: &Session, run: &str) -> Result<(), Fault> {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND starts_with(application_name, 'runsheet/' || $1 || '/')";
    let since = Instant::now();
    loop {
        let left = match session.query(sql, &[json!(run)]).await {
            Ok(rows) => rows.first().and_then(Value::as_i64).unwrap_or(0),
            // They belong to a role that this one may not end: the step's probe has to judge.
            Err(error) if error.is("42501") => 0,
            Err(error) => return Err(error.into_fault()),
        };
        if left == 0 || since.elapsed() > CHILDREN_LIMIT {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for the open transaction of whoever held it before: their fence share-locks the row.
async fn raise(
    session: &Session,
    ledger: &Ledger,
    wish: &LeaseWish<'_>,
) -> Result<(i64, String), DbError> {
    let sql = format!(
        "UPDATE {}.lease SET epoch = greatest(epoch, $1::bigint) + 1, run = $2, holder = $3,
            backend_pid = pg_backend_pid(),
            backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()),
            system_identifier = (SELECT system_identifier::text FROM pg_control_system()),
            timeline = (SELECT timeline_id FROM pg_control_checkpoint()),
            since = clock_timestamp() RETURNING epoch, backend_start::text",
        ledger.schema()
    );
    let values = [json!(wish.known_epoch), json!(wish.run), json!(wish.by)];
    let rows = session.query(&sql, &values).await?.rows;
    let row = rows.into_iter().next().unwrap_or_default();
    let start = row.get(1).and_then(Value::as_str).unwrap_or_default().to_string();
    Ok((row.first().and_then(Value::as_i64).unwrap_or(0), start))
}

fn held(holder: Holder, waited: Duration) -> Fault {
    Fault::new(
        FaultKind::Busy,
        "lease-held",
        msg!("journal.lease-held", holder = holder.describe()),
    )
    .cause(msg!("journal.lease-held.cause", waited = format_span(waited)))
    .remedy(msg!("journal.lease-held.remedy"))
}
