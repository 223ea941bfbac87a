//! What goes ahead of a statement in the same message: the step's BEGIN with its fence, or a guard.
//!
//! The answers to it and its characters are taken off again, so that whoever sent the statement
//! sees its own results and positions only. Called by whatever works in the step's transaction.

use super::failpoint::sent;
use super::gate::Host;
use super::scope::Transaction;
use super::worker::pooled_settings;
use crate::model::{quote_ident, quote_name};
use crate::postgres::{DbError, Session, SimpleResult};
use crate::sql::surface::{may_change_session, may_end_transaction};

/// Statements in front of somebody's own, each with its `; `.
#[derive(Clone, Debug, Default)]
pub(super) struct Lead {
    pub(super) sql: String,
    /// So many results it answers with.
    pub(super) results: usize,
    /// It begins the step's transaction.
    pub(super) begins: bool,
    /// One of its results is the transaction's id.
    pub(super) tells: bool,
}

impl Lead {
    /// Sends it with the text behind it, as one message, and waits for the answer to both.
    ///
    /// # Errors
    /// The server's answer.
    pub(super) async fn ask(
        &self,
        session: &Session,
        text: &str,
    ) -> Result<Vec<SimpleResult>, DbError> {
        let message = format!("{}{text}", self.sql);
        match self.begins {
            true => sent("after-begin", session.simple(&message)).await,
            false => session.simple(&message).await,
        }
    }
}

impl Host {
    /// What goes ahead of the next statement of the step: the transaction's begin, which counts
    /// as open from here on, or `otherwise`. A text that could end the transaction has its id asked
    /// for first, so that the step's row can tell.
    pub(super) fn lead(&self, text: &str, otherwise: Option<Lead>) -> Lead {
        let ends = may_end_transaction(text);
        self.leaves(may_change_session(text));
        if let Some(prefix) = self.prefix(!ends) {
            self.mark_open();
            return prefix;
        }
        let mut lead = otherwise.unwrap_or_default();
        let unknown = Transaction::Open { xid: String::new() };
        let frames = self.frames.borrow();
        if ends && frames.last().is_some_and(|frame| frame.transaction == unknown) {
            lead.sql.push_str("SELECT pg_catalog.pg_current_xact_id()::text; ");
            lead.results += 1;
            lead.tells = true;
        }
        lead
    }

    /// The step does something that may leave another role or other settings behind.
    pub(super) fn leaves(&self, something: bool) {
        if let Some(frame) = self.frames.borrow_mut().last_mut() {
            frame.settled &= !something;
        }
    }

    /// The part of an answer that belongs to the statement itself.
    ///
    /// # Errors
    /// The server's, with positions that count from `sql`.
    pub(super) fn own_part(
        &self,
        lead: &Lead,
        sql: &str,
        answer: Result<Vec<SimpleResult>, DbError>,
    ) -> Result<Vec<SimpleResult>, DbError> {
        let mut results = answer.map_err(|error| self.own_error(&lead.sql, sql, error))?;
        let own = results.split_off(lead.results.min(results.len()));
        if lead.tells {
            self.opened_transaction(&results);
        }
        Ok(own)
    }

    /// The server's refusal of a statement that other text went ahead of; who holds its lock is
    /// asked for later, where that was the reason.
    pub(super) fn own_error(&self, ahead: &str, sql: &str, mut error: DbError) -> DbError {
        self.lock_watch.refused(sql, &error);
        let shift = ahead.chars().count() as u32;
        error.position = error.position.and_then(|at| at.checked_sub(shift)).filter(|at| *at > 0);
        error
    }

    /// The first statements of the step's transaction; None where it is open already. Where `brief`
    /// is enough and the lease was looked at a moment ago, the epoch is not compared before the end.
    pub(super) fn prefix(&self, brief: bool) -> Option<Lead> {
        let frames = self.frames.borrow();
        let frame = frames.last()?;
        if frame.transaction != Transaction::None {
            return None;
        }
        let worker = self.worker.borrow();
        let worker = worker.as_ref()?;
        let epoch = worker.lease.as_ref().map_or(0, |lease| lease.epoch);
        let options = frame.options.clone();
        drop(frames);
        let mut results = 2;
        let mut sql = String::from("BEGIN");
        if let Some(level) = &options.isolation {
            sql.push_str(&format!(" ISOLATION LEVEL {}", level.to_uppercase()));
        }
        let brief = brief && self.looked_lately();
        let fence = match brief {
            true => worker.ledger.hold_sql(),
            false => worker.ledger.fence_sql(epoch),
        };
        sql.push_str(&format!("; {fence}; "));
        if worker.session.behind_pooler() {
            for setting in pooled_settings(&worker.session, self.lock_timeout_ms()) {
                sql.push_str(&setting);
                sql.push_str("; ");
                results += 1;
            }
        }
        // The session starts with the configured lock timeout and no statement timeout.
        if options.lock_timeout.is_some() {
            sql.push_str(&format!("SET LOCAL lock_timeout = {}; ", self.lock_timeout_ms()));
            results += 1;
        }
        if self.statement_timeout_ms() > 0 {
            sql.push_str(&format!(
                "SET LOCAL statement_timeout = {}; ",
                self.statement_timeout_ms()
            ));
            results += 1;
        }
        if let Some(role) = &options.role {
            sql.push_str(&format!("SET LOCAL ROLE {}; ", quote_ident(role)));
            results += 1;
        }
        if !options.lock_tables.is_empty() {
            let tables: Vec<String> = options.lock_tables.iter().map(|t| quote_name(t)).collect();
            let tables = tables.join(", ");
            sql.push_str(&format!("LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE; "));
            results += 1;
        }
        Some(Lead { sql, results, begins: true, tells: !brief })
    }

    pub(super) fn opened_transaction(&self, results: &[SimpleResult]) {
        let xid =
            results.iter().find_map(|result| result.value().map(String::from)).unwrap_or_default();
        *self.xid.borrow_mut() = Some(xid.clone()).filter(|xid| !xid.is_empty());
        if let Some(frame) = self.frames.borrow_mut().last_mut() {
            frame.transaction = Transaction::Open { xid };
        }
    }

    /// From the message with BEGIN on a transaction may be open, answered or not: whoever leaves
    /// the step now, also by Ctrl-C, has to roll it back, or the next COMMIT of ours takes it along.
    pub(super) fn mark_open(&self) {
        if let Some(frame) = self.frames.borrow_mut().last_mut()
            && frame.transaction == Transaction::None
        {
            frame.transaction = Transaction::Open { xid: String::new() };
        }
    }
}
