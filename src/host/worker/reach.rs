//! The way to the database: connected with the run's settings, and asked who it is.
//!
//! Everything here can be sent to another thread: a run that is begun connects while its script
//! is still being read (`ahead`). What is found is judged by `worker`.

use std::time::Duration;

use tokio::sync::watch;

use super::mark::Mark;
use crate::config::Config;
use crate::journal::{Known, Ledger};
use crate::model::{Fault, RunId, quote_literal};
use crate::postgres::{ConnectOptions, DbError, Identity, Session, Target, catalog, wait_ready};

/// Where to, and what the session is to be.
pub(in crate::host) struct Way {
    /// The database.
    pub(in crate::host) target: Target,
    /// What the server shows as the session's name.
    pub(in crate::host) name: String,
    /// How long a statement waits for a lock.
    pub(in crate::host) lock_timeout_ms: u128,
    /// Where mark and ledger stand.
    pub(in crate::host) ledger: Ledger,
    /// The playbook whose runs are asked for at once, and the run that is probably its last.
    pub(in crate::host) playbook: Option<(String, Guess)>,
}

/// What somebody finds out meanwhile: None until then.
pub(in crate::host) type Guess = watch::Receiver<Option<Option<RunId>>>;

/// A connection, and what the server said of itself.
pub(in crate::host) struct Reached {
    pub(in crate::host) session: Session,
    /// The server took the settings of newer versions.
    pub(in crate::host) newer: bool,
    /// Sets everything back that user SQL may have changed.
    pub(in crate::host) pin: String,
    pub(in crate::host) identity: Identity,
    pub(in crate::host) mark: Option<Mark>,
    /// What the ledger knows of the playbook; None where it was not asked, or is not there.
    pub(in crate::host) known: Option<Known>,
}

impl Way {
    /// The way of a run.
    pub(in crate::host) fn to(target: Target, run: &RunId, config: &Config) -> Self {
        Self {
            target,
            name: format!("runsheet/{run}"),
            lock_timeout_ms: config.run.lock_timeout.as_millis(),
            ledger: Ledger::new(&config.ledger_schema),
            playbook: None,
        }
    }

    /// Goes it, trying so often; `on_attempt` as for [`wait_ready`].
    ///
    /// # Errors
    /// As [`wait_ready`], and those of the questions.
    pub(in crate::host) async fn go(
        &self,
        tries: u32,
        every: Duration,
        on_attempt: &mut impl FnMut(u32, u32, &Fault),
    ) -> Result<Reached, Fault> {
        // A pooler may have no server behind it yet, and says so to the first question: whoever
        // waits for it, waits until it answers.
        let options = ConnectOptions {
            application_name: self.name.clone(),
            acquaint: tries > 1,
            pin: false,
            ..ConnectOptions::default()
        };
        let with = with_settings(&self.target, &startup_settings(self.lock_timeout_ms));
        let with_newer = with_settings(&with, &newer_settings());
        let mut newer = true;
        let mut answer = wait_ready(&with_newer, &options, tries, every, on_attempt).await;
        if answer.as_ref().is_err_and(is_unknown_setting) {
            newer = false;
            answer = wait_ready(&with, &options, tries, every, on_attempt).await;
        }
        let session = match answer {
            // A pooler that knows no startup options; what it is, is found out by the worker.
            Err(fault) if fault.sqlstate.as_deref() == Some("08P01") => {
                newer = false;
                wait_ready(&self.target, &options, tries, every, on_attempt).await?
            }
            answer => answer?,
        };
        let limit = options.limit(&self.target);
        let asked = self.asked().await;
        let asked = asked.as_ref().map(|(name, run)| (*name, run.as_ref().map(|run| &*run.0)));
        let (identity, comment, known) = match self.all_at_once(&session, asked, limit).await? {
            Some(answers) => answers,
            None => self.one_by_one(&session, asked, limit).await?,
        };
        let mark = comment.as_deref().and_then(Mark::of);
        let pin = pin(&session, newer).await?;
        Ok(Reached { session, newer, pin, identity, mark, known })
    }

    /// The playbook that the ledger is asked for, and the run that is probably its last.
    async fn asked(&self) -> Option<(&str, Option<RunId>)> {
        let (playbook, guess) = self.playbook.as_ref()?;
        let mut guess = guess.clone();
        let run = guess.wait_for(Option::is_some).await.ok()?.clone();
        Some((playbook, run.flatten()))
    }

    /// Who the server is, and what the ledger says, in one message. None where the server refuses a
    /// part of it: the role may not see everything, or there is no ledger.
    async fn all_at_once(
        &self,
        session: &Session,
        asked: Option<(&str, Option<&str>)>,
        limit: Duration,
    ) -> Result<Option<Answers>, Fault> {
        let mut questions = vec![catalog::identity_sql(true), self.ledger.comment_sql()];
        questions.extend(asked.map(|(playbook, run)| self.ledger.known_sql(playbook, run)));
        let answers = session.get_acquainted_asking(limit, &questions.join("; ")).await?;
        Ok(answers.map(|answers| {
            let mut answers = answers.into_iter();
            let identity = catalog::identity_of(session, &answers.next().unwrap_or_default());
            let comment = answers.next().and_then(|answer| answer.value().map(String::from));
            let known = asked.map(|(playbook, run)| self.ledger.known_of(answers, playbook, run));
            (identity, comment, known)
        }))
    }

    /// The same, each question for itself; they are on their way together.
    async fn one_by_one(
        &self,
        session: &Session,
        asked: Option<(&str, Option<&str>)>,
        limit: Duration,
    ) -> Result<Answers, Fault> {
        let comment = async { self.ledger.comment(session).await.map_err(DbError::into_fault) };
        let known = async {
            let Some((playbook, probably)) = asked else { return Ok(None) };
            Ok(self.ledger.known(session, playbook, probably).await.ok().flatten())
        };
        let ((), identity, comment, known) = futures_util::future::try_join4(
            session.get_acquainted(limit),
            catalog::identity_at_start(session),
            comment,
            known,
        )
        .await?;
        Ok((identity, comment, known))
    }
}

/// Who the server is, the comment of the ledger's schema, and what the ledger knows.
type Answers = (Identity, Option<String>, Option<Known>);

/// Settings that a run's session starts with, so that `RESET ALL` comes back to them. Only what
/// every supported server knows: an unknown one would refuse the connection.
fn startup_settings(lock_timeout_ms: u128) -> Vec<(&'static str, String)> {
    vec![
        ("client_min_messages", "notice".into()),
        ("default_transaction_read_only", "off".into()),
        ("idle_in_transaction_session_timeout", "60000".into()),
        ("lock_timeout", lock_timeout_ms.to_string()),
        ("statement_timeout", "0".into()),
        ("synchronous_commit", "on".into()),
        ("tcp_keepalives_idle", "30".into()),
        ("tcp_keepalives_interval", "10".into()),
        ("tcp_keepalives_count", "3".into()),
        // Keepalives are silent while something sent is not acknowledged.
        ("tcp_user_timeout", "60000".into()),
    ]
}

/// As [`startup_settings`], from PostgreSQL 14 on; not every platform of the server has the second,
/// and without it a dead runner is noticed later.
fn newer_settings() -> Vec<(&'static str, String)> {
    vec![("idle_session_timeout", "0".into()), ("client_connection_check_interval", "1000".into())]
}

/// The server does not know a setting that the session was to start with, or not that value of it.
fn is_unknown_setting(fault: &Fault) -> bool {
    matches!(fault.sqlstate.as_deref(), Some("42704" | "22023"))
}

/// The target with the run's settings among its startup options; what the user set there stays.
fn with_settings(target: &Target, settings: &[(&'static str, String)]) -> Target {
    let mut target = target.clone();
    for (name, value) in settings {
        if !target.options.contains(name) {
            target.options.push_str(&format!(" -c {name}={value}"));
        }
    }
    target
}

/// What sets everything back that user SQL may have changed. Of it, a session that has just begun
/// needs only what could not stand among its startup options.
///
/// Behind a pooler nothing is set: the session is everybody's, and another one the next time.
/// Each transaction brings its settings along (see [`pooled_settings`]).
async fn pin(session: &Session, newer: bool) -> Result<String, Fault> {
    if session.behind_pooler() {
        return Ok(String::new());
    }
    let mut own = Vec::new();
    if session.server_version() >= 170_000 {
        own.push("SET transaction_timeout = 0".into());
    }
    if let Some(path) = &session.target().search_path {
        own.push(format!("SET search_path = {path}"));
    }
    if !newer && session.server_version() >= 140_000 {
        own.push("SET idle_session_timeout = 0".to_string());
    }
    if !own.is_empty() {
        session.batch(&own.join("; ")).await?;
    }
    Ok([vec!["RESET ROLE".into(), "RESET ALL".into()], own].concat().join("; "))
}

/// What a step's transaction sets for itself behind a pooler.
pub(in crate::host) fn pooled_settings(session: &Session, lock_timeout_ms: u128) -> Vec<String> {
    let mut settings: Vec<String> = startup_settings(lock_timeout_ms)
        .into_iter()
        .filter(|(name, _)| !name.starts_with("tcp_") && !name.starts_with("default_"))
        .map(|(name, value)| format!("SET LOCAL {name} = {}", quote_literal(&value)))
        .collect();
    if let Some(path) = &session.target().search_path {
        settings.push(format!("SET LOCAL search_path = {path}"));
    }
    settings
}
