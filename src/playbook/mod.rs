//! Finding what a run reads: playbooks by name, the modules they import, the SQL files they name.
//!
//! The project's files come first, then those shipped with the program. Nothing is read from
//! outside the project: absolute paths, `..` and symbolic links that leave it are refused. Scripts
//! are not compiled here; a playbook's header is read from its text alone.

mod find;
mod imports;
mod library;
mod paths;
mod scan;
mod shipped;
mod sql_files;
mod takeover;
mod text;

pub use find::{Listed, Origin, Playbook, find, guide_of, list};
pub use imports::resolve_import;
pub use shipped::{materialise, shipped_file};
pub use sql_files::{FileSource, resolve_sql};
pub use takeover::new_from;
