//! `sql::`: SQL files, over the wire.

mod alone;
mod found;
mod progress;
pub(super) mod review;
pub(super) mod rollback_section;
pub(super) mod run_file;
mod send;
