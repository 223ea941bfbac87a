//! The script engine: its limits, its verbs, what it may import, and the static check.

mod build;
mod lint;
mod memory;
mod resolver;
mod road;

pub use build::{Limits, compile, header};
pub use lint::{
    Finding, Outline, OutlineItem, OutlineKind, Severity, check, examine, outline, outline_of,
};
pub use road::{Ended, RoadSetup, Stage, walk, walk_back_by_restore};
