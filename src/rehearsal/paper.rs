//! A rehearsal on paper: for the terminal, and as Markdown for whoever decides.

use std::time::Duration;

use super::told::{Outcome, PassTold, StepTold};
use crate::journal::WayBackWord;
use crate::model::{Bytes, Measured, format_bytes, format_span, lock_strength, spoken_lock};
use crate::msg;
use crate::report::{Table, harmless, lock_wait_line};

/// So many lines of a list are shown on a terminal; the report has all.
const SHOWN: usize = 12;

fn span(ms: u64) -> String {
    format_span(Duration::from_millis(ms))
}

/// What a person reads at the end: at most `width` columns.
pub fn text(outcome: &Outcome, width: usize) -> String {
    let mut out = String::new();
    let mut say = |line: String| {
        out.push_str(&harmless(&line));
        out.push('\n');
    };
    say(String::new());
    if let Some(forward) = &outcome.forward {
        if !forward.steps.is_empty() {
            say(table(outcome, forward).text(width).trim_end().to_string());
            say(String::new());
        }
        for line in details(forward) {
            say(format!("  {line}"));
        }
    }
    for line in cost(outcome) {
        say(line);
    }
    for (name, pass) in passes(outcome) {
        let took = span(pass.took_ms);
        let line = match pass.exit {
            0 => msg!("rehearsal.pass.well", pass = name, took = took),
            exit => msg!("rehearsal.pass.badly", pass = name, exit = exit, took = took),
        };
        say(format!("{} {line}", if pass.exit == 0 { "✓" } else { "✗" }));
    }
    if outcome.nothing_to_do {
        say(msg!("rehearsal.nothing-to-do"));
    } else if outcome.back.is_some() || !outcome.lost.is_empty() {
        let mark = if outcome.way_back == WayBackWord::Proven { "✓" } else { "✗" };
        say(format!("{mark} {}", way_back_line(outcome)));
        list(&outcome.lost, &mut say);
    }
    if outcome.again.is_some() {
        say(repeat_line(outcome));
    }
    if !outcome.crashes.is_empty() {
        for line in crash_lines(outcome) {
            say(line);
        }
    }
    for (heading, lines) in lists(outcome) {
        say(heading);
        list(lines, &mut say);
    }
    if let Some(receipt) = &outcome.receipt {
        say(msg!("rehearsal.receipt-at", path = receipt));
    }
    if let Some(report) = &outcome.report {
        say(msg!("rehearsal.report-at", path = report));
    }
    out
}

fn list(lines: &[String], say: &mut impl FnMut(String)) {
    for line in lines.iter().take(SHOWN) {
        say(format!("    {line}"));
    }
    if lines.len() > SHOWN {
        say(format!("    {}", msg!("rehearsal.more", count = lines.len() - SHOWN)));
    }
}

/// The walks that took place, in their order.
fn passes(outcome: &Outcome) -> Vec<(String, &PassTold)> {
    [
        (msg!("rehearsal.pass.forward"), &outcome.forward),
        (msg!("rehearsal.pass.back"), &outcome.back),
        (msg!("rehearsal.pass.restore"), &outcome.restore),
        (msg!("rehearsal.pass.again"), &outcome.again),
    ]
    .into_iter()
    .filter_map(|(name, pass)| Some((name, pass.as_ref()?)))
    .collect()
}

/// What others wait for, and what the source may make of it: two tables and the locks that were not
/// the foretold ones.
fn cost(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    for down in &outcome.downtime {
        let (low, high) = down.on_source_ms;
        lines.push(msg!(
            "rehearsal.downtime",
            table = down.table,
            closed = span(down.closed_ms),
            read_only = span(down.read_only_ms),
            low = span(low),
            high = span(high),
            steps = down.steps.join(", ")
        ));
    }
    for step in &outcome.estimates {
        // Without a word of the playbook beside it, and on a copy of the same size, it says nothing.
        let Some(takes) = &step.takes else { continue };
        let (low, high) = step.on_source_ms;
        let (low, high) = (span(low), span(high));
        lines.push(msg!(
            "rehearsal.estimate",
            step = step.step,
            low = low,
            high = high,
            takes = takes
        ));
    }
    for lock in &outcome.lock_differences {
        let none = || msg!("rehearsal.lock-none");
        let (foretold, taken) = (lock.foretold.clone(), lock.taken.clone());
        lines.push(msg!(
            "rehearsal.lock-differs",
            step = lock.step,
            table = lock.table,
            foretold = foretold.unwrap_or_else(none),
            taken = taken.unwrap_or_else(none)
        ));
    }
    lines.extend(disk(outcome));
    lines
}

/// What has to be free on the source.
fn disk(outcome: &Outcome) -> Vec<String> {
    let Some(disk) = &outcome.disk else {
        let unknown = outcome.again.is_some() && !outcome.with_rows;
        return unknown.then(|| msg!("rehearsal.disk-unknown")).into_iter().collect();
    };
    let shown = |bytes: &Bytes| format_bytes(bytes.on_source);
    let temporary = match &disk.temporary {
        Some(bytes) => msg!("rehearsal.disk-temporary", bytes = shown(bytes)),
        None => msg!("rehearsal.disk-temporary-unknown"),
    };
    let mut lines = vec![msg!(
        "rehearsal.disk",
        total = format_bytes(disk.on_source()),
        tables = shown(&disk.tables),
        wal = shown(&disk.wal),
        temporary = temporary
    )];
    if let (Some(backup), Some(ms)) = (&disk.backup, disk.backup_ms) {
        let (bytes, here, took) = (shown(backup), format_bytes(backup.on_copy), span(ms));
        lines.push(msg!("rehearsal.disk-backup", bytes = bytes, here = here, took = took));
    }
    lines
}

fn lists(outcome: &Outcome) -> Vec<(String, &[String])> {
    [
        (msg!("rehearsal.list.not-done"), outcome.not_done.as_slice()),
        (msg!("rehearsal.list.asked"), outcome.asked.as_slice()),
        (msg!("rehearsal.list.left-out"), outcome.left_out.as_slice()),
        (msg!("rehearsal.list.varying"), outcome.varying.as_slice()),
    ]
    .into_iter()
    .filter(|(_, lines)| !lines.is_empty())
    .collect()
}

fn way_back_line(outcome: &Outcome) -> String {
    let by = if outcome.restore.as_ref().is_some_and(|pass| pass.exit == 0) {
        msg!("rehearsal.by-restore")
    } else {
        msg!("rehearsal.by-undo")
    };
    match outcome.way_back {
        WayBackWord::Proven => msg!("rehearsal.way-back.proven", by = by),
        WayBackWord::Lossy => msg!("rehearsal.way-back.lossy", by = by),
        WayBackWord::Unproven => msg!("rehearsal.way-back.unproven"),
    }
}

fn repeat_line(outcome: &Outcome) -> String {
    match outcome.repeatable {
        true => format!("✓ {}", msg!("rehearsal.second.nothing")),
        false => format!("· {}", msg!("rehearsal.second.something")),
    }
}

fn crash_lines(outcome: &Outcome) -> Vec<String> {
    let same = outcome.crashes.iter().filter(|crash| crash.same).count();
    let count = outcome.crashes.len();
    let mark = if same == count { "✓" } else { "✗" };
    let mut lines =
        vec![format!("{mark} {}", msg!("rehearsal.crashes", count = count, same = same))];
    for crash in outcome.crashes.iter().filter(|crash| !crash.same) {
        let what = crash.differs.join(", ");
        let (after, exit) = (&crash.after, crash.exit);
        lines.push(format!(
            "    {}",
            msg!("rehearsal.crash", after = after, exit = exit, what = what)
        ));
    }
    lines
}

fn table(outcome: &Outcome, forward: &PassTold) -> Table {
    let mut table = Table::new(headings()).right(1).right(2).right(3).right(4);
    for step in &forward.steps {
        table.row(cells(outcome, step));
    }
    table
}

fn headings() -> [String; 7] {
    [
        msg!("rehearsal.column.step"),
        msg!("rehearsal.column.took"),
        msg!("rehearsal.column.back"),
        msg!("rehearsal.column.rows"),
        msg!("rehearsal.column.wal"),
        msg!("rehearsal.column.lock"),
        msg!("rehearsal.column.rewritten"),
    ]
}

fn cells(outcome: &Outcome, step: &StepTold) -> [String; 7] {
    let back = outcome.back.iter().flat_map(|back| &back.steps);
    let back = back.into_iter().find(|undo| undo.title == step.title && undo.failed.is_none());
    let measured = step.measured.as_ref();
    [
        format!("{} {}", if step.failed.is_some() { "✗" } else { "✓" }, step.title),
        span(step.took_ms),
        back.map_or("-".into(), |undo| span(undo.took_ms)),
        measured.map_or("-".into(), |found| found.rows_written().to_string()),
        measured.map_or("-".into(), |found| format_bytes(found.wal_bytes)),
        measured.map_or("-".into(), strongest),
        measured.map_or("-".into(), |found| found.rewritten.len().to_string()),
    ]
}

fn strongest(measured: &Measured) -> String {
    let top = measured.locks.iter().max_by_key(|lock| lock_strength(&spoken_lock(&lock.mode)));
    top.map_or("-".into(), |lock| spoken_lock(&lock.mode))
}

/// Locks that others wait for, rewrites, indexes and temporary files, step by step.
fn details(pass: &PassTold) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &pass.steps {
        for wait in &step.waits {
            lines.push(format!("{}: {}", step.title, lock_wait_line(wait)));
        }
        let Some(measured) = &step.measured else { continue };
        let took = span(step.took_ms);
        for lock in &measured.locks {
            let mode = spoken_lock(&lock.mode);
            if matches!(lock.mode.as_str(), "AccessShareLock" | "RowShareLock" | "RowExclusiveLock")
            {
                continue;
            }
            lines.push(msg!(
                "rehearsal.lock",
                step = step.title,
                mode = mode,
                table = lock.table,
                took = took
            ));
        }
        for table in &measured.rewritten {
            lines.push(msg!("rehearsal.rewritten", step = step.title, table = table));
        }
        for index in &measured.indexes {
            lines.push(msg!("rehearsal.built", step = step.title, index = index));
        }
        if let Some(bytes) = measured.temp_bytes.filter(|bytes| *bytes > 0) {
            let bytes = format_bytes(bytes);
            lines.push(msg!("rehearsal.temporary", step = step.title, bytes = bytes));
        }
    }
    lines
}

/// The report.
pub fn markdown(outcome: &Outcome) -> String {
    let mut out = format!("# {}\n\n", msg!("rehearsal.md.title", title = escaped(&outcome.title)));
    let verdict = match outcome.exit {
        0 if outcome.nothing_to_do => msg!("rehearsal.nothing-to-do"),
        0 if outcome.way_back == WayBackWord::Proven => msg!("rehearsal.verdict.well"),
        0 => msg!("rehearsal.verdict.untried"),
        6 => msg!("rehearsal.verdict.back"),
        _ => msg!("rehearsal.verdict.forward"),
    };
    out.push_str(&format!("**{verdict}**\n\n"));
    let mut facts = vec![
        (msg!("rehearsal.md.playbook"), format!("`{}`", outcome.playbook)),
        (msg!("rehearsal.md.started"), outcome.started.clone()),
        (msg!("rehearsal.md.source"), format!("`{}`", outcome.source)),
        (
            msg!("rehearsal.md.versions"),
            msg!("rehearsal.versions", source = outcome.versions.0, copy = outcome.versions.1),
        ),
    ];
    let (tables, rows, bytes) = outcome.size;
    let (size, took) = (format_bytes(bytes), span(outcome.copy_ms));
    let copied = msg!("rehearsal.size", tables = tables, rows = rows, size = size, took = took);
    facts.push((msg!("rehearsal.md.copy"), copied));
    if outcome.back.is_some() || !outcome.lost.is_empty() {
        let line = format!("**{}**", way_back_line(outcome));
        facts.push((msg!("rehearsal.md.way-back"), line));
    }
    for (name, fact) in facts {
        out.push_str(&format!("- {name}: {fact}\n"));
    }
    out.push('\n');
    if let Some(fault) = &outcome.fault {
        let code = &fault.code;
        out.push_str(&format!("> {} (`{code}`)\n\n", escaped(&fault.message)));
    }
    if let Some(forward) = outcome.forward.as_ref().filter(|forward| !forward.steps.is_empty()) {
        steps(outcome, forward, &mut out);
    }
    section(&msg!("rehearsal.list.lost"), &outcome.lost, &mut out);
    let mut passed = Vec::new();
    for (name, pass) in passes(outcome) {
        let (exit, held, took) = (pass.exit, pass.held, span(pass.took_ms));
        passed.push(msg!("rehearsal.md.pass", pass = name, exit = exit, held = held, took = took));
    }
    if outcome.again.is_some() {
        passed.push(repeat_line(outcome));
    }
    passed.extend(if outcome.crashes.is_empty() { Vec::new() } else { crash_lines(outcome) });
    section(&msg!("rehearsal.md.passes"), &passed, &mut out);
    for (heading, lines) in lists(outcome) {
        section(heading.trim_end_matches(':'), lines, &mut out);
    }
    if let Some(receipt) = &outcome.receipt {
        out.push_str(&format!("{}\n", msg!("rehearsal.receipt-at", path = receipt)));
    }
    out
}

fn steps(outcome: &Outcome, forward: &PassTold, out: &mut String) {
    out.push_str(&format!("## {}\n\n", msg!("rehearsal.md.steps")));
    let row = |cells: &[String]| {
        let cells: Vec<String> =
            cells.iter().map(|cell| escaped(cell).replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    out.push_str(&row(&headings()));
    out.push_str("|---|--:|--:|--:|--:|---|--:|\n");
    for step in &forward.steps {
        out.push_str(&row(&cells(outcome, step)));
    }
    out.push('\n');
    section(&msg!("rehearsal.md.locks"), &details(forward), out);
    section(&msg!("rehearsal.md.cost"), &cost(outcome), out);
    let mut written = Vec::new();
    for step in &forward.steps {
        for row in step.measured.iter().flat_map(|measured| &measured.rows) {
            written.push(msg!(
                "rehearsal.rows",
                step = step.title,
                table = row.table,
                inserted = row.inserted,
                updated = row.updated,
                deleted = row.deleted
            ));
        }
    }
    section(&msg!("rehearsal.md.rows"), &written, out);
}

fn section(heading: &str, lines: &[String], out: &mut String) {
    if lines.is_empty() {
        return;
    }
    out.push_str(&format!("## {heading}\n\n"));
    for line in lines {
        out.push_str(&format!("- {}\n", escaped(line)));
    }
    out.push('\n');
}

/// One line that Markdown takes as it is.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in harmless(text).replace('\n', " ").chars() {
        if matches!(c, '*' | '_' | '`' | '<' | '[' | ']' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
