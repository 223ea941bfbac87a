//! Findings for people: the statements that matter with what is known of them, then the count.

use std::collections::BTreeMap;

use super::command::on_all_cores;
use crate::cli::desk::Desk;
use crate::model::{Risk, TableSize, format_bytes};
use crate::msg;
use crate::report::grouped;
use crate::sql::{Finding, Judged, Level, Linted, Undo};

/// Shows every file; statements of low risk without a finding only with `--verbose`.
pub(super) fn show(desk: &Desk, linted: &[Linted]) {
    let texts = on_all_cores(linted, |file| one(file, desk.common.verbose));
    for text in texts.iter().filter(|text| !text.is_empty()) {
        desk.out(text);
    }
    desk.out(&format!("{}\n", total(linted)));
}

fn one(file: &Linted, all: bool) -> String {
    let mut out = String::new();
    // By file and line, each once: a file may have thousands of statements and findings.
    let mut left: BTreeMap<(&str, u32), Vec<usize>> = BTreeMap::new();
    for (number, finding) in file.findings.iter().enumerate() {
        left.entry((&finding.file, finding.line)).or_default().push(number);
    }
    for statement in &file.statements {
        let of = |line: u32| (statement.file.as_str(), line);
        let lines = left.range(of(statement.line)..=of(statement.last_line));
        let lines: Vec<(&str, u32)> = lines.map(|(place, _)| *place).collect();
        let own = lines.iter().filter_map(|place| left.remove(place)).flatten();
        let own: Vec<&Finding> = own.map(|number| &file.findings[number]).collect();
        if all || statement.risk > Risk::Low || own.iter().any(|one| one.level > Level::Note) {
            out.push_str(&told(file, statement));
            own.iter().for_each(|finding| out.push_str(&found(finding)));
        }
    }
    let mut others: Vec<usize> = left.into_values().flatten().collect();
    others.sort_unstable();
    for finding in others.into_iter().map(|number| &file.findings[number]) {
        out.push_str(&format!("{:>6}\n", at(file, &finding.file, finding.line)));
        out.push_str(&found(finding));
    }
    if out.is_empty() && !all {
        return out;
    }
    let head =
        msg!("lint.file", file = file.file, n = file.statements.len(), risk = risk(file.risk));
    format!("{head}\n{out}\n")
}

/// The word of a risk in the reader's language.
fn risk(risk: Risk) -> String {
    match risk {
        Risk::Low => msg!("lint.risk.low"),
        Risk::Medium => msg!("lint.risk.medium"),
        Risk::High => msg!("lint.risk.high"),
        Risk::VeryHigh => msg!("lint.risk.very-high"),
    }
}

/// "users (612,000,000 rows, 84.0 GiB)".
fn sized(name: &str, size: TableSize) -> String {
    let bytes = format_bytes(size.bytes);
    match size.rows {
        Some(rows) => msg!("lint.size", table = name, rows = grouped(rows), bytes = bytes),
        None => msg!("lint.size-uncounted", table = name, bytes = bytes),
    }
}

const INDENT: &str = "        ";

/// A line; of an included file with its name.
fn at(whole: &Linted, file: &str, line: u32) -> String {
    if whole.file == file { line.to_string() } else { format!("{file}:{line}") }
}

fn told(file: &Linted, one: &Judged) -> String {
    let objects = one.objects.join(", ");
    let mut out =
        format!("{:>6}  {}  {} {objects}", at(file, &one.file, one.line), risk(one.risk), one.kind);
    out.truncate(out.trim_end().len());
    out.push('\n');
    let mut line = |text: String| {
        for part in text.lines() {
            out.push_str(&format!("{INDENT}{part}\n"));
        }
    };
    line(one.reason.clone());
    if !one.locks.is_empty() {
        let locks: Vec<_> = one.locks.iter().map(ToString::to_string).collect();
        line(msg!("lint.locks", locks = locks.join(", ")));
    }
    if !one.rewrites.is_empty() {
        line(msg!("lint.rewrites", tables = one.rewrites.join(", ")));
    }
    if !one.scans.is_empty() {
        line(msg!("lint.scans", tables = one.scans.join(", ")));
    }
    if !one.sizes.is_empty() {
        let sizes: Vec<String> = one.sizes.iter().map(|(name, size)| sized(name, *size)).collect();
        line(msg!("lint.sizes", tables = sizes.join(", ")));
    }
    if !one.transactional {
        line(msg!("lint.not-transactional"));
    }
    match &one.undo {
        Undo::NotNeeded => {}
        Undo::By(sql) => line(msg!("lint.undo", sql = sql)),
        Undo::Lost => line(msg!("lint.undo-lost")),
        Undo::Never => line(msg!("lint.undo-never")),
        Undo::Unknown => line(msg!("lint.undo-unknown")),
    }
    if let Some(safer) = &one.safer {
        line(msg!("lint.safer", form = safer.replace('\n', "\n    ")));
    }
    out
}

fn found(finding: &Finding) -> String {
    let word = match finding.level {
        Level::Note => msg!("lint.level.note"),
        Level::Warning => msg!("lint.level.warning"),
        Level::Error => msg!("lint.level.error"),
    };
    let mut out = format!("{INDENT}{word} {}: {}\n", finding.rule, finding.message);
    if let Some(reason) = &finding.allowed {
        out.push_str(&format!("{INDENT}  {}\n", msg!("lint.allowed", reason = reason)));
    } else if let Some(help) = &finding.help {
        out.push_str(&format!("{INDENT}  {help}\n"));
    }
    out
}

fn total(linted: &[Linted]) -> String {
    let findings = || linted.iter().flat_map(|file| &file.findings);
    let of =
        |level: Level| findings().filter(|one| one.level == level && one.allowed.is_none()).count();
    let statements: usize = linted.iter().map(|file| file.statements.len()).sum();
    let worst = linted.iter().map(|file| file.risk).max().unwrap_or(Risk::Low);
    let mut text = msg!(
        "lint.total",
        files = linted.len(),
        statements = statements,
        risk = risk(worst),
        errors = of(Level::Error),
        warnings = of(Level::Warning)
    );
    let accepted: Vec<&Finding> = findings().filter(|one| one.allowed.is_some()).collect();
    for one in accepted {
        let reason = one.allowed.as_deref().unwrap_or_default();
        text.push('\n');
        text.push_str(&msg!(
            "lint.total-allowed",
            file = one.file,
            line = one.line,
            rule = one.rule,
            reason = reason
        ));
    }
    text
}
