//! The run's own event file: one JSON object a line, each bound to the line before by a hash.
//!
//! Events are taken down at once. They are shown and written at the next [`Recorder::flush`]: in
//! one go, before anything that cannot be taken back, and while the server works on what can. Until
//! the run has a folder they are kept in memory. Secrets are blanked here, before anything is
//! written or shown. It performs nothing and asks the database nothing.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::fenced;
use super::turn::{Turn, write};
use crate::model::{EventKind, Fault, Place, Redactor, RunEvent, hex};
use crate::msg;
use crate::report::{Folding, Report, Sink};

/// The name of the event file in a run's folder.
const EVENTS: &str = "events.jsonl";

/// Writes events to the file and to whoever shows them.
pub struct Recorder {
    sink: Box<dyn Sink>,
    redactor: Redactor,
    started: Instant,
    seq: u64,
    chain: String,
    origin: String,
    /// Reported, and neither shown nor written yet.
    fresh: Vec<RunEvent>,
    /// What the file holds, as the report that there is at the end.
    folding: Folding,
    /// Lines from before the run had a folder.
    waiting: Vec<String>,
    /// Lines on their way to the file.
    pending: Vec<u8>,
    file: Option<File>,
    path: PathBuf,
    /// Number and hash of the last line in the file.
    written: (u64, String),
    /// Where the file ended when this recorder wrote last.
    end: u64,
    overtaken: bool,
}

/// So many events do not wait for the next thing to happen.
const MOST_FRESH: usize = 64;

impl Recorder {
    /// A recorder that only shows, until [`Recorder::open`].
    pub fn new(sink: Box<dyn Sink>, redactor: Redactor) -> Self {
        Self {
            sink,
            redactor,
            started: Instant::now(),
            seq: 0,
            chain: String::new(),
            origin: String::new(),
            waiting: Vec::new(),
            fresh: Vec::new(),
            folding: Folding::default(),
            pending: Vec::new(),
            file: None,
            path: PathBuf::new(),
            written: (0, String::new()),
            end: 0,
            overtaken: false,
        }
    }

    /// From here on events are kept in the run's folder, those already reported included. An
    /// existing file is continued: its chain is checked, and a torn last line is cut off.
    ///
    /// # Errors
    /// `journal-broken` where a line was changed; `journal-write` where the file cannot be written.
    pub fn open(&mut self, folder: &Path) -> Result<(), Fault> {
        self.settle()?;
        let path = folder.join(EVENTS);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(&path)
            .map_err(|error| write_fault(&path, &error))?;
        // From here to the first line of ours nobody else writes: a runner that was overtaken must
        // find the file longer than it left it, and never fall between our reading and writing.
        let _turn = Turn::of(&file);
        let Loaded { events, mut chains, sound_bytes } = load(&path)?;
        file.set_len(sound_bytes).map_err(|error| write_fault(&path, &error))?;
        (&file).seek(SeekFrom::End(0)).map_err(|error| write_fault(&path, &error))?;
        self.seq = events.last().map_or(0, |event| event.seq);
        self.folding = Folding::default();
        events.iter().for_each(|event| self.folding.take(event));
        self.origin = chains.first().cloned().unwrap_or_default();
        self.chain = chains.pop().unwrap_or_default();
        self.path = path;
        self.end = sound_bytes;
        let kept = file.try_clone().map_err(|error| write_fault(&self.path, &error))?;
        self.file = Some(kept);
        for line in std::mem::take(&mut self.waiting) {
            // The number was given before the file was known: it is given anew.
            let mut event: RunEvent =
                serde_json::from_str(&line).map_err(|error| encode_fault(&error))?;
            self.seq += 1;
            event.seq = self.seq;
            let line = serde_json::to_string(&event).map_err(|error| encode_fault(&error))?;
            self.append(&line);
            self.folding.take(&event);
        }
        write(&file, &mut self.pending, &mut self.end, &self.path)?;
        self.written = (self.seq, self.chain.clone());
        Ok(())
    }

    /// The report of what the file holds, once; None where it holds nothing, as before
    /// [`Recorder::open`].
    pub fn report(&mut self) -> Option<Report> {
        let folding = std::mem::take(&mut self.folding);
        (!folding.is_empty()).then(|| folding.report())
    }

    /// Did another process go on with this run, and write into its file? This one then writes
    /// nothing more, there or beside it.
    pub fn overtaken(&self) -> bool {
        self.overtaken
    }

    /// Takes a fact down, with its time.
    ///
    /// # Errors
    /// `journal-write` where what has gathered cannot be written: the run must not go on
    /// unrecorded.
    pub fn emit(&mut self, kind: EventKind) -> Result<(), Fault> {
        self.seq += 1;
        let elapsed_ms = self.started.elapsed().as_millis() as u64;
        self.fresh.push(RunEvent { seq: self.seq, at: now(), elapsed_ms, kind });
        if self.fresh.len() < MOST_FRESH { Ok(()) } else { self.flush() }
    }

    /// Shows what was reported, without secrets, and binds it to the lines before.
    fn settle(&mut self) -> Result<(), Fault> {
        for mut event in std::mem::take(&mut self.fresh) {
            let mut line = serde_json::to_string(&event).map_err(|error| encode_fault(&error))?;
            if self.redactor.occurs_in(&line) {
                event = blanked(&self.redactor, event).map_err(|error| encode_fault(&error))?;
                line = serde_json::to_string(&event).map_err(|error| encode_fault(&error))?;
            }
            self.sink.event(&event);
            if self.file.is_some() {
                self.folding.take(&event);
                self.append(&line);
            } else {
                self.waiting.push(line);
            }
        }
        Ok(())
    }

    fn append(&mut self, line: &str) {
        let chain = link(&self.chain, line);
        self.pending.extend_from_slice(bind(line, &chain).as_bytes());
        if self.origin.is_empty() {
            self.origin.clone_from(&chain);
        }
        self.chain = chain;
    }

    /// Shows everything that was reported and hands it to the system.
    ///
    /// # Errors
    /// `journal-write` where it cannot be written: the run must not go on unrecorded.
    pub fn flush(&mut self) -> Result<(), Fault> {
        self.settle()?;
        let Some(file) = self.file.as_ref().filter(|_| !self.pending.is_empty()) else {
            return Ok(());
        };
        let turn = Turn::of(file);
        let now = file.metadata().map_err(|error| write_fault(&self.path, &error))?.len();
        if now > self.end {
            drop(turn);
            self.file = None;
            self.pending.clear();
            self.overtaken = true;
            return Err(fenced(None));
        }
        write(file, &mut self.pending, &mut self.end, &self.path)?;
        self.written = (self.seq, self.chain.clone());
        Ok(())
    }

    /// Waits until everything is on the disk: before an effect that cannot be taken back.
    ///
    /// # Errors
    /// `journal-write` where the disk refuses.
    pub fn sync(&mut self) -> Result<(), Fault> {
        self.flush()?;
        match &self.file {
            Some(file) => file.sync_data().map_err(|error| write_fault(&self.path, &error)),
            None => Ok(()),
        }
    }

    /// Number and hash of the last line that the file has, and the hash of the first, which tells
    /// this file from one that another machine wrote for the same run: the ledger keeps them beside
    /// each step. Lines that are still to be written are not waited for.
    pub fn head(&self) -> String {
        let (number, chain) = &self.written;
        match self.file {
            Some(_) => format!("{number}:{chain}:{}", self.origin),
            None => String::new(),
        }
    }

    /// Takes moving parts off the screen, so that a question can be asked.
    pub fn quiet(&mut self) {
        let _ = self.flush();
        self.sink.quiet();
    }

    /// Ends the display.
    pub fn finish(&mut self) {
        let _ = self.flush();
        self.sink.finish();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// The event without secrets. Words of the format itself (`"state":"done"`) and its own numbers
/// stay what they are, also where somebody's password is "done" or 1234.
fn blanked(redactor: &Redactor, event: RunEvent) -> Result<RunEvent, serde_json::Error> {
    let whole = serde_json::to_value(&event)?;
    let clean = redactor.clean_value(&whole);
    if clean == whole {
        return Ok(event);
    }
    if let Ok(event) = serde_json::from_value(clean) {
        return Ok(event);
    }
    let mut kept = whole.clone();
    let mut paths = Vec::new();
    leaves(&whole, String::new(), &mut paths);
    for path in paths {
        let Some(leaf) = kept.pointer_mut(&path) else { continue };
        let before = leaf.clone();
        *leaf = redactor.clean_value(&before);
        if *leaf != before
            && serde_json::from_value::<RunEvent>(kept.clone()).is_err()
            && let Some(leaf) = kept.pointer_mut(&path)
        {
            *leaf = before;
        }
    }
    serde_json::from_value(kept)
}

/// JSON pointers to everything in a value that holds no further values.
fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    let step = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(map) => map.iter().for_each(|(key, item)| leaves(item, step(key), found)),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(n, item)| leaves(item, step(&n.to_string()), found));
        }
        _ => found.push(path),
    }
}

/// The events of a run's folder.
///
/// # Errors
/// `journal-broken` with the line where the chain does not hold.
pub fn read_events(folder: &Path) -> Result<Vec<RunEvent>, Fault> {
    load(&folder.join(EVENTS)).map(|loaded| loaded.events)
}

/// What stands in a file whose chain holds.
#[derive(Default)]
pub(super) struct Loaded {
    /// The events.
    pub(super) events: Vec<RunEvent>,
    /// The hash of each line.
    pub(super) chains: Vec<String>,
    /// Bytes up to the end of the last whole line.
    sound_bytes: u64,
}

/// The file in a run's folder; without any line where there is none.
pub(super) fn load_folder(folder: &Path) -> Result<Loaded, Fault> {
    load(&folder.join(EVENTS))
}

/// Gives a run's file another name: `events-1.jsonl`, or the next free number.
pub(super) fn put_aside(folder: &Path) -> Result<String, Fault> {
    let path = folder.join(EVENTS);
    let mut names = (1..).map(|number| format!("events-{number}.jsonl"));
    let free = names.find(|name| !folder.join(name).exists()).unwrap_or_default();
    std::fs::rename(&path, folder.join(&free)).map_err(|error| write_fault(&path, &error))?;
    Ok(free)
}

/// The first line of the file in a run's folder.
pub(super) fn first_event(folder: &Path) -> Option<RunEvent> {
    let mut line = String::new();
    let file = File::open(folder.join(EVENTS)).ok()?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(file), &mut line).ok()?;
    serde_json::from_str(&unbind(line.strip_suffix('\n')?)?.0).ok()
}

fn load(path: &Path) -> Result<Loaded, Fault> {
    let text = match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(write_fault(path, &error)),
    };
    let mut loaded = Loaded::default();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // Only a line that was being written when the runner died has no line end.
        let Some(whole) = line.strip_suffix('\n') else { break };
        let parsed = unbind(whole).and_then(|(body, given)| {
            let wanted = link(loaded.chains.last().map_or("", String::as_str), &body);
            let event: RunEvent = serde_json::from_str(&body).ok()?;
            (wanted == given).then_some((event, wanted))
        });
        let Some((event, link)) = parsed else {
            let name = path.display().to_string();
            return Err(Fault::failed("journal-broken", msg!("journal.broken", line = index + 1))
                .cause(msg!("journal.broken.cause"))
                .remedy(msg!("journal.broken.remedy"))
                .place(Place::at_line(&name, &text, index as u32 + 1)));
        };
        loaded.events.push(event);
        loaded.chains.push(link);
        loaded.sound_bytes += line.len() as u64;
    }
    Ok(loaded)
}

fn link(before: &str, line: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(line.as_bytes());
    hex(&hash.finalize()[..16])
}

/// Puts the hash into the line's own object, so that the file stays plain NDJSON.
fn bind(line: &str, chain: &str) -> String {
    format!("{},\"chain\":\"{chain}\"}}\n", line.strip_suffix('}').unwrap_or(line))
}

fn unbind(line: &str) -> Option<(String, String)> {
    let (body, rest) = line.rsplit_once(",\"chain\":\"")?;
    Some((format!("{body}}}"), rest.strip_suffix("\"}")?.to_string()))
}

fn now() -> String {
    crate::system::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

/// Who runs this: `user@host`, as report and ledger name them.
pub fn started_by() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("uid{}", rustix::process::getuid().as_raw()));
    let name = rustix::system::uname();
    format!("{user}@{}", name.nodename().to_string_lossy())
}

pub(super) fn write_fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::failed("journal-write", msg!("journal.write", path = path.display()))
        .detail(error.to_string())
        .remedy(msg!("journal.write.remedy"))
}

fn encode_fault(error: &serde_json::Error) -> Fault {
    Fault::failed("journal-write", msg!("journal.encode")).detail(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Nobody;
    impl Sink for Nobody {
        fn event(&mut self, _: &RunEvent) {}
        fn finish(&mut self) {}
    }

    fn note(text: &str) -> EventKind {
        EventKind::Note { text: text.into() }
    }

    fn three_notes(folder: &Path) {
        let redactor = Redactor::default();
        redactor.add("hunter22");
        let mut recorder = Recorder::new(Box::new(Nobody), redactor);
        recorder.emit(note("one")).unwrap();
        recorder.open(folder).unwrap();
        recorder.emit(note("the word is hunter22")).unwrap();
        recorder.emit(note("three")).unwrap();
        recorder.sync().unwrap();
    }

    #[test]
    fn events_are_kept_in_order_without_secrets_and_continued() {
        let folder = tempfile::tempdir().unwrap();
        three_notes(folder.path());
        let mut recorder = Recorder::new(Box::new(Nobody), Redactor::default());
        recorder.emit(note("four")).unwrap();
        recorder.open(folder.path()).unwrap();
        let events = read_events(folder.path()).unwrap();
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(events[1].kind, note("the word is ******"));
    }

    #[test]
    fn a_secret_that_is_a_word_of_the_format_breaks_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let redactor = Redactor::default();
        redactor.add("note");
        redactor.add("elapsed_ms");
        let mut recorder = Recorder::new(Box::new(Nobody), redactor);
        recorder.open(folder.path()).unwrap();
        recorder.emit(note("a note")).unwrap();
        recorder.flush().unwrap();
        assert_eq!(read_events(folder.path()).unwrap()[0].kind, note("a ******"));
    }

    #[test]
    fn a_changed_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        three_notes(folder.path());
        let path = folder.path().join(EVENTS);
        let text = std::fs::read_to_string(&path).unwrap().replace("\"three\"", "\"3\"");
        std::fs::write(&path, text).unwrap();
        let fault = read_events(folder.path()).unwrap_err();
        assert_eq!((fault.code.as_str(), fault.places[0].line), ("journal-broken", 3));
    }

    #[test]
    fn a_torn_last_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        three_notes(folder.path());
        let path = folder.path().join(EVENTS);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        assert_eq!(read_events(folder.path()).unwrap().len(), 2);
        let mut recorder = Recorder::new(Box::new(Nobody), Redactor::default());
        recorder.open(folder.path()).unwrap();
        recorder.emit(note("three again")).unwrap();
        recorder.flush().unwrap();
        assert_eq!(read_events(folder.path()).unwrap().len(), 3);
    }
}
