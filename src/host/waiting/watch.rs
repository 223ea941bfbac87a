//! The watch: while one statement works for long, a session of its own looks at how far it is and
//! who waits for whom, and reports it; more often whether it waits for a lock itself.
//!
//! The session lives as long as that one wait, so that it is in nobody's way: not in that of a
//! rename, not in that of a pool's size. Whatever goes wrong with it is its own affair.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use super::super::gate::{Host, Mode};
use super::super::worker::second_session;
use crate::model::EventKind;
use crate::postgres::catalog::{awaited, watched};

/// Between two looks, at first;
const OFTEN: Duration = Duration::from_secs(1);
/// and after a long time, so that a night's index build does not fill the journal.
const SELDOM: Duration = Duration::from_secs(10);
/// What works longer than this in a rehearsal is asked whether it waits for a lock.
const LOCKS_AFTER: Duration = Duration::from_millis(300);
/// Between two such questions at first,
const LOCKS_OFTEN: Duration = Duration::from_millis(100);
/// and after a long time: the server knows since when it waits.
const LOCKS_SELDOM: Duration = Duration::from_secs(2);

impl Host {
    /// Beside every wait; does nothing before it has lasted as long as `[run] watch` says.
    pub(super) async fn look_on(&self) -> Infallible {
        if let Some(after) = self.setup.config.run.watch.filter(|_| self.is_at_work()) {
            // A run has no second session before it has to; a rehearsal wants to know.
            let measured = self.setup.rehearsal.is_some();
            let first = if measured { after.min(LOCKS_AFTER) } else { after };
            tokio::time::sleep(first).await;
            // Boxed: else every wait would carry its state about.
            Box::pin(self.report_what_is_seen(after - first)).await;
        }
        std::future::pending().await
    }

    /// Is there work to look at? Whoever waits for the lease, beside fifty others perhaps, does
    /// none, and the sessions of all of them would be in the way of the one that does.
    fn is_at_work(&self) -> bool {
        let in_item = || {
            let begun = self.begun.borrow();
            let at_lease = self.mode() != Mode::Plan
                && begun.as_ref().is_some_and(|b| !b.recording && b.comparing.is_none());
            !at_lease && !self.frames.borrow().is_empty()
        };
        self.has_lease() || in_item()
    }

    /// Looks at locks from now on, and at everything once `after` is over.
    async fn report_what_is_seen(&self, after: Duration) {
        let session = self.worker.borrow().as_ref().map(|worker| worker.session.clone());
        let Some(session) = session else { return };
        let Ok(second) = second_session(session.target()).await else { return };
        // Behind a pooler nobody knows which server process works for this session.
        let pid = Some(session.backend_pid()).filter(|_| !session.behind_pooler());
        let run = self.run_id();
        let (since, mut said, mut next) = (Instant::now(), false, after);
        loop {
            if let Some(pid) = pid {
                let Ok(found) = awaited(&second, pid).await else { return };
                self.lock_watch.awaited.note(found);
            }
            if since.elapsed() >= next {
                let Ok(seen) = watched(&second, &run.0).await else { return };
                // An empty look is said once: what was shown is over.
                let empty = seen.is_empty();
                if said || !empty {
                    let _ = self.emit(EventKind::Watched(seen));
                }
                said = !empty;
                next = since.elapsed() + (since.elapsed() / 60).clamp(OFTEN, SELDOM);
            }
            let pause = (since.elapsed() / 20).clamp(LOCKS_OFTEN, LOCKS_SELDOM);
            tokio::time::sleep(pause.min(next.saturating_sub(since.elapsed()))).await;
        }
    }
}
