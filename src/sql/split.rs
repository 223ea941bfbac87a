//! Cuts an SQL file into statements, COPY data and backslash commands by psql's rules, streaming.
//!
//! Holds one statement and a read buffer in memory, never the file. Does not substitute variables
//! and does not know what a statement means. Called by `script` (and by whoever has SQL that is not
//! a psql script). Refuses what psql would misread in silence: a NUL byte, text that is not UTF-8,
//! a quote or comment that is never closed.

use std::io::Read;

use super::buffer::Buffer;
use super::copy_data;
use super::lex::{self, Kind};
use super::routine::{Shape, Words};
use crate::model::{Fault, Place};
use crate::msg;

/// The server refuses messages above 1 GiB (`PQ_LARGE_MESSAGE_LIMIT`).
const LONGEST_STATEMENT: usize = 1 << 30;
/// How a statement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminator {
    /// `;`
    Semicolon,
    /// The end of the file.
    Eof,
    /// A command that sends it follows as the next piece: `\g`, `\gset`, `\gexec`.
    Meta,
    /// `\;`: psql sends it in one message with the next statement.
    Separator,
}

/// One statement, without its terminator and the comments around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The text from its first word to its last; a leading `/*+ hint */` belongs to it.
    pub text: String,
    /// 1-based line of its beginning.
    pub line: u32,
    /// 1-based column of its beginning, in characters.
    pub column: u32,
    /// Byte offset of its beginning in the file.
    pub offset: u64,
    /// How it ended.
    pub terminator: Terminator,
    /// What stands before it on its first line.
    pub lead: String,
    /// What stands behind it on its last line (up to 200 bytes).
    pub tail: String,
}

/// A backslash command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its name without the backslash.
    pub name: String,
    /// The rest of its line (or up to the next backslash command on it), trimmed.
    pub args: String,
    /// 1-based line.
    pub line: u32,
    /// 1-based column of the backslash, in characters.
    pub column: u32,
    /// The text of its line.
    pub source: String,
}

/// One piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// An SQL statement.
    Statement(Statement),
    /// `COPY .. FROM stdin;` whose data follows: see [`Splitter::copy_chunk`].
    Copy {
        /// The COPY statement.
        statement: Statement,
    },
    /// A backslash command.
    Meta(Meta),
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Statements,
    CopyData { line_start: bool },
    Ended,
}

/// Cuts what a reader gives. An iterator of `Result<Piece, Fault>`; a fault is its last item.
pub struct Splitter<R: Read> {
    pub(super) input: Buffer<R>,
    pub(super) state: State,
    pub(super) copy_place: Option<Place>,
}

impl<R: Read> Splitter<R> {
    /// A splitter of a reader; the name stands in the places of faults.
    pub fn new(name: &str, reader: R) -> Self {
        Self { input: Buffer::new(name, reader), state: State::Statements, copy_place: None }
    }

    /// The same, reading this many bytes at a time.
    #[cfg(test)]
    fn with_chunk(mut self, chunk: usize) -> Self {
        self.input.chunk = chunk;
        self
    }

    /// The next chunk (about 64 KiB) of the data behind a COPY; None behind its `\.` line.
    ///
    /// # Errors
    /// `sql-copy-unterminated` where the file ends first, with the place of the COPY; a NUL byte
    /// or text that is not UTF-8.
    pub fn copy_chunk(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let result = self.copy_data();
        if result.is_err() {
            self.state = State::Ended;
        }
        result
    }

    /// False where COPY data follows.
    pub(crate) fn in_statements(&self) -> bool {
        self.state == State::Statements
    }

    /// Byte offset in the file behind the last piece.
    pub(crate) fn offset(&self) -> u64 {
        self.input.base + self.input.at as u64
    }

    /// The same, its first line being this line of a file.
    #[must_use]
    pub(crate) fn with_first_line(mut self, line: u32) -> Self {
        self.input.line = line;
        self
    }

    /// Declares that data follows on the next line: for `\copy .. from stdin`.
    pub(crate) fn begin_copy_data(&mut self, meta: &Meta) -> Result<(), Fault> {
        self.begin_data(self.input.at)?;
        self.copy_place = Some(self.meta_place(meta));
        Ok(())
    }

    fn meta_place(&self, meta: &Meta) -> Place {
        Place {
            file: self.input.name.clone(),
            line: meta.line,
            column: meta.column,
            length: meta.name.chars().count() as u32 + 1,
            label: String::new(),
            source: meta.source.clone(),
        }
    }

    fn piece(&mut self) -> Result<Option<Piece>, Fault> {
        while matches!(self.state, State::CopyData { .. }) {
            self.copy_data()?;
        }
        self.input.begin()?;
        self.input.compact();
        let mut from = self.input.at;
        let mut hint = None;
        loop {
            let Some((kind, end)) = self.input.token(from)? else {
                self.input.advance(from)?;
                return Ok(None);
            };
            match kind {
                Kind::BlockComment if self.input.bytes[from..].starts_with(b"/*+") => {
                    hint = hint.or(Some(from));
                }
                kind if kind.is_trivia() => {}
                Kind::Semicolon => hint = None,
                Kind::Backslash => {
                    self.input.advance(from)?;
                    match self.meta()? {
                        Some(meta) => return Ok(Some(Piece::Meta(meta))),
                        None => {
                            hint = None;
                            from = self.input.at;
                            continue;
                        }
                    }
                }
                _ => return self.statement(hint.unwrap_or(from), from).map(Some),
            }
            from = end;
            if hint.is_none() {
                self.input.advance(end)?;
                // A long stretch of comments must not stay in memory.
                if self.input.compact() {
                    from = self.input.at;
                }
            }
        }
    }

    /// The statement that begins at `start` (at `from` without its hint).
    fn statement(&mut self, start: usize, from: usize) -> Result<Piece, Fault> {
        self.input.advance(start)?;
        let (line, column, offset) =
            (self.input.line, self.input.column, self.input.base + start as u64);
        let lead = self.input.line_start.map_or_else(String::new, |at| self.input.shown(at, start));
        let mut words = Words::default();
        let (mut at, mut last) = (from, from);
        let terminator = loop {
            let Some((kind, end)) = self.input.token(at)? else { break Terminator::Eof };
            match kind {
                Kind::Semicolon if words.may_end() => {
                    at = end;
                    break Terminator::Semicolon;
                }
                Kind::Backslash => {
                    let name = self.meta_name(at)?;
                    if name == b";" {
                        at = end + 1;
                        break Terminator::Separator;
                    }
                    if sends_the_buffer(&name) {
                        break Terminator::Meta;
                    }
                    return Err(self.meta_inside(at, &name, line));
                }
                Kind::Word => words.word(&self.input.bytes[at..end]),
                Kind::Open => words.open(),
                Kind::Close => words.close(),
                kind if kind.is_trivia() => {}
                _ => words.other(),
            }
            if !kind.is_trivia() {
                last = end;
            }
            at = end;
            if at - start > LONGEST_STATEMENT {
                return Err(Fault::usage(
                    "sql-statement-too-long",
                    msg!("sql.statement-too-long", file = self.input.name),
                )
                .cause(msg!("sql.statement-too-long.cause"))
                .remedy(msg!("sql.statement-too-long.remedy"))
                .place(self.input.place(1)));
            }
        };
        let is_copy = words.shape() == Shape::CopyFromStdin;
        if is_copy && terminator != Terminator::Semicolon {
            return Err(copy_data::unterminated().place(self.input.place(4)));
        }
        let tail = self.input.tail(last)?;
        let copy_place = is_copy.then(|| self.input.place(4));
        self.input.advance(at)?;
        let text = self.input.take(start, last)?;
        let statement = Statement { text, line, column, offset, terminator, lead, tail };
        if is_copy {
            self.begin_data(self.input.at)?;
            self.copy_place = copy_place;
            return Ok(Piece::Copy { statement });
        }
        Ok(Piece::Statement(statement))
    }

    /// The backslash command at the current place; None for the separators `\\` and `\;`.
    fn meta(&mut self) -> Result<Option<Meta>, Fault> {
        let start = self.input.at;
        let line_end = self.input.line_end(start)?;
        let name = self.meta_name(start)?;
        let next = self.input.bytes.get(start + 1);
        if name == b";" || (name.is_empty() && next == Some(&b'\\')) {
            self.input.advance(start + 2)?;
            return Ok(None);
        }
        let from = start + 1 + name.len();
        let end = if takes_whole_line(&name) { line_end } else { self.args_end(from, line_end) };
        let (line, column) = (self.input.line, self.input.column);
        let source =
            self.input.line_start.map_or_else(String::new, |at| self.input.shown(at, line_end));
        self.input.advance(end)?;
        let text = |range: &[u8]| String::from_utf8_lossy(range).trim().to_string();
        let name = text(&name);
        let args = text(&self.input.bytes[from..end]);
        Ok(Some(Meta { name, args, line, column, source }))
    }

    /// The name behind the backslash at `at`; `;` is one.
    fn meta_name(&mut self, at: usize) -> Result<Vec<u8>, Fault> {
        let mut end = at + 1;
        loop {
            if end == self.input.bytes.len() && !self.input.fill(self.input.chunk)? {
                break;
            }
            let byte = self.input.bytes[end];
            if byte == b';' && end == at + 1 {
                return Ok(vec![b';']);
            }
            if lex::is_space(byte) || byte == b'\\' {
                break;
            }
            end += 1;
        }
        Ok(self.input.bytes[at + 1..end].to_vec())
    }

    /// Where the arguments end: at the line end, or at an unquoted backslash.
    fn args_end(&self, from: usize, line_end: usize) -> usize {
        let mut quote = None;
        let mut at = from;
        while at < line_end {
            let byte = self.input.bytes[at];
            match quote {
                Some(open) if byte == open => quote = None,
                Some(b'\'') if byte == b'\\' => at += 1,
                Some(_) => {}
                None if matches!(byte, b'\'' | b'"' | b'`') => quote = Some(byte),
                None if byte == b'\\' => return at,
                None => {}
            }
            at += 1;
        }
        line_end
    }

    fn meta_inside(&mut self, at: usize, name: &[u8], began: u32) -> Fault {
        let name = String::from_utf8_lossy(name).into_owned();
        if let Err(fault) = self.input.advance(at).and_then(|()| self.input.line_end(at)) {
            return fault;
        }
        Fault::usage("sql-meta-in-statement", msg!("sql.meta-in-statement", name = name))
            .cause(msg!("sql.meta-in-statement.cause", line = began))
            .remedy(msg!("sql.meta-in-statement.remedy"))
            .place(self.input.place(name.chars().count() as u32 + 1))
    }
}

impl<R: Read> Iterator for Splitter<R> {
    type Item = Result<Piece, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Ended {
            return None;
        }
        let piece = self.piece().transpose();
        if !matches!(piece, Some(Ok(_))) {
            self.state = State::Ended;
        }
        piece
    }
}

/// Commands that send the statement before them.
fn sends_the_buffer(name: &[u8]) -> bool {
    name.starts_with(b"g") || matches!(name, b"crosstabview" | b"watch" | b"bind" | b"parse")
}

/// Commands whose arguments are the rest of the line as it is.
fn takes_whole_line(name: &[u8]) -> bool {
    matches!(
        name,
        b"copy"
            | b"!"
            | b"h"
            | b"help"
            | b"ef"
            | b"ev"
            | b"sf"
            | b"sv"
            | b"restrict"
            | b"unrestrict"
    )
}

#[cfg(test)]
mod tests;
