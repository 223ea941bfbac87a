//! lint: what SQL files would do, statement by statement, before anything runs.
//!
//! Connects to nothing but what `--against` names. `files` finds the files, the other rooms are one way of showing each.

mod command;
mod files;
mod machine;
mod people;

pub(super) use command::lint;
