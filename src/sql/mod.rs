//! SQL files: cut by psql's rules, read as psql reads them, and understood before they run.
//!
//! Talks to no server. `split` cuts, `script` does what psql does with a file, `classify` says what
//! a statement means, `review` puts that together for a whole file, `rollback_section` finds the
//! commented way back at the end of a migration.

// A fault carries everything that people read; it is made once per run, not per token.
#![allow(clippy::result_large_err)]

mod alter_table;
mod args;
mod buffer;
pub mod classify;
mod commands;
mod conditions;
mod copy_data;
mod files;
mod insert;
mod lex;
mod locks;
mod place;
mod probe;
mod quick;
pub mod review;
mod risk;
pub mod rollback_section;
mod routine;
pub mod script;
pub mod split;
mod transaction;
mod tree;
mod validate;
mod variables;
mod words;

pub use args::Direction;
pub use classify::{Lock, StatementInfo, classify};
pub use files::hash_file;
pub use place::{Edit, StatementPlace};
pub use probe::Probe;
pub use quick::{Control, Quick, quick_kind};
pub use review::{Review, Reviewed, review};
pub use rollback_section::RollbackSection;
pub use script::{Follow, Script, ScriptOptions, Unit};
pub use split::{Meta, Piece, Splitter, Statement, Terminator};
pub use validate::{Summary, validate, validate_known};
