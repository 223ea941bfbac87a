//! One connection: statements, notices, COPY, cancelling, and what the session is.
//!
//! The driver's connection runs as a task of the current runtime, and moves only while that
//! runtime is driven. Dropping the future of a statement does not stop the statement: whoever has
//! a time limit asks a [`Canceller`] and then waits for the answer. No reconnecting, ever: a lost
//! session may have lost a transaction.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{AsyncMessage, Client, Connection};

use super::conninfo::{SessionAttrs, Target};
use super::error::DbError;
use super::refusal::{self, Attempt};
use super::statement::SimpleResult;
use super::wire::Heard;
use crate::model::Fault;
use crate::msg;

/// What the server said beside its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, `INFO`, in the server's language.
    pub severity: String,
    /// The text.
    pub text: String,
    /// The server's DETAIL.
    pub detail: Option<String>,
}

/// What the connection's task leaves behind: notices, and how the session ended.
#[derive(Clone, Default)]
pub(super) struct Endings {
    state: Arc<Mutex<State>>,
    heard: Arc<tokio::sync::Notify>,
}

#[derive(Default)]
struct State {
    notices: Vec<Notice>,
    ended: Option<DbError>,
    task: Option<tokio::task::AbortHandle>,
}

/// A statement in a loop may raise a notice for each row; nobody reads more than these.
const MOST_NOTICES: usize = 10_000;

impl Endings {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts the task that moves the connection.
    pub(super) fn drive<S, T>(&self, mut connection: Connection<S, T>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let endings = self.clone();
        let task = tokio::spawn(async move {
            loop {
                let next = std::future::poll_fn(|context| connection.poll_message(context)).await;
                match next {
                    Some(Ok(AsyncMessage::Notice(notice))) => endings.with(|state| {
                        if state.notices.len() < MOST_NOTICES {
                            state.notices.push(Notice {
                                severity: notice.severity().into(),
                                text: notice.message().into(),
                                detail: notice.detail().map(str::to_string),
                            });
                        }
                    }),
                    Some(Ok(AsyncMessage::Notification(_))) => endings.heard.notify_one(),
                    Some(Ok(_)) => {}
                    // Written down before the connection is dropped, which is what wakes those
                    // who wait for an answer: they find the reason here.
                    Some(Err(error)) => {
                        endings.with(|state| state.ended = Some(DbError::from(error)));
                        break;
                    }
                    None => break,
                }
            }
        });
        self.with(|state| state.task = Some(task.abort_handle()));
    }
}

/// Who answers. The first question of every session: one statement.
const WHO: &str = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery(), \
    pg_catalog.current_setting('default_transaction_read_only'), \
    pg_catalog.current_setting('server_version_num')";

/// What the session found out about the server when it began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub(super) backend_pid: i32,
    pub(super) in_recovery: bool,
    pub(super) read_only: bool,
    pub(super) server_version: u32,
}

/// One open connection.
pub struct Session {
    pub(super) client: Client,
    target: Arc<Target>,
    index: usize,
    encrypted: bool,
    announced_pid: Option<i32>,
    facts: OnceLock<Facts>,
    endings: Endings,
    backend_start: OnceLock<String>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({} pid {})", self.target.display(), self.backend_pid())
    }
}

impl Session {
    pub(super) fn new(
        client: Client,
        target: &Target,
        index: usize,
        encrypted: bool,
        heard: Heard,
        endings: Endings,
    ) -> Self {
        Self {
            client,
            target: Arc::new(target.clone()),
            index,
            encrypted,
            announced_pid: heard.pid,
            facts: OnceLock::new(),
            endings,
            backend_start: OnceLock::new(),
        }
    }

    /// Asks the server who it is, once: one statement. Until then the session passes for one that
    /// is not ours alone (see [`Session::behind_pooler`]).
    ///
    /// # Errors
    /// As [`connect`](super::connect); no answer within `limit` is `timeout`.
    pub async fn get_acquainted(&self, limit: Duration) -> Result<(), Fault> {
        if self.facts.get().is_some() {
            return Ok(());
        }
        match tokio::time::timeout(limit, self.ask_for_facts()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let refused = Attempt::Refused(Box::new(error));
                Err(refusal::explain(refused, &self.target, self.index))
            }
            Err(_) => Err(refusal::timeout(&self.target, self.index, limit)),
        }
    }

    /// As [`Session::get_acquainted`], and asks `questions` in the same message: the server answers
    /// once, and wakes whoever waits for it once. Gives a result for each of their statements; None
    /// where it refused one of them. Then nothing is known yet.
    ///
    /// # Errors
    /// No answer within `limit` is `timeout`.
    pub async fn get_acquainted_asking(
        &self,
        limit: Duration,
        questions: &str,
    ) -> Result<Option<Vec<SimpleResult>>, Fault> {
        let sql = format!("{WHO}; {questions}");
        match tokio::time::timeout(limit, self.simple(&sql)).await {
            Ok(Ok(mut answers)) if !answers.is_empty() => {
                self.learn(&answers.remove(0));
                Ok(Some(answers))
            }
            Ok(_) => Ok(None),
            Err(_) => Err(refusal::timeout(&self.target, self.index, limit)),
        }
    }

    async fn ask_for_facts(&self) -> Result<(), DbError> {
        self.learn(&self.simple(WHO).await?.into_iter().next().unwrap_or_default());
        Ok(())
    }

    fn learn(&self, answer: &SimpleResult) {
        let cell = |at: usize| answer.first().get(at).and_then(Option::as_deref).unwrap_or("");
        let _ = self.facts.set(Facts {
            backend_pid: cell(0).parse().unwrap_or(0),
            in_recovery: cell(1) == "t",
            read_only: cell(2) == "on",
            server_version: cell(3).parse().unwrap_or(0),
        });
    }

    fn facts(&self) -> Facts {
        self.facts.get().copied().unwrap_or_default()
    }

    pub(super) fn is_as(&self, attrs: SessionAttrs) -> bool {
        let facts = self.facts();
        match attrs {
            SessionAttrs::Any | SessionAttrs::PreferStandby => true,
            SessionAttrs::ReadWrite => !facts.in_recovery && !facts.read_only,
            SessionAttrs::ReadOnly => facts.in_recovery || facts.read_only,
            SessionAttrs::Primary => !facts.in_recovery,
            SessionAttrs::Standby => facts.in_recovery,
        }
    }

    /// True where the process that answers is not the one that was announced: a pooler stands
    /// between, and session state (advisory locks, settings) may belong to somebody else.
    pub fn behind_pooler(&self) -> bool {
        self.announced_pid != Some(self.facts().backend_pid)
    }

    /// The backend's process id, as `pg_backend_pid()` gave it.
    pub fn backend_pid(&self) -> i32 {
        self.facts().backend_pid
    }

    /// When the backend started, in UTC to the microsecond: with the process id, the backend's
    /// identity. Asked for once.
    ///
    /// # Errors
    /// Those of the query.
    pub async fn backend_start(&self) -> Result<String, DbError> {
        if let Some(known) = self.backend_start.get() {
            return Ok(known.clone());
        }
        let sql = "SELECT backend_start FROM pg_catalog.pg_stat_activity \
                   WHERE pid = pg_catalog.pg_backend_pid()";
        let rows = self.query(sql, &[]).await?;
        let start = rows.first().and_then(Value::as_str).unwrap_or("").to_string();
        Ok(self.backend_start.get_or_init(|| start).clone())
    }

    /// 150018 for 15.18.
    pub fn server_version(&self) -> u32 {
        self.facts().server_version
    }

    /// True where the server was in recovery (a standby) when the session began.
    pub fn in_recovery(&self) -> bool {
        self.facts().in_recovery
    }

    /// True where the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Where the session leads.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The host that was taken: its index in the target's list.
    pub fn host_index(&self) -> usize {
        self.index
    }

    /// True once the connection is gone. Known only after the runtime was driven.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Remarks for the user: those of the target, and what a pooler does not allow.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.target.notes.clone();
        if let Some(path) = self.target.search_path.as_ref().filter(|_| self.behind_pooler()) {
            notes.push(msg!("postgres.note-pooler-search-path", path = path));
        }
        notes
    }

    /// Gives the connection up because nobody answers on it. Whoever waits for an answer is told
    /// that it is lost, and the session is closed.
    pub async fn abandon(&self) {
        let task = self.endings.with(|state| {
            let message = msg!("postgres.unanswered");
            state.ended = Some(DbError { connection_lost: true, message, ..DbError::default() });
            state.task.take()
        });
        if let Some(task) = task {
            task.abort();
            while !self.client.is_closed() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The notices since the last call.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.endings.with(|state| std::mem::take(&mut state.notices))
    }

    /// Waits for a NOTIFY on a channel that this session listens to; one that came since the last
    /// call counts. Without LISTEN, and where the session is gone, it never comes back.
    pub async fn notified(&self) {
        self.endings.heard.notified().await;
    }

    /// What can cancel a running statement of this session from another task or thread.
    pub fn canceller(&self) -> Canceller {
        Canceller {
            target: self.target.clone(),
            index: self.index,
            encrypted: self.encrypted,
            token: self.client.cancel_token(),
        }
    }

    /// The settings that a session of ours needs, whatever the role's defaults are: timeouts that
    /// kill an idle lock holder off, the death of the client noticed at once, commits durable,
    /// writes allowed, the URL's search path. A setting named in the target's `options` stays.
    ///
    /// Settings of the server that it does not know (older versions) are left out.
    ///
    /// # Errors
    /// Kind `NoConnection` where the session is gone.
    pub async fn pin(&self) -> Result<(), Fault> {
        let wanted: Vec<String> = PINS
            .iter()
            .filter(|(name, _)| !self.target.options.contains(name))
            .map(|(name, value)| format!("('{name}','{value}')"))
            .collect();
        let sql = format!(
            "SELECT pg_catalog.set_config(s.name, w.value, false) \
             FROM (VALUES {}) AS w(name, value) \
             JOIN pg_catalog.pg_settings AS s ON s.name = w.name \
             WHERE s.name <> 'synchronous_commit' OR s.setting = 'off'",
            wanted.join(",")
        );
        self.simple(&sql).await?;
        // Not on every platform of the server; without it a dead client is noticed later.
        let check = "SET client_connection_check_interval = '1s'";
        if self.facts().server_version >= 140_000
            && self.simple(check).await.is_err_and(|e| e.connection_lost)
        {
            return Err(self.lost(DbError::default()).into_fault());
        }
        if let Some(path) = &self.target.search_path {
            self.simple(&format!("SET search_path = {path}")).await?;
        }
        Ok(())
    }

    /// A driver's error with everything that is known: why the session ended, where it did.
    pub(super) fn error(&self, error: tokio_postgres::Error) -> DbError {
        self.lost(DbError::from(error))
    }

    fn lost(&self, error: DbError) -> DbError {
        if error.sqlstate.is_some() || !error.connection_lost {
            return error;
        }
        match self.endings.with(|state| state.ended.clone()) {
            Some(ended) => DbError { connection_lost: true, ..ended },
            None => error,
        }
    }
}

/// Name and value of what [`Session::pin`] sets. Times without a unit are milliseconds, except
/// for the keepalives, which are seconds.
const PINS: &[(&str, &str)] = &[
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("default_transaction_read_only", "off"),
    // An approval may take all afternoon while the lease is held by this session.
    ("idle_session_timeout", "0"),
    // But nobody waits for a person inside a transaction.
    ("idle_in_transaction_session_timeout", "60000"),
    ("lock_timeout", "0"),
    ("statement_timeout", "0"),
    ("transaction_timeout", "0"),
    ("synchronous_commit", "on"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
];

/// Cancels what a session is doing. Can be cloned and sent to another thread.
#[derive(Clone)]
pub struct Canceller {
    target: Arc<Target>,
    index: usize,
    encrypted: bool,
    token: tokio_postgres::CancelToken,
}

impl Canceller {
    /// Asks the server to cancel the running statement, through a connection of its own. The
    /// statement then fails with SQLSTATE 57014, unless it was done just before. Gives up after
    /// ten seconds.
    ///
    /// # Errors
    /// Kind `NoConnection` where the server cannot be asked.
    pub async fn cancel(&self) -> Result<(), Fault> {
        let limit = Duration::from_secs(10);
        let asked = super::connect::cancel(&self.target, self.index, self.encrypted, &self.token);
        match tokio::time::timeout(limit, asked).await {
            Ok(result) => result,
            Err(_) => Err(super::refusal::timeout(&self.target, self.index, limit)),
        }
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Canceller({})", self.target.display())
    }
}

/// The error for a column that cannot be read.
pub(super) fn unsupported(column: &str, ty: &str) -> DbError {
    let message = msg!("postgres.unsupported-type", column = column, datatype = ty);
    DbError {
        remedy: Some(msg!("postgres.unsupported-type-remedy", column = column)),
        column: Some(column.into()),
        datatype: Some(ty.into()),
        ..DbError::own("unsupported-type", message)
    }
}
