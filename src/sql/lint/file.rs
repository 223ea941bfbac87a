//! A whole file: cut by psql's rules, every statement judged, every rule asked.
//!
//! Where the file's surroundings are given, `\i` and `\ir` are followed, and what is included is
//! judged as a part of the file (`include`). Conditions are not decided: every branch is read. psql
//! variables stand for a name or a text.

use std::path::Path;

use super::allow::{self, Allow};
use super::examine::Examiner;
use super::finding::{Judged, Level, Linted};
use super::include::{Around, Chain};
use super::rules::{Rules, Spot};
use super::squawk;
use crate::model::Risk;
use crate::msg;
use crate::sql::lex::{Kind, tokens};
use crate::sql::parse::Whole;
use crate::sql::split::{Meta, Piece, Splitter, Statement};

/// How much of a statement is kept.
const SHOWN: usize = 200;

/// Reads a file that was read into memory. What cannot be read is a finding.
pub fn lint_file(name: &str, content: &[u8]) -> Linted {
    lint_beside(name, content, &Examiner::default())
}

/// The same for a file of a database that the examiner knows, or that has read what comes before.
pub fn lint_beside(name: &str, content: &[u8], known: &Examiner) -> Linted {
    lint(name, content, known, None)
}

/// The same for the file at `path`, with everything that it includes.
pub fn lint_within(
    (name, path): (&str, &Path),
    content: &[u8],
    known: &Examiner,
    around: &Around,
) -> Linted {
    lint(name, content, known, Some((path, around)))
}

fn lint(name: &str, content: &[u8], known: &Examiner, at: Option<(&Path, &Around)>) -> Linted {
    let mut reader = Reader {
        chain: at.map(|(path, around)| Chain::new(path, around)),
        examiner: known.clone(),
        rules: Rules::default(),
        sheets: Vec::new(),
        out: Linted::empty(name),
    };
    reader.read(Sheet::new(name, content), true);
    reader.rules.settle(&reader.examiner, &mut reader.out.findings);
    for sheet in std::mem::take(&mut reader.sheets) {
        reader.ask_squawk(&sheet);
        reader.accept(sheet);
    }
    reader.out.sort();
    reader.out
}

/// One file.
struct Sheet<'a> {
    name: String,
    content: &'a [u8],
    /// The SQL alone, every byte in its place.
    text: Vec<u8>,
    allows: Vec<Allow>,
    /// The trees of its statements, where all of it is SQL that parses.
    whole: Option<Whole>,
}

impl<'a> Sheet<'a> {
    fn new(name: &str, content: &'a [u8]) -> Self {
        let blank = |byte: &u8| if matches!(byte, b'\n' | b'\r') { *byte } else { b' ' };
        let text = content.iter().map(blank).collect();
        let sql = std::str::from_utf8(content).ok();
        let whole = sql.filter(|sql| !sql.contains('\\')).and_then(Whole::of);
        Self { name: name.into(), content, text, allows: Vec::new(), whole }
    }

    fn spot(&self, line: u32, column: u32) -> Spot {
        Spot { file: self.name.clone(), line, column }
    }

    /// What stands between two statements: comments are kept, commands and data are not.
    fn gap(&mut self, from: usize, to: usize, line: u32, plain: bool) {
        let to = to.min(self.content.len());
        if from >= to {
            return;
        }
        let gap = &self.content[from..to];
        if plain {
            self.text[from..to].copy_from_slice(gap);
        } else if from > 0 && self.text[from] == b' ' {
            self.text[from] = b';';
        }
        // Behind COPY stand rows, which hold no comments of ours.
        if let Ok(gap) = std::str::from_utf8(gap) {
            self.allows.extend(allow::comments(gap, line));
        }
    }
}

/// What is left of a file that was read: its name, its SQL, its comments.
struct Done {
    name: String,
    text: Vec<u8>,
    allows: Vec<Allow>,
    /// Where the SQL is the file as it stands.
    whole: Option<Whole>,
}

struct Reader<'a> {
    /// Where the files stand; None where includes are not followed.
    chain: Option<Chain<'a>>,
    examiner: Examiner,
    rules: Rules,
    sheets: Vec<Done>,
    out: Linted,
}

impl Reader<'_> {
    /// Reads a file; `anew` where it was not read before, as a part of the same one.
    fn read(&mut self, mut sheet: Sheet<'_>, anew: bool) {
        let at = self.sheets.len();
        if anew {
            // Its place is before those that it includes.
            let name = sheet.name.clone();
            self.sheets.push(Done { name, text: Vec::new(), allows: Vec::new(), whole: None });
        }
        self.pieces(&mut sheet);
        if let Some(done) = self.sheets.get_mut(at).filter(|_| anew) {
            done.whole = sheet.whole.filter(|_| sheet.text == sheet.content);
            (done.text, done.allows) = (sheet.text, sheet.allows);
        }
    }

    fn pieces(&mut self, sheet: &mut Sheet<'_>) {
        let mut pieces = Splitter::new(&sheet.name, sheet.content);
        let (mut behind, mut line_behind, mut plain) = (0_usize, 1_u32, true);
        loop {
            let piece = match pieces.next() {
                None => break,
                Some(Ok(piece)) => piece,
                Some(Err(fault)) => {
                    let place = fault.places.first();
                    let line = place.map_or(line_behind, |place| place.line);
                    let spot = sheet.spot(line, place.map_or(1, |place| place.column));
                    let finding =
                        spot.finding("unreadable", Level::Error, fault.message, fault.cause);
                    self.out.findings.push(finding);
                    self.out.risk = Risk::VeryHigh;
                    return;
                }
            };
            match piece {
                Piece::Meta(meta) => {
                    plain = false;
                    self.command(&sheet.spot(meta.line, meta.column), &meta);
                }
                Piece::Statement(statement) | Piece::Copy { statement } => {
                    let start = statement.offset as usize;
                    sheet.gap(behind, start, line_behind, plain);
                    self.statement(sheet, &statement);
                    behind = start + statement.text.len();
                    line_behind = last_line(&statement);
                    plain = pieces.in_statements();
                }
            }
        }
        sheet.gap(behind, sheet.content.len(), line_behind, plain);
    }

    /// A backslash command: what it includes is read here.
    fn command(&mut self, spot: &Spot, meta: &Meta) {
        let Some(chain) = &mut self.chain else { return };
        let included = match chain.command(meta) {
            Ok(None) => return,
            Ok(Some(included)) => included,
            Err(refused) => {
                let finding =
                    spot.finding(refused.rule, refused.level, refused.message, refused.help);
                self.out.findings.push(finding);
                self.out.risk = Risk::VeryHigh;
                return;
            }
        };
        let anew = !self.out.include_paths.contains(&included.path);
        if anew {
            self.out.includes.push(included.shown.clone());
            self.out.include_paths.push(included.path);
        }
        self.read(Sheet::new(&included.shown, &included.content), anew);
        self.chain.iter_mut().for_each(Chain::leave);
    }

    fn statement(&mut self, sheet: &mut Sheet<'_>, statement: &Statement) {
        let spot = sheet.spot(statement.line, statement.column);
        sheet.allows.extend(allow::comments(&statement.text, statement.line));
        let text = with_stand_ins(&statement.text);
        let whole = sheet.whole.as_ref().filter(|_| text == statement.text);
        let tree = whole.and_then(|whole| whole.at(statement.offset as usize, text.len()));
        let one = self.examiner.examine_tree(&text, tree.as_ref());
        self.out.findings.extend(self.rules.look(&spot, &text, &one));
        let start = statement.offset as usize;
        if one.parsed
            && let Some(place) = sheet.text.get_mut(start..start + text.len())
        {
            place.copy_from_slice(text.as_bytes());
        }
        if one.info.control.is_some() {
            return;
        }
        self.out.risk = self.out.risk.max(one.info.risk);
        self.out.statements.push(Judged {
            file: spot.file,
            line: statement.line,
            last_line: last_line(statement),
            column: statement.column,
            kind: one.info.kind,
            objects: one.info.objects,
            risk: one.info.risk,
            reason: one.info.reason,
            locks: one.info.locks,
            rewrites: one.info.rewrites,
            scans: one.info.scans,
            transactional: one.info.transactional,
            destructive: one.info.destructive,
            unknown: one.info.opaque,
            new: one.new,
            undo: one.undo,
            sizes: one.sizes,
            safer: one.safer,
            text: statement.text.chars().take(SHOWN).collect(),
        });
    }

    fn ask_squawk(&mut self, sheet: &Done) {
        let text = String::from_utf8_lossy(&sheet.text);
        let mut lines = Lines::new(&text);
        for one in squawk::violations(&text, sheet.whole.as_ref().map(Whole::parse)) {
            let (line, column) = lines.of(&text, one.offset);
            let spot = Spot { file: sheet.name.clone(), line, column };
            self.out.findings.push(spot.finding(&one.rule, Level::Warning, one.message, one.help));
        }
    }

    /// Lets every comment accept what it names in its statement.
    fn accept(&mut self, sheet: Done) {
        for allow in sheet.allows {
            let mut own = self.out.statements.iter().filter(|one| one.file == sheet.name);
            let around = own
                .clone()
                .rfind(|one| one.line <= allow.line && allow.line <= one.last_line)
                .map(|one| (one.line, one.line, one.last_line));
            // Before the next statement stand commands, which may be found wanting, too.
            let mut next = || own.find(|one| one.line > allow.line);
            let (from, first, last) = around
                .or_else(|| next().map(|one| (allow.line, one.line, one.last_line)))
                .unwrap_or((allow.line, allow.line, u32::MAX));
            let spot = Spot { file: sheet.name.clone(), line: allow.line, column: 1 };
            if allow.reason.is_empty() || allow.rules.is_empty() {
                let message = msg!("lint.allow-reason");
                let help = Some(msg!("lint.allow-reason.help"));
                let finding = spot.finding("allow-reason", Level::Error, message, help);
                self.out.findings.push(finding);
                continue;
            }
            for rule in &allow.rules {
                let mut used = rule == "max-risk";
                if used {
                    let message = msg!("lint.max-risk-allowed");
                    let spot = Spot { line: first, ..spot.clone() };
                    let mut finding = spot.finding("max-risk", Level::Note, message, None);
                    finding.allowed = Some(allow.reason.clone());
                    self.out.findings.push(finding);
                }
                for finding in self.out.findings.iter_mut().filter(|finding| {
                    finding.rule == *rule
                        && finding.file == sheet.name
                        && (from..=last).contains(&finding.line)
                }) {
                    finding.allowed = Some(allow.reason.clone());
                    used = true;
                }
                if !used {
                    let message = msg!("lint.allow-unused", rule = rule);
                    let finding = spot.finding("allow-unused", Level::Warning, message, None);
                    self.out.findings.push(finding);
                }
            }
        }
    }
}

fn last_line(statement: &Statement) -> u32 {
    statement.line + statement.text.matches('\n').count() as u32
}

/// psql variables replaced by names and texts of the same length.
fn with_stand_ins(text: &str) -> String {
    if !text.contains(':') {
        return text.to_string();
    }
    let mut out = text.to_string();
    for token in tokens(text).filter(|token| token.kind == Kind::Variable) {
        // `a[1:2]` looks like one.
        if token.text[1..].starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        let inner = &token.text[1..];
        let stand_in = match inner.chars().next() {
            Some(quote @ ('\'' | '"')) => format!("{quote}_{}", &inner[1..]),
            Some('{') => format!("{:<width$}", "true", width = token.text.len()),
            _ => format!("_{inner}"),
        };
        out.replace_range(token.start..token.end(), &stand_in);
    }
    out
}

/// Lines and columns of offsets that mostly rise.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    fn of(&mut self, text: &str, offset: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = text.get(start..offset.min(text.len())).unwrap_or("");
        (line as u32, before.chars().count() as u32 + 1)
    }
}
