//! How much memory and time a script takes: memory is looked at by a thread of its own.
//!
//! The engine bounds one string, one array, one map; ten thousand variables full of them it does
//! not bound. The thread only reads a number and sets a flag; the engine reads the flag at every
//! operation. Where the system does not say what a process takes, nothing is looked at.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// One look takes some microseconds. In so long a script fills perhaps 100 MiB.
const EVERY: Duration = Duration::from_millis(20);

/// Set once the process takes more than it took when this was made, and `most` bytes.
#[derive(Clone)]
pub(super) struct Full(Arc<AtomicBool>);

impl Full {
    /// Begins to look; ends with the last clone.
    pub(super) fn beyond(most: u64) -> Self {
        let flag = Arc::new(AtomicBool::new(false));
        if let Some(now) = resident() {
            let (weak, most) = (Arc::downgrade(&flag), now.saturating_add(most));
            // Without the thread there is one wall less; the engine's own limits stand.
            let _ =
                std::thread::Builder::new().name("memory".into()).spawn(move || look(&weak, most));
        }
        Self(flag)
    }

    /// Is it too much?
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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

fn look(flag: &Weak<AtomicBool>, most: u64) {
    loop {
        std::thread::sleep(EVERY);
        let Some(flag) = flag.upgrade() else { return };
        if resident().is_some_and(|now| now > most) {
            flag.store(true, Ordering::Relaxed);
            return;
        }
    }
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
        let full = Full::beyond(64 << 20);
        assert!(!full.is_set());
        let Some(before) = resident() else { return };
        let taken = vec![1u8; 160 << 20];
        assert!(resident().is_some_and(|now| now > before + (100 << 20)), "{}", taken.len());
        let since = std::time::Instant::now();
        while !full.is_set() {
            assert!(since.elapsed() < Duration::from_secs(20), "never seen");
            std::thread::yield_now();
        }
        drop(taken);
    }
}
