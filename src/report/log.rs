//! The paper of the plain log: lines behind a clock, and the item that has only just begun.
//!
//! An item that ends soon is told in one line, with its facts below it. Only one that takes longer
//! is announced first: when something is known of its progress, or after a moment without a word.
//! Nothing is left out; what is held back is written at the latest when the log is put away.

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::harmless::{harmless, is_plain};
use super::words::clock;
use crate::model::Redactor;

/// An item that takes longer than this is announced.
pub(super) const SOON: Duration = Duration::from_secs(2);
/// No more lines than this are held back.
const HELD: usize = 200;

/// A log that several threads may write to.
#[derive(Clone)]
pub(super) struct Log(Arc<Mutex<Inner>>);

struct Inner {
    out: BufWriter<Box<dyn Write + Send>>,
    redactor: Redactor,
    young: Option<Young>,
    /// Is a watch wanted? It is set when the first item begins.
    wanted: bool,
    watch: Option<Sender<()>>,
    /// Has the watch an eye on the items? It looks again by itself, until there is none.
    watching: bool,
}

/// An item of which nothing is written yet.
struct Young {
    born: Instant,
    since_ms: u64,
    at: String,
    begins: String,
    held: Vec<(String, String)>,
}

impl Log {
    pub(super) fn new(out: Box<dyn Write + Send>, redactor: Redactor) -> Self {
        let out = BufWriter::with_capacity(64 * 1024, out);
        Self(Arc::new(Mutex::new(Inner {
            out,
            redactor,
            young: None,
            wanted: false,
            watch: None,
            watching: false,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces an item also where no event says that it takes long.
    pub(super) fn watched(&self) {
        self.inner().wanted = true;
    }

    /// A thread that ends with the log.
    fn watch(&self) -> Option<Sender<()>> {
        let (sender, calls) = channel();
        let inner = Arc::downgrade(&self.0);
        let watch = move || {
            watch(&calls, || {
                let inner = inner.upgrade()?;
                let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
                inner.look()
            });
        };
        // Without the thread the log is as true, only later.
        std::thread::Builder::new().name("log".into()).spawn(watch).ok().map(|_| sender)
    }

    /// An item begins; `begins` is what announces it.
    pub(super) fn begin(&self, at: &str, elapsed_ms: u64, begins: String) {
        let mut inner = self.inner();
        inner.announce();
        let (born, at) = (Instant::now(), at.to_string());
        inner.young = Some(Young { born, since_ms: elapsed_ms, at, begins, held: Vec::new() });
        if std::mem::take(&mut inner.wanted) {
            inner.watch = self.watch();
        }
        if let Some(watch) = inner.watch.clone().filter(|_| !inner.watching) {
            inner.watching = watch.send(()).is_ok();
        }
    }

    /// The item ended: the lines of its end, and between the first of them and the rest the facts
    /// that were held back.
    pub(super) fn end(&self, at: &str, lines: &[String]) {
        let mut inner = self.inner();
        let held = inner.young.take().map(|young| young.held).unwrap_or_default();
        let (first, rest) = lines.split_at(lines.len().min(1));
        let held = held.iter().map(|(_, text)| text);
        for text in first.iter().chain(held).chain(rest) {
            inner.write(at, text);
        }
    }

    /// Writes a line, or holds it back where its item has only just begun.
    pub(super) fn line(&self, at: &str, elapsed_ms: u64, text: &str) {
        let mut inner = self.inner();
        let soon = |young: &Young| {
            elapsed_ms.saturating_sub(young.since_ms) < SOON.as_millis() as u64
                && young.held.len() < HELD
        };
        match &mut inner.young {
            Some(young) if soon(young) => young.held.push((at.into(), text.into())),
            _ => {
                inner.announce();
                inner.write(at, text);
            }
        }
    }

    /// From here on the item is written as it goes.
    pub(super) fn announce(&self) {
        self.inner().announce();
    }

    pub(super) fn flush(&self) {
        let _ = self.inner().out.flush();
    }
}

impl Inner {
    /// Announces an item that is old enough; gives how long the present one has until then.
    fn look(&mut self) -> Option<Duration> {
        let left = self.young.as_ref().map(|young| SOON.saturating_sub(young.born.elapsed()));
        if left == Some(Duration::ZERO) {
            self.announce();
            let _ = self.out.flush();
        }
        let left = left.filter(|left| !left.is_zero());
        self.watching = left.is_some();
        left
    }

    fn announce(&mut self) {
        let Some(young) = self.young.take() else { return };
        self.write(&young.at, &young.begins);
        for (at, text) in &young.held {
            self.write(at, text);
        }
    }

    fn write(&mut self, at: &str, text: &str) {
        let text = if self.redactor.is_empty() { text } else { &self.redactor.clean(text) };
        let indent = text.len() - text.trim_start_matches(' ').len();
        let text: Cow<'_, str> = if is_plain(text) {
            text.into()
        } else {
            format!("{}{}", &text[..indent], harmless(&text[indent..]).replace(['\n', '\t'], " "))
                .into()
        };
        for part in ["[", clock(at), "] ", &text, "\n"] {
            let _ = self.out.write_all(part.as_bytes());
        }
    }
}

/// Looks, once it is called, until there is no item to look after.
fn watch(calls: &Receiver<()>, look: impl Fn() -> Option<Duration>) {
    while calls.recv().is_ok() {
        let mut left = look();
        while let Some(pause) = left {
            match calls.recv_timeout(pause) {
                Err(RecvTimeoutError::Disconnected) => return,
                _ => left = look(),
            }
        }
    }
}
