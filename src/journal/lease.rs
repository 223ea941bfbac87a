//! The lease: the right to change this database.
//!
//! Two walls. A session advisory lock, tried and never waited for inside the server (a blocked
//! `pg_advisory_lock` deadlocks CREATE INDEX CONCURRENTLY), keeps well-behaved runners apart and dies with its session. The
//! epoch in the lease row is what correctness rests on: every step's transaction keeps it as it is
//! and looks at it, and whoever takes the lease raises it, so a runner that lost its lock cannot
//! commit any more.
//!
//! Behind a transaction pooler a session lock would stay on a server session that belongs to
//! everybody. There the row alone is the lease: its holder shows a sign of life with every step.

mod holder;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Ledger;
use crate::model::Fault;
use crate::postgres::{DbError, Session};

pub use holder::{Holder, fenced};
use holder::{held, holder, other_holder};

/// The advisory key of the lease: fixed, because advisory locks are apart per database already.
const LEASE_KEY: i64 = 7_310_027_716_305_216;
/// How often a waiting runner tries again behind a pooler, where it cannot listen.
const POLL: Duration = Duration::from_millis(250);
/// So often a runner that listens looks for itself: a holder that was killed says nothing.
const LOOK: Duration = Duration::from_secs(1);
/// Where whoever gives the lease back says so.
const CHANNEL: &str = "runsheet_lease";
/// How long a takeover waits for the sessions that it ended.
const TAKE_OVER: Duration = Duration::from_secs(30);
/// A lease row `l` whose holder lives: its very server process is there (pids are used again), or,
/// behind a pooler, it was heard of in the last 30 seconds.
const ALIVE: &str = "l.run IS NOT NULL AND CASE WHEN l.backend_pid IS NULL
        THEN l.since > clock_timestamp() - interval '30 seconds'
        ELSE l.backend_pid <> pg_backend_pid() AND EXISTS (SELECT FROM pg_stat_activity a
            WHERE a.pid = l.backend_pid AND a.backend_start = l.backend_start) END";
/// Sessions that hold the advisory lock.
const LOCKED: &str = "FROM pg_locks k WHERE k.locktype = 'advisory' AND k.granted
        AND k.objsubid = 1 AND (k.classid::bigint << 32 | k.objid::bigint) = 7310027716305216
        AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
/// Ends the sessions of a run and of its commands, which carry the run in their application_name.
const END_SESSIONS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND datname = current_database()
        AND (application_name = 'runsheet/' || $1 OR application_name LIKE 'runsheet/' || $1 || '/%')";
/// How long the ended sessions of a dead process's commands may take to go.
const CHILDREN_LIMIT: Duration = Duration::from_secs(10);

/// From whom the lease is taken, sessions ended, where somebody holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOver<'a> {
    /// From nobody: wait.
    No,
    /// From whoever holds it.
    Anybody,
    /// From this run and no other.
    Run(&'a str),
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
    pub take_over: TakeOver<'a>,
    /// The epoch that this runner had before its connection broke: a later one in the row means
    /// that somebody took over, and this runner has to stop.
    pub had: Option<i64>,
    /// An epoch known from elsewhere (this machine's memory): never go below it.
    pub known_epoch: i64,
}

/// The right to change this database, while its session lives.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The number that every step's transaction looks at.
    pub epoch: i64,
    /// How long this runner waited for it.
    pub waited: Duration,
    /// The epoch that the ledger had, where it was below the one known from elsewhere: a backup
    /// brought an old lease back.
    pub restored: Option<i64>,
    /// Held by the row alone, because a pooler stands between.
    pub pooled: bool,
}

impl Lease {
    /// Takes the lease: polls for the lock, makes the ledger where it is missing, raises the epoch.
    /// `waiting` is told whenever the holder changes.
    ///
    /// # Errors
    /// `lease-held` (kind Busy) names the holder when the time is over, `other-holder` where
    /// another run than the one to be taken over has it; `fenced` where somebody took over from
    /// `had`.
    pub async fn take(
        session: &Session,
        ledger: &Ledger,
        wish: &LeaseWish<'_>,
        waiting: &mut dyn FnMut(&Holder),
    ) -> Result<Self, Fault> {
        let taken = Self::take_unless_done(session, ledger, wish, None, waiting).await?;
        taken.ok_or_else(|| Fault::failed("internal", "no lease"))
    }

    /// The same; None where another run finished this playbook meanwhile, so that of fifty who wait
    /// for one nobody has to wait for the other forty-eight.
    ///
    /// # Errors
    /// As [`Lease::take`].
    pub async fn take_unless_done(
        session: &Session,
        ledger: &Ledger,
        wish: &LeaseWish<'_>,
        playbook: Option<&str>,
        waiting: &mut dyn FnMut(&Holder),
    ) -> Result<Option<Self>, Fault> {
        let since = Instant::now();
        let pooled = session.behind_pooler();
        let mut shown = None;
        let mut listens = false;
        loop {
            if let (Some(playbook), true) = (playbook, listens)
                && ledger.is_done(session, playbook).await.map_err(DbError::into_fault)?
            {
                hush(session).await?;
                return Ok(None);
            }
            if let Some((epoch, was)) = claim(session, ledger, wish).await? {
                if listens {
                    hush(session).await?;
                }
                let restored = Some(was).filter(|was| *was < wish.known_epoch);
                return Ok(Some(Self { epoch, waited: since.elapsed(), restored, pooled }));
            }
            let holder = holder(session, ledger).await.map_err(DbError::into_fault)?;
            let mut patience = wish.wait;
            if let Some(holder) = &holder {
                if wish.had.is_some_and(|had| holder.epoch.is_some_and(|epoch| epoch > had)) {
                    return Err(fenced(Some(holder)));
                }
                let ghost = wish.had.is_some() && holder.epoch == wish.had;
                let wanted = match wish.take_over {
                    TakeOver::No => false,
                    TakeOver::Anybody => true,
                    TakeOver::Run(_) if ghost => true,
                    TakeOver::Run(run) => match &holder.run {
                        Some(other) if other != run => return Err(other_holder(run, holder)),
                        named => named.is_some(),
                    },
                };
                if ghost || wanted {
                    patience = patience.max(TAKE_OVER);
                    terminate(session, ledger, holder).await.map_err(DbError::into_fault)?;
                } else if shown != Some(holder.pid) {
                    shown = Some(holder.pid);
                    waiting(holder);
                }
            }
            // Somebody let go between the two looks: that is no reason to give up.
            if since.elapsed() >= patience && (holder.is_some() || since.elapsed() > 4 * POLL) {
                return Err(held(holder.unwrap_or_default(), wish.wait));
            }
            // Listened to first and tried once more: what was said in between was said to nobody.
            if !pooled && !listens {
                listens = true;
                let listen = format!("LISTEN {CHANNEL}");
                session.batch(&listen).await.map_err(DbError::into_fault)?;
                continue;
            }
            let left = patience.saturating_sub(since.elapsed()).max(Duration::from_millis(20));
            if holder.is_none() || pooled {
                tokio::time::sleep(POLL.min(left)).await;
            } else {
                let _ = tokio::time::timeout(LOOK.min(left), session.notified()).await;
            }
        }
    }

    /// Says in the lease's row for which run it is held: an unfinished one was taken up.
    ///
    /// # Errors
    /// The server's answer.
    pub async fn rename(
        &self,
        session: &Session,
        ledger: &Ledger,
        run: &str,
    ) -> Result<(), DbError> {
        let sql = format!("UPDATE {}.lease SET run = $1 WHERE epoch = $2::bigint", ledger.schema());
        session.execute(&sql, &[json!(run), json!(self.epoch)]).await.map(drop)
    }

    /// Gives the lease back. False where it was no longer this runner's.
    ///
    /// # Errors
    /// The server's.
    pub async fn release(&self, session: &Session, ledger: &Ledger) -> Result<bool, DbError> {
        let sql = format!(
            "UPDATE {}.lease SET run = NULL, holder = NULL WHERE epoch = {}",
            ledger.schema(),
            self.epoch
        );
        let ours = session.execute(&sql, &[]).await? == 1;
        if self.pooled {
            return Ok(ours);
        }
        // Those who wait hear of it when this statement has ended, and the lock is free by then.
        let sql = "SELECT pg_catalog.pg_advisory_unlock($1::bigint), pg_catalog.pg_notify($2, '')";
        let unlocked = session.ask(sql, &[json!(LEASE_KEY), json!(CHANNEL)]).await?;
        Ok(ours && unlocked.first() == Some(&Value::Bool(true)))
    }

    /// Who holds the lease now; None where nobody does.
    pub async fn holder(session: &Session, ledger: &Ledger) -> Result<Option<Holder>, DbError> {
        holder(session, ledger).await
    }

    /// One statement, to be sent behind a step's COMMIT: the snapshot that sees all of the step, and
    /// does this session still hold the lock? (`DISCARD ALL` and `pg_advisory_unlock_all()` drop
    /// it.) Asked only where `look` says so. Behind a pooler: the sign of life.
    pub fn after_step_sql(&self, ledger: &Ledger, traced: bool, look: bool) -> Option<String> {
        if self.pooled {
            return Some(format!(
                "UPDATE {}.lease SET since = clock_timestamp() WHERE epoch = {} \
                 RETURNING pg_catalog.pg_current_snapshot()::text, 't'",
                ledger.schema(),
                self.epoch
            ));
        }
        match (traced, look) {
            (false, false) => None,
            (true, false) => Some("SELECT pg_catalog.pg_current_snapshot()::text".into()),
            (_, true) => Some(format!(
                "SELECT pg_catalog.pg_current_snapshot()::text, \
                 EXISTS (SELECT {LOCKED} AND k.pid = pg_backend_pid())"
            )),
        }
    }

    /// Takes the dropped lock again. Nobody else can have taken the lease meanwhile: a live holder
    /// in the row is waited for with or without its lock.
    ///
    /// # Errors
    /// The server's.
    pub async fn take_lock_again(&self, session: &Session) -> Result<bool, DbError> {
        let since = Instant::now();
        // Those who wait try the lock and let it go again.
        while since.elapsed() < Duration::from_secs(5) {
            if try_lock(session).await? {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(false)
    }

    /// The epoch in the row; None where there is no ledger.
    ///
    /// # Errors
    /// The server's.
    pub async fn newest_epoch(session: &Session, ledger: &Ledger) -> Result<Option<i64>, DbError> {
        if !ledger.exists(session).await? {
            return Ok(None);
        }
        let sql = format!("SELECT epoch FROM {}.lease", ledger.schema());
        Ok(session.ask(&sql, &[]).await?.first().and_then(Value::as_i64))
    }
}

/// Listens no longer.
async fn hush(session: &Session) -> Result<(), Fault> {
    session.batch(&format!("UNLISTEN {CHANNEL}")).await.map_err(DbError::into_fault)
}

/// One try: the new epoch, or None where somebody holds the lease.
async fn claim(
    session: &Session,
    ledger: &Ledger,
    wish: &LeaseWish<'_>,
) -> Result<Option<(i64, i64)>, Fault> {
    let pooled = session.behind_pooler();
    if !pooled && !try_lock(session).await.map_err(DbError::into_fault)? {
        return Ok(None);
    }
    let claimed = raise_where_free(session, ledger, wish, pooled).await;
    if !pooled && !matches!(claimed, Ok(Some(_))) {
        let sql = format!("SELECT pg_advisory_unlock({LEASE_KEY})");
        session.batch(&sql).await.map_err(DbError::into_fault)?;
    }
    claimed
}

async fn raise_where_free(
    session: &Session,
    ledger: &Ledger,
    wish: &LeaseWish<'_>,
    pooled: bool,
) -> Result<Option<(i64, i64)>, Fault> {
    if !ledger.is_whole(session).await.map_err(DbError::into_fault)? {
        ledger.create(session).await?;
    }
    if !pooled {
        end_children(session, wish.run).await?;
    }
    let before = raise(session, ledger, wish, pooled).await;
    let (epoch, was, died) = match before {
        Ok(Some(raised)) => raised,
        Ok(None) => {
            let newest = Lease::newest_epoch(session, ledger).await.map_err(DbError::into_fault)?;
            if wish.had.is_some_and(|had| newest.is_some_and(|newest| newest > had)) {
                return Err(fenced(None));
            }
            return Ok(None);
        }
        // The last holder's transaction is still open; whoever waits for it inside the server
        // keeps a snapshot, which CREATE INDEX CONCURRENTLY would wait for in turn.
        Err(error) if error.is("55P03") => return Ok(None),
        Err(error) => return Err(error.into_fault()),
    };
    if let Some(run) = died.filter(|_| wish.had.is_none()) {
        // What a killed runner's commands left running must not write beside us. Sessions of
        // other roles may be out of our reach.
        let _ = session.ask(END_SESSIONS, &[json!(run)]).await;
    }
    Ok(Some((epoch, was)))
}

async fn try_lock(session: &Session) -> Result<bool, DbError> {
    let rows = session.ask("SELECT pg_try_advisory_lock($1::bigint)", &[json!(LEASE_KEY)]).await?;
    Ok(rows.first() == Some(&Value::Bool(true)))
}

/// Ends the holder's backend (that very one: pids are used again) and its commands' sessions.
/// Behind a pooler the holder has no backend of its own: its row stops counting.
async fn terminate(session: &Session, ledger: &Ledger, holder: &Holder) -> Result<(), DbError> {
    if let Some(run) = &holder.run {
        let _ = session.ask(END_SESSIONS, &[json!(run)]).await;
    }
    if holder.pid == 0 {
        let sql = format!(
            "BEGIN; SET LOCAL lock_timeout = 250;
             UPDATE {}.lease SET since = NULL WHERE backend_pid IS NULL AND epoch = {}; COMMIT",
            ledger.schema(),
            holder.epoch.unwrap_or(0)
        );
        if session.batch(&sql).await.is_err() {
            // Its transaction is just ending.
            session.batch("ROLLBACK").await?;
        }
        return Ok(());
    }
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE pid = $1::integer AND backend_start::text = $2";
    let values = [json!(holder.pid), json!(holder.backend_start)];
    session.ask(sql, &values).await.map(drop)
}

/// Commands that a dead process of this run had started may have left statements running on the
/// server; they are ended before anybody asks what they did.
async fn end_children(session: &Session, run: &str) -> Result<(), Fault> {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND starts_with(application_name, 'runsheet/' || $1 || '/')";
    let since = Instant::now();
    loop {
        let left = match session.ask(sql, &[json!(run)]).await {
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

/// Raises the epoch where nobody who lives is in the row: the new epoch, and the run that died
/// with the lease, if one did. The LOCK waits for the open transaction of whoever held it before (it
/// has the table in ROW SHARE mode since its begin), for a moment only.
///
/// Epochs are milliseconds since 1970, or one more than the last: a row that a restore brought back
/// never leads to an epoch that somebody has already.
async fn raise(
    session: &Session,
    ledger: &Ledger,
    wish: &LeaseWish<'_>,
    pooled: bool,
) -> Result<Option<(i64, i64, Option<String>)>, DbError> {
    let own = if pooled { "NULL" } else { "pg_backend_pid()" };
    let others = if pooled { format!("AND NOT EXISTS (SELECT {LOCKED})") } else { String::new() };
    let sql = format!(
        "WITH old AS (SELECT run, epoch FROM {0}.lease)
         UPDATE {0}.lease l SET epoch = greatest(l.epoch + 1, $1::bigint + 1, $4::bigint + 1,
                (extract(epoch FROM clock_timestamp()) * 1000)::bigint),
            run = $2, holder = $3, backend_pid = {own},
            backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = {own}),
            system_identifier = (SELECT system_identifier::text FROM pg_control_system()),
            timeline = (SELECT timeline_id FROM pg_control_checkpoint()),
            since = clock_timestamp()
         WHERE NOT coalesce({ALIVE}, false) {others}
            AND ($1::bigint = 0 OR l.epoch <= $1::bigint)
         RETURNING l.epoch, (SELECT run FROM old), (SELECT epoch FROM old)",
        ledger.schema()
    );
    let values =
        [json!(wish.had.unwrap_or(0)), json!(wish.run), json!(wish.by), json!(wish.known_epoch)];
    // A restored database has no row: no dump of ours holds it.
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = 250; LOCK TABLE {0}.lease IN EXCLUSIVE MODE; \
         INSERT INTO {0}.lease (epoch) \
         SELECT 0 WHERE NOT EXISTS (SELECT FROM {0}.lease) ON CONFLICT DO NOTHING",
        ledger.schema()
    );
    if let Err(error) = session.batch(&begin).await {
        if !error.connection_lost {
            session.batch("ROLLBACK").await?;
        }
        return Err(error);
    }
    let rows = session.ask(&sql, &values).await;
    session.batch(if rows.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    let row = rows?.rows.into_iter().next();
    Ok(row.and_then(|row| {
        let died = row.get(1).and_then(Value::as_str).map(String::from);
        Some((row.first()?.as_i64()?, row.get(2)?.as_i64()?, died))
    }))
}
