//! Where a statement may end: parentheses, BEGIN ATOMIC bodies, and COPY FROM stdin.
//!
//! psql counts any BEGIN inside CREATE FUNCTION; here only BEGIN ATOMIC opens a body, so that a
//! column called "begin" swallows nothing. Fed word by word by the splitter.

/// What the first words of a statement say about its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing seen yet.
    #[default]
    Unknown,
    /// `CREATE [OR [REPLACE]]`.
    Create,
    /// `CREATE FUNCTION` or `CREATE PROCEDURE`: may have a BEGIN ATOMIC body.
    Routine,
    /// `COPY`.
    Copy,
    /// `COPY .. FROM STDIN`.
    CopyFromStdin,
    /// Ends at its first semicolon.
    Plain,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Previous {
    #[default]
    Other,
    Begin,
    From,
}

/// Follows the words of one statement.
#[derive(Debug, Default)]
pub(crate) struct Words {
    shape: Shape,
    parens: u32,
    /// BEGIN ATOMIC and CASE that wait for their END.
    bodies: u32,
    previous: Previous,
}

impl Words {
    /// True where a semicolon ends the statement.
    pub(crate) fn may_end(&self) -> bool {
        self.parens == 0 && self.bodies == 0
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) fn open(&mut self) {
        self.parens += 1;
        self.other();
    }

    pub(crate) fn close(&mut self) {
        self.parens = self.parens.saturating_sub(1);
        self.other();
    }

    /// Any token that is neither a word nor a parenthesis.
    pub(crate) fn other(&mut self) {
        self.previous = Previous::Other;
        if self.shape == Shape::Unknown {
            self.shape = Shape::Plain;
        }
    }

    pub(crate) fn word(&mut self, word: &[u8]) {
        let is = |wanted: &str| word.eq_ignore_ascii_case(wanted.as_bytes());
        match self.shape {
            Shape::Plain | Shape::CopyFromStdin => {}
            Shape::Unknown => {
                self.shape = if is("create") {
                    Shape::Create
                } else if is("copy") {
                    Shape::Copy
                } else {
                    Shape::Plain
                };
            }
            Shape::Create if is("or") || is("replace") => {}
            Shape::Create => {
                let routine = is("function") || is("procedure");
                self.shape = if routine { Shape::Routine } else { Shape::Plain };
            }
            Shape::Copy => {
                if self.parens == 0 && self.previous == Previous::From && is("stdin") {
                    self.shape = Shape::CopyFromStdin;
                }
                self.previous = if is("from") { Previous::From } else { Previous::Other };
            }
            Shape::Routine if self.parens > 0 => {}
            Shape::Routine => {
                if self.bodies == 0 {
                    if self.previous == Previous::Begin && is("atomic") {
                        self.bodies = 1;
                    }
                } else if is("case") || is("begin") {
                    self.bodies += 1;
                } else if is("end") {
                    self.bodies -= 1;
                }
                self.previous = if is("begin") { Previous::Begin } else { Previous::Other };
            }
        }
    }
}
