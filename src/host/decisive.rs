//! Messages that decide: a step's row with its COMMIT, a mark of the ledger.
//!
//! Ctrl-C does not tear them while they take the time that such a message takes. One that takes
//! longer is looked after on a second connection: it may wait for a synchronous standby, and then
//! its changes are durable here already; or the server has answered and the answer never came.

use std::time::Duration;

use super::failpoint::sent;
use super::gate::Host;
use super::tidy::Behind;
use crate::model::EventKind;
use crate::msg;
use crate::postgres::{ConnectOptions, DbError, Session, SimpleResult, connect};

/// So long nobody asks what it is doing, and Ctrl-C does not touch it.
const UNHURRIED: Duration = Duration::from_secs(5);
/// Between two looks that both say that the server does not work on it.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// What the server does with the message.
enum Doing {
    Working,
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
        let answer = self.wait_out(async {
            let work = sent(point, session.simple(text));
            tokio::pin!(work);
            if let Some(behind) = &mut behind
                && let Some(done) = behind.follow(work.as_mut()).await
            {
                return done;
            }
            let (mut idle, mut pause) = (false, UNHURRIED);
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
                match doing {
                    Doing::Nothing if idle => return Err(unanswered()),
                    Doing::Nothing => (idle, pause) = (true, SECOND_LOOK),
                    Doing::WaitsForStandby => {
                        if !self.unreplicated.replace(true) {
                            let text = msg!("host.waits-for-standby");
                            let _ = self.emit(EventKind::Warning { text });
                        }
                    }
                    Doing::Working | Doing::Unknown => {}
                }
                if self.setup.cancel.is_cancelled() {
                    let _ = session.canceller().cancel().await;
                    return match tokio::time::timeout(UNHURRIED, &mut work).await {
                        Ok(done) => done,
                        Err(_) => Err(unanswered()),
                    };
                }
            }
        });
        *self.behind.borrow_mut() = behind.filter(|_| answer.is_ok());
        answer
    }

    /// At the end of a run that met a missing standby: its last notes wait for nobody.
    pub(super) fn wait_for_no_standby(&self) {
        let session = self.worker.borrow().as_ref().map(|worker| worker.session.clone());
        if let (true, Some(session)) = (self.unreplicated.get(), session) {
            let _ = self.wait_out(session.batch("SET synchronous_commit = local"));
        }
    }
}

fn unanswered() -> DbError {
    DbError { connection_lost: true, message: msg!("host.unanswered"), ..DbError::default() }
}

async fn doing(session: &Session) -> Doing {
    let options = ConnectOptions { pin: false, ..ConnectOptions::default() };
    let Ok(second) = connect(session.target(), &options).await else { return Doing::Unknown };
    let sql = format!(
        "SELECT state, wait_event FROM pg_catalog.pg_stat_activity WHERE pid = {}",
        session.backend_pid()
    );
    let Ok(answer) = second.simple(&sql).await else { return Doing::Unknown };
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
