//! The part of a file that the splitter holds, and where in the file it is.
//!
//! Reads on when asked, forgets what was taken, and looks at every byte once: lines and columns are
//! counted, NUL bytes and text that is not UTF-8 are refused. Called by the splitter alone.

use std::io::Read;

use super::lex::{self, Kind, Lexed, Unclosed};
use crate::model::{Fault, Place};
use crate::msg;

/// From here on a statement's bytes are handed over instead of copied.
const LARGE_STATEMENT: usize = 4 << 20;
/// A token that goes on beyond the buffer doubles it, up to this many bytes at a time.
const LARGEST_READ: usize = 16 << 20;
/// Lines up to this length are shown in faults.
const LONGEST_SHOWN_LINE: usize = 4096;
pub(super) const CHUNK: usize = 64 * 1024;

/// A window of the file.
pub(super) struct Buffer<R: Read> {
    pub(super) name: String,
    reader: R,
    pub(super) bytes: Vec<u8>,
    /// Next byte that no piece has taken; everything before it was looked at and counted.
    pub(super) at: usize,
    /// Where the bytes begin in the file.
    pub(super) base: u64,
    pub(super) line: u32,
    pub(super) column: u32,
    /// Where the current line begins in the bytes, where it still is there.
    pub(super) line_start: Option<usize>,
    begun: bool,
    pub(super) eof: bool,
    pub(super) chunk: usize,
}

impl<R: Read> Buffer<R> {
    pub(super) fn new(name: &str, reader: R) -> Self {
        Self {
            name: name.to_string(),
            reader,
            bytes: Vec::new(),
            at: 0,
            base: 0,
            line: 1,
            column: 1,
            line_start: Some(0),
            begun: false,
            eof: false,
            chunk: CHUNK,
        }
    }

    /// The bytes of a statement that [`Self::advance`] has already passed.
    pub(super) fn take(&mut self, start: usize, end: usize) -> Result<String, Fault> {
        let bytes = if end - start < LARGE_STATEMENT {
            self.bytes[start..end].to_vec()
        } else {
            let rest = self.bytes.split_off(self.at);
            let mut bytes = std::mem::replace(&mut self.bytes, rest);
            self.base += self.at as u64;
            self.at = 0;
            self.line_start = None;
            bytes.truncate(end);
            bytes.drain(..start);
            bytes.shrink_to_fit();
            bytes
        };
        // Cannot fail: advance() has seen these bytes.
        String::from_utf8(bytes)
            .map_err(|_| Fault::usage("sql-not-utf8", msg!("sql.not-utf8", file = self.name)))
    }

    /// The token at `from`, reading on where it goes beyond the buffer; None at the end.
    // Inlined for its first line: a fault is large, and must not be moved for every token.
    #[inline]
    pub(super) fn token(&mut self, from: usize) -> Result<Option<(Kind, usize)>, Fault> {
        if from < self.bytes.len()
            && let Lexed::Token(kind, end) = lex::lex(&self.bytes, from, self.eof)
        {
            return Ok(Some((kind, end)));
        }
        self.token_beyond(from)
    }

    fn token_beyond(&mut self, from: usize) -> Result<Option<(Kind, usize)>, Fault> {
        loop {
            if from >= self.bytes.len() {
                if self.fill(self.chunk)? {
                    continue;
                }
                return Ok(None);
            }
            match lex::lex(&self.bytes, from, self.eof) {
                Lexed::Token(kind, end) => return Ok(Some((kind, end))),
                Lexed::More => {
                    let wanted = (self.bytes.len() - from).clamp(self.chunk, LARGEST_READ);
                    self.fill(wanted)?;
                }
                Lexed::Unclosed(what) => return Err(self.unclosed(what, from)),
            }
        }
    }

    /// Reads on; false at the end.
    pub(super) fn fill(&mut self, wanted: usize) -> Result<bool, Fault> {
        if self.eof {
            return Ok(false);
        }
        let read = self.reader.by_ref().take(wanted as u64).read_to_end(&mut self.bytes).map_err(
            |error| {
                Fault::failed("sql-read", msg!("sql.read", file = self.name))
                    .cause(error.to_string())
            },
        )?;
        self.eof = read < wanted;
        Ok(read > 0)
    }

    /// Takes off a byte order mark.
    pub(super) fn begin(&mut self) -> Result<(), Fault> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        while self.bytes.len() < 3 && self.fill(self.chunk.max(3))? {}
        if self.bytes.starts_with(b"\xff\xfe") || self.bytes.starts_with(b"\xfe\xff") {
            let fault = Fault::usage("sql-not-utf8", msg!("sql.utf16", file = self.name));
            return Err(fault.remedy(msg!("sql.not-utf8.remedy")));
        }
        if self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
            self.line_start = Some(3);
        }
        Ok(())
    }

    /// Forgets what was taken; true where offsets have moved.
    pub(super) fn compact(&mut self) -> bool {
        if self.at < self.chunk.max(LONGEST_SHOWN_LINE) * 2 {
            return false;
        }
        if self.line_start.is_some_and(|start| self.at - start > LONGEST_SHOWN_LINE) {
            self.line_start = None;
        }
        let keep = self.line_start.unwrap_or(self.at);
        if keep == 0 {
            return false;
        }
        self.bytes.drain(..keep);
        self.base += keep as u64;
        self.at -= keep;
        self.line_start = self.line_start.map(|start| start - keep);
        true
    }

    /// Passes over bytes: looks at them once, counts lines and columns.
    pub(super) fn advance(&mut self, to: usize) -> Result<(), Fault> {
        if to <= self.at {
            return Ok(());
        }
        self.check(self.at, to)?;
        let bytes = &self.bytes[self.at..to];
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        let after = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => {
                self.line += lines as u32;
                self.column = 1;
                self.line_start = Some(self.at + last + 1);
                &bytes[last + 1..]
            }
            None => bytes,
        };
        self.column += after.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u32;
        self.at = to;
        Ok(())
    }

    /// Refuses NUL bytes and what is not UTF-8 between two offsets of the buffer.
    pub(super) fn check(&self, from: usize, to: usize) -> Result<(), Fault> {
        let bytes = &self.bytes[from..to];
        if bytes.contains(&0) {
            let nul = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
            let place = self.place_from(from, from + nul);
            let fault = Fault::usage("sql-nul-byte", msg!("sql.nul-byte", file = self.name));
            return Err(fault
                .detail(msg!("sql.at-byte", offset = self.base + (from + nul) as u64))
                .remedy(msg!("sql.nul-byte.remedy"))
                .place(place));
        }
        let Err(error) = std::str::from_utf8(bytes) else { return Ok(()) };
        let at = from + error.valid_up_to();
        let fault = Fault::usage("sql-not-utf8", msg!("sql.not-utf8", file = self.name));
        Err(fault
            .detail(msg!("sql.at-byte", offset = self.base + at as u64))
            .cause(msg!("sql.not-utf8.cause"))
            .remedy(msg!("sql.not-utf8.remedy"))
            .place(self.place_from(from, at)))
    }

    pub(super) fn unclosed(&mut self, what: Unclosed, at: usize) -> Fault {
        if let Err(fault) = self.advance(at).and_then(|()| self.check(at, self.bytes.len())) {
            return fault;
        }
        let (text, length) = match what {
            Unclosed::Text => (msg!("sql.unclosed.text"), 1),
            Unclosed::Quoted => (msg!("sql.unclosed.quoted"), 1),
            Unclosed::Dollar => {
                let tag = lex::dollar_tag(&self.bytes[at..]);
                let tag = String::from_utf8_lossy(tag).into_owned();
                let length = tag.chars().count() as u32;
                (msg!("sql.unclosed.dollar", tag = tag), length)
            }
            Unclosed::Comment => (msg!("sql.unclosed.comment"), 2),
        };
        Fault::usage("sql-unclosed", text)
            .cause(msg!("sql.unclosed.cause"))
            .place(self.place(length).labelled(msg!("sql.unclosed.label")))
    }

    /// The index of the next line end, or the end of the file.
    pub(super) fn line_end(&mut self, from: usize) -> Result<usize, Fault> {
        let mut seen = from;
        loop {
            if let Some(at) = self.bytes[seen..].iter().position(|byte| *byte == b'\n') {
                return Ok(seen + at);
            }
            seen = self.bytes.len();
            if !self.fill(self.chunk)? {
                return Ok(self.bytes.len());
            }
        }
    }

    pub(super) fn tail(&mut self, from: usize) -> Result<String, Fault> {
        const SHOWN: usize = 200;
        let ends = |input: &Self| {
            let shown = &input.bytes[from..input.bytes.len().min(from + SHOWN)];
            shown.len() == SHOWN || shown.contains(&b'\n')
        };
        while !ends(self) && self.fill(self.chunk)? {}
        let shown = &self.bytes[from..self.bytes.len().min(from + SHOWN)];
        let line = shown.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(String::from_utf8_lossy(line).trim_end_matches(['\r', '\u{fffd}']).to_string())
    }

    /// The text between two offsets for display, without a line end.
    pub(super) fn shown(&self, from: usize, to: usize) -> String {
        let bytes = &self.bytes[from..to.min(from + LONGEST_SHOWN_LINE)];
        String::from_utf8_lossy(bytes).trim_end_matches('\r').to_string()
    }

    /// The current place.
    pub(super) fn place(&self, length: u32) -> Place {
        Place {
            file: self.name.clone(),
            line: self.line,
            column: self.column,
            length,
            label: String::new(),
            source: self.line_start.map_or_else(String::new, |start| {
                let rest = &self.bytes[start..];
                let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                self.shown(start, start + end)
            }),
        }
    }

    /// The place of an offset behind the current one.
    pub(super) fn place_from(&self, counted: usize, at: usize) -> Place {
        let bytes = &self.bytes[counted..at];
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u32;
        let last = bytes.iter().rposition(|byte| *byte == b'\n');
        let chars = |bytes: &[u8]| bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        let (start, column) = match last {
            Some(last) => (Some(counted + last + 1), 1 + chars(&bytes[last + 1..])),
            None => (self.line_start, self.column as usize + chars(bytes)),
        };
        let source = start.map_or_else(String::new, |start| {
            let rest = &self.bytes[start..];
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            self.shown(start, start + end).replace('\0', "\u{2400}")
        });
        Place {
            file: self.name.clone(),
            line: self.line + lines,
            column: column as u32,
            length: 1,
            label: String::new(),
            source,
        }
    }
}
