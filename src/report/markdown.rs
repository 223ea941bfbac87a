//! The report as Markdown: what a person would have had to write after the night.
//!
//! Sections with nothing to say are left out. The order is that of a reader in the morning: how
//! did it end, what failed, what was checked and how, how long, what can be taken back, what next.

use super::fault::render;
use super::model::{Report, Verdict};
use super::paper::{block, code_cell, embedded, table, text};
use super::summary::Tally;
use super::tell::mode_word;
use super::words::{count_text, end_of, grid, is_loose, moment, span, target_words};
use crate::msg;

mod after;
mod back;
mod checklist;

/// The report in the language of the process.
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    title(report, &mut out);
    summary(report, &mut out);
    fault(report, &mut out);
    out.push_str(&checklist::checklist(report));
    timings(report, &mut out);
    comparisons(report, &mut out);
    tables(report, &mut out);
    checklist::statements(report, &mut out);
    back::backups(report, &mut out);
    back::way_back(report, &mut out);
    attestations(report, &mut out);
    warnings(report, &mut out);
    earlier_faults(report, &mut out);
    after::attachments(report, &mut out);
    after::processes(report, &mut out);
    after::inputs(report, &mut out);
    after::contact_table(report, &mut out);
    after::next_steps(report, &mut out);
    let version = if report.version.is_empty() { "" } else { report.version.as_str() };
    out.push_str(&format!("\n---\n\n{}\n", text(&msg!("report.md.footer", version = version))));
    out
}

fn heading(out: &mut String, words: &str) {
    out.push_str(&format!("\n## {words}\n\n"));
}

fn title(report: &Report, out: &mut String) {
    let name = if report.title.is_empty() { &report.playbook } else { &report.title };
    let headline = match report.mode.as_str() {
        "plan" | "check" => msg!("report.md.title-plan", title = text(name)),
        "rehearse" => msg!("report.md.title-rehearsal", title = text(name)),
        _ => msg!("report.md.title", title = text(name)),
    };
    out.push_str(&format!("# {headline}\n\n"));
    match report.state {
        Some(state) => {
            let outcomes = report.items().filter_map(|entry| entry.outcome.as_ref());
            let loose = outcomes.filter(|outcome| is_loose(outcome)).count();
            let (mark, sentence) = end_of(state, loose);
            let lead = match report.changed {
                Some(true) => {
                    msg!("report.md.lead", state = sentence, change = msg!("report.changed"))
                }
                Some(false) if !report.is_plan() => {
                    msg!("report.md.lead", state = sentence, change = msg!("report.unchanged"))
                }
                _ => sentence,
            };
            out.push_str(&format!("**{} {}**: {lead}.", mark.symbol, mark.word));
        }
        None => out.push_str(&format!("**? {}**", msg!("report.md.not-ended"))),
    }
    out.push('\n');
}

fn summary(report: &Report, out: &mut String) {
    heading(out, &msg!("report.md.summary"));
    let playbook = match report.file.as_str() {
        "" => code_cell(&report.playbook),
        file => format!("{} ({})", code_cell(&report.playbook), code_cell(file)),
    };
    let total = report.timings.iter().find(|timing| timing.item.is_none());
    let total = total.filter(|_| report.processes.len() == 1);
    let duration = match total.and_then(|timing| timing.verdict.map(|verdict| (timing, verdict))) {
        Some((timing, verdict)) => msg!(
            "report.md.duration-beside",
            took = span(report.took_ms),
            takes = timing.takes,
            verdict = verdict_word(verdict)
        ),
        None => span(report.took_ms),
    };
    let rows = [
        (msg!("report.md.playbook"), playbook),
        (msg!("report.md.run"), code_cell(&report.run)),
        (msg!("report.md.mode"), text(&mode_word(&report.mode))),
        (msg!("report.md.environment"), text(report.environment.as_deref().unwrap_or(""))),
        (msg!("report.md.target"), text(&target_words(&report.target))),
        (msg!("report.md.by"), text(&report.by)),
        (msg!("report.md.started"), text(&moment(&report.started))),
        (msg!("report.md.ended"), text(&moment(&report.ended))),
        (msg!("report.md.duration"), text(&duration)),
        (msg!("report.md.items"), text(&Tally::of(report).counts())),
        (msg!("report.md.exit"), report.exit.map(|exit| exit.to_string()).unwrap_or_default()),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(label, value)| vec![label, value])
        .collect();
    out.push_str(&table(&[msg!("report.md.what"), msg!("report.md.value")], &rows, &[]));
    for fact in &report.evidence {
        out.push_str(&checklist::loose(fact));
    }
}

fn fault(report: &Report, out: &mut String) {
    let Some(fault) = &report.fault else { return };
    heading(out, &msg!("report.md.fault"));
    out.push_str(&block("text", &render(fault, 100, false)));
}

fn verdict_word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Under => msg!("report.verdict.under"),
        Verdict::Within => msg!("report.verdict.within"),
        Verdict::Over => msg!("report.verdict.over"),
    }
}

fn timings(report: &Report, out: &mut String) {
    if report.timings.is_empty() {
        return;
    }
    heading(out, &msg!("report.md.timings"));
    let rows: Vec<_> = report
        .timings
        .iter()
        .map(|timing| {
            let name = match &timing.item {
                Some(item) => text(item),
                None => format!("**{}**", msg!("report.md.total")),
            };
            let verdict = match timing.verdict {
                Some(Verdict::Over) => format!("**{}**", verdict_word(Verdict::Over)),
                Some(verdict) => verdict_word(verdict),
                None => "–".into(),
            };
            vec![name, text(&timing.takes), span(timing.took_ms), verdict]
        })
        .collect();
    let headings = [
        msg!("report.md.item"),
        msg!("report.md.estimate"),
        msg!("report.md.measured"),
        msg!("report.md.verdict"),
    ];
    out.push_str(&table(&headings, &rows, &[1, 2]));
}

fn comparisons(report: &Report, out: &mut String) {
    use super::model::Evidence::Compared;
    let rows: Vec<_> = report
        .evidence()
        .filter_map(|(item, fact)| {
            let Compared { what, left, right, holds } = fact else { return None };
            let verdict = if *holds {
                format!("✓ {}", msg!("report.md.holds"))
            } else {
                format!("✗ **{}**", msg!("report.md.differs"))
            };
            let item = item.map(|entry| entry.item.id.clone().unwrap_or(entry.item.title.clone()));
            let (left, right) = (text(&count_text(left)), text(&count_text(right)));
            Some(vec![text(what), left, right, verdict, text(&item.unwrap_or_default())])
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    heading(out, &msg!("report.md.comparisons"));
    let headings = [
        msg!("report.md.compared"),
        msg!("report.md.left"),
        msg!("report.md.right"),
        msg!("report.md.verdict"),
        msg!("report.md.item"),
    ];
    out.push_str(&table(&headings, &rows, &[1, 2]));
}

fn tables(report: &Report, out: &mut String) {
    use super::model::Evidence::{Table, Text};
    let facts: Vec<_> = report
        .evidence()
        .map(|(_, fact)| fact)
        .filter(|fact| matches!(fact, Table { .. } | Text { .. }))
        .collect();
    if facts.is_empty() {
        return;
    }
    heading(out, &msg!("report.md.tables"));
    for (at, fact) in facts.into_iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        match fact {
            Table { title, rows } => {
                let (headings, cells) = grid(rows);
                let headings: Vec<_> = headings.iter().map(|cell| text(cell)).collect();
                let numeric = numeric_columns(&cells, headings.len());
                let cells: Vec<Vec<_>> =
                    cells.iter().map(|row| row.iter().map(|cell| text(cell)).collect()).collect();
                out.push_str(&format!("### {}\n\n", text(title)));
                if cells.is_empty() {
                    out.push_str(&format!("{}\n", msg!("report.md.no-rows")));
                } else {
                    out.push_str(&table(&headings, &cells, &numeric));
                }
            }
            Text { markdown } => out.push_str(&embedded(markdown)),
            _ => {}
        }
    }
}

fn numeric_columns(rows: &[Vec<String>], columns: usize) -> Vec<usize> {
    let numeric = |cell: &String| cell == "NULL" || cell.parse::<f64>().is_ok();
    (0..columns).filter(|at| rows.iter().filter_map(|row| row.get(*at)).all(numeric)).collect()
}

fn attestations(report: &Report, out: &mut String) {
    let points = checklist::attestations(report);
    if points.is_empty() || report.is_plan() {
        return;
    }
    heading(out, &msg!("report.md.attestations"));
    out.push_str(&points);
}

fn warnings(report: &Report, out: &mut String) {
    use super::model::Evidence::Warning;
    let lines: Vec<_> = report
        .evidence()
        .filter_map(|(item, fact)| match fact {
            Warning { text: said } => Some((item, said)),
            _ => None,
        })
        .map(|(item, said)| match item {
            Some(entry) => {
                format!("- {}: {}\n", text(&super::words::name_of(&entry.item)), text(said))
            }
            None => format!("- {}\n", text(said)),
        })
        .collect();
    if !lines.is_empty() {
        heading(out, &msg!("report.md.warnings"));
        out.push_str(&lines.concat());
    }
}

/// Failures besides the one that the report begins with.
fn earlier_faults(report: &Report, out: &mut String) {
    let shown = report.fault.as_ref();
    let rest: Vec<_> = report
        .faults
        .iter()
        .filter(|known| {
            shown.is_none_or(|s| s.code != known.fault.code || s.message != known.fault.message)
        })
        .collect();
    if rest.is_empty() {
        return;
    }
    heading(out, &msg!("report.md.earlier-faults"));
    for (at, known) in rest.into_iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let name = known.item.as_deref().map(text).unwrap_or_default();
        let mut line = format!("{} {}", moment(&known.at), name).trim_end().to_string();
        if known.made_good {
            line = format!("{line}: {}", msg!("report.md.made-good"));
        } else if known.optional {
            line = format!("{line}: {}", msg!("report.optional"));
        }
        out.push_str(&format!("{line}\n\n{}", block("text", &render(&known.fault, 100, false))));
    }
}
