//! Crash points for the chaos harness: named places where a process can be told to die.
//!
//! Compiled in only with the feature `failpoints`; chosen by `RUNSHEET_FAILPOINT=name[:nth]`.

/// Dies here where the environment says so.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::host::reach($name);
    };
}
pub(super) use failpoint;

/// The process reached a crash point.
#[cfg(feature = "failpoints")]
pub fn reach(name: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static REACHED: AtomicU32 = AtomicU32::new(0);
    let Ok(wanted) = std::env::var("RUNSHEET_FAILPOINT") else { return };
    let (wanted, nth) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if wanted == name && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == nth.parse().unwrap_or(1) {
        std::process::abort();
    }
}
