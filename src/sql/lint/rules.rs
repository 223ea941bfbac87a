//! Our own rules: what follows from the judgement of statements and from their order.

use super::examine::{Examined, Examiner};
use super::finding::{Finding, Level};
use super::shape::ForeignKey;
use crate::msg;
use crate::sql::quick::Control;

/// Follows the transactions of a file while its statements are judged.
///
/// A file without BEGIN is one transaction, as a step and most migration tools run it, unless it
/// holds a statement that no transaction takes.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Inside of the file's own BEGIN.
    in_transaction: bool,
    /// Some statement commits for itself, so the others do as well.
    alone: bool,
    /// Places of what was found about a transaction that the file does not open itself.
    assumed: Vec<(String, u32)>,
    /// What the open transaction has locked so that nobody can read: (table, where).
    held: Vec<(String, Spot)>,
    /// It was said of the open transaction that others wait for what follows.
    held_told: bool,
    /// Tables that the open transaction has altered: (table, where).
    altered: Vec<(String, Spot)>,
    /// Foreign keys that the file made, and where.
    keys: Vec<(Spot, ForeignKey)>,
}

/// Where a finding stands.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Spot {
    /// Its line; in another file than the one that is spoken of, with that file's name.
    fn seen_from(&self, other: &Self) -> String {
        if self.file == other.file {
            return self.line.to_string();
        }
        format!("{}:{}", self.file, self.line)
    }

    pub(super) fn finding(
        &self,
        rule: &str,
        level: Level,
        message: String,
        help: Option<String>,
    ) -> Finding {
        Finding {
            rule: rule.into(),
            level,
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            message,
            help,
            allowed: None,
        }
    }
}

impl Rules {
    /// What the next statement deserves.
    pub(super) fn look(&mut self, spot: &Spot, text: &str, one: &Examined) -> Vec<Finding> {
        let info = &one.info;
        let mut found = Vec::new();
        let mut say = |rule: &str, level, message, help| {
            found.push(spot.finding(rule, level, message, help));
        };
        if !one.parsed {
            let at = crate::sql::parse::first_error(text);
            let message = match at {
                Some((offset, expected)) => {
                    let near: String = text.get(offset..).unwrap_or("").chars().take(40).collect();
                    let near = near.lines().next().unwrap_or("").to_string();
                    msg!("lint.unparsable-at", near = near, why = expected)
                }
                None => msg!("lint.unparsable"),
            };
            say("unparsable", Level::Error, message, None);
        }
        if !info.transactional && self.in_transaction {
            let message = msg!("lint.refused-in-transaction", kind = info.kind);
            let help = Some(msg!("lint.refused-in-transaction.help"));
            say("refused-in-transaction", Level::Error, message, help);
        }
        if let Some(text) = one.dynamic.first() {
            let message = if info.opaque {
                msg!("lint.dynamic-sql", text = text)
            } else {
                msg!("lint.dynamic-sql-inside", text = text)
            };
            let level = if info.opaque { Level::Warning } else { Level::Note };
            say("dynamic-sql", level, message, None);
        } else if one.parsed && info.opaque && one.unreadable.is_empty() {
            say("unknown-effect", Level::Warning, info.reason.clone(), None);
        }
        if let Some(text) = one.unreadable.first() {
            let message = msg!("lint.unreadable-body", text = text);
            say("unreadable-body", Level::Warning, message, None);
        }
        if info.destructive && one.parsed {
            say("data-loss", Level::Warning, msg!("lint.data-loss", why = info.reason), None);
        }
        if !info.rewrites.is_empty() && !one.new {
            let tables = info.rewrites.join(", ");
            say("table-rewrite", Level::Warning, msg!("lint.table-rewrite", tables = tables), None);
        }
        let rows = matches!(info.kind.as_str(), "update" | "delete" | "merge")
            || (matches!(info.kind.as_str(), "insert" | "select") && !info.reads.is_empty());
        let slow =
            info.transactional && (rows || !info.rewrites.is_empty() || !info.scans.is_empty());
        if let Some((table, at)) = self.held.first().filter(|_| slow && !one.new) {
            let message = msg!("lint.held-lock", table = table, line = at.seen_from(spot));
            say("held-lock", Level::Warning, message, Some(msg!("lint.held-lock.help")));
            self.held_told = true;
            if !self.in_transaction {
                self.assumed.push((spot.file.clone(), spot.line));
            }
        } else if let Some((table, at)) = self.held.first().filter(|_| !self.held_told)
            && info.control.is_none()
            && !matches!(info.kind.as_str(), "set" | "reset" | "show")
        {
            let line = at.seen_from(spot);
            let message = msg!("lint.statement-under-lock", table = table, line = line);
            say("statement-under-lock", Level::Note, message, None);
            self.held_told = true;
            if !self.in_transaction {
                self.assumed.push((spot.file.clone(), spot.line));
            }
        }
        if let Some(table) = info.objects.first().filter(|_| info.kind == "alter table" && !one.new)
        {
            match self.altered.iter().find(|(known, _)| known == table) {
                Some((_, at)) => {
                    let line = at.seen_from(spot);
                    let message = msg!("lint.several-alters", table = table, line = line);
                    say("several-alters", Level::Note, message, None);
                }
                None => self.altered.push((table.clone(), spot.clone())),
            }
        }
        for shape in &one.shapes {
            say(shape.rule, shape.level, shape.message.clone(), shape.help.clone());
        }
        self.keys.extend(one.keys.iter().map(|key| (spot.clone(), key.clone())));
        self.follow(spot, one);
        found
    }

    /// What only the end of the file shows: a transaction that there is not, a key that no index
    /// supports.
    pub(super) fn settle(&self, examiner: &Examiner, findings: &mut Vec<Finding>) {
        if self.alone {
            let held = |rule: &str| matches!(rule, "held-lock" | "statement-under-lock");
            let assumed = |one: &Finding| {
                self.assumed.iter().any(|(file, line)| *line == one.line && *file == one.file)
            };
            findings.retain(|one| !held(&one.rule) || !assumed(one));
        }
        for (spot, key) in self.keys.iter().filter(|(_, key)| !examiner.is_indexed(key)) {
            let columns = key.columns.join(", ");
            let message = msg!("lint.foreign-key-index", table = key.table, columns = columns);
            let help = Some(msg!("lint.foreign-key-index.help"));
            let level = if key.certain { Level::Warning } else { Level::Note };
            findings.push(spot.finding("foreign-key-index", level, message, help));
        }
    }

    fn begin_anew(&mut self) {
        self.held.clear();
        self.held_told = false;
        self.altered.clear();
    }

    fn follow(&mut self, spot: &Spot, one: &Examined) {
        match one.info.control {
            Some(Control::Begin) => {
                self.in_transaction = true;
                self.begin_anew();
            }
            Some(Control::Commit | Control::Rollback | Control::PrepareTransaction) => {
                self.in_transaction = false;
                self.begin_anew();
            }
            Some(Control::Chain) => self.begin_anew(),
            _ => {
                self.alone |= !one.info.transactional;
                if !one.new {
                    let strong =
                        one.info.locks.iter().filter(|lock| lock.mode == "ACCESS EXCLUSIVE");
                    self.held.extend(strong.map(|lock| (lock.object.clone(), spot.clone())));
                }
            }
        }
    }
}
