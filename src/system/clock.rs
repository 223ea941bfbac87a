//! What time it is here, and since which start of the machine: the one place that asks.
//!
//! The machine's zone is read once, from its own file: finding it by name means reading the whole
//! time zone database's folders, which took longer than connecting to the server.

use std::path::Path;
use std::sync::OnceLock;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Now, in this machine's zone.
pub fn now() -> Zoned {
    at_home(Timestamp::now())
}

/// Now, as records say it: `2026-11-21T03:15:42+09:00`.
pub fn moment() -> String {
    now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A moment in this machine's zone.
pub fn at_home(moment: Timestamp) -> Zoned {
    static HOME: OnceLock<TimeZone> = OnceLock::new();
    moment.to_zoned(HOME.get_or_init(zone).clone())
}

/// Which start of this machine this is; None where the system does not name it.
pub fn boot() -> Option<String> {
    // No test can start the machine anew.
    #[cfg(feature = "failpoints")]
    if let Ok(pretended) = std::env::var("RUNSHEET_BOOT") {
        return Some(pretended);
    }
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_string()).filter(|id| !id.is_empty())
}

/// `TZ` as everybody reads it, else what `/etc/localtime` says.
fn zone() -> TimeZone {
    let set = std::env::var_os("TZ").is_some_and(|value| !value.is_empty());
    let own = if set { None } else { zone_of(Path::new("/etc/localtime")) };
    own.unwrap_or_else(TimeZone::system)
}

fn zone_of(file: &Path) -> Option<TimeZone> {
    TimeZone::tzif("Local", &std::fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_own_file_and_the_database_give_the_same_time() {
        let moment: Timestamp = "2026-11-21T03:15:42Z".parse().unwrap();
        let expected = moment.to_zoned(TimeZone::system());
        assert_eq!(at_home(moment).offset(), expected.offset());
    }

    #[test]
    fn a_file_that_is_no_zone_is_no_zone() {
        assert!(zone_of(Path::new("/etc/hostname")).is_none());
        assert!(zone_of(Path::new("/nosuch")).is_none());
    }
}
