//! Waiting for leaf I/O, and telling what has happened.
//!
//! What was reported is shown and written while the server works, so that a small step does not
//! wait for its own journal. Nothing hangs on the order: whatever cannot be taken back has its
//! lines on the disk before ([`crate::journal::Recorder::sync`]), and the row of a step names the
//! last line that was in the file by then.

mod locks;
mod watch;

pub(super) use locks::Awaiting;

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::gate::Host;
use super::stop::{Stop, Trouble};
use crate::model::{EventKind, Fault};
use crate::msg;

/// So long a wait looks for the answer again and again before it sleeps. To be woken takes the time
/// of a small statement on a machine whose processors have nothing else to do.
const AWAKE: Duration = Duration::from_micros(500);

/// While it lives, what is reported is shown at once: it is said from inside of a wait.
struct Waiting<'h>(&'h Cell<bool>);

impl<'h> Waiting<'h> {
    fn begin(flag: &'h Cell<bool>) -> Self {
        flag.set(true);
        Self(flag)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Host {
    /// Reports a fact.
    ///
    /// # Errors
    /// `journal-write`: the run must not go on unrecorded.
    pub fn emit(&self, kind: EventKind) -> Result<(), Fault> {
        let mut recorder = self.recorder.borrow_mut();
        recorder.emit(kind)?;
        if self.waiting.get() { recorder.flush() } else { Ok(()) }
    }

    /// Shows and writes what was reported: before work that takes its time on this side.
    ///
    /// # Errors
    /// `journal-write`.
    pub fn tell(&self) -> Result<(), Fault> {
        self.recorder.borrow_mut().flush()
    }

    /// Waits for leaf I/O: until it is done, Ctrl-C, or the item's time is over.
    ///
    /// # Errors
    /// `interrupted`, `timeout`, `journal-write`.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        if self.closing.get() {
            return Ok(self.wait_out(work));
        }
        let deadline = self.frames.borrow().iter().filter_map(|frame| frame.deadline).min();
        let session = self.worker.borrow().as_ref().map(|worker| worker.session.clone());
        self.runtime.block_on(async {
            tokio::pin!(work);
            let handed = hand_over(work.as_mut()).await;
            let told = self.tell();
            if let Some(done) = handed {
                return told.map(|()| done).map_err(Trouble::from);
            }
            let _waiting = Waiting::begin(&self.waiting);
            if told.is_ok()
                && let Some(done) = self.answered_soon(work.as_mut()).await
            {
                return Ok(done);
            }
            let late = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let fault = match told {
                Err(fault) => Trouble::from(fault),
                Ok(()) => tokio::select! {
                    biased;
                    done = &mut work => return Ok(done),
                    _ = self.setup.cancel.cancelled() => {
                        Trouble::Stop(Stop::Failed(Rc::new(self.interrupted())))
                    }
                    never = self.watch_locks() => match never {},
                    never = self.look_on() => match never {},
                    () = late => Trouble::Fault(Box::new(
                        Fault::failed("timeout", msg!("host.timeout"))
                            .remedy(msg!("host.timeout.remedy")),
                    )),
                },
            };
            if let Some(session) = session {
                let _ = session.canceller().cancel().await;
                // The server's answer tells whether the statement ended or its effect stands.
                if tokio::time::timeout(Duration::from_secs(5), &mut work).await.is_err() {
                    self.give_up_if_silent(&session).await;
                }
            }
            Err(fault)
        })
    }

    /// Waits to the end, also after Ctrl-C: for what has to be let go, and for what decides.
    pub fn wait_out<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(async {
            tokio::pin!(work);
            let handed = hand_over(work.as_mut()).await;
            // What cannot be written is said by the next event.
            let _ = self.tell();
            if let Some(done) = handed {
                return done;
            }
            let _waiting = Waiting::begin(&self.waiting);
            match self.answered_soon(work.as_mut()).await {
                Some(done) => done,
                None => work.await,
            }
        })
    }

    /// Looks for the answer without sleeping, for a short time. Not where the server, or the thread
    /// that connects, may need this very processor.
    async fn answered_soon<T>(&self, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        static ALONE: OnceLock<bool> = OnceLock::new();
        let one = || std::thread::available_parallelism().is_ok_and(|many| many.get() == 1);
        if *ALONE.get_or_init(one) || self.worker.borrow().is_none() {
            return None;
        }
        let since = Instant::now();
        while since.elapsed() < AWAKE {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = tokio::task::yield_now() => {}
            }
        }
        None
    }
}

/// Lets the work begin: a message goes to the connection's task with the first turn, and out to
/// the server in the next. Gives what is done already.
async fn hand_over<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    for _ in 0..2 {
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = tokio::task::yield_now() => {}
        }
    }
    None
}
