//! `sql::`: SQL files, over the wire.

mod alone;
mod found;
mod progress;
pub(super) mod run_file;
mod send;
