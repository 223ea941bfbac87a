//! Work beside the step's transaction: statements that commit one by one, and something that is
//! held while a body runs and let go whatever happens.

use std::rc::Rc;

use rhai::Dynamic;
use serde_json::Value;

use super::gate::{Host, Mode};
use super::stop::Trouble;
use super::transaction::StatementTrouble;
use crate::model::{Action, EventKind, Fault};

impl Host {
    /// A statement of a step without a transaction: it commits for itself, under the step's own
    /// time limits. Gives the rows that its last statement touched.
    ///
    /// # Errors
    /// The server's answer with positions that count from `sql`.
    pub fn run_apart(
        self: &Rc<Self>,
        sql: &str,
        params: &[Value],
    ) -> Result<u64, StatementTrouble> {
        let session = self.session()?;
        let pin = self.worker.borrow().as_ref().map(|worker| worker.pin.clone());
        let limits = format!(
            "SET lock_timeout = {}; SET statement_timeout = {}",
            self.lock_timeout_ms(),
            self.statement_timeout_ms()
        );
        let answer = self.wait(async {
            session.batch(&limits).await?;
            if params.is_empty() {
                let results = session.simple(sql).await?;
                Ok(results.last().and_then(|result| result.rows).unwrap_or(0))
            } else {
                session.execute(sql, params).await
            }
        });
        if let Some(pin) = pin {
            let _ = self.runtime.block_on(session.simple(&pin));
        }
        self.notices(&session)?;
        answer?.map_err(|error| StatementTrouble::Server(Box::new(error)))
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

    /// Waits to the end, also after Ctrl-C: for what has to be let go.
    pub fn wait_out<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}
