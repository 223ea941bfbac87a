//! The static check of a playbook: no database, nothing runs.
//!
//! `program` compiles the playbook with everything it imports; `forms` looks at every place once
//! (names, arguments, options, variables, files); `flow` walks from the first line through the
//! playbook's own functions (items, titles, where effects stand). `runsheet check` and `show` call
//! this, and the road before it begins.

mod arguments;
mod calls;
mod declared;
mod files;
mod finding;
mod flow;
mod foretold;
mod forms;
mod imports;
mod items;
mod options;
mod outline;
mod program;
mod reach;
mod scope;
mod secrets;
mod syntax;
mod tree;
mod words;

pub use finding::{Finding, Severity, check, examine};
pub use imports::load_imports;
pub use outline::{Outline, OutlineItem, OutlineKind, header, outline, outline_of};
