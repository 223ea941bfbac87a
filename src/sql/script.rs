//! What psql does with a file: includes, conditions, variables, COPY data, `\gset`, `\gexec`.
//!
//! Gives one unit after the other and sends nothing itself; whoever runs them puts the answers back
//! with [`Script::set_var`]. [`super::validate`] walks the same road without a server first, so
//! that everything that is refused is refused before the first statement runs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Direction;
use super::conditions::Conditions;
use super::files::{self, Found};
use super::place::StatementPlace;
use super::quick::quick_kind;
use super::split::{Meta, Piece, Splitter, Statement, Terminator};
use super::transaction::{Guard, Verdict};
use super::variables::{Substituted, Variables};
use crate::model::{Fault, Place};
use crate::msg;

/// Includes may nest this deep, as in psql's own tests; a file that includes itself ends here.
pub(super) const DEEPEST_INCLUDE: usize = 16;

/// Files up to this many bytes are read once and kept.
const SMALL_FILE: u64 = 1 << 20;

/// Statements above this many bytes are not held twice.
const LARGE_STATEMENT: usize = 1 << 20;

/// How a file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptOptions {
    /// The file runs inside a transaction that is not its own: what would end that is refused.
    pub transactional: bool,
}

impl Default for ScriptOptions {
    fn default() -> Self {
        Self { transactional: true }
    }
}

/// What to do with the answer of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Nothing.
    None,
    /// Its one row's columns become variables: hand them to [`Script::set_var`], the prefix before
    /// their names.
    Gset {
        /// May be empty.
        prefix: String,
    },
    /// Every field of its rows is a statement to run next, row by row; ask
    /// [`Script::check_generated`] before each.
    Gexec,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Send a statement.
    Statement {
        /// After substitution.
        text: String,
        /// Where it stands.
        place: StatementPlace,
        /// What to do with the answer.
        follow: Follow,
    },
    /// Send a COPY and then what [`Script::copy_chunk`] gives.
    CopyFrom {
        /// The COPY statement.
        text: String,
        /// Where it stands.
        place: StatementPlace,
    },
    /// `\copy`: send the COPY, with the file as the other end.
    CopyFile {
        /// `COPY .. FROM STDIN ..` or `COPY .. TO STDOUT ..`.
        text: String,
        /// The file: below the root; for [`Direction::To`] it may not exist yet.
        path: PathBuf,
        /// Which way the data flows.
        direction: Direction,
        /// Where it stands.
        place: StatementPlace,
    },
    /// `\echo`, `\qecho`, `\warn`: a line for the user.
    Echo(String),
    /// Something that has no effect here, for a remark: a display command, the file's own BEGIN.
    Skipped {
        /// As it is written: `\timing on`, `BEGIN`.
        command: String,
        /// Where.
        place: Place,
    },
}

pub(super) struct Frame {
    pub(super) splitter: Splitter<Box<dyn Read + Send>>,
    pub(super) file: Found,
    pub(super) conditions: Conditions,
}

/// The content of small files, by their paths.
pub(super) type Kept = BTreeMap<PathBuf, Arc<[u8]>>;

/// A file being read as psql would. See the module.
pub struct Script {
    pub(super) root: PathBuf,
    pub(super) frames: Vec<Frame>,
    pub(super) variables: Variables,
    pub(super) guard: Guard,
    /// The key of `\restrict`, while it holds.
    pub(super) restricted: Option<String>,
    /// Walking without a server: what statements answer is not known.
    pub(super) validating: bool,
    /// Every file opened, in order, `\copy` sources included.
    pub(super) files: Vec<Found>,
    /// Files that a `\copy .. to` will have written.
    pub(super) written: Vec<PathBuf>,
    /// What small files hold: read once, so that what was checked is what runs.
    pub(super) kept: Kept,
    /// Remarks for the plan.
    pub(super) notes: Vec<(Place, String)>,
    pub(super) options: ScriptOptions,
    /// Units that are known already; they come first.
    ready: std::vec::IntoIter<Unit>,
}

fn canonical(root: &Path) -> Result<PathBuf, Fault> {
    // The parent of a bare file name is the empty path.
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    root.canonicalize().map_err(|error| {
        Fault::usage("sql-file-missing", msg!("sql.read", file = root.display()))
            .cause(error.to_string())
    })
}

impl Script {
    /// Opens a file below `root`; `path` is relative to it, or absolute and inside of it.
    ///
    /// # Errors
    /// `sql-file-missing`, `sql-path-outside`.
    pub fn open(
        root: &Path,
        path: &str,
        vars: BTreeMap<String, String>,
        opts: ScriptOptions,
    ) -> Result<Self, Fault> {
        // The result of `existing` lies below the root as it was given only where that is canonical.
        let (root, file) = match files::existing(root, root, path) {
            Ok(file) => (root.to_path_buf(), file),
            Err(_) => {
                let root = canonical(root)?;
                let file = files::existing(&root, &root, path)?;
                (root, file)
            }
        };
        let mut script = Self::empty(root, vars, opts);
        script.enter(file)?;
        Ok(script)
    }

    /// Opens a script again that was read whole: `root` and `path` are canonical.
    pub(super) fn reopen(
        root: PathBuf,
        path: PathBuf,
        vars: BTreeMap<String, String>,
        opts: ScriptOptions,
        kept: Kept,
    ) -> Result<Self, Fault> {
        let shown = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
        let mut script = Self { kept, ..Self::empty(root, vars, opts) };
        script.enter(Found { path, shown })?;
        Ok(script)
    }

    /// A script that was read whole, and all of whose units are known.
    pub(super) fn of_units(root: PathBuf, units: Vec<Unit>, opts: ScriptOptions) -> Self {
        Self { ready: units.into_iter(), ..Self::empty(root, BTreeMap::new(), opts) }
    }

    /// A script that is not a file of its own: `name` and `first_line` say where its text stands
    /// (a rollback section inside a migration), so that places point there.
    ///
    /// # Errors
    /// Where the root is no folder, or `name` is no file below it.
    pub fn from_text(
        root: &Path,
        name: &str,
        text: String,
        first_line: u32,
        vars: BTreeMap<String, String>,
        opts: ScriptOptions,
    ) -> Result<Self, Fault> {
        let mut script = Self::empty(canonical(root)?, vars, opts);
        let file = files::existing(&script.root, &script.root, name)?;
        script.remember(&file);
        let reader: Box<dyn Read + Send> = Box::new(Cursor::new(text));
        let splitter = Splitter::new(&file.shown, reader).with_first_line(first_line);
        script.frames.push(Frame { splitter, file, conditions: Conditions::default() });
        Ok(script)
    }

    fn empty(root: PathBuf, vars: BTreeMap<String, String>, opts: ScriptOptions) -> Self {
        Self {
            root,
            frames: Vec::new(),
            variables: Variables::new(vars),
            guard: Guard::new(opts.transactional),
            restricted: None,
            validating: false,
            files: Vec::new(),
            written: Vec::new(),
            kept: Kept::new(),
            notes: Vec::new(),
            options: opts,
            ready: Vec::new().into_iter(),
        }
    }

    pub(super) fn enter(&mut self, file: Found) -> Result<(), Fault> {
        let reader = self.reader(&file.path).map_err(|error| {
            Fault::usage("sql-read", msg!("sql.read", file = file.shown)).cause(error.to_string())
        })?;
        self.remember(&file);
        let splitter = Splitter::new(&file.shown, reader);
        self.frames.push(Frame { splitter, file, conditions: Conditions::default() });
        Ok(())
    }

    fn reader(&mut self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        if let Some(content) = self.kept.get(path) {
            return Ok(Box::new(Cursor::new(content.clone())));
        }
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        if bytes > SMALL_FILE {
            return Ok(Box::new(file));
        }
        let mut content = vec![0; bytes as usize + 1];
        let mut length = 0;
        // With room to spare the end shows itself; a file that grows meanwhile is read on.
        loop {
            match file.read(&mut content[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if length == content.len() {
                content.resize(2 * length, 0);
            }
        }
        let content: Arc<[u8]> = content[..length].into();
        self.kept.insert(path.to_path_buf(), content.clone());
        Ok(Box::new(Cursor::new(content)))
    }

    pub(super) fn remember(&mut self, file: &Found) {
        if !self.files.iter().any(|known| known.path == file.path) {
            self.files.push(file.clone());
        }
    }

    /// The next unit; None at the end. After a fault there is nothing more.
    ///
    /// # Errors
    /// Everything that the splitter refuses, commands that are not supported, and what would end
    /// the step's transaction; each with its place.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Unit>, Fault> {
        let unit = self.step();
        if unit.is_err() {
            self.frames.clear();
        }
        unit
    }

    /// Sets a variable, as `\gset` does with a column of its row.
    pub fn set_var(&mut self, name: &str, value: &str) {
        self.variables.set(name, value);
    }

    /// Unsets a variable, as `\gset` does where its column is NULL.
    pub fn unset_var(&mut self, name: &str) {
        self.variables.unset(name);
    }

    /// The data behind the last [`Unit::CopyFrom`], about 64 KiB at a time; None at its end.
    ///
    /// # Errors
    /// `sql-copy-unterminated`; bytes that are not UTF-8.
    pub fn copy_chunk(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        match self.frames.last_mut() {
            Some(frame) => frame.splitter.copy_chunk(),
            None => Ok(None),
        }
    }

    /// True between a BEGIN and a COMMIT of the file's own; only a file that runs outside of a
    /// step's transaction gets there with its statements.
    pub fn in_own_transaction(&self) -> bool {
        self.guard.inside()
    }

    /// Looks at a statement that `\gexec` made, as if it stood in the file.
    ///
    /// # Errors
    /// What is refused of the file's own statements is refused of generated ones.
    pub fn check_generated(&mut self, sql: &str, place: &StatementPlace) -> Result<(), Fault> {
        if !self.options.transactional {
            return Ok(());
        }
        let generated =
            StatementPlace { text: sql.to_string(), whole: true, edits: None, ..place.clone() };
        for piece in Splitter::new(&place.file, sql.as_bytes()) {
            let text =
                match piece.map_err(|fault| Fault { places: vec![place.start()], ..fault })? {
                    Piece::Statement(statement) => statement.text,
                    Piece::Copy { .. } | Piece::Meta(_) => continue,
                };
            let quick = quick_kind(&text);
            let verdict = self.guard.look(&quick, &generated)?;
            if verdict == Verdict::Drop {
                return Err(Fault::usage(
                    "sql-own-transaction",
                    msg!("sql.own-transaction", statement = text),
                )
                .remedy(msg!("sql.own-transaction.remedy"))
                .place(place.start()));
            }
        }
        Ok(())
    }

    pub(super) fn active(&self) -> bool {
        self.frames.last().is_none_or(|frame| frame.conditions.active())
    }

    pub(super) fn undecided(&self) -> bool {
        self.frames.iter().any(|frame| frame.conditions.undecided())
    }

    fn step(&mut self) -> Result<Option<Unit>, Fault> {
        if let Some(unit) = self.ready.next() {
            return Ok(Some(unit));
        }
        loop {
            let Some(frame) = self.frames.last_mut() else {
                self.guard.end()?;
                return Ok(None);
            };
            let unit = match frame.splitter.next().transpose()? {
                None => {
                    if let Some(place) = frame.conditions.open() {
                        return Err(Fault::usage("sql-if-open", msg!("sql.if-open"))
                            .remedy(msg!("sql.if-open.remedy"))
                            .place(place.clone()));
                    }
                    self.frames.pop();
                    continue;
                }
                Some(Piece::Meta(meta)) => self.command(&meta)?,
                Some(Piece::Copy { statement }) => self.copy_from(statement)?,
                Some(Piece::Statement(statement)) => {
                    let follow = match statement.terminator {
                        Terminator::Meta => frame.splitter.next().transpose()?,
                        _ => None,
                    };
                    match follow {
                        Some(Piece::Meta(meta)) => self.statement(statement, Some(&meta))?,
                        _ => self.statement(statement, None)?,
                    }
                }
            };
            if unit.is_some() {
                return Ok(unit);
            }
        }
    }

    fn statement(
        &mut self,
        statement: Statement,
        sent_by: Option<&Meta>,
    ) -> Result<Option<Unit>, Fault> {
        if !self.active() {
            return Ok(None);
        }
        let follow = match sent_by {
            Some(meta) => self.follow(meta)?,
            None => Follow::None,
        };
        let (text, place) = self.sent(statement)?;
        let quick = quick_kind(&text);
        if self.guard.look(&quick, &place)? == Verdict::Drop {
            return Ok(Some(Unit::Skipped { command: text, place: place.start() }));
        }
        if quick.copy_to_stdout {
            return Err(Fault::usage("sql-copy-to-stdout", msg!("sql.copy-to-stdout"))
                .remedy(msg!("sql.copy-to-stdout.remedy"))
                .place(place.start()));
        }
        if quick.unlocks_all {
            self.notes.push((place.start(), msg!("sql.unlocks-all")));
        }
        if self.validating
            && let Follow::Gset { prefix } = &follow
        {
            self.variables.forget_prefix(prefix);
        }
        Ok(Some(Unit::Statement { text, place, follow }))
    }

    fn copy_from(&mut self, statement: Statement) -> Result<Option<Unit>, Fault> {
        if !self.active() {
            // The splitter passes over the data by itself.
            return Ok(None);
        }
        let (text, place) = self.sent(statement)?;
        self.guard.look(&quick_kind(&text), &place)?;
        Ok(Some(Unit::CopyFrom { text, place }))
    }

    /// The text to send, and its place.
    fn sent(&self, statement: Statement) -> Result<(String, StatementPlace), Fault> {
        let Substituted { text, edits, raw, .. } = self.variables.substitute(&statement.text);
        let substituted = match text {
            Cow::Owned(text) => Some(text),
            Cow::Borrowed(_) => None,
        };
        // A large statement is held once: sent as it stands, the sent text is its source.
        let whole = substituted.is_some() || statement.text.len() <= LARGE_STATEMENT;
        let shown = if whole { statement.text.clone() } else { beginning(&statement.text) };
        let text = substituted.unwrap_or(statement.text);
        let place = StatementPlace {
            file: self.frames.last().map_or_else(String::new, |frame| frame.file.shown.clone()),
            line: statement.line,
            column: statement.column,
            text: shown,
            whole,
            lead: statement.lead,
            tail: statement.tail,
            edits: Some(edits),
        };
        if raw && !is_one_statement(&text) {
            let edit = place.edits.iter().flatten().next();
            let at = edit.map_or(0, |edit| edit.source_start);
            let length = edit.map_or(1, |edit| edit.source_length as u32);
            return Err(Fault::usage("sql-variable-splits", msg!("sql.variable-splits"))
                .detail(text)
                .remedy(msg!("sql.variable-splits.remedy"))
                .place(place.place(&place.text, at, length)));
        }
        Ok((text, place))
    }
}

/// The beginning of a large statement, for display.
fn beginning(text: &str) -> String {
    text.lines().next().unwrap_or("").chars().take(200).collect()
}

/// True where the text, values filled in, still is exactly one statement.
fn is_one_statement(text: &str) -> bool {
    let mut pieces = Splitter::new("", text.as_bytes());
    match pieces.next() {
        Some(Ok(Piece::Statement(statement))) => {
            statement.terminator == Terminator::Eof && pieces.next().is_none()
        }
        // COPY .. FROM stdin comes here without its semicolon.
        Some(Err(fault)) => fault.code == "sql-copy-unterminated",
        _ => false,
    }
}

#[cfg(test)]
mod tests;
