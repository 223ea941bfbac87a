//! Reads a child's output on a thread of its own, so that neither side ever waits for the other,
//! and keeps the tail. Called by `command` only.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use super::command::Stream;

/// A line longer than this is handed on in pieces: a child that never ends its line must not fill
/// the memory.
const LONGEST_LINE: usize = 64 * 1024;

/// What the draining threads tell the waiting thread.
pub(super) enum Heard {
    /// A line without its line end, for whoever watches.
    Line(Stream, String),
    /// A piece of standard output, for the sink.
    Piece(Vec<u8>),
    /// That stream has ended.
    End,
}

/// The last bytes of a stream.
#[derive(Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    /// True where the beginning was dropped.
    pub(super) cut: bool,
}

impl Tail {
    fn push(&mut self, piece: &[u8], limit: usize) {
        self.bytes.extend(piece);
        if self.bytes.len() > limit {
            let over = self.bytes.len() - limit;
            self.bytes.drain(..over);
            self.cut = true;
        }
    }

    /// The text; after a cut it begins with a whole line.
    pub(super) fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let start = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(at) if self.cut && at + 1 < bytes.len() => at + 1,
            _ => 0,
        };
        String::from_utf8_lossy(&bytes[start..]).into_owned()
    }
}

/// What to do with a stream besides keeping its tail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    Lines,
    Pieces,
}

/// Starts the thread. It reads to the end whatever happens to the listener, so that a daemon left
/// behind by the child is not ended by a broken pipe while this process lives.
pub(super) fn drain(
    stream: Stream,
    mut source: impl Read + Send + 'static,
    wanted: Wanted,
    limit: usize,
    listener: SyncSender<Heard>,
) -> std::io::Result<Arc<Mutex<Tail>>> {
    let tail = Arc::new(Mutex::new(Tail::default()));
    let kept = tail.clone();
    std::thread::Builder::new().name("output".into()).spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        let mut line = Vec::new();
        loop {
            let piece = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => &buffer[..count],
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if wanted == Wanted::Pieces {
                let _ = listener.send(Heard::Piece(piece.to_vec()));
                continue;
            }
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(piece, limit);
            if wanted == Wanted::Lines {
                split_lines(stream, &mut line, piece, &listener);
            }
        }
        if !line.is_empty() {
            send_line(stream, &line, &listener);
        }
        let _ = listener.send(Heard::End);
    })?;
    Ok(tail)
}

fn split_lines(stream: Stream, line: &mut Vec<u8>, piece: &[u8], listener: &SyncSender<Heard>) {
    for part in piece.split_inclusive(|byte| *byte == b'\n') {
        line.extend_from_slice(part);
        if line.ends_with(b"\n") || line.len() >= LONGEST_LINE {
            send_line(stream, line, listener);
            line.clear();
        }
    }
}

fn send_line(stream: Stream, line: &[u8], listener: &SyncSender<Heard>) {
    let text = String::from_utf8_lossy(line);
    let _ = listener.send(Heard::Line(stream, text.trim_end_matches(['\n', '\r']).to_string()));
}
