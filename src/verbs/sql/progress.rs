//! What is said while a file runs: each statement with its time and rows, and how far it is.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::model::{EventKind, Fault, StatementReport};
use crate::sql::StatementPlace;

/// Above so many statements only the slow ones are reported one by one.
const MANY: u32 = 2_000;
/// From here a statement of a long file is slow.
const SLOW: Duration = Duration::from_millis(100);
/// Pause between two reports of how far it is.
const PAUSE: Duration = Duration::from_millis(100);
/// Characters of a statement that are shown,
const SHOWN: usize = 120;
/// and words.
const WORDS: usize = 24;

/// Counts and reports.
pub(super) struct Progress<'a> {
    host: &'a Rc<Host>,
    what: String,
    of: u32,
    /// Statements that ended.
    pub done: u32,
    /// Rows they touched.
    pub rows: u64,
    said: Instant,
}

impl<'a> Progress<'a> {
    /// For a file with so many statements.
    pub fn new(host: &'a Rc<Host>, what: &str, of: u32) -> Self {
        Self { host, what: what.into(), of, done: 0, rows: 0, said: Instant::now() }
    }

    /// A statement ended.
    ///
    /// # Errors
    /// `journal-write`.
    pub fn statement(
        &mut self,
        text: &str,
        place: &StatementPlace,
        rows: Option<u64>,
        took: Duration,
    ) -> Result<(), Fault> {
        self.done += 1;
        self.rows += rows.unwrap_or(0);
        if self.of <= MANY || took >= SLOW {
            self.host.emit(EventKind::Statement(StatementReport {
                file: place.file.clone(),
                line: place.line,
                number: self.done,
                of: self.of.max(self.done),
                text: beginning(text),
                rows,
                took_ms: took.as_millis() as u64,
            }))?;
        }
        if self.of > MANY && self.said.elapsed() >= PAUSE {
            self.said = Instant::now();
            self.host.emit(EventKind::Progress {
                what: self.what.clone(),
                done: u64::from(self.done),
                total: Some(u64::from(self.of)),
                unit: "statements".into(),
            })?;
        }
        Ok(())
    }
}

/// The first words of a statement, on one line.
fn beginning(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(2 * SHOWN));
    for word in text.split_whitespace().take(WORDS) {
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(word);
    }
    if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(end);
    }
    shown
}
