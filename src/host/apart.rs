//! Work beside the step's transaction: statements that commit one by one, and something that is
//! held while a body runs and let go whatever happens.

use std::rc::Rc;

use rhai::Dynamic;
use serde_json::Value;

use super::failpoint::{failpoint, sent};
use super::gate::{Host, Mode};
use super::stop::Trouble;
use super::transaction::StatementTrouble;
use crate::model::{Action, EventKind, Fault};

impl Host {
    /// A statement of a step without a transaction: it commits for itself, together with the mark
    /// of the effect that was announced last. Gives the rows that it touched.
    ///
    /// # Errors
    /// The server's answer; positions count from `sql`.
    pub fn run_apart(
        self: &Rc<Self>,
        sql: &str,
        params: &[Value],
    ) -> Result<u64, StatementTrouble> {
        if params.is_empty() {
            return self.run_marked(sql);
        }
        let session = self.own_session()?;
        let (lead, tail) = {
            let (worker, frames) = (self.worker.borrow(), self.frames.borrow());
            let (Some(worker), Some(frame)) = (worker.as_ref(), frames.last()) else {
                return Err(Fault::failed("internal", "no item").into());
            };
            let epoch = worker.lease.as_ref().map_or(0, |lease| lease.epoch);
            let lead = format!(
                "BEGIN; {}; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}",
                worker.ledger.fence_sql(epoch),
                self.lock_timeout_ms(),
                self.statement_timeout_ms()
            );
            let settled = worker.ledger.mark_sql(&self.run_id().0, &frame.key, frame.ordinal);
            (lead, format!("RESET ROLE; {settled}; COMMIT; {}", worker.pin))
        };
        let answer = self.wait_for_whole(&session, async {
            sent("after-begin", session.batch(&lead)).await?;
            let rows = session.execute(sql, params).await?;
            sent("commit-sent", session.batch(&tail)).await.map(|()| rows)
        });
        failpoint!("commit-answered");
        self.notices(&session)?;
        match answer? {
            Ok(rows) => Ok(rows),
            Err(error) => Err(StatementTrouble::Server(Box::new(self.own_error("", sql, error)))),
        }
    }

    /// Something taken before a body and let go after it, also where the body failed or Ctrl-C
    /// came. The body's own effects pass the gate for themselves, so a plan shows them.
    ///
    /// # Errors
    /// What `take` and the body raise; what `release` raises where the body went well. Otherwise
    /// its fault becomes a warning, and the body's is the one that counts.
    pub fn hold<T>(
        self: &Rc<Self>,
        action: Action,
        take: impl FnOnce() -> Result<T, Trouble>,
        body: impl FnOnce() -> Result<Dynamic, Trouble>,
        release: impl FnOnce(T) -> Result<(), Fault>,
    ) -> Result<Dynamic, Trouble> {
        self.may_go_on()?;
        self.write_may_happen(&action)?;
        if self.mode() == Mode::Plan {
            self.emit(EventKind::Action { action, planned: true })?;
            if let Some(frame) = self.frames.borrow_mut().last_mut() {
                frame.planned_effects += 1;
            }
            return body();
        }
        self.note_effect(&action)?;
        self.emit(EventKind::Action { action, planned: false })?;
        self.recorder.borrow_mut().sync()?;
        let held = take()?;
        let answer = body();
        match (answer, release(held)) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(fault)) => Err(fault.into()),
            (Err(trouble), Ok(())) => Err(trouble),
            (Err(trouble), Err(fault)) => {
                self.emit(EventKind::Warning { text: fault.to_string() })?;
                Err(trouble)
            }
        }
    }
}
