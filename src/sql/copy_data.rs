//! The data behind a COPY .. FROM stdin, up to its `\.` line.

use std::io::Read;

use super::split::{Splitter, State};
use crate::model::Fault;
use crate::msg;

impl<R: Read> Splitter<R> {
    /// Passes the rest of the line behind a COPY: data begins on the next one.
    pub(super) fn begin_data(&mut self, from: usize) -> Result<(), Fault> {
        let end = self.input.line_end(from)?;
        let rest: &[u8] = self.input.bytes[from..end].trim_ascii();
        if !rest.is_empty() && !rest.starts_with(b"--") {
            self.input.advance(from)?;
            let fault = Fault::usage("sql-copy-same-line", msg!("sql.copy-same-line"));
            return Err(fault.remedy(msg!("sql.copy-same-line.remedy")).place(self.input.place(1)));
        }
        self.input.advance((end + 1).min(self.input.bytes.len()))?;
        self.state = State::CopyData { line_start: true };
        Ok(())
    }

    pub(super) fn copy_data(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let State::CopyData { line_start } = self.state else { return Ok(None) };
        loop {
            self.input.compact();
            if self.input.bytes.len() - self.input.at < self.input.chunk.max(4) {
                self.input.fill(self.input.chunk.max(4))?;
            }
            let (end, terminated) = self.data_end(line_start);
            if end > self.input.at {
                let chunk = self.input.bytes[self.input.at..end].to_vec();
                self.input.advance(end)?;
                self.state = State::CopyData { line_start: chunk.ends_with(b"\n") };
                return Ok(Some(chunk));
            }
            if let Some(line_end) = terminated {
                self.input.advance(line_end)?;
                self.state = State::Statements;
                return Ok(None);
            }
            if self.input.eof {
                self.input.check(self.input.at, self.input.bytes.len())?;
                let fault = unterminated();
                return Err(match self.copy_place.take() {
                    Some(place) => fault.place(place),
                    None => fault,
                });
            }
            // What is left could be the beginning of `\.` or of a character: read on.
            self.input.fill(self.input.chunk.max(4))?;
        }
    }

    /// How far the buffer holds data, and the end of the `\.` line where that stands there.
    fn data_end(&self, line_start: bool) -> (usize, Option<usize>) {
        let mut from = self.input.at;
        while let Some(at) =
            self.input.bytes[from..].iter().position(|byte| *byte == b'\\').map(|at| from + at)
        {
            let begins =
                if at == self.input.at { line_start } else { self.input.bytes[at - 1] == b'\n' };
            if begins {
                match &self.input.bytes[at + 1..] {
                    [b'.', b'\n', ..] => return (at, Some(at + 3)),
                    [b'.', b'\r', b'\n', ..] => return (at, Some(at + 4)),
                    [b'.'] | [b'.', b'\r'] if self.input.eof => {
                        return (at, Some(self.input.bytes.len()));
                    }
                    [] | [b'.'] | [b'.', b'\r'] if !self.input.eof => return (at, None),
                    _ => {}
                }
            }
            from = at + 1;
        }
        let mut end = self.input.bytes.len();
        if !self.input.eof {
            // A character is not cut in two.
            let tail = self.input.bytes[self.input.at..].iter().rev().take(3);
            if let Some(back) = tail.clone().position(|byte| *byte >= 0xc0) {
                let first = self.input.bytes[end - 1 - back];
                let length = if first >= 0xf0 {
                    4
                } else if first >= 0xe0 {
                    3
                } else {
                    2
                };
                if length > back + 1 {
                    end -= back + 1;
                }
            }
        }
        (end, None)
    }
}

/// COPY data without its end.
pub(super) fn unterminated() -> Fault {
    Fault::usage("sql-copy-unterminated", msg!("sql.copy-unterminated"))
        .cause(msg!("sql.copy-unterminated.cause"))
        .remedy(msg!("sql.copy-unterminated.remedy"))
}
