//! SQL files: cut by psql's rules, read as psql reads them, and understood before they run.
//!
//! Talks to no server. `split` cuts, `script` does what psql does with a file, `classify` says what
//! a statement means, `review` puts that together for a whole file, `rollback_section` finds the
//! commented way back at the end of a migration.

mod buffer;
mod copy_data;
mod lex;
mod routine;
pub mod split;

pub use split::{Meta, Piece, Splitter, Statement, Terminator};
