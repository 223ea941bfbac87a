//! The readers of a run while it runs. The engine gives every event to one sink.
//!
//! The checklist and NDJSON are the command's output and go to standard output; faults go to
//! standard error. A sink never fails: a reader that went away must not stop a migration.

use serde_json::Value;

use super::json::JsonSink;
use super::plain::PlainSink;
use super::terminal::LiveSink;
use crate::model::{Fault, Redactor, RunEvent};

/// Reads the events of one run, in order.
pub trait Sink: Send {
    /// Takes one event.
    fn event(&mut self, event: &RunEvent);

    /// Writes everything out and takes moving parts off the screen, so that a question can be
    /// asked; the next event brings them back.
    fn quiet(&mut self) {}

    /// Writes everything out; nothing is shown afterwards. May be called twice.
    fn finish(&mut self);
}

/// Shows nothing: what happens is only kept.
pub struct Silent;

impl Sink for Silent {
    fn event(&mut self, _: &RunEvent) {}

    fn finish(&mut self) {}
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A live checklist, for a terminal.
    Live,
    /// One line per fact, for logs and pipes.
    Plain,
    /// One JSON document per line, for programs.
    Json,
}

/// The sink for the process's own standard output and standard error. `colour` is asked by Live
/// only (and by its faults); `verbose` adds reads, intents and every statement.
pub fn for_terminal(
    mode: Output,
    redactor: Redactor,
    colour: bool,
    verbose: bool,
) -> Box<dyn Sink> {
    let out = Box::new(std::io::stdout());
    let faults = Box::new(std::io::stderr());
    match mode {
        Output::Live => Box::new(LiveSink::new(out, faults, redactor, colour, verbose)),
        Output::Plain => Box::new(PlainSink::new(out, faults, redactor, verbose).watched()),
        Output::Json => Box::new(JsonSink::new(out, redactor)),
    }
}

/// The fault with every secret blanked, before it is laid out: colours and line breaks would cut
/// a secret into pieces that nobody finds.
pub(super) fn cleaned(fault: &Fault, redactor: &Redactor) -> Fault {
    if redactor.is_empty() {
        return fault.clone();
    }
    let Ok(mut value) = serde_json::to_value(fault) else { return fault.clone() };
    clean_value(&mut value, redactor);
    serde_json::from_value(value).unwrap_or_else(|_| fault.clone())
}

fn clean_value(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => *text = redactor.clean(text),
        Value::Array(list) => list.iter_mut().for_each(|entry| clean_value(entry, redactor)),
        Value::Object(map) => map.values_mut().for_each(|entry| clean_value(entry, redactor)),
        _ => {}
    }
}
