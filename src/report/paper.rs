//! Markdown as a medium: text, cells, code and tables that stay what they are, whatever a server,
//! a table name or an operator put into them, and that read well without a renderer.

use super::harmless::{harmless, one_line};
use super::table::{pad, width_of};

/// Text within a line: what would become markup, HTML or an image is escaped.
pub(super) fn text(raw: &str) -> String {
    let raw = one_line(raw);
    let mut out = String::with_capacity(raw.len() + 8);
    let chars: Vec<char> = raw.chars().collect();
    for (at, c) in chars.iter().enumerate() {
        let word = |at: Option<usize>| {
            at.and_then(|at| chars.get(at)).is_some_and(|c: &char| c.is_alphanumeric())
        };
        let escape = match c {
            '\\' | '`' | '*' | '<' | '|' => true,
            // `snake_case` needs no escape, `_emphasis_` does.
            '_' => !(word(at.checked_sub(1)) && word(Some(at + 1))),
            // Only links and images: `[ ] point` and `a[1]` stay readable.
            '[' => raw.contains("]("),
            '#' | '>' | '+' | '-' if at == 0 => matches!(chars.get(1), Some(' ' | '#') | None),
            _ => false,
        };
        if escape {
            out.push('\\');
        }
        out.push(*c);
    }
    out
}

/// A code span; backticks inside are fenced by more of them.
pub(super) fn code(raw: &str) -> String {
    let raw = one_line(raw);
    if raw.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&raw) + 1);
    if raw.starts_with('`') || raw.ends_with('`') {
        format!("{fence} {raw} {fence}")
    } else {
        format!("{fence}{raw}{fence}")
    }
}

/// A code span within a table, where a pipe would end the cell even in code.
pub(super) fn code_cell(raw: &str) -> String {
    code(raw).replace('|', "\\|")
}

/// A fenced block with a line end before and after it.
pub(super) fn block(language: &str, raw: &str) -> String {
    let raw = harmless(raw);
    let fence = "`".repeat((longest_run(&raw) + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n", raw.trim_end())
}

fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// A table whose columns are aligned in the raw text too. Cells are finished Markdown; `right`
/// columns (from 0) stand right.
pub(super) fn table(headings: &[String], rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).chain([headings.len()]).max().unwrap_or(0);
    let empty = String::new();
    let mut widths = vec![3; columns];
    for row in rows.iter().map(Vec::as_slice).chain([headings]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(width_of(cell));
        }
    }
    // One long cell must not push every other row off the screen.
    widths.iter_mut().for_each(|width| *width = (*width).min(64));
    let line = |row: &[String]| {
        let cells = widths.iter().enumerate().map(|(at, width)| {
            let cell = row.get(at).unwrap_or(&empty);
            if right.contains(&at) {
                format!("{}{cell}", " ".repeat(width.saturating_sub(width_of(cell))))
            } else {
                pad(cell, *width)
            }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(at, width)| {
        if right.contains(&at) { format!("{}:", "-".repeat(width - 1)) } else { "-".repeat(*width) }
    });
    let rule = format!("| {} |\n", rule.collect::<Vec<_>>().join(" | "));
    let mut out = line(headings);
    out.push_str(&rule);
    rows.iter().for_each(|row| out.push_str(&line(row)));
    out
}

/// A playbook's own Markdown: harmless, its headings two levels deeper so that they stand under
/// the report's.
pub(super) fn embedded(markdown: &str) -> String {
    let mut out = String::new();
    let mut fence: Option<String> = None;
    for line in harmless(markdown).lines() {
        let trimmed = line.trim_start();
        let ticks: String = trimmed.chars().take_while(|c| matches!(c, '`' | '~')).collect();
        match &fence {
            Some(open) if trimmed.starts_with(open.as_str()) => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None if trimmed.starts_with('#') => out.push_str("##"),
            None => {}
        }
        out.push_str(line);
        out.push('\n');
    }
    // A fence left open would swallow the rest of the report.
    if let Some(open) = fence {
        out.push_str(&open);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_leave_its_table() {
        assert_eq!(text("a|b\nc"), "a\\|b c");
        assert_eq!(
            text("<img src=x> *no* snake_case _no_"),
            "\\<img src=x> \\*no\\* snake_case \\_no\\_"
        );
        assert_eq!(text("![x](http://e)"), "!\\[x](http://e)");
        assert_eq!(text("# no heading"), "\\# no heading");
        assert_eq!(code_cell("a || b `c`"), "`` a \\|\\| b `c` ``");
    }

    #[test]
    fn a_block_cannot_be_closed_from_inside() {
        assert_eq!(block("sql", "SELECT '```'"), "````sql\nSELECT '```'\n````\n");
        assert_eq!(embedded("# Title\n```\n# comment\n"), "### Title\n```\n# comment\n```\n");
    }

    #[test]
    fn hangul_tables_are_aligned_in_the_raw_text() {
        let headings = ["표".to_string(), "n".to_string()];
        let rows = [vec!["수의사".to_string(), "12".to_string()]];
        assert_eq!(
            table(&headings, &rows, &[1]),
            "| 표     |   n |\n| ------ | --: |\n| 수의사 |  12 |\n"
        );
    }
}
