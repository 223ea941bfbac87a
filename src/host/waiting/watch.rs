//! The watch: while one statement works for long, a session of its own looks at how far it is and
//! who waits for whom, and reports it.
//!
//! The session lives as long as that one wait, so that it is in nobody's way: not in that of a
//! rename, not in that of a pool's size. Whatever goes wrong with it is its own affair.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use super::super::gate::Host;
use crate::model::EventKind;
use crate::postgres::catalog::watched;
use crate::postgres::{ConnectOptions, connect};

/// Between two looks, at first;
const OFTEN: Duration = Duration::from_secs(1);
/// and after a long time, so that a night's index build does not fill the journal.
const SELDOM: Duration = Duration::from_secs(10);

impl Host {
    /// Beside every wait; does nothing before it has lasted as long as `[run] watch` says.
    pub(super) async fn look_on(&self) -> Infallible {
        if let Some(after) = self.setup.config.run.watch {
            tokio::time::sleep(after).await;
            // Boxed: else every wait would carry its state about.
            Box::pin(self.report_what_is_seen()).await;
        }
        std::future::pending().await
    }

    async fn report_what_is_seen(&self) {
        let target = self.worker.borrow().as_ref().map(|worker| worker.session.target().clone());
        let Some(target) = target else { return };
        let options = ConnectOptions { pin: false, ..ConnectOptions::default() };
        let Ok(second) = connect(&target, &options).await else { return };
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
