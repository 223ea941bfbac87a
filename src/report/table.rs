//! A small table for `list`, `history`, `status` and the playbook's own tables.
//!
//! Columns are aligned by display width (Hangul takes two cells), numbers to the right. No frames:
//! the output can be cut and grepped.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::harmless::one_line;

/// How many terminal cells a text takes.
pub fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// The text with blanks behind it until it takes `width` cells; longer texts stay as they are.
pub fn pad(text: &str, width: usize) -> String {
    let mut out = text.to_string();
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(width_of(text))));
    out
}

/// The text cut to at most `width` cells, with `…` where something was cut.
pub fn fit(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_string();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// Rows under headings. Cells are made harmless and single-line when they are added.
#[derive(Clone, Debug, Default)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Table {
    /// A table with headings; a row may be shorter than these.
    pub fn new(headings: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self {
            headings: headings.into_iter().map(|cell| one_line(cell.as_ref())).collect(),
            rows: Vec::new(),
            right: Vec::new(),
        }
    }

    /// Aligns a column (from 0) to the right.
    #[must_use]
    pub fn right(mut self, column: usize) -> Self {
        self.right.push(column);
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        self.rows.push(cells.into_iter().map(|cell| one_line(cell.as_ref())).collect());
    }

    /// True where no row was added.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each at most `width` cells (the last column gives way), no line end.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let columns =
            self.rows.iter().map(Vec::len).chain([self.headings.len()]).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in self.rows.iter().chain([&self.headings]) {
            for (at, cell) in row.iter().enumerate() {
                widths[at] = widths[at].max(width_of(cell));
            }
        }
        let with_head = self.headings.iter().any(|cell| !cell.is_empty());
        let head = with_head.then_some(&self.headings);
        head.into_iter().chain(&self.rows).map(|row| self.line(row, &widths, width)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize], width: usize) -> String {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                line.push_str("  ");
            }
            if self.right.contains(&at) {
                line.extend(std::iter::repeat_n(' ', widths[at].saturating_sub(width_of(cell))));
                line.push_str(cell);
            } else {
                line.push_str(&pad(cell, widths[at]));
            }
        }
        fit(line.trim_end(), width)
    }

    /// The whole table, a line end after each line.
    pub fn text(&self, width: usize) -> String {
        let mut out = String::new();
        for line in self.lines(width) {
            out.push_str(&line);
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hangul_columns_are_aligned_and_numbers_stand_right() {
        let mut table = Table::new(["표", "rows", "note"]).right(1);
        table.row(["수의사", "1,204", "정상"]);
        table.row(["users", "7", "a\nb\u{1b}[31m"]);
        assert_eq!(
            table.text(80),
            "표       rows  note\n수의사  1,204  정상\nusers       7  a b␛[31m\n"
        );
    }

    #[test]
    fn a_cut_text_fits_in_cells_not_in_characters() {
        assert_eq!(fit("정규화 마이그레이션", 9), "정규화 …");
        assert_eq!(width_of(&fit("정규화 마이그레이션", 9)), 8);
        assert_eq!(fit("short", 9), "short");
        assert_eq!(fit("anything", 0), "");
    }
}
