//! Where a statement stands in its file, and where a position that the server gives lies in it.

use serde::{Deserialize, Serialize};

use super::lex::{Kind, tokens};
use crate::model::Place;

/// One substitution: bytes of the source, and the bytes that were sent in their stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    pub(crate) source_start: usize,
    pub(crate) source_length: usize,
    pub(crate) sent_start: usize,
    pub(crate) sent_length: usize,
}

/// Where a statement stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementPlace {
    /// The file, relative to the project.
    pub file: String,
    /// 1-based line of its beginning.
    pub line: u32,
    /// 1-based column of its beginning, in characters.
    pub column: u32,
    /// Its text as it stands in the file, before substitution; see `whole`.
    pub text: String,
    /// False where a large statement was sent as it stands: `text` is its beginning only, and the
    /// sent text is the source.
    pub whole: bool,
    /// What stands before it on its first line.
    pub lead: String,
    /// What stands behind it on its last line.
    pub tail: String,
    /// What was substituted, in order. None where the sent text was made anew (`\copy`): then
    /// every position is the statement's beginning.
    pub edits: Option<Vec<Edit>>,
}

impl StatementPlace {
    /// The place of the statement's beginning, its first line underlined.
    pub fn start(&self) -> Place {
        let length = self.text.lines().next().unwrap_or("").chars().count() as u32;
        self.place(&self.text, 0, length.max(1))
    }

    /// The place of a position in the text that was sent (1-based, in characters, as the server
    /// counts), the token there underlined. Position 0 is the statement's beginning.
    pub fn place_of(&self, sent_text: &str, position_chars: u32) -> Place {
        let Some(edits) = self.edits.as_ref().filter(|_| position_chars > 0) else {
            return self.start();
        };
        let sent = sent_text
            .char_indices()
            .nth(position_chars as usize - 1)
            .map_or(sent_text.len(), |(at, _)| at);
        let text = if self.whole { self.text.as_str() } else { sent_text };
        let mut source = sent;
        for edit in edits {
            if sent < edit.sent_start {
                break;
            }
            if sent < edit.sent_start + edit.sent_length {
                let variable = text.get(edit.source_start..).unwrap_or("");
                let variable = variable.get(..edit.source_length).unwrap_or(variable);
                return self.place(text, edit.source_start, variable.chars().count() as u32);
            }
            source =
                sent - edit.sent_start - edit.sent_length + edit.source_start + edit.source_length;
        }
        let rest = text.get(source..).unwrap_or("");
        let length = tokens(rest)
            .next()
            .filter(|token| !matches!(token.kind, Kind::Space | Kind::Dollar))
            .map_or(1, |token| token.text.lines().next().unwrap_or("").chars().count());
        self.place(text, source, length.max(1) as u32)
    }

    /// The place of a byte offset of the source text.
    pub(crate) fn place(&self, text: &str, offset: usize, length: u32) -> Place {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let inner = Place::at_offset(&self.file, text, offset, length);
        let first = inner.line == 1;
        let column = if first { self.column + inner.column - 1 } else { inner.column };
        let last = !text[offset..].contains('\n');
        let lead = if first { self.lead.as_str() } else { "" };
        let tail = if last { self.tail.as_str() } else { "" };
        Place {
            line: self.line + inner.line - 1,
            column,
            source: format!("{lead}{}{tail}", inner.source),
            ..inner
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, edits: Vec<Edit>) -> StatementPlace {
        StatementPlace {
            file: "a.sql".into(),
            line: 7,
            column: 3,
            text: text.into(),
            whole: true,
            lead: "  ".into(),
            tail: ";".into(),
            edits: Some(edits),
        }
    }

    #[test]
    fn a_position_is_a_line_and_a_column_of_the_file() {
        let text = "SELECT '가나다',\r\n  없는열\r\nFROM t";
        let found = place(text, vec![]).place_of(text, 18);
        assert_eq!((found.line, found.column, found.length), (8, 3, 3));
        assert_eq!(found.source, "  없는열");
        let first = place(text, vec![]).place_of(text, 8);
        assert_eq!((first.line, first.column, first.length), (7, 10, 5));
        assert_eq!(first.source, "  SELECT '가나다',");
        let last = place(text, vec![]).place_of(text, 28);
        assert_eq!((last.line, last.column), (9, 6));
        assert_eq!(last.source, "FROM t;");
        assert_eq!(place(text, vec![]).place_of(text, 0).column, 3);
        assert_eq!(place(text, vec![]).place_of(text, 999).line, 9);
    }
}
