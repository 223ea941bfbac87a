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

/// Statements in front of somebody's own, each with its `; `.
#[derive(Clone, Debug, Default)]
pub(super) struct Lead {
    pub(super) sql: String,
    /// So many results it answers with.
    pub(super) results: usize,
    /// It begins the step's transaction.
    pub(super) begins: bool,
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
    /// as open from here on, or `otherwise`.
    pub(super) fn lead(&self, otherwise: Option<Lead>) -> Lead {
        match self.prefix() {
            Some(prefix) => {
                self.mark_open();
                prefix
            }
            None => otherwise.unwrap_or_default(),
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
        if lead.begins {
            self.opened_transaction(&results);
        }
        results.drain(..lead.results.min(results.len()));
        Ok(results)
    }

    /// The server's refusal of a statement that other text went ahead of; who holds its lock is
    /// asked for later, where that was the reason.
    pub(super) fn own_error(&self, ahead: &str, sql: &str, mut error: DbError) -> DbError {
        self.lock_watch.refused(sql, &error);
        let shift = ahead.chars().count() as u32;
        error.position = error.position.and_then(|at| at.checked_sub(shift)).filter(|at| *at > 0);
        error
    }

    /// The first statements of the step's transaction; None where it is open already.
    pub(super) fn prefix(&self) -> Option<Lead> {
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
        sql.push_str(&format!("; {}; ", worker.ledger.fence_sql(epoch)));
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
        Some(Lead { sql, results, begins: true })
    }

    pub(super) fn opened_transaction(&self, results: &[SimpleResult]) {
        let xid = results
            .iter()
            .find_map(|result| result.cells.first()?.first()?.clone())
            .unwrap_or_default();
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
