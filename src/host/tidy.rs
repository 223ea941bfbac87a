//! What goes out behind a step's COMMIT: settings go back, and where anything is to be asked, the
//! snapshot, the lease's lock once a second, in a rehearsal the place in the write-ahead log.
//!
//! Nobody waits for it: the server does it while the script goes on, and whatever is sent next
//! stands behind it. Its answer is taken before the session is used again.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::gate::Host;
use super::stop::Trouble;
use crate::journal::Lease;
use crate::model::EventKind;
use crate::msg;
use crate::postgres::{DbError, Session, SimpleResult};

/// A message whose answer is taken later.
pub(super) struct Behind {
    session: Rc<Session>,
    /// The step whose snapshot is asked for.
    step: Option<String>,
    /// Somebody wants to know the answer.
    pub(super) asks: bool,
    answer: Pin<Box<dyn Future<Output = Result<Vec<SimpleResult>, DbError>>>>,
}

impl Behind {
    /// A message of this text; None where there is none.
    pub(super) fn new(
        session: &Rc<Session>,
        text: String,
        step: Option<String>,
        asks: bool,
    ) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let (session, sender) = (session.clone(), session.clone());
        let answer = Box::pin(async move { sender.simple(&text).await });
        Some(Self { session, step, asks, answer })
    }

    /// Lets the first message go and this one right behind it. Gives the first one's answer where
    /// it is there already.
    pub(super) async fn follow<T>(
        &mut self,
        mut first: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = first.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            // With its first turn the message is on its way; the answer is for later.
            let _ = self.answer.as_mut().poll(context);
            Poll::Ready(None)
        })
        .await
    }
}

impl Host {
    /// Takes the answer to what went out behind the last COMMIT.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn tidied(&self) -> Result<(), Trouble> {
        let Some(Behind { session, step, answer, .. }) = self.behind.take() else { return Ok(()) };
        // Not `wait_out`: what was reported is told while the next message is on its way.
        let mut answer = match self.runtime.block_on(answer) {
            Ok(results) => results,
            // Whoever needs the session next finds it closed, and makes a new one.
            Err(error) if error.connection_lost => return Ok(()),
            Err(error) => return Err(self.db_fault(error).into()),
        };
        self.notices(&session)?;
        self.take_wal(&session, &mut answer)?;
        let cell = |at: usize| answer.last()?.first().get(at)?.clone();
        self.committed(step, cell(0));
        let lease = self.worker.borrow().as_ref().and_then(|worker| worker.lease.clone());
        match lease.filter(|_| cell(1).as_deref() == Some("f")) {
            Some(lease) => self.lock_was_dropped(&session, &lease),
            None => Ok(()),
        }
    }

    /// The step's own SQL let the lease's lock go. Correctness rests on the epoch, but others
    /// should go on waiting.
    fn lock_was_dropped(&self, session: &Session, lease: &Lease) -> Result<(), Trouble> {
        self.forget_locks();
        let again = self.wait_out(lease.take_lock_again(session));
        let text = match again.map_err(|error| self.db_fault(error))? {
            true => msg!("host.lease-dropped"),
            false => msg!("host.lease-lost-lock"),
        };
        self.emit(EventKind::Warning { text }).map_err(Into::into)
    }
}
