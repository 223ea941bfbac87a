//! The moving part of a terminal: lines that stay scroll up, a block below them is redrawn.
//!
//! Each redraw is one write: up over the old block, clear, the new lines that stay, the new block.
//! Nothing here knows what the lines mean.

use std::io::Write;

use super::table::{fit, width_of};

/// A terminal, or what stands for it.
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    size: fn() -> (usize, usize),
    /// Widths in cells of the block's lines on the screen.
    drawn: Vec<usize>,
}

impl Screen {
    /// A screen that writes to `out`; `size` gives columns and rows whenever it draws.
    pub(super) fn new(out: Box<dyn Write + Send>, size: fn() -> (usize, usize)) -> Self {
        Self { out, size, drawn: Vec::new() }
    }

    pub(super) fn width(&self) -> usize {
        (self.size)().0
    }

    /// Writes `stay` (with its line ends) above, and the block's lines, cut to the width, below.
    pub(super) fn draw(&mut self, stay: &str, block: &[String]) {
        if stay.is_empty() && block.is_empty() && self.drawn.is_empty() {
            return;
        }
        let (columns, rows) = (self.size)();
        let mut text = String::new();
        // The terminal may have become narrower since: a line then takes several rows.
        let up: usize = self.drawn.iter().map(|width| width.max(&1).div_ceil(columns)).sum();
        if up > 0 {
            text.push_str(&format!("\r\u{1b}[{up}A\u{1b}[J"));
        }
        text.push_str(stay);
        self.drawn.clear();
        // A block as high as the terminal would scroll, and could not be taken back.
        for line in block.iter().take(rows.saturating_sub(1)) {
            let line = fit(line, columns.saturating_sub(1));
            self.drawn.push(width_of(&line));
            text.push_str(&line);
            text.push('\n');
        }
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }
}

/// Columns and rows of the terminal at standard output; 80 by 24 where nobody knows.
pub(super) fn terminal_size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (size.ws_col as usize, size.ws_row as usize)
        }
        _ => (80, 24),
    }
}
