//! The first Ctrl-C, SIGTERM or SIGHUP asks the run to stop and tidy up; the second ends the
//! process at once.
//!
//! One [`Cancel`] is made by `cli` and handed down. A script reads [`Cancel::is_cancelled`] at
//! every operation (one atomic load, no clock); asynchronous work selects on
//! [`Cancel::cancelled`]; blocking work sleeps with [`Cancel::sleep`].

use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Handle;
use tokio::sync::watch;

use crate::model::{Fault, FaultKind};
use crate::msg;

/// Why the run has to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Ctrl-C: exit code 130 where the database is as before.
    Interrupted,
    /// SIGTERM or SIGHUP: exit code 143 where the database is as before.
    Terminated,
    /// A time limit set by [`Cancel::with_deadline`] has passed.
    Deadline,
}

impl Reason {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Interrupted),
            2 => Some(Self::Terminated),
            3 => Some(Self::Deadline),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Interrupted => 1,
            Self::Terminated => 2,
            Self::Deadline => 3,
        }
    }

    /// The fault of a piece of work that was stopped for this reason.
    pub fn fault(self) -> Fault {
        match self {
            Self::Interrupted => {
                Fault::new(FaultKind::Interrupted, "interrupted", msg!("system.interrupted"))
            }
            Self::Terminated => {
                Fault::new(FaultKind::Terminated, "terminated", msg!("system.terminated"))
            }
            Self::Deadline => Fault::failed("time-limit", msg!("system.deadline")),
        }
    }
}

struct Inner {
    reason: AtomicU8,
    woken: watch::Sender<u8>,
    asleep: Mutex<()>,
    alarm: Condvar,
    children: Mutex<Vec<Weak<Inner>>>,
    /// Kept alive, so that a cancel reaches grandchildren whose parent nobody holds any more.
    _parent: Option<Arc<Inner>>,
    /// Dropped with the last clone, which ends the thread of the deadline.
    timer: Mutex<Option<mpsc::Sender<()>>>,
}

/// Asks a run to stop. Clones share one state.
#[derive(Clone)]
pub struct Cancel {
    inner: Arc<Inner>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

impl Cancel {
    /// One that no signal reaches: for tests and for work that only its caller may stop.
    pub fn new() -> Self {
        Self::below(None)
    }

    fn below(parent: Option<Arc<Inner>>) -> Self {
        Self {
            inner: Arc::new(Inner {
                reason: AtomicU8::new(0),
                woken: watch::Sender::new(0),
                asleep: Mutex::new(()),
                alarm: Condvar::new(),
                children: Mutex::new(Vec::new()),
                _parent: parent,
                timer: Mutex::new(None),
            }),
        }
    }

    /// One that SIGINT, SIGTERM and SIGHUP cancel. The second signal runs the hooks of
    /// [`on_abort`] and exits with 130 or 143.
    ///
    /// # Errors
    /// `signals-unavailable` where the process may not handle signals.
    pub fn install() -> Result<Self, Fault> {
        let unavailable = |error: std::io::Error| {
            Fault::failed("signals-unavailable", msg!("system.signals-unavailable"))
                .detail(error.to_string())
        };
        let mut signals =
            signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(unavailable)?;
        let cancel = Self::new();
        let handler = cancel.clone();
        let handle = signals.handle();
        let thread = std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    let (reason, code) = match signal {
                        SIGINT => (Reason::Interrupted, 130),
                        _ => (Reason::Terminated, 143),
                    };
                    if handler.is_cancelled() {
                        abort(code);
                    }
                    handler.cancel(reason);
                }
            })
            .map_err(unavailable)?;
        *hold(&LISTENING) = Some((handle, thread));
        Ok(cancel)
    }

    /// Asks for the end. The first reason given stays.
    pub fn cancel(&self, reason: Reason) {
        let set = self.inner.reason.compare_exchange(
            0,
            reason.byte(),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        if set.is_err() {
            return;
        }
        self.inner.woken.send_replace(reason.byte());
        // Taken once, so that a sleeper between its look and its wait does not miss the alarm.
        drop(hold(&self.inner.asleep));
        self.inner.alarm.notify_all();
        let children = std::mem::take(&mut *hold(&self.inner.children));
        for child in children.iter().filter_map(Weak::upgrade) {
            Self { inner: child }.cancel(reason);
        }
    }

    /// True once the end was asked for: one atomic load.
    pub fn is_cancelled(&self) -> bool {
        self.inner.reason.load(Ordering::Relaxed) != 0
    }

    /// Why, once the end was asked for.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_byte(self.inner.reason.load(Ordering::SeqCst))
    }

    /// An error once the end was asked for.
    pub fn check(&self) -> Result<(), Fault> {
        self.reason().map_or(Ok(()), |reason| Err(reason.fault()))
    }

    /// Resolves with the reason once the end was asked for, whichever thread asks.
    pub fn cancelled(&self) -> impl Future<Output = Reason> + Send + 'static {
        let mut woken = self.inner.woken.subscribe();
        let inner = self.inner.clone();
        async move {
            // The sender lives in `inner`, held here: this cannot end for want of a sender.
            let byte = woken.wait_for(|byte| *byte != 0).await.map_or(0, |byte| *byte);
            drop(inner);
            Reason::from_byte(byte).unwrap_or(Reason::Terminated)
        }
    }

    /// Sleeps on this thread; comes back early with the reason where the end is asked for.
    pub fn sleep(&self, time: Duration) -> Result<(), Reason> {
        let until = Instant::now() + time;
        let mut guard = hold(&self.inner.asleep);
        loop {
            if let Some(reason) = self.reason() {
                return Err(reason);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            guard = match self.inner.alarm.wait_timeout(guard, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// A child that is cancelled with this one, and by [`Reason::Deadline`] when the time is over.
    /// Cancelling the child leaves this one as it is.
    pub fn with_deadline(&self, time: Duration) -> Self {
        let child = self.child();
        let (timer, over) = mpsc::channel::<()>();
        let weak = Arc::downgrade(&child.inner);
        let thread = std::thread::Builder::new().name("deadline".into()).spawn(move || {
            // Nothing is ever sent: it ends by the time, or because the last clone is gone.
            if over.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Timeout)
                && let Some(inner) = weak.upgrade()
            {
                Self { inner }.cancel(Reason::Deadline);
            }
        });
        match thread {
            Ok(_) => *hold(&child.inner.timer) = Some(timer),
            // Without a thread nobody would keep the time: better stopped than unbounded.
            Err(_) => child.cancel(Reason::Deadline),
        }
        child
    }

    /// A child that is cancelled with this one.
    pub fn child(&self) -> Self {
        let child = Self::below(Some(self.inner.clone()));
        {
            let mut children = hold(&self.inner.children);
            children.retain(|known| known.strong_count() > 0);
            children.push(Arc::downgrade(&child.inner));
        }
        // Looked at after it was entered: a cancel in between has either seen it or is seen here.
        if let Some(reason) = self.reason() {
            child.cancel(reason);
        }
        child
    }
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cancel").field(&self.reason()).finish()
    }
}

static LISTENING: Mutex<Option<(Handle, JoinHandle<()>)>> = Mutex::new(None);

/// Ends the thread of [`Cancel::install`], shortly before the process ends: from now on its signals
/// do nothing.
pub fn stop_listening() {
    if let Some((handle, thread)) = hold(&LISTENING).take() {
        handle.close();
        let _ = thread.join();
    }
}

type Hook = Box<dyn FnOnce() + Send>;

static HOOKS: Mutex<Vec<(u64, Hook)>> = Mutex::new(Vec::new());

/// Taken back when dropped. See [`on_abort`].
#[must_use = "the hook is taken back when this is dropped"]
#[derive(Debug)]
pub struct AbortHook {
    id: u64,
}

/// Does something at the second signal, just before the process exits: end a scratch server,
/// lift the read-only mode. All hooks together get two seconds.
pub fn on_abort(hook: impl FnOnce() + Send + 'static) -> AbortHook {
    let mut hooks = hold(&HOOKS);
    let id = hooks.last().map_or(0, |(id, _)| id + 1);
    hooks.push((id, Box::new(hook)));
    AbortHook { id }
}

impl Drop for AbortHook {
    fn drop(&mut self) {
        hold(&HOOKS).retain(|(id, _)| *id != self.id);
    }
}

fn abort(code: i32) -> ! {
    let hooks = std::mem::take(&mut *hold(&HOOKS));
    let (done, all_done) = mpsc::channel();
    let _ = std::thread::Builder::new().name("abort".into()).spawn(move || {
        for (_, hook) in hooks.into_iter().rev() {
            hook();
        }
        let _ = done.send(());
    });
    let _ = all_done.recv_timeout(Duration::from_secs(2));
    std::process::exit(code)
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let cancel = Cancel::new();
        assert!(!cancel.is_cancelled());
        assert!(cancel.check().is_ok());
        cancel.cancel(Reason::Interrupted);
        cancel.clone().cancel(Reason::Terminated);
        assert_eq!(cancel.reason(), Some(Reason::Interrupted));
        assert_eq!(cancel.check().unwrap_err().kind, FaultKind::Interrupted);
    }

    #[test]
    fn a_runtime_on_another_thread_is_woken() {
        let cancel = Cancel::new();
        let waiting = cancel.clone();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            ready.send(()).unwrap();
            runtime.block_on(waiting.cancelled())
        });
        is_ready.recv().unwrap();
        cancel.cancel(Reason::Terminated);
        assert_eq!(thread.join().unwrap(), Reason::Terminated);
    }

    #[test]
    fn a_deadline_ends_the_child_and_not_the_parent() {
        let parent = Cancel::new();
        let child = parent.with_deadline(Duration::from_millis(20));
        assert_eq!(child.sleep(Duration::from_secs(30)), Err(Reason::Deadline));
        assert!(!parent.is_cancelled());
    }

    #[test]
    fn a_cancelled_parent_cancels_its_children_old_and_new() {
        let parent = Cancel::new();
        let before = parent.with_deadline(Duration::from_secs(600)).child();
        parent.cancel(Reason::Interrupted);
        assert_eq!(before.reason(), Some(Reason::Interrupted));
        assert_eq!(parent.child().reason(), Some(Reason::Interrupted));
    }

    #[test]
    fn a_sleep_that_nobody_disturbs_lasts() {
        let started = Instant::now();
        assert_eq!(Cancel::new().sleep(Duration::from_millis(30)), Ok(()));
        assert!(started.elapsed() >= Duration::from_millis(30));
    }
}
