//! Crash points for the chaos harness: named places where a process can be told to die.
//!
//! Compiled in only with the feature `failpoints`; chosen by `RUNSHEET_FAILPOINT=name[:nth[:SIGNAL]]`
//! (`KILL` where none is named, the first time where no number is). [`POINTS`] is the one list.
//!
//! Several moments of a step share a message, so the program has no place between them: BEGIN,
//! fence and first statement are one message, and so are the journal row and COMMIT. `after-begin`
//! and `commit-sent` die with that message on the wire and its answer unread: the server may be
//! anywhere inside it. "Row written, COMMIT not sent" exists for nobody.

/// Every crash point, in the order in which a run meets them first.
pub const POINTS: [&str; 15] = [
    // The lease is taken, the run's row is not written.
    "after-lease",
    // A message that opens a step's transaction is on the wire, its answer unread.
    "after-begin",
    // The same, where the message held nothing but BEGIN and the fence, and was answered.
    "after-fence",
    // A statement of a step was answered.
    "after-sql",
    // The body has returned; the message with journal row and COMMIT is not sent.
    "before-commit",
    // That message is on the wire, its answer unread; also for statements that commit alone.
    "commit-sent",
    // Its answer was read.
    "commit-answered",
    // An effect that no transaction holds: nothing of it is announced.
    "before-intent",
    // A mark of the ledger (announced, settled) is on the wire, its answer unread.
    "mark-sent",
    // It is announced in ledger and file.
    "after-intent",
    // A statement that must run alone is on the wire, its answer unread.
    "alone-sent",
    // The effect has happened; nothing says so.
    "after-effect",
    // An item has ended and was reported.
    "before-next",
    // Everything is done; the ledger still says that the run is running.
    "before-close",
    // The run is closed; the lease is not given back.
    "after-close",
];

/// Dies here where the environment says so.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::host::reach($name);
    };
}
pub(super) use failpoint;

/// Sends a message and waits for its answer; dies in between where the environment says so.
#[cfg(not(feature = "failpoints"))]
pub(super) async fn sent<T>(_name: &str, work: impl Future<Output = T>) -> T {
    work.await
}

/// As above, with the crash point compiled in.
#[cfg(feature = "failpoints")]
pub(super) async fn sent<T>(name: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    if let Some(signal) = armed(name) {
        // The first turn hands the message over, the next ones let the connection's task write it.
        for _ in 0..4 {
            tokio::select! {
                biased;
                done = &mut work => {
                    raise(signal);
                    return done;
                }
                () = tokio::task::yield_now() => {}
            }
        }
        raise(signal);
    }
    work.await
}

/// The process reached a crash point.
#[cfg(feature = "failpoints")]
pub fn reach(name: &str) {
    if let Some(signal) = armed(name) {
        raise(signal);
    }
}

/// Counts the visits of the point that the environment names; the signal where this is the one.
#[cfg(feature = "failpoints")]
fn armed(name: &str) -> Option<rustix::process::Signal> {
    use rustix::process::Signal;
    use std::sync::atomic::{AtomicU32, Ordering};
    static REACHED: AtomicU32 = AtomicU32::new(0);
    let wanted = std::env::var("RUNSHEET_FAILPOINT").ok()?;
    let mut parts = wanted.split(':');
    if parts.next() != Some(name) {
        return None;
    }
    let nth = parts.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let signal = match parts.next() {
        Some("INT") => Signal::INT,
        Some("TERM") => Signal::TERM,
        Some("HUP") => Signal::HUP,
        Some("STOP") => Signal::STOP,
        _ => Signal::KILL,
    };
    (REACHED.fetch_add(1, Ordering::SeqCst) + 1 == nth).then_some(signal)
}

/// Sends this process the signal. One that is caught is seen by the thread for signals; the pause
/// lets it be seen here, at the point, and not somewhere behind it.
#[cfg(feature = "failpoints")]
fn raise(signal: rustix::process::Signal) {
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    std::thread::sleep(std::time::Duration::from_millis(30));
}
