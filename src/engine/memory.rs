//! How much memory and time a script takes: memory is looked at by whoever waits for it.
//!
//! The engine bounds one string, one array, one map; ten thousand variables full of them it does
//! not bound. Who waits only reads a number and sets a flag; the engine reads the flag at every
//! operation. Where the system does not say what a process takes, nothing is looked at.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// One look takes some microseconds. In so long a script fills perhaps 100 MiB.
pub(super) const EVERY: Duration = Duration::from_millis(20);

/// Set once the process takes more than it may.
#[derive(Clone)]
pub(super) struct Full(Arc<Bound>);

struct Bound {
    most: AtomicU64,
    passed: AtomicBool,
}

impl Full {
    /// Without a bound as yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Bound { most: AtomicU64::new(u64::MAX), passed: AtomicBool::new(false) }))
    }

    /// From now on: so many bytes beyond what the process takes at present.
    pub(super) fn bound(&self, more: u64) {
        if let Some(now) = resident() {
            self.0.most.store(now.saturating_add(more), Ordering::Relaxed);
        }
    }

    /// Looks once.
    pub(super) fn look(&self) {
        let most = self.0.most.load(Ordering::Relaxed);
        if most < u64::MAX && resident().is_some_and(|now| now > most) {
            self.0.passed.store(true, Ordering::Relaxed);
        }
    }

    /// Was it too much?
    pub(super) fn is_set(&self) -> bool {
        self.0.passed.load(Ordering::Relaxed)
    }
}

/// How long this thread has worked without any verb: what the script itself computes.
#[derive(Default)]
pub(super) struct Busy {
    at: Cell<Duration>,
    calls: Cell<u64>,
    sum: Cell<Duration>,
}

impl Busy {
    /// Seconds up to now. What a verb took since the last look is not known apart, so a stretch
    /// with a call in it does not count; operations and remarks are bounded by themselves.
    pub(super) fn seconds(&self, calls: u64) -> u64 {
        let Some(now) = worked() else { return 0 };
        let (before, same) = (self.at.replace(now), self.calls.replace(calls) == calls);
        if same {
            self.sum.set(self.sum.get() + now.saturating_sub(before));
        }
        self.sum.get().as_secs()
    }
}

/// How long this thread had a processor.
#[cfg(not(target_vendor = "apple"))]
fn worked() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::ThreadCPUTime).try_into().ok()
}

/// Not known on this system.
#[cfg(target_vendor = "apple")]
fn worked() -> Option<Duration> {
    None
}

/// Bytes of this process that are in memory: the second number of `statm`, in pages.
fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_that_this_thread_worked_between_two_looks_without_a_call() {
        let Some(before) = worked() else { return };
        let busy = Busy::default();
        busy.seconds(1);
        while worked().is_some_and(|now| now < before + Duration::from_millis(20)) {}
        busy.seconds(2);
        assert_eq!(busy.sum.get(), Duration::ZERO, "a verb was called in between");
        while worked().is_some_and(|now| now < before + Duration::from_millis(40)) {}
        busy.seconds(2);
        assert!(busy.sum.get() >= Duration::from_millis(10), "{:?}", busy.sum.get());
    }

    #[test]
    fn what_is_taken_is_seen() {
        let full = Full::new();
        full.bound(64 << 20);
        full.look();
        assert!(!full.is_set());
        let Some(before) = resident() else { return };
        let taken = vec![1u8; 160 << 20];
        assert!(resident().is_some_and(|now| now > before + (100 << 20)), "{}", taken.len());
        full.look();
        assert!(full.is_set());
        drop(taken);
    }
}
