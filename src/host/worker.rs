//! The run's own connection: it holds the lease and does the work.
//!
//! Connected at the first need. Reads outside of a step's transaction run in a READ ONLY
//! transaction of their own, so that a plan and a check cannot write even by accident.

mod ahead;
mod mark;
mod reach;

pub use ahead::Ahead;
pub(super) use reach::pooled_settings;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

use super::gate::{Host, Mode};
use super::stop::{Stop, Trouble};
use crate::journal::{Lease, Ledger};
use crate::model::{EventKind, Fault, FaultKind};
use crate::msg;
use crate::postgres::{
    ConnectOptions, DbError, Identity, Rows, Session, Target, connect, decorate,
};
use reach::{Reached, Way};

/// The oldest server that the ledger's functions run on: `pg_current_xact_id` came with 13.
const OLDEST: u32 = 130_000;

/// A connection with what is known about it.
pub struct Worker {
    /// The connection.
    pub session: Rc<Session>,
    /// Sets everything that user SQL may have changed back to what the run needs.
    pub pin: String,
    /// The server looks whether its client still lives, while a statement runs.
    pub watched: bool,
    /// Which server and database this is.
    pub identity: Identity,
    /// The ledger's statements.
    pub ledger: Ledger,
    /// The right to write, while the run has it.
    pub lease: Option<Lease>,
    /// What the database is marked as.
    pub(super) mark: Option<mark::Mark>,
    /// A step that looked as if it left the session alone did not, a trigger of it perhaps.
    pub(super) distrusts: bool,
}

impl Host {
    /// The connection; made, with the configured patience, where there is none.
    ///
    /// # Errors
    /// Kind NoConnection, `wrong-database`, `pooler`, `lease-held`.
    pub fn session(self: &Rc<Self>) -> Result<Rc<Session>, Trouble> {
        self.tidied()?;
        if let Some(worker) = &*self.worker.borrow() {
            return Ok(worker.session.clone());
        }
        let run = &self.setup.config.run;
        self.connect(run.connect_tries, run.connect_every)
    }

    /// The connection, for what has to keep its server session: session locks, statements outside
    /// of transactions, settings that outlive one.
    ///
    /// # Errors
    /// `pooled-only-transactions` (kind Usage), and as [`Host::session`].
    pub fn own_session(self: &Rc<Self>) -> Result<Rc<Session>, Trouble> {
        let session = self.session()?;
        if session.behind_pooler() && self.mode() != Mode::Plan {
            return Err(Fault::usage(
                "pooled-only-transactions",
                msg!("host.pooled-only-transactions"),
            )
            .cause(msg!("host.pooler.cause"))
            .remedy(msg!("host.pooled-only-transactions.remedy"))
            .into());
        }
        Ok(session)
    }

    /// PGOPTIONS for commands: their server sessions end soon after they do, as ours do. None where
    /// the server does not know the setting, or a pooler would refuse it.
    pub fn child_options(&self) -> Option<&'static str> {
        let worker = self.worker.borrow();
        let watched = worker.as_ref()?.watched;
        watched.then_some("-c client_connection_check_interval=500ms")
    }

    /// How often the connection was tried until it was made, 1 or more.
    pub fn attempts(&self) -> u32 {
        self.attempts.get()
    }

    /// Connects, trying so often, and prepares the session for the mode.
    ///
    /// # Errors
    /// As [`Host::session`].
    pub fn connect(self: &Rc<Self>, tries: u32, every: Duration) -> Result<Rc<Session>, Trouble> {
        if let Some(worker) = &*self.worker.borrow() {
            return Ok(worker.session.clone());
        }
        let Some(target) = self.setup.target.clone() else {
            return Err(Fault::usage("no-database", msg!("host.no-target"))
                .remedy(msg!("host.no-target.remedy"))
                .into());
        };
        let reached = match self.reached_ahead()? {
            Some(reached) => reached,
            None => {
                let way = Way::to(target, &self.run_id(), &self.setup.config);
                self.wait(async {
                    let mut on_attempt = |attempt: u32, of: u32, fault: &Fault| {
                        self.attempts.set(attempt + 1);
                        // The last one is the run's fault.
                        if attempt < of {
                            let _ = self.emit(EventKind::Retry {
                                what: msg!("host.connecting", target = way.target.display()),
                                attempt,
                                of,
                                reason: fault.message.clone(),
                            });
                        }
                    };
                    way.go(tries, every, &mut on_attempt).await
                })??
            }
        };
        let Reached { session, newer, pin, identity, mark, known } = reached;
        *self.known.borrow_mut() = known;
        let session = Rc::new(session);
        let ledger = Ledger::new(&self.setup.config.ledger_schema);
        if let Some(fault) = too_old(session.server_version(), &identity.version) {
            return Err(Self::fatal(fault));
        }
        self.expected(&identity)?;
        self.same_as_before(&identity)?;
        let first = self.server.borrow().is_none();
        self.as_marked(mark.as_ref(), &identity, first)?;
        if session.behind_pooler() && self.mode() != Mode::Plan && !self.setup.wishes.allow_pooler {
            return Err(Fault::new(FaultKind::Usage, "pooler", msg!("host.pooler"))
                .cause(msg!("host.pooler.cause"))
                .remedy(msg!("host.pooler.remedy"))
                .into());
        }
        let found = identity.clone();
        let watched = newer && !session.behind_pooler();
        let worker = Worker {
            session: session.clone(),
            pin,
            watched,
            identity,
            ledger,
            lease: None,
            mark,
            distrusts: false,
        };
        *self.worker.borrow_mut() = Some(worker);
        self.remember_server(&found);
        self.opened()?;
        Ok(session)
    }

    /// Is this the database that the environment means?
    fn expected(&self, found: &Identity) -> Result<(), Fault> {
        let expect = &self.setup.environment.expect;
        let wrong: Vec<String> = [
            ("database", expect.database.as_deref(), found.database.as_str()),
            ("host", expect.host.as_deref(), found.host.as_str()),
            ("port", expect.port.map(|port| port.to_string()).as_deref(), &found.port.to_string()),
            ("user", expect.user.as_deref(), found.user.as_str()),
            (
                "system_identifier",
                expect.system_identifier.as_deref(),
                found.system_identifier.as_deref().unwrap_or("?"),
            ),
        ]
        .iter()
        .filter_map(|(what, wanted, found)| {
            wanted
                .filter(|wanted| wanted != found)
                .map(|wanted| msg!("host.expected", what = what, wanted = wanted, found = found))
        })
        .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Fault::new(FaultKind::Refused, "wrong-database", msg!("host.wrong-database"))
            .detail(wrong.join("; "))
            .cause(msg!("host.wrong-database.cause"))
            .remedy(msg!("host.wrong-database.remedy")))
    }

    /// What is known about server and database.
    ///
    /// # Errors
    /// As [`Host::session`].
    pub fn identity(self: &Rc<Self>) -> Result<Identity, Trouble> {
        self.session()?;
        match &*self.worker.borrow() {
            Some(worker) => Ok(worker.identity.clone()),
            None => Err(no_worker().into()),
        }
    }

    /// A query in the place where the script is: in the step's transaction, or read-only.
    ///
    /// # Errors
    /// The server's answer.
    pub fn query(self: &Rc<Self>, sql: &str, params: &[Value]) -> Result<Rows, Trouble> {
        if self.in_step_transaction() {
            return self.step_query(sql, params);
        }
        self.read_only_query(sql, params)
    }

    /// A query in a READ ONLY transaction of its own.
    ///
    /// # Errors
    /// The server's answer.
    fn read_only_query(self: &Rc<Self>, sql: &str, params: &[Value]) -> Result<Rows, Trouble> {
        let session = self.session()?;
        // The SELECT takes the snapshot: after it the transaction cannot be made READ WRITE again.
        let begin = match self.statement_timeout_ms() {
            0 => "BEGIN READ ONLY; SELECT 1".to_string(),
            limit => format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}; SELECT 1"),
        };
        let rows = self.wait(async {
            session.batch(&begin).await?;
            let rows = session.query(sql, params).await;
            // Also after success: what a function set with set_config goes with the transaction.
            let ended = session.batch("ROLLBACK").await;
            let rows = rows?;
            ended.map(|()| rows)
        })?;
        self.notices(&session)?;
        rows.map_err(|error| self.db_fault(error).into())
    }

    /// Questions to the catalog, on the run's connection.
    ///
    /// # Errors
    /// The server's answer.
    pub fn catalog<T, E: Into<Fault>>(
        self: &Rc<Self>,
        ask: impl AsyncFnOnce(&Session) -> Result<T, E>,
    ) -> Result<T, Trouble> {
        let session = self.session()?;
        if self.in_step_transaction() {
            self.ensure_transaction()?;
        }
        self.wait(ask(&session))?.map_err(|error| {
            let mut fault = error.into();
            decorate(&mut fault, &self.remedies.borrow());
            fault.into()
        })
    }

    /// What the server said besides, as events.
    ///
    /// # Errors
    /// `journal-write`.
    pub fn notices(&self, session: &Session) -> Result<(), Fault> {
        for notice in session.take_notices() {
            self.emit(EventKind::Notice { severity: notice.severity, text: notice.text })?;
        }
        Ok(())
    }

    /// A server's error as a fault, with cause and remedy; the team's own words come first.
    pub fn db_fault(&self, error: DbError) -> Fault {
        let state = error.sqlstate.clone();
        let mut fault = error.into_fault();
        match state.as_deref() {
            Some("RSF01") => {
                fault = crate::journal::fenced(None);
            }
            Some("RSF02") => {
                fault = Fault::failed("left-transaction", msg!("host.left-transaction"))
                    .cause(msg!("host.left-transaction.cause"))
                    .remedy(msg!("host.left-transaction.remedy"));
            }
            _ => decorate(&mut fault, &self.remedies.borrow()),
        }
        fault
    }

    pub(super) fn interrupted(&self) -> Fault {
        use crate::system::Reason;
        let (kind, code) = match self.setup.cancel.reason() {
            Some(Reason::Terminated) => (FaultKind::Terminated, "terminated"),
            Some(Reason::Deadline) => (FaultKind::Failed, "deadline"),
            _ => (FaultKind::Interrupted, "interrupted"),
        };
        Fault::new(kind, code, msg!("host.interrupted"))
    }

    /// Ends the connection: the server hears of it before this returns.
    pub fn hang_up(&self) {
        Self::say_goodbye(&self.let_go());
    }

    /// Lets go of the connection. Who drives what it gives says goodbye to the server.
    pub fn let_go(&self) -> Arc<Runtime> {
        self.ahead.take();
        self.worker.take();
        self.runtime.clone()
    }

    /// Moves a connection that nobody holds any more so far that the server knows.
    pub fn say_goodbye(runtime: &Runtime) {
        runtime.block_on(async {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// The stop that ends a run with a fault.
    pub fn fatal(fault: Fault) -> Trouble {
        Stop::Failed(Rc::new(fault)).into()
    }
}

/// A session of its own beside the run's, for a few questions: who waits for whom, how far it is.
///
/// # Errors
/// As [`connect`].
pub(super) async fn second_session(target: &Target) -> Result<Session, Fault> {
    connect(target, &ConnectOptions { pin: false, ..ConnectOptions::default() }).await
}

/// Where a connection was made a moment ago, and is not there.
pub(super) fn no_worker() -> Fault {
    Fault::failed("internal", "no worker")
}

/// `number` as the server counts: 120017 for 12.17.
fn too_old(number: u32, version: &str) -> Option<Fault> {
    let fault = || {
        Fault::usage("server-too-old", msg!("host.server-too-old", version = version))
            .cause(msg!("host.server-too-old.cause"))
            .remedy(msg!("host.server-too-old.remedy"))
    };
    (number < OLDEST).then(fault)
}

#[cfg(test)]
mod tests {
    use super::too_old;

    /// F45: a server that lacks what the ledger needs is refused before the first statement.
    #[test]
    fn a_server_before_13_is_refused_and_13_is_not() {
        let fault = too_old(120_017, "12.17");
        assert_eq!(fault.map(|fault| fault.code).as_deref(), Some("server-too-old"));
        assert!(too_old(130_000, "13.0").is_none());
    }
}
