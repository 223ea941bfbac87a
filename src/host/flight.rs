//! Statements of one step on their way to the server, several at a time.
//!
//! A statement is sent before the one ahead of it is answered, so that a file of small statements
//! does not pay a round trip for each. The answers come in the order of the statements; behind one
//! that fails, the server refuses the others unread (25P02).
//!
//! Every message but the first begins with a guard that is refused outside of a transaction. If the
//! first one, with its BEGIN, was cancelled before it began, what follows must not commit by itself.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::failpoint::failpoint;
use super::gate::Host;
use super::lead::Lead;
use super::stop::Trouble;
use crate::postgres::{DbError, Session, SimpleResult};

/// Refused outside of a transaction block (unlike most, also as part of a longer message); costs
/// nothing inside of one.
pub const GUARD: &str = "SAVEPOINT runsheet_inside; RELEASE SAVEPOINT runsheet_inside; ";
/// Results of the guard, which nobody asked for.
const GUARD_RESULTS: usize = 2;
/// So many statements are on their way at most,
const MOST: usize = 16;
/// and so many bytes of them, where it is more than one.
const MOST_BYTES: usize = 256 * 1024;
/// How long the server may take to stop one statement that nobody wants any more.
const STOP: Duration = Duration::from_secs(5);

struct Underway<T> {
    text: Rc<str>,
    what: T,
    sent: Instant,
    lead: Rc<Lead>,
    answer: Answer,
}

type Answer = Pin<Box<dyn Future<Output = Result<Vec<SimpleResult>, DbError>>>>;

/// Statements on their way, each with what the caller wants to know again when it is answered.
pub struct Flight<T> {
    host: Rc<Host>,
    underway: VecDeque<Underway<T>>,
    bytes: usize,
    answered: Option<Instant>,
}

/// A statement that was answered.
pub struct Landed<T> {
    /// The statement.
    pub text: Rc<str>,
    /// What the caller gave with it.
    pub what: T,
    /// How long the server worked on it.
    pub took: Duration,
    /// Its answer; positions count from the statement's own start.
    pub answer: Result<Vec<SimpleResult>, Box<DbError>>,
}

impl<T> Flight<T> {
    /// Nothing is on its way.
    pub fn new(host: &Rc<Host>) -> Self {
        Self { host: host.clone(), underway: VecDeque::new(), bytes: 0, answered: None }
    }

    /// Has the front to land before a statement of so many bytes can be sent?
    pub fn is_full_for(&self, bytes: usize) -> bool {
        !self.underway.is_empty()
            && (self.underway.len() >= MOST || self.bytes + bytes > MOST_BYTES)
    }

    /// Sends a statement of the step's transaction, and does not wait for its answer.
    ///
    /// # Errors
    /// As [`Host::session`].
    pub fn send(&mut self, text: String, what: T) -> Result<(), Trouble> {
        let session = self.host.session()?;
        let guard = Lead { sql: GUARD.to_string(), results: GUARD_RESULTS, ..Lead::default() };
        let lead = Rc::new(self.host.lead(&text, Some(guard)));
        let text: Rc<str> = text.into();
        let mut answer: Answer = Box::pin(ask(session, lead.clone(), text.clone()));
        // With its first turn the message is handed over to the connection, behind those before.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if let std::task::Poll::Ready(done) = answer.as_mut().poll(&mut context) {
            answer = Box::pin(std::future::ready(done));
        }
        self.bytes += text.len();
        self.underway.push_back(Underway { text, what, sent: Instant::now(), lead, answer });
        Ok(())
    }

    /// Waits for the answer to the statement that was sent first; None where none is on its way.
    ///
    /// # Errors
    /// As [`Host::wait`].
    pub fn land(&mut self) -> Result<Option<Landed<T>>, Trouble> {
        let Some(mut front) = self.underway.pop_front() else { return Ok(None) };
        self.bytes -= front.text.len();
        let waited = self.host.wait(front.answer.as_mut());
        failpoint!("after-sql");
        let answer = waited?;
        let session = self.host.session()?;
        self.host.notices(&session)?;
        // The server begins with a statement when it has answered the one before.
        let since = self.answered.map_or(front.sent, |answered| answered.max(front.sent));
        let now = Instant::now();
        self.answered = Some(now);
        let answer = self.host.own_part(&front.lead, &front.text, answer);
        if answer.is_err() {
            // The others are refused for this one's sake.
            self.underway.clear();
        }
        let answer = answer.map_err(Box::new);
        Ok(Some(Landed { text: front.text, what: front.what, took: now - since, answer }))
    }
}

impl<T> Drop for Flight<T> {
    /// Whoever leaves with statements on their way was stopped: none of them may go on. The first
    /// one that fails takes the rest along.
    fn drop(&mut self) {
        if self.underway.is_empty() {
            return;
        }
        let session = self.host.worker.borrow().as_ref().map(|worker| worker.session.clone());
        let Some(canceller) = session.map(|session| session.canceller()) else { return };
        for next in &mut self.underway {
            let answer = next.answer.as_mut();
            let stopped = self.host.wait_out(async {
                let _ = tokio::time::timeout(STOP, canceller.cancel()).await;
                tokio::time::timeout(STOP, answer).await
            });
            if matches!(stopped, Ok(Err(_))) {
                return;
            }
        }
    }
}

/// One message; owns what it needs, so that it can be waited for later.
async fn ask(
    session: Rc<Session>,
    lead: Rc<Lead>,
    text: Rc<str>,
) -> Result<Vec<SimpleResult>, DbError> {
    lead.ask(&session, &text).await
}
