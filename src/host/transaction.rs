//! The transaction of a step: begun lazily with the fence in its first message, ended with the
//! journal row as its last statement.
//!
//! `commit()` of client libraries says Ok for an aborted transaction; the row's INSERT does not.
//! Where the answer to COMMIT is lost, the row is the only judge: after the epoch was raised
//! (which waits for the lost transaction), it is there or it never will be.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::failpoint::failpoint;
use super::gate::{Host, Mode};
use super::options::ItemOptions;
use super::scope::{Frame, Transaction};
use super::stop::{Stop, Trouble};
use super::tidy::Behind;
use super::worker::no_worker;
use crate::journal::{StepRow, StepState};
use crate::model::{EventKind, Fault, FinalState, parse_span};
use crate::msg;
use crate::postgres::{DbError, Rows, Session, SimpleResult};

/// Between two looks at the lease's lock.
const LOCK_LOOK: Duration = Duration::from_secs(1);

/// How a statement of a step failed: with the server's words, or before it got there.
#[derive(Debug)]
pub enum StatementTrouble {
    /// The server refused it; positions count from the statement's own start.
    Server(Box<DbError>),
    /// Something else.
    Other(Trouble),
}

impl From<Trouble> for StatementTrouble {
    fn from(trouble: Trouble) -> Self {
        Self::Other(trouble)
    }
}

impl From<Fault> for StatementTrouble {
    fn from(fault: Fault) -> Self {
        Self::Other(fault.into())
    }
}

impl Host {
    /// Does the script stand inside a step whose statements share a transaction?
    pub fn in_step_transaction(&self) -> bool {
        self.mode() != Mode::Plan
            && self
                .frames
                .borrow()
                .last()
                .is_some_and(|frame| frame.may_write() && frame.transactional() && !frame.external)
    }

    pub(super) fn lock_timeout_ms(&self) -> u128 {
        let frames = self.frames.borrow();
        self.lock_limit(frames.last().map(|frame| &frame.options)).as_millis()
    }

    /// How long each statement of an item with these options waits for a lock.
    pub(super) fn lock_limit(&self, options: Option<&ItemOptions>) -> Duration {
        let own = options.and_then(|options| options.lock_timeout.as_deref());
        own.and_then(|text| parse_span(text).ok()).unwrap_or(self.setup.config.run.lock_timeout)
    }

    pub(super) fn statement_timeout_ms(&self) -> u128 {
        let frames = self.frames.borrow();
        let own = frames.last().and_then(|frame| frame.options.timeout.clone());
        own.and_then(|text| parse_span(&text).ok())
            .or(self.setup.config.run.statement_timeout)
            .map_or(0, |span| span.as_millis())
    }

    /// Begins the step's transaction where nothing has begun it.
    ///
    /// # Errors
    /// `fenced`, and what the server says.
    pub fn ensure_transaction(self: &Rc<Self>) -> Result<(), Trouble> {
        let session = self.session()?;
        // What comes is not seen from here: with the whole fence, and the transaction's id.
        self.leaves(true);
        if let Some(lead) = self.prefix(false) {
            self.mark_open();
            let answer = self.wait(lead.ask(&session, ""))?;
            self.own_part(&lead, "", answer).map_err(|error| self.db_fault(error))?;
            failpoint!("after-fence");
        }
        Ok(())
    }

    /// Text of one or more statements inside the step's transaction, one message.
    ///
    /// # Errors
    /// The server's answer with positions that count from `sql`.
    pub fn step_simple(self: &Rc<Self>, sql: &str) -> Result<Vec<SimpleResult>, StatementTrouble> {
        let session = self.session()?;
        let catches = self.setup.catches;
        if catches {
            // In a message of its own: of a text that does not parse, the server runs nothing at
            // all, and there would be no savepoint to go back to.
            self.ensure_transaction()?;
            self.wait(session.batch("SAVEPOINT runsheet_verb"))?
                .map_err(|error| StatementTrouble::Server(Box::new(error)))?;
        }
        let lead = self.lead(sql, None);
        let answer = self.wait(async {
            let results = lead.ask(&session, sql).await?;
            if catches {
                session.batch("RELEASE SAVEPOINT runsheet_verb").await?;
            }
            Ok(results)
        })?;
        failpoint!("after-sql");
        self.notices(&session)?;
        match self.own_part(&lead, sql, answer) {
            Ok(results) => Ok(results),
            Err(error) => {
                self.back_to_savepoint(&session, &error)?;
                Err(StatementTrouble::Server(Box::new(error)))
            }
        }
    }

    /// Waits for a message that begins a transaction and ends it; leaves none open.
    pub(super) fn wait_for_whole<T>(
        &self,
        session: &Session,
        work: impl Future<Output = Result<T, DbError>>,
    ) -> Result<Result<T, DbError>, Trouble> {
        let answer = self.wait(work);
        if !matches!(answer, Ok(Ok(_))) && !session.is_closed() {
            let _ = self.wait_out(async {
                tokio::time::timeout(Duration::from_secs(10), session.batch("ROLLBACK")).await
            });
        }
        answer
    }

    /// Behind a statement that the server refused, where the playbook may catch that. What the
    /// server says of the way back does not matter: the refusal is the fault.
    ///
    /// # Errors
    /// What ends the wait: nothing may be caught over a stop.
    fn back_to_savepoint(&self, session: &Session, error: &DbError) -> Result<(), Trouble> {
        if !self.setup.catches || error.connection_lost {
            return Ok(());
        }
        let back =
            session.batch("ROLLBACK TO SAVEPOINT runsheet_verb; RELEASE SAVEPOINT runsheet_verb");
        self.wait(back).map(drop)
    }

    /// A query inside the step's transaction.
    ///
    /// # Errors
    /// The server's answer.
    pub(super) fn step_query(
        self: &Rc<Self>,
        sql: &str,
        params: &[Value],
    ) -> Result<Rows, Trouble> {
        self.guarded(async |session| {
            let answer = session.query(sql, params).await;
            answer.inspect_err(|error| self.lock_watch.refused(sql, error))
        })
    }

    /// A statement with parameters inside the step's transaction: rows touched.
    ///
    /// # Errors
    /// The server's answer.
    pub fn step_execute(self: &Rc<Self>, sql: &str, params: &[Value]) -> Result<u64, Trouble> {
        self.guarded(async |session| {
            let answer = session.execute(sql, params).await;
            answer.inspect_err(|error| self.lock_watch.refused(sql, error))
        })
    }

    /// Work inside the step's transaction; behind a savepoint where the playbook catches errors.
    ///
    /// # Errors
    /// The server's answer.
    pub fn guarded<T>(
        self: &Rc<Self>,
        work: impl AsyncFnOnce(&Session) -> Result<T, DbError>,
    ) -> Result<T, Trouble> {
        self.ensure_transaction()?;
        let session = self.session()?;
        let catches = self.setup.catches;
        let answer = self.wait(async {
            if catches {
                session.batch("SAVEPOINT runsheet_verb").await?;
            }
            let answer = work(&session).await;
            if catches && answer.is_ok() {
                session.batch("RELEASE SAVEPOINT runsheet_verb").await?;
            }
            answer
        })?;
        failpoint!("after-sql");
        self.notices(&session)?;
        match answer {
            Ok(value) => Ok(value),
            Err(error) => {
                self.back_to_savepoint(&session, &error)?;
                Err(self.db_fault(error).into())
            }
        }
    }

    /// Ends the step's transaction with its journal row. `Ok(false)`: the answer was lost and the
    /// step did not take effect; it may be run again.
    ///
    /// # Errors
    /// `fenced`, `left-transaction`, deferred constraints, a lost server.
    pub(super) fn commit_step(
        self: &Rc<Self>,
        row: &StepRow,
        more: &[String],
    ) -> Result<bool, Trouble> {
        let session = self.session()?;
        let traced = self.frames.borrow().last().is_some_and(Frame::traced);
        let prefix = self.prefix(true).map_or(String::new(), |prefix| prefix.sql);
        let xid = match self.frames.borrow().last().map(|frame| frame.transaction.clone()) {
            Some(Transaction::Open { xid }) => Some(xid).filter(|xid| !xid.is_empty()),
            _ => None,
        };
        let settled = self.is_settled();
        let (record, pin, lease, ledger) = {
            let worker = self.worker.borrow();
            let Some(worker) = worker.as_ref() else {
                return Err(no_worker().into());
            };
            let epoch = worker.lease.as_ref().map_or(0, |lease| lease.epoch);
            let run = self.run_id();
            let record = worker.ledger.record_sql(&run.0, row, epoch, xid.as_deref(), traced);
            (record, worker.pin.clone(), worker.lease.clone(), worker.ledger.clone())
        };
        let look = lease
            .as_ref()
            .and_then(|lease| lease.after_step_sql(&ledger, traced, self.lock_is_due()));
        let asks = self.setup.rehearsal.is_some() || look.is_some();
        // Where its SQL may have changed settings for the session, they go back before the row, which
        // is written as we write. Else behind the COMMIT, while nobody waits: a trigger's doing.
        let settle = if pin.is_empty() { "RESET ROLE" } else { &pin };
        let after = Some(pin.clone()).filter(|pin| settled && prefix.is_empty() && !pin.is_empty());
        let settle = match settled {
            true => String::new(),
            false => format!("SET CONSTRAINTS ALL IMMEDIATE; {settle}; "),
        };
        let behind: Vec<String> = [after, self.wal_sql(), look].into_iter().flatten().collect();
        let more: String = more.iter().map(|sql| format!("{sql}; ")).collect();
        failpoint!("before-commit");
        let text = format!("{prefix}{settle}{more}{record}; COMMIT");
        // Where the connection was lost before, this message never left: nothing to look up.
        let lost_before = session.is_closed();
        // Ctrl-C must not tear this message: it is the shortest of all, and it decides.
        let step = traced.then(|| row.key.clone());
        let behind = Behind::new(&session, behind.join("; "), step, asks);
        let answer = self.decisive("commit-sent", &session, &text, behind);
        failpoint!("commit-answered");
        match answer {
            Ok(results) => {
                self.opened_transaction(&results);
                if let Some(frame) = self.frames.borrow_mut().last_mut() {
                    frame.transaction = Transaction::None;
                }
                self.notices(&session)?;
                Ok(true)
            }
            Err(error) if error.connection_lost && !lost_before => {
                self.tidying(|| self.look_up_commit(row))
            }
            // The row was refused to whatever role a trigger has set: once more, settled before it.
            Err(error) if settled && error.is("42501") => {
                if let Some(worker) = self.worker.borrow_mut().as_mut() {
                    worker.distrusts = true;
                }
                Ok(false)
            }
            Err(error) => {
                self.abort_step();
                Err(self.db_fault(error).into())
            }
        }
    }

    /// Can nothing in the step have left another role or other settings behind? In a rehearsal
    /// everything is as plain as it can be measured.
    fn is_settled(&self) -> bool {
        let frames = self.frames.borrow();
        let plain =
            frames.last().is_some_and(|frame| frame.settled && frame.options.role.is_none());
        let distrusts = self.worker.borrow().as_ref().is_none_or(|worker| worker.distrusts);
        plain && !distrusts && self.setup.rehearsal.is_none()
    }

    /// Was the lease looked at a moment ago? Correctness rests on the epoch that a step's row is
    /// written with, so a look a second is enough, and a look costs as much as a small step.
    pub(super) fn looked_lately(&self) -> bool {
        self.lock_looked_at.get().is_some_and(|at| at.elapsed() < LOCK_LOOK)
    }

    fn lock_is_due(&self) -> bool {
        let due = !self.looked_lately();
        if due {
            self.lock_looked_at.set(Some(std::time::Instant::now()));
        }
        due
    }

    /// The answer to COMMIT was lost: raise the epoch, which waits for our ghost, and look.
    fn look_up_commit(self: &Rc<Self>, row: &StepRow) -> Result<bool, Trouble> {
        self.emit(EventKind::Warning { text: msg!("host.commit-lost", item = row.title) })?;
        self.forget_connection();
        if let Some(frame) = self.frames.borrow_mut().last_mut() {
            frame.transaction = Transaction::None;
        }
        let session = self.session().map_err(|trouble| match trouble {
            // Somebody took over: what the ledger says is theirs to go on from.
            Trouble::Fault(fault) if fault.code == "fenced" => Trouble::Fault(fault),
            Trouble::Fault(fault) => Self::fatal(self.commit_unknown(&row.title, *fault)),
            Trouble::Stop(Stop::Failed(fault)) if fault.code != "fenced" => {
                Self::fatal(self.commit_unknown(&row.title, (*fault).clone()))
            }
            other => other,
        })?;
        let steps = {
            let worker = self.worker.borrow();
            let Some(ledger) = worker.as_ref().map(|worker| worker.ledger.clone()) else {
                return Err(no_worker().into());
            };
            drop(worker);
            self.wait(ledger.steps(&session, &self.run_id().0))?
        };
        let steps = steps.map_err(|error| self.db_fault(error))?;
        let there = steps.iter().any(|step| step.key == row.key && step.state == StepState::Done);
        let text = if there {
            msg!("host.commit-found", item = row.title)
        } else {
            msg!("host.commit-absent", item = row.title)
        };
        self.emit(EventKind::Note { text })?;
        Ok(there)
    }

    /// Nobody can be asked whether a COMMIT took effect; `why` not.
    fn commit_unknown(&self, item: &str, why: Fault) -> Fault {
        let fault =
            Fault::new(why.kind, "commit-unknown", msg!("host.commit-not-known", item = item))
                .detail(why.to_string())
                .cause(msg!("host.commit-unknown"))
                .next(format!("runsheet resume {}", self.run_id()));
        Fault { remedy: why.remedy, ..fault }
    }

    /// Rolls the step's transaction back, where there is one and the connection lives.
    pub(super) fn abort_step(&self) {
        let open = match self.frames.borrow_mut().last_mut() {
            Some(frame) => std::mem::replace(&mut frame.transaction, Transaction::None),
            None => Transaction::None,
        };
        let session = self.worker.borrow().as_ref().map(|w| (w.session.clone(), w.pin.clone()));
        if let (Transaction::Open { .. }, Some((session, pin))) = (open, session) {
            let text = format!("ROLLBACK; {pin}");
            let _ = self.wait_out(async {
                tokio::time::timeout(Duration::from_secs(10), session.simple(&text)).await
            });
        }
        if self.worker.borrow().as_ref().is_some_and(|worker| worker.session.is_closed()) {
            self.forget_connection();
        }
    }

    /// A connection that died is never taken up again silently; the next need makes a new one.
    pub(super) fn forget_connection(&self) {
        drop(self.behind.take());
        drop(self.worker.borrow_mut().take());
    }

    /// How the run ended where nobody here can say how the database stands: what a lost answer
    /// did, or what the runner did that took the lease over.
    pub(super) fn state_unknown(fault: &Fault) -> Option<FinalState> {
        matches!(fault.code.as_str(), "commit-unknown" | "fenced").then_some(FinalState::Unknown)
    }
}
