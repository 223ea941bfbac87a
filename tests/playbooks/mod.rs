//! The shipped playbooks, run whole.

pub mod alembic;
pub mod application;
pub mod auto_trader;
pub mod auto_trader_guards;
pub mod auto_trader_staged;
pub mod container_start;
pub mod coverage;
pub mod ground;
pub mod iamvet;
pub mod iamvet_guards;
pub mod library;
pub mod misopin;
pub mod prisma;
pub mod trading_floor;
pub mod videoplanet;

use std::path::Path;

/// Waits for a file that another process writes.
#[track_caller]
pub fn wait_for_file(path: &Path) {
    let since = std::time::Instant::now();
    while !path.exists() {
        assert!(since.elapsed().as_secs() < 30, "never there: {}", path.display());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
