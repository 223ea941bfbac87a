//! SQL files: cut by psql's rules, read as psql reads them, and understood before they run.
//!
//! Talks to no server. `split` cuts, `script` does what psql does with a file, `classify` says what
//! a statement means, `review` puts that together for a whole file, `rollback_section` finds the
//! commented way back at the end of a migration.

// A fault carries everything that people read; it is made once per run, not per token.
#![allow(clippy::result_large_err)]

mod alter_table;
mod args;
mod body;
mod buffer;
pub mod classify;
mod commands;
mod conditions;
mod copy_data;
mod files;
mod insert;
mod learn;
mod lex;
pub mod lint;
mod locks;
mod parse;
mod place;
mod probe;
mod quick;
pub mod review;
mod rewrite;
mod risk;
pub mod rollback_section;
mod routine;
mod safer;
pub mod script;
mod seen;
pub mod split;
pub mod surface;
mod transaction;
mod tree;
mod undo;
mod undo_table;
mod validate;
mod variables;
mod words;

pub use args::Direction;
pub use classify::{Lock, StatementInfo, classify};
pub use files::hash_file;
pub use lint::{
    Around, Examined, Examiner, Finding, Judged, Level, Linted, lint_beside, lint_file, lint_within,
};
pub use place::{Edit, StatementPlace};
pub use probe::Probe;
pub use quick::{Control, Quick, quick_kind};
pub use review::{Review, Reviewed, review};
pub use rollback_section::RollbackSection;
pub use script::{Follow, Script, ScriptOptions, Unit};
pub use split::{Meta, Piece, Splitter, Statement, Terminator};
pub use undo::Undo;
pub use validate::{Summary, validate, validate_known};
