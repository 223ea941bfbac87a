//! NDJSON for programs: each event one line, flushed at once. The last one carries `state`,
//! `changed`, `exit` and `next`.

use std::io::Write;

use super::harmless::is_harmless;
use super::sink::Sink;
use crate::model::{Redactor, RunEvent};

/// Writes `{"seq":..,"at":..,"elapsed_ms":..,"event":..}` lines, secrets blanked.
pub struct JsonSink {
    out: Box<dyn Write + Send>,
    redactor: Redactor,
}

impl JsonSink {
    /// A sink that writes to `out`.
    pub fn new(out: Box<dyn Write + Send>, redactor: Redactor) -> Self {
        Self { out, redactor }
    }
}

/// JSON escapes C0 itself; C1 and bidirectional overrides are escaped here, because the lines are
/// looked at in terminals too. The data stays the same.
fn escaped(line: String) -> String {
    if line.chars().all(is_harmless) {
        return line;
    }
    let mut out = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if is_harmless(c) {
            out.push(c);
        } else {
            out.push_str(&format!("\\u{:04x}", c as u32));
        }
    }
    out
}

impl Sink for JsonSink {
    fn event(&mut self, event: &RunEvent) {
        // The recorder has blanked what it knows; this is for sinks that are used without one.
        let Ok(value) = serde_json::to_value(event) else { return };
        let line = match self.redactor.clean_value(&value) {
            clean if clean == value => serde_json::to_string(event).unwrap_or_default(),
            clean => clean.to_string(),
        };
        let mut line = escaped(line);
        line.push('\n');
        let _ = self.out.write_all(line.as_bytes());
        let _ = self.out.flush();
    }

    fn finish(&mut self) {
        let _ = self.out.flush();
    }
}
