//! SQL files: cut by psql's rules, read as psql reads them, and understood before they run.
//!
//! Talks to no server. `split` cuts, `script` does what psql does with a file, `classify` says what
//! a statement means, `review` puts that together for a whole file, `rollback_section` finds the
//! commented way back at the end of a migration.

mod args;
mod buffer;
mod commands;
mod conditions;
mod copy_data;
mod files;
mod lex;
mod place;
mod quick;
mod routine;
pub mod script;
pub mod split;
mod transaction;
mod validate;
mod variables;

pub use args::Direction;
pub use files::hash_file;
pub use place::{Edit, StatementPlace};
pub use quick::{Control, Quick, quick_kind};
pub use script::{Follow, Script, ScriptOptions, Unit};
pub use split::{Meta, Piece, Splitter, Statement, Terminator};
pub use validate::{Summary, validate};
