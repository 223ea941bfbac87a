//! A whole file: cut by psql's rules, every statement judged, every rule asked.
//!
//! Files are read as they stand: `\i` is not followed and conditions are not decided, so each file
//! is judged once, under its own name. psql variables stand for a name or a text.

use super::allow::{self, Allow};
use super::examine::Examiner;
use super::finding::{Judged, Level, Linted};
use super::rules::{Rules, Spot};
use super::squawk;
use crate::model::Risk;
use crate::msg;
use crate::sql::lex::{Kind, tokens};
use crate::sql::split::{Piece, Splitter, Statement};

/// How much of a statement is kept.
const SHOWN: usize = 200;

/// Reads a file that was read into memory. What cannot be read is a finding.
pub fn lint_file(name: &str, content: &[u8]) -> Linted {
    lint_beside(name, content, &Examiner::default())
}

/// The same for a file of a database that the examiner knows, or that has read what comes before.
pub fn lint_beside(name: &str, content: &[u8], known: &Examiner) -> Linted {
    let mut reader = Reader {
        name,
        content,
        text: vec![b' '; content.len()],
        examiner: known.clone(),
        rules: Rules::default(),
        allows: Vec::new(),
        out: Linted {
            file: name.to_string(),
            risk: Risk::Low,
            statements: Vec::new(),
            findings: Vec::new(),
        },
    };
    reader.read();
    reader.rules.settle(&reader.examiner, &mut reader.out.findings);
    reader.ask_squawk();
    reader.accept();
    reader.out.findings.sort_by_key(|finding| (finding.line, finding.column));
    reader.out
}

struct Reader<'a> {
    name: &'a str,
    content: &'a [u8],
    /// The SQL alone, every byte in its place.
    text: Vec<u8>,
    examiner: Examiner,
    rules: Rules,
    allows: Vec<Allow>,
    out: Linted,
}

impl Reader<'_> {
    fn read(&mut self) {
        for (at, byte) in self.content.iter().enumerate() {
            if matches!(byte, b'\n' | b'\r') {
                self.text[at] = *byte;
            }
        }
        let mut pieces = Splitter::new(self.name, self.content);
        let (mut behind, mut line_behind, mut plain) = (0_usize, 1_u32, true);
        loop {
            let piece = match pieces.next() {
                None => break,
                Some(Ok(piece)) => piece,
                Some(Err(fault)) => {
                    let place = fault.places.first();
                    let spot = Spot {
                        file: self.name.into(),
                        line: place.map_or(line_behind, |place| place.line),
                        column: place.map_or(1, |place| place.column),
                    };
                    let finding =
                        spot.finding("unreadable", Level::Error, fault.message, fault.cause);
                    self.out.findings.push(finding);
                    self.out.risk = Risk::VeryHigh;
                    return;
                }
            };
            match piece {
                Piece::Meta(_) => plain = false,
                Piece::Statement(statement) | Piece::Copy { statement } => {
                    let start = statement.offset as usize;
                    self.gap(behind, start, line_behind, plain);
                    self.statement(&statement);
                    behind = start + statement.text.len();
                    line_behind = last_line(&statement);
                    plain = pieces.in_statements();
                }
            }
        }
        self.gap(behind, self.content.len(), line_behind, plain);
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

    fn statement(&mut self, statement: &Statement) {
        let spot = Spot { file: self.name.into(), line: statement.line, column: statement.column };
        self.allows.extend(allow::comments(&statement.text, statement.line));
        let text = with_stand_ins(&statement.text);
        let one = self.examiner.examine(&text);
        self.out.findings.extend(self.rules.look(&spot, &text, &one));
        let start = statement.offset as usize;
        if one.parsed
            && let Some(place) = self.text.get_mut(start..start + text.len())
        {
            place.copy_from_slice(text.as_bytes());
        }
        if one.info.control.is_some() {
            return;
        }
        self.out.risk = self.out.risk.max(one.info.risk);
        self.out.statements.push(Judged {
            file: self.name.into(),
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

    fn ask_squawk(&mut self) {
        let text = String::from_utf8_lossy(&self.text).into_owned();
        let mut lines = Lines::new(&text);
        for one in squawk::violations(&text) {
            let (line, column) = lines.of(&text, one.offset);
            let spot = Spot { file: self.name.into(), line, column };
            self.out.findings.push(spot.finding(&one.rule, Level::Warning, one.message, one.help));
        }
    }

    /// Lets every comment accept what it names in its statement.
    fn accept(&mut self) {
        for allow in std::mem::take(&mut self.allows) {
            let statements = &self.out.statements;
            let own = statements
                .iter()
                .rfind(|one| one.line <= allow.line && allow.line <= one.last_line)
                .or_else(|| statements.iter().find(|one| one.line > allow.line));
            let (first, last) = own.map_or((allow.line, allow.line), |o| (o.line, o.last_line));
            let spot = Spot { file: self.name.into(), line: allow.line, column: 1 };
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
                    finding.rule == *rule && (first..=last).contains(&finding.line)
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
