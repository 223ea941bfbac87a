//! A connection for commands that ask the ledger and walk no road.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::desk::Desk;
use crate::journal::{KnownEpoch, Lease, LeaseWish, Ledger, TakeOver, started_by};
use crate::model::Fault;
use crate::postgres::{ConnectOptions, DbError, Session, connect};
use crate::system::runtime;

/// A session with the runtime that drives it.
pub(super) struct Database {
    pub(super) session: Session,
    pub(super) ledger: Ledger,
    runtime: Runtime,
}

impl Database {
    /// Connects to the chosen environment's database.
    ///
    /// # Errors
    /// No address, or kind `NoConnection`.
    pub(super) fn open(desk: &Desk) -> Result<Self, Fault> {
        // Nothing is changed here: no address is too foreign to be looked at.
        let (_, target) = desk.target(true)?;
        let runtime = runtime()?;
        let session = runtime.block_on(connect(&target, &ConnectOptions::default()))?;
        let ledger = Ledger::new(&desk.config.ledger_schema);
        Ok(Self { session, ledger, runtime })
    }

    /// Waits for an answer of the server.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn ask<T, E: Into<Wrong>>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Fault> {
        self.runtime.block_on(question).map_err(|error| error.into().0)
    }

    /// Works under the lease of a run, and gives it back: refused while a runner is at work, who
    /// may be about to write the same himself.
    ///
    /// # Errors
    /// `lease-held`, what the work raises, the server's.
    pub(super) fn under_lease<T>(
        &self,
        desk: &Desk,
        run: &str,
        work: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let by = started_by();
        let identity = self.ask(crate::postgres::catalog::identity(&self.session))?;
        let highest = desk.existing_state().map(|state| KnownEpoch::of(state.root(), &identity));
        let wish = LeaseWish {
            run,
            by: &by,
            wait: Duration::ZERO,
            take_over: TakeOver::No,
            had: None,
            known_epoch: highest.as_ref().map_or(0, KnownEpoch::get),
        };
        let (session, ledger) = (&self.session, &self.ledger);
        let lease = self.ask(Lease::take(session, ledger, &wish, &mut |_| {}))?;
        let done = work();
        let released = self.ask(lease.release(session, ledger));
        let done = done?;
        released.map(|_| done)
    }

    /// Is the ledger there?
    ///
    /// # Errors
    /// The server's.
    pub(super) fn has_ledger(&self) -> Result<bool, Fault> {
        self.ask(self.ledger.exists(&self.session))
    }
}

/// What the floors below answer with, as one fault.
pub(super) struct Wrong(Fault);

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl From<DbError> for Wrong {
    fn from(error: DbError) -> Self {
        Self(error.into_fault())
    }
}
