//! Who holds the lease, asked of the server and said to people. Takes and ends nothing.

use std::time::Duration;

use serde_json::Value;

use super::{ALIVE, LOCKED};
use crate::journal::Ledger;
use crate::model::{Fault, FaultKind, format_span};
use crate::msg;
use crate::postgres::{DbError, Session};

/// Who holds the lease, as far as the server can say.
#[derive(Clone, Debug, Default)]
pub struct Holder {
    /// The run.
    pub run: Option<String>,
    /// `user@host` of the runner.
    pub holder: Option<String>,
    /// Its server process; 0 behind a pooler.
    pub pid: i64,
    /// When that process began, as the server prints it.
    pub backend_start: String,
    /// Its application_name.
    pub application: String,
    /// When it took the lease; behind a pooler, when it was last heard of.
    pub since: Option<String>,
    /// The epoch of the lease row, where the row is this holder's.
    pub epoch: Option<i64>,
}

impl Holder {
    /// One line for people: run, who, pid, since.
    pub fn describe(&self) -> String {
        msg!(
            "journal.holder",
            run = self.run.as_deref().unwrap_or("?"),
            by = self.holder.as_deref().unwrap_or("?"),
            application = self.application,
            pid = self.pid,
            since = self.since.as_deref().unwrap_or(&self.backend_start)
        )
    }
}

/// This run was overtaken.
pub fn fenced(by: Option<&Holder>) -> Fault {
    let fault = Fault::new(FaultKind::Busy, "fenced", msg!("journal.fenced"))
        .cause(msg!("journal.fenced.cause"))
        .remedy(msg!("journal.fenced.remedy"))
        .next("runsheet lock");
    match by {
        Some(holder) => fault.detail(holder.describe()),
        None => fault,
    }
}

/// Who holds the lease now: whoever lives in the row, else whoever has the lock.
pub(super) async fn holder(session: &Session, ledger: &Ledger) -> Result<Option<Holder>, DbError> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(String::from);
    let mut found = None;
    if ledger.exists(session).await? {
        // A step that is at work behind a pooler cannot show signs of life: its lock on the row can.
        let sql = format!(
            "SELECT l.run, l.holder, l.since::text, coalesce(l.backend_pid, 0)::bigint,
                l.backend_start::text, l.epoch, coalesce((SELECT a.application_name::text
                    FROM pg_stat_activity a WHERE a.pid = l.backend_pid), 'runsheet/' || l.run)
             FROM {0}.lease l WHERE ({ALIVE}) OR (l.run IS NOT NULL AND l.backend_pid IS NULL
                AND EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = current_database()
                    AND a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid()
                    AND a.application_name = 'runsheet/' || l.run))",
            ledger.schema()
        );
        if let Some(row) = session.ask(&sql, &[]).await?.rows.into_iter().next() {
            found = Some(Holder {
                run: text(row.first()),
                holder: text(row.get(1)),
                since: text(row.get(2)),
                pid: row.get(3).and_then(Value::as_i64).unwrap_or(0),
                backend_start: text(row.get(4)).unwrap_or_default(),
                epoch: row.get(5).and_then(Value::as_i64),
                application: text(row.get(6)).unwrap_or_default(),
            });
        }
    }
    if found.is_some() {
        return Ok(found);
    }
    // Somebody has the lock and is not in the row yet.
    let sql = format!(
        "SELECT a.pid::bigint, a.backend_start::text, a.application_name::text
         FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid()
         AND a.pid IN (SELECT k.pid {LOCKED})"
    );
    let row = session.ask(&sql, &[]).await?.rows.into_iter().next();
    Ok(row.map(|row| Holder {
        pid: row.first().and_then(Value::as_i64).unwrap_or(0),
        backend_start: text(row.get(1)).unwrap_or_default(),
        application: text(row.get(2)).unwrap_or_default(),
        ..Holder::default()
    }))
}

/// `--take-over RUN` takes the lease from that run, and from no other.
pub(super) fn other_holder(run: &str, holder: &Holder) -> Fault {
    Fault::new(FaultKind::Busy, "other-holder", msg!("journal.other-holder", run = run))
        .detail(holder.describe())
        .next("runsheet lock")
}

pub(super) fn held(holder: Holder, waited: Duration) -> Fault {
    Fault::new(
        FaultKind::Busy,
        "lease-held",
        msg!("journal.lease-held", holder = holder.describe()),
    )
    .cause(msg!("journal.lease-held.cause", waited = format_span(waited)))
    .remedy(msg!("journal.lease-held.remedy"))
}
