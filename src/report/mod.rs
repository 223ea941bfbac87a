//! What people and programs see of a run: terminal, plain lines, NDJSON, faults, the report.
//!
//! Everything here only reads [`crate::model::RunEvent`]s and faults. Nothing asks the database,
//! and nothing decides anything. The engine feeds a [`Sink`]; the command line folds a journal's
//! events into a [`Report`] and prints tables.

mod fault;
mod fold;
mod harmless;
mod json;
mod line;
mod log;
mod markdown;
mod model;
mod paper;
mod plain;
mod plan;
mod reckoning;
mod screen;
mod sink;
mod statement;
mod summary;
mod table;
mod tell;
mod terminal;
mod watch;
mod words;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod snapshots;

pub use fault::render;
pub use fold::Folding;
pub use harmless::{harmless, one_line};
pub use json::JsonSink;
pub use markdown::markdown;
pub use model::{
    BackupReport, Evidence, FaultReport, FileStatements, ItemAction, ItemReport, Process, Report,
    Rung, SectionReport, Timing, Verdict,
};
pub use plain::PlainSink;
pub use plan::plan_text;
pub use sink::{Output, Silent, Sink, for_terminal};
pub use table::{Table, fit, pad, width_of};
pub use terminal::LiveSink;
pub use watch::lock_wait_line;
pub use words::grouped;
