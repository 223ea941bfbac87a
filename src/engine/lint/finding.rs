//! What the check finds, each with its place; nothing stops at the first.

use std::path::Path;

use rhai::Position;

use super::forms;
use super::outline::{self, Outline};
use super::program::{Program, Unit};
use super::secrets;
use crate::config::Config;
use crate::model::{Fault, Place};
use crate::playbook::Playbook;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The playbook would fail, or do something else than it says.
    Error,
    /// It runs, but somebody should look at it.
    Warning,
}

impl Severity {
    /// The stable word: `error`, `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that the check found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is, where, and what to do.
    pub fault: Fault,
}

/// Checks a playbook and everything it imports; findings of the playbook's own file first, each
/// file's in the order of its lines.
pub fn check(project: &Path, playbook: &Playbook, config: &Config) -> Vec<Finding> {
    examine(project, playbook, config).0
}

/// The findings of [`check`], and what the playbook consists of: both out of one reading.
pub fn examine(project: &Path, playbook: &Playbook, config: &Config) -> (Vec<Finding>, Outline) {
    let mut findings = Findings::default();
    let program = Program::load(project, playbook, &mut findings);
    forms::look(&program, project, playbook, config, &mut findings);
    let outline = outline::of(&program, &mut findings);
    program.add_strict(&mut findings);
    (findings.sorted(&program), outline)
}

/// Gathers findings.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    /// An error at a place.
    pub(super) fn error(&mut self, fault: Fault) {
        self.add(Severity::Error, fault);
    }

    /// A warning at a place.
    pub(super) fn warning(&mut self, fault: Fault) {
        self.add(Severity::Warning, fault);
    }

    /// Several at once.
    pub(super) fn extend(&mut self, findings: Vec<Finding>) {
        self.list.extend(findings);
    }

    fn add(&mut self, severity: Severity, fault: Fault) {
        // A function that is called from several places is found once for each of them.
        let known = self.list.iter().any(|known| {
            known.fault.code == fault.code
                && known.fault.message == fault.message
                && known.fault.places.first() == fault.places.first()
        });
        if !known {
            self.list.push(Finding { severity, fault });
        }
    }

    /// Is there a finding on this line already?
    pub(super) fn on_line(&self, file: &str, line: Option<usize>) -> bool {
        self.list
            .iter()
            .filter_map(|finding| finding.fault.places.first())
            .any(|place| place.file == file && Some(place.line as usize) == line)
    }

    fn sorted(mut self, program: &Program) -> Vec<Finding> {
        let main = program.units.first().map_or("", |unit| unit.file.as_str());
        self.list.sort_by_cached_key(|finding| {
            let place = finding.fault.places.first();
            let file = place.map_or("", |place| place.file.as_str());
            let at = place.map_or((0, 0), |place| (place.line, place.column));
            (file != main, file.to_string(), at, finding.severity)
        });
        // A line is shown with its finding: no secret of it may be.
        for finding in &mut self.list {
            for place in &mut finding.fault.places {
                place.source = secrets::masked(&place.source, &program.secrets.borrow());
            }
        }
        self.list
    }
}

impl Unit {
    /// The place of a name, or of a whole text where one begins there.
    pub(super) fn place(&self, at: Position) -> Place {
        let line = at.line().unwrap_or(0) as u32;
        let column = at.position().unwrap_or(0) as u32;
        let source = match line {
            0 => String::new(),
            line => self.text.lines().nth(line as usize - 1).unwrap_or("").to_string(),
        };
        let rest: String = source.chars().skip(column.saturating_sub(1) as usize).collect();
        let length = match rest.chars().next() {
            Some(quote @ ('"' | '`')) => {
                rest.chars().skip(1).position(|c| c == quote).map_or(1, |end| end + 2)
            }
            _ => name_length(&rest),
        };
        let length = if column == 0 { 0 } else { length.max(1) as u32 };
        Place { file: self.file.clone(), line, column, length, label: String::new(), source }
    }
}

/// Characters of a name, namespaces included: `db::count`, but not the colon behind a map's key.
fn name_length(text: &str) -> usize {
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        match c {
            c if c.is_alphanumeric() || *c == '_' => at += 1,
            ':' if chars.get(at + 1) == Some(&':') => at += 2,
            _ => break,
        }
    }
    at
}
