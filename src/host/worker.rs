//! The run's own connection: it holds the lease and does the work.
//!
//! Connected at the first need. Reads outside of a step's transaction run in a READ ONLY
//! transaction of their own, so that a plan and a check cannot write even by accident.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::gate::{Host, Mode};
use super::stop::{Stop, Trouble};
use crate::journal::{Lease, Ledger};
use crate::model::{EventKind, Fault, FaultKind, quote_ident, quote_literal};
use crate::msg;
use crate::postgres::{
    Canceller, ConnectOptions, DbError, Identity, Rows, Session, catalog, decorate, wait_ready,
};

/// A connection with what is known about it.
pub struct Worker {
    /// The connection.
    pub session: Rc<Session>,
    /// Sets everything that user SQL may have changed back to what the run needs.
    pub pin: String,
    /// Which server and database this is.
    pub identity: Identity,
    /// The ledger's statements.
    pub ledger: Ledger,
    /// The right to write, while the run has it.
    pub lease: Option<Lease>,
    /// Who the connection is, for the search path of each step.
    pub search_path: String,
}

impl Host {
    /// The connection; made, with the configured patience, where there is none.
    ///
    /// # Errors
    /// Kind NoConnection, `wrong-database`, `pooler`, `lease-held`.
    pub fn session(self: &Rc<Self>) -> Result<Rc<Session>, Trouble> {
        if let Some(worker) = &*self.worker.borrow() {
            return Ok(worker.session.clone());
        }
        let run = &self.setup.config.run;
        self.connect(run.connect_tries, run.connect_every)
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
        let options = ConnectOptions {
            application_name: format!("runsheet/{}", self.run_id()),
            ..ConnectOptions::default()
        };
        let session = self.wait(async {
            let mut on_attempt = |attempt: u32, of: u32, fault: &Fault| {
                if of > 1 {
                    let _ = self.emit(EventKind::Retry {
                        what: msg!("host.connecting", target = target.display()),
                        attempt,
                        of,
                        reason: fault.message.clone(),
                    });
                }
            };
            wait_ready(&target, &options, tries, every, &mut on_attempt).await
        })??;
        let session = Rc::new(session);
        let (pin, search_path, identity) = self.wait(prepare(&session, &self.run_id().0))??;
        self.expected(&identity)?;
        if session.behind_pooler() && self.mode() != Mode::Plan && !self.setup.wishes.allow_pooler {
            return Err(Fault::new(FaultKind::Usage, "pooler", msg!("host.pooler"))
                .cause(msg!("host.pooler.cause"))
                .remedy(msg!("host.pooler.remedy"))
                .into());
        }
        let ledger = Ledger::new(&self.setup.config.ledger_schema);
        let worker =
            Worker { session: session.clone(), pin, identity, ledger, lease: None, search_path };
        *self.worker.borrow_mut() = Some(worker);
        self.opened()?;
        Ok(session)
    }

    /// Is this the database that the environment means?
    fn expected(&self, found: &Identity) -> Result<(), Fault> {
        let expect = &self.setup.environment.expect;
        let wrong: Vec<String> = [
            ("database", expect.database.as_deref(), found.database.as_str()),
            ("host", expect.host.as_deref(), found.host.as_str()),
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

    pub(super) fn canceller(&self) -> Option<Canceller> {
        self.worker.borrow().as_ref().map(|worker| worker.session.canceller())
    }

    /// What is known about server and database.
    ///
    /// # Errors
    /// As [`Host::session`].
    pub fn identity(self: &Rc<Self>) -> Result<Identity, Trouble> {
        self.session()?;
        match &*self.worker.borrow() {
            Some(worker) => Ok(worker.identity.clone()),
            None => Err(Fault::failed("internal", "no worker").into()),
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
    pub fn read_only_query(self: &Rc<Self>, sql: &str, params: &[Value]) -> Result<Rows, Trouble> {
        let session = self.session()?;
        // The SELECT takes the snapshot: after it the transaction cannot be made READ WRITE again.
        let begin = format!(
            "BEGIN READ ONLY; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; SELECT 1",
            self.lock_timeout_ms(),
            self.statement_timeout_ms(),
        );
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
                fault = Fault::failed("fenced", msg!("host.fenced"))
                    .cause(msg!("host.fenced.cause"))
                    .remedy(msg!("host.fenced.remedy"))
                    .next("runsheet status");
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

    /// The stop that ends a run with a fault.
    pub fn fatal(fault: Fault) -> Trouble {
        Stop::Failed(Rc::new(fault)).into()
    }
}

/// Pins the session, and asks who the server is.
async fn prepare(session: &Session, run: &str) -> Result<(String, String, Identity), Fault> {
    let identity = catalog::identity(session).await?;
    let version = session.server_version();
    let sql = "SELECT current_setting('search_path'), current_setting('role')";
    let row = session.query(sql, &[]).await?.rows.into_iter().next().unwrap_or_default();
    let text = |at: usize| row.get(at).and_then(Value::as_str).unwrap_or("").to_string();
    let mut settings: BTreeMap<&str, String> = BTreeMap::from([
        ("application_name", format!("runsheet/{run}")),
        ("client_encoding", "UTF8".into()),
        ("client_min_messages", "notice".into()),
        ("default_transaction_read_only", "off".into()),
        ("idle_in_transaction_session_timeout", "0".into()),
        ("lock_timeout", "0".into()),
        ("search_path", text(0)),
        ("standard_conforming_strings", "on".into()),
        ("statement_timeout", "0".into()),
        ("synchronous_commit", "on".into()),
        ("tcp_keepalives_idle", "30".into()),
        ("tcp_keepalives_interval", "10".into()),
    ]);
    if version >= 140_000 {
        settings.insert("client_connection_check_interval", "1s".into());
        settings.insert("idle_session_timeout", "0".into());
    }
    let role = match text(1) {
        role if role == "none" || role.is_empty() => "RESET ROLE".to_string(),
        role => format!("SET ROLE {}", quote_ident(&role)),
    };
    let sets: Vec<String> = settings
        .iter()
        .map(|(name, value)| {
            format!("set_config({}, {}, false)", quote_literal(name), quote_literal(value))
        })
        .collect();
    let pin = format!("{role}; SELECT {}", sets.join(", "));
    session.simple(&pin).await?;
    Ok((pin, text(0), identity))
}
