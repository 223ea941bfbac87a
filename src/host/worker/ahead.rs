//! Connecting while the script is still being read: a server needs its time to make a process for
//! a session, and the engine needs its own. Begun by `cli`, come for by `worker`.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use super::reach::{Guess, Reached, Way};
use crate::config::Config;
use crate::host::gate::{Host, HostSetup};
use crate::host::stop::Trouble;
use crate::journal::Account;
use crate::model::{Fault, RunId};
use crate::postgres::Target;
use crate::system::runtime;

/// So often the way is looked at without waiting: the socket, what it is ready for, the first words.
const TURNS: u32 = 3;

/// A connection on its way, tried once.
pub struct Ahead {
    run: RunId,
    /// The playbook's last run, probably.
    last: Guess,
    runtime: Arc<Runtime>,
    reached: oneshot::Receiver<Result<Reached, Fault>>,
    /// Dropped where nobody comes.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Begins. `run` is the id of the run to be, `playbook` what is probably the playbook's, and
    /// `last` looks for its last run, which takes its time: what the ledger knows of both is asked
    /// for at once.
    ///
    /// None where the system gives no thread: then it is done later.
    pub fn begin(
        target: Target,
        run: RunId,
        config: &Config,
        playbook: &str,
        last: impl FnOnce() -> Option<RunId>,
    ) -> Option<Self> {
        let mut way = Way::to(target, &run, config);
        let (found, guess) = watch::channel(None);
        way.playbook = Some((playbook.into(), guess.clone()));
        let runtime = Arc::new(runtime().ok()?);
        let (stop, stopped) = oneshot::channel();
        let (tell, reached) = oneshot::channel();
        let mut work = Box::pin(async move {
            let mut quiet = |_: u32, _: u32, _: &Fault| {};
            tokio::select! {
                found = way.go(1, Duration::ZERO, &mut quiet) => drop(tell.send(found)),
                _ = stopped => {}
            }
        });
        // The server is told before there is a thread: it begins to make its process while the
        // thread wakes up.
        let driven = runtime.clone();
        let over = driven.block_on(async {
            for _ in 0..TURNS {
                tokio::select! {
                    biased;
                    () = &mut work => return true,
                    () = tokio::task::yield_now() => {}
                }
            }
            false
        });
        // While the server makes it. The first search asks the processor what it can, and a virtual
        // machine takes its time to answer: not when the server's first words are there.
        let _ = memchr::memchr(0, &[]);
        found.send_replace(Some(last()));
        let work = move || {
            if !over {
                driven.block_on(work);
            }
        };
        let thread = std::thread::Builder::new().name("ahead".into()).spawn(work).ok()?;
        Some(Self { run, last: guess, runtime, reached, stop: Some(stop), thread: Some(thread) })
    }

    /// The runtime that the connection moves on, and has to go on moving on, and the run's id; new
    /// ones where nothing was begun.
    ///
    /// # Errors
    /// As [`Host::new`].
    pub(in crate::host) fn begun(
        ahead: Option<&Self>,
        setup: &HostSetup,
    ) -> Result<(Arc<Runtime>, RunId), Fault> {
        let runtime = match ahead {
            Some(ahead) => ahead.runtime.clone(),
            None => Arc::new(runtime()?),
        };
        let run = setup.wishes.resume.clone().or_else(|| ahead.map(|ahead| ahead.run.clone()));
        Ok((runtime, run.map_or_else(|| setup.state.new_run(), Ok)?))
    }
}

impl Drop for Ahead {
    /// What nobody came for is closed before anything else happens.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Host {
    /// What was reached ahead; None where nothing was sent ahead.
    ///
    /// # Errors
    /// The one attempt's; those of waiting.
    pub(super) fn reached_ahead(&self) -> Result<Option<Reached>, Trouble> {
        let Some(mut ahead) = self.ahead.take() else { return Ok(None) };
        let last = ahead.last.borrow().clone().flatten();
        if let Some(run) = last {
            // While the server answers.
            let account = Account::read(&self.setup.state.run_dir(&run)).ok();
            *self.foreseen.borrow_mut() = account.map(|account| (run, account));
        }
        match self.wait(&mut ahead.reached)? {
            Ok(Ok(reached)) => {
                // It has nothing left to do: nobody waits for its end.
                ahead.thread = None;
                Ok(Some(reached))
            }
            Ok(Err(fault)) => {
                self.attempts.set(2);
                Err(fault.into())
            }
            Err(_) => Ok(None),
        }
    }
}
