//! The words of a playbook: one file a verb or a small family, and one line each in the list.
//!
//! A verb describes what it is about to do and hands it to the gate; it never looks at the mode.

mod app;
mod compared;
mod db;
mod fs;
mod given;
mod http;
mod item;
mod list;
mod pg;
mod report;
mod sql;

pub use list::ALL;
pub use pg::manifest::server_of_dump;
pub use pg::rung::restore as restore_run;
pub use pg::verify::sound_dump;
