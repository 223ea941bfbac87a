//! Who held the lock when lock_timeout ended the waiting, and what helps.
//!
//! Costs nothing until a lock timeout has happened. The first one is explained by the locks that
//! the statement asks for: who has held one of them all the time. While the item is tried again, a
//! second session asks the server for whom this one waits, which also knows of rows, functions and
//! prepared transactions. Called by the loop of an item's tries.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use super::gate::Host;
use super::options::ItemOptions;
use super::worker::second_session;
use crate::model::{Fault, format_span};
use crate::msg;
use crate::postgres::catalog::{Blocker, Standstill, awaited, holders, standstill};
use crate::postgres::{DbError, team_remedy};
use crate::sql::{Lock, Piece, Splitter, classify};

/// lock_not_available.
const LOCK_TIMEOUT: &str = "55P03";
/// So many are named; the others are counted.
const NAMED: usize = 3;
/// So much of a statement's first line is shown, in characters.
const SHOWN: usize = 120;
/// The statement behind the first timeout is looked into up to this length.
const READ: usize = 64 << 10;

/// What is known of the locks that an item waits for.
#[derive(Default)]
pub(super) struct LockWatch {
    /// An earlier try of the item ended in a lock timeout.
    armed: Cell<bool>,
    /// The SQL that the last lock timeout ended.
    sql: RefCell<String>,
    /// What a second session saw while the item waited.
    seen: RefCell<Option<Standstill>>,
    /// The locks that were waited for, in all tries.
    pub(super) awaited: super::waiting::Awaiting,
}

impl LockWatch {
    /// Before each try of an item; the first one is not watched.
    pub(super) fn begin(&self, attempt: u32) {
        self.armed.set(self.armed.get() && attempt > 1);
        if attempt == 1 {
            self.awaited.take();
        }
        self.awaited.begin();
        self.seen.take();
        self.sql.take();
    }

    /// The server refused this SQL.
    pub(super) fn refused(&self, sql: &str, error: &DbError) {
        if error.is(LOCK_TIMEOUT) {
            *self.sql.borrow_mut() = sql[..sql.floor_char_boundary(READ)].to_string();
        }
    }
}

impl Host {
    /// Beside every wait: asks who holds this session up, once a lock timeout gave reason to ask.
    pub(super) async fn watch_locks(&self) -> Infallible {
        match self.lock_watch.armed.get() {
            // Boxed: else every wait would carry its state about.
            true => Box::pin(self.ask_who_blocks()).await,
            false => std::future::pending().await,
        }
    }

    async fn ask_who_blocks(&self) -> Infallible {
        let session = self.worker.borrow().as_ref().map(|worker| worker.session.clone());
        // Behind a pooler nobody knows which server process works for this session.
        let session = session.filter(|session| !session.behind_pooler());
        let Some(session) = session else { return std::future::pending().await };
        let limit = Duration::from_millis(self.lock_timeout_ms() as u64);
        let every = (limit / 5).clamp(Duration::from_millis(10), Duration::from_millis(500));
        tokio::time::sleep(every).await;
        if let Ok(second) = second_session(session.target()).await {
            let pid = session.backend_pid();
            while let Ok(found) = standstill(&second, pid).await {
                if found.is_some() {
                    *self.lock_watch.seen.borrow_mut() = found;
                }
                let Ok(lock) = awaited(&second, pid).await else { break };
                self.lock_watch.awaited.note(lock);
                tokio::time::sleep(every).await;
            }
        }
        std::future::pending().await
    }

    /// Names those who held the lock in a fault that is a lock timeout, and the remedy that helps
    /// with them. From here on the item's tries are watched. Gives them in one line.
    pub(super) fn name_blockers(
        self: &Rc<Self>,
        fault: &mut Fault,
        options: &ItemOptions,
    ) -> Option<String> {
        if fault.sqlstate.as_deref() != Some(LOCK_TIMEOUT) || self.setup.cancel.is_cancelled() {
            return None;
        }
        self.lock_watch.armed.set(true);
        self.lock_watch.awaited.timed_out(self.lock_limit(Some(options)).as_millis() as u64);
        let seen = self.lock_watch.seen.take().or_else(|| self.holders_now(options))?;
        let first = seen.by.first()?;
        let mut lines: Vec<String> =
            seen.by.iter().take(NAMED).map(|one| self.described(one)).collect();
        if seen.by.len() > NAMED {
            lines.push(msg!("host.blockers-more", count = seen.by.len() - NAMED));
        }
        let heading = match &seen.relation {
            Some(relation) => msg!("host.blocked-on", relation = relation),
            None => msg!("host.blocked"),
        };
        let shown = format!("{heading}\n{}", lines.join("\n"));
        fault.detail = Some(match fault.detail.take() {
            Some(detail) => format!("{detail}\n{shown}"),
            None => shown,
        });
        let remedy = self.remedy_against(first);
        let remedies = self.remedies.borrow();
        fault.remedy = Some(match team_remedy(LOCK_TIMEOUT, &remedies) {
            Some(_) => format!("{}\n{remedy}", fault.remedy.take().unwrap_or_default()),
            None => remedy,
        });
        Some(msg!("host.blocked-reason", reason = fault.message, who = lines.join("; ")))
    }

    /// After the first timeout: who has held a lock all the time that the statement asks for.
    fn holders_now(self: &Rc<Self>, options: &ItemOptions) -> Option<Standstill> {
        let sql = self.lock_watch.sql.take();
        let locks = locks_of(&sql, options);
        let asked: Vec<(String, String)> = locks
            .iter()
            .flat_map(|lock| lock.kept_waiting_by().into_iter().map(|m| (lock.object.clone(), m)))
            .collect();
        if asked.is_empty() || self.worker.borrow().is_none() {
            return None;
        }
        let limit = self.lock_limit(Some(options));
        let found =
            self.catalog(async |session| holders(session, &asked, limit.as_millis() as u64).await);
        let by = found.ok().filter(|by| !by.is_empty())?;
        let relation = match &locks[..] {
            [one] => Some(one.object.clone()),
            _ => None,
        };
        Some(Standstill { relation, by })
    }

    /// One line: process, application, role, state, since when, its statement's first line.
    fn described(&self, one: &Blocker) -> String {
        let unknown = || msg!("host.blocker-unknown");
        let since = match (&one.since, one.millis) {
            (Some(since), Some(millis)) => msg!(
                "host.blocker-since",
                since = since,
                span = format_span(Duration::from_millis(millis))
            ),
            _ => unknown(),
        };
        let user = one.user.clone().unwrap_or_else(unknown);
        if let Some(name) = &one.prepared {
            return msg!("host.blocker-prepared", name = name, user = user, since = since);
        }
        let named = Some(one.application_name.clone()).filter(|name| !name.is_empty());
        let application = named.or_else(|| one.backend.clone()).unwrap_or_else(unknown);
        let state = match (&one.state, one.waits) {
            (Some(state), true) => msg!("host.blocker-waits", state = state),
            (Some(state), false) => state.clone(),
            (None, _) if one.backend.is_some() => one.backend.clone().unwrap_or_default(),
            (None, _) => msg!("host.blocker-hidden"),
        };
        let line = msg!(
            "host.blocker",
            pid = one.pid,
            application = application,
            user = user,
            state = state,
            since = since
        );
        match one.query.as_deref().and_then(|query| self.first_line(query)) {
            Some(query) if one.state.is_some() => format!("{line}: {query}"),
            _ => line,
        }
    }

    /// The first line of a statement, blanked before it is cut: half a secret is not recognised.
    fn first_line(&self, query: &str) -> Option<String> {
        let clean = self.setup.redactor.clean(query);
        let line = clean.lines().map(str::trim).find(|line| !line.is_empty())?;
        let shown: String = line.chars().take(SHOWN).collect();
        Some(if shown.len() < line.len() { shown + " .." } else { shown })
    }

    fn remedy_against(&self, one: &Blocker) -> String {
        if let Some(name) = &one.prepared {
            let name = crate::model::quote_literal(name);
            return msg!("host.blocker-prepared.remedy", name = name);
        }
        if one.backend.as_deref() == Some("autovacuum worker") {
            return msg!("host.blocker-autovacuum.remedy");
        }
        match one.state.as_deref() {
            Some(state) if state.starts_with("idle") => {
                msg!("host.blocker-idle.remedy", pid = one.pid)
            }
            Some(_) => msg!("host.blocker-active.remedy", pid = one.pid),
            None => msg!("host.blocker-hidden.remedy", pid = one.pid),
        }
    }
}

/// The locks that SQL and its step ask for, as far as the text says.
fn locks_of(sql: &str, options: &ItemOptions) -> Vec<Lock> {
    let mode = "SHARE ROW EXCLUSIVE";
    let tables = options.lock_tables.iter();
    let mut locks: Vec<Lock> = tables
        .map(|table| Lock { mode: mode.into(), object: crate::model::quote_name(table) })
        .collect();
    for piece in Splitter::new("sql", sql.as_bytes()) {
        let Ok(Piece::Statement(statement) | Piece::Copy { statement, .. }) = piece else { break };
        locks.extend(classify(&statement.text).locks);
    }
    locks
}
