//! The watch: while one statement works for long, a session of its own looks at how far it is and
//! who waits for whom, and reports it.
//!
//! The session lives as long as that one wait, so that it is in nobody's way: not in that of a
//! rename, not in that of a pool's size. Whatever goes wrong with it is its own affair.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use super::super::gate::{Host, Mode};
use super::super::worker::second_session;
use crate::model::EventKind;
use crate::postgres::catalog::watched;

/// Between two looks, at first;
const OFTEN: Duration = Duration::from_secs(1);
/// and after a long time, so that a night's index build does not fill the journal.
const SELDOM: Duration = Duration::from_secs(10);

impl Host {
    /// Beside every wait; does nothing before it has lasted as long as `[run] watch` says.
    pub(super) async fn look_on(&self) -> Infallible {
        if let Some(after) = self.setup.config.run.watch.filter(|_| self.is_at_work()) {
            tokio::time::sleep(after).await;
            // Boxed: else every wait would carry its state about.
            Box::pin(self.report_what_is_seen()).await;
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

    async fn report_what_is_seen(&self) {
        let target = self.worker.borrow().as_ref().map(|worker| worker.session.target().clone());
        let Some(target) = target else { return };
        let Ok(second) = second_session(&target).await else { return };
        let run = self.run_id();
        let (since, mut said) = (Instant::now(), false);
        while let Ok(seen) = watched(&second, &run.0).await {
            // An empty look is said once: what was shown is over.
            let empty = seen.is_empty();
            if said || !empty {
                let _ = self.emit(EventKind::Watched(seen));
            }
            said = !empty;
            tokio::time::sleep((since.elapsed() / 60).clamp(OFTEN, SELDOM)).await;
        }
    }
}
