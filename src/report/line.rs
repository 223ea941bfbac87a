//! One line of talk before it has a shape: what the terminal aligns and colours, and what the
//! plain log puts behind a clock.

use super::words::{Mark, Tone};

/// A line: where it stands, how loud it is, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// 0 headings and summary, 1 items, 2 facts under an item, 3 their details.
    pub(super) depth: usize,
    /// How loud.
    pub(super) tone: Tone,
    /// Symbol and word of an item.
    pub(super) mark: Option<Mark>,
    /// Number of an item in its run.
    pub(super) number: Option<u32>,
    /// What it says.
    pub(super) text: String,
    /// Time and estimate, to the right of the text.
    pub(super) tail: String,
    /// How loud the tail is.
    pub(super) tail_tone: Tone,
}

impl Line {
    pub(super) fn new(depth: usize, tone: Tone, text: impl Into<String>) -> Self {
        Self {
            depth,
            tone,
            mark: None,
            number: None,
            text: text.into(),
            tail: String::new(),
            tail_tone: Tone::Dim,
        }
    }

    /// A fact under an item, as quiet as possible.
    pub(super) fn fact(text: impl Into<String>) -> Self {
        Self::new(2, Tone::Dim, text)
    }

    pub(super) fn heading(text: impl Into<String>) -> Self {
        Self::new(0, Tone::Heading, text)
    }

    pub(super) fn mark(mut self, mark: Mark) -> Self {
        self.mark = Some(mark);
        self
    }

    pub(super) fn tail(mut self, tail: impl Into<String>) -> Self {
        self.tail = tail.into();
        self
    }
}

/// The lines of a text that may have several, all of one depth and tone.
pub(super) fn push_text(out: &mut Vec<Line>, depth: usize, tone: Tone, text: &str) {
    out.extend(text.lines().map(|line| Line::new(depth, tone, line.trim_end())));
}

/// The escape that switches a tone on; empty for plain text.
pub(super) fn colour_of(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Heading => "\u{1b}[1m",
        Tone::Dim => "\u{1b}[2m",
        Tone::Good => "\u{1b}[32m",
        Tone::Warn => "\u{1b}[33m",
        Tone::Bad => "\u{1b}[31m",
    }
}

/// The text in its tone.
pub(super) fn painted(text: &str, tone: Tone, colour: bool) -> String {
    let on = colour_of(tone);
    if colour && !on.is_empty() && !text.is_empty() {
        format!("{on}{text}\u{1b}[0m")
    } else {
        text.to_string()
    }
}
