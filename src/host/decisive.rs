//! Messages that decide: a step's row with its COMMIT, a mark of the ledger.
//!
//! Ctrl-C does not tear them while they take the time that such a message takes. One that takes
//! longer is looked after on a second connection: it may wait for a synchronous standby, and then
//! its changes are durable here already; or the server has answered and the answer never came; or
//! nobody is heard on any connection. A session that went silent is given up.

use std::rc::Rc;
use std::time::Duration;

use super::failpoint::sent;
use super::gate::{Host, Mode};
use super::stop::{Stop, Trouble};
use super::tidy::Behind;
use super::worker::second_session;
use crate::model::{EventKind, Fault};
use crate::msg;
use crate::postgres::{DbError, Session, SimpleResult};

/// So long nobody asks what it is doing, and Ctrl-C does not touch it.
const UNHURRIED: Duration = Duration::from_secs(5);
/// Between two looks that both say that the server does not work on it.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// So many looks in a row that nobody answers mean that nobody will answer the message either.
const SILENT_LOOKS: u32 = 3;

/// What the server does with the message.
enum Doing {
    Working,
    /// Nobody hears the question, or nobody is heard to answer.
    Silent,
    /// Committed here; it waits for a standby.
    WaitsForStandby,
    /// Nothing: the message, or its answer, never arrived.
    Nothing,
    /// The server cannot be asked.
    Unknown,
}

impl Host {
    /// Sends a message that decides and waits for its answer; what goes out `behind` it is not
    /// waited for.
    ///
    /// # Errors
    /// The server's answer; `connection_lost` also where no answer will come.
    pub(super) fn decisive(
        &self,
        point: &'static str,
        session: &Session,
        text: &str,
        behind: Option<Behind>,
    ) -> Result<Vec<SimpleResult>, DbError> {
        let mut behind = behind;
        let answer = self.looked_after(session, async {
            let work = sent(point, session.simple(text));
            tokio::pin!(work);
            if let Some(behind) = &mut behind
                && let Some(done) = behind.follow(work.as_mut()).await
            {
                return done;
            }
            work.await
        });
        *self.behind.borrow_mut() = behind.filter(|behind| behind.asks && answer.is_ok());
        answer
    }

    /// Waits for the answer to what must not be torn. A session that will not give it is given up.
    ///
    /// # Errors
    /// As [`Host::decisive`].
    pub(super) fn looked_after<T>(
        &self,
        session: &Session,
        work: impl Future<Output = Result<T, DbError>>,
    ) -> Result<T, DbError> {
        self.wait_out(async {
            tokio::pin!(work);
            let (mut idle, mut silent, mut pause) = (false, 0, UNHURRIED);
            loop {
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = UNHURRIED;
                // Asked while the answer is still awaited: both run on this thread.
                let doing = tokio::select! {
                    biased;
                    done = &mut work => return done,
                    doing = doing(session) => doing,
                };
                silent = if matches!(doing, Doing::Silent) { silent + 1 } else { 0 };
                match doing {
                    Doing::Nothing if idle => return Err(unanswered(session).await),
                    Doing::Silent if silent >= SILENT_LOOKS => {
                        return Err(unanswered(session).await);
                    }
                    Doing::Nothing => (idle, pause) = (true, SECOND_LOOK),
                    Doing::WaitsForStandby => {
                        if !self.unreplicated.replace(true) {
                            let text = msg!("host.waits-for-standby");
                            let _ = self.emit(EventKind::Warning { text });
                        }
                    }
                    Doing::Working | Doing::Unknown | Doing::Silent => {}
                }
                if self.setup.cancel.is_cancelled() {
                    let _ = session.canceller().cancel().await;
                    return match tokio::time::timeout(UNHURRIED, &mut work).await {
                        Ok(done) => done,
                        Err(_) => Err(unanswered(session).await),
                    };
                }
            }
        })
    }

    /// After a statement that was cancelled and did not end: does anybody answer in this session?
    /// One that is silent is given up, so that nothing waits for it any more.
    pub(super) async fn give_up_if_silent(&self, session: &Session) {
        let ping = session.simple("SELECT 1");
        if tokio::time::timeout(UNHURRIED, ping).await.is_err() {
            session.abandon().await;
        }
    }

    /// A run that ends because its connection was lost connects once more: to end its own ghost,
    /// to write its end into the ledger, to give the lease back. Where nobody is there, the next
    /// run does that. Gives the fault of a run that was overtaken meanwhile.
    pub(super) fn connect_to_end(self: &Rc<Self>) -> Option<Fault> {
        let lost = self.worker.borrow().as_ref().is_none_or(|worker| worker.session.is_closed());
        if !lost || self.epoch.get().is_none() || self.mode() != Mode::Run {
            return None;
        }
        self.forget_connection();
        match self.tidying(|| self.connect(1, Duration::ZERO)) {
            Err(Trouble::Stop(Stop::Failed(fault))) if fault.code == "fenced" => {
                Some((*fault).clone())
            }
            _ => None,
        }
    }

    /// At the end of a run that met a missing standby: its last notes wait for nobody.
    pub(super) fn wait_for_no_standby(&self) {
        let session = self.worker.borrow().as_ref().map(|worker| worker.session.clone());
        if let (true, Some(session)) = (self.unreplicated.get(), session) {
            let _ = self.wait_out(session.batch("SET synchronous_commit = local"));
        }
    }
}

async fn unanswered(session: &Session) -> DbError {
    session.abandon().await;
    DbError { connection_lost: true, message: msg!("postgres.unanswered"), ..DbError::default() }
}

async fn doing(session: &Session) -> Doing {
    let second = match second_session(session.target()).await {
        Ok(second) => second,
        // A server that refuses, or is full, may be at work on the message all the same.
        Err(fault) if fault.code == "timeout" => return Doing::Silent,
        Err(_) => return Doing::Unknown,
    };
    let sql = format!(
        "SELECT state, wait_event FROM pg_catalog.pg_stat_activity WHERE pid = {}",
        session.backend_pid()
    );
    let answer = match tokio::time::timeout(UNHURRIED, second.simple(&sql)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => return Doing::Unknown,
        Err(_) => return Doing::Silent,
    };
    let row = answer.first().and_then(|result| result.cells.first());
    let cell = |at: usize| row.and_then(|row| row.get(at)?.as_deref());
    match (cell(0), cell(1)) {
        (_, Some("SyncRep")) => Doing::WaitsForStandby,
        (Some("active"), _) => Doing::Working,
        // NULL: somebody else's session that this role may not look at.
        (None, _) if row.is_some() => Doing::Unknown,
        _ => Doing::Nothing,
    }
}
