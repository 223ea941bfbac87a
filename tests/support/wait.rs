//! Waiting for what others do: for the event, with one deadline for all, never for a time.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Whatever a test waits for comes sooner, on a machine however busy.
pub const SOON: Duration = Duration::from_secs(60);

/// What has to happen without waiting for anybody has happened by then: a hundred times what it
/// takes on a quiet machine, and less than the waiting would take.
pub const AT_ONCE: Duration = Duration::from_secs(20);

/// Waits until it holds.
#[track_caller]
pub fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    comes(what, || if holds() { Ok(()) } else { Err("it does not") });
}

/// Waits until there is something; what is there instead is said when the time is over.
#[track_caller]
pub fn comes<T, E: Display>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let since = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) if since.elapsed() > SOON => panic!("never: {what}\n{instead}"),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// A process that is there and has not ended: one that nobody has waited for is no living one.
pub fn lives(pid: u32) -> bool {
    state_of(&format!("/proc/{pid}/stat")).is_some_and(|state| state != 'Z' && state != 'X')
}

/// The letter of a process or thread: R, S, D, T, Z ..; None where it is gone.
pub fn state_of(stat: &str) -> Option<char> {
    let text = std::fs::read_to_string(stat).ok()?;
    // "pid (name) T ..": a name may hold anything.
    text.rsplit_once(") ")?.1.chars().next()
}
