//! Text from outside made harmless before it reaches a terminal or a file.
//!
//! SQL text, server messages and the output of commands may carry escape sequences that move the
//! cursor, retitle the window or hide a line. Every control character is shown as a picture
//! instead (`␛`), one for one, so that columns stay right. Secrets are not the business of this
//! file: the redactor runs before it.

use std::borrow::Cow;

/// The text without control characters: C0, DEL and C1 as pictures, bidirectional overrides and
/// line separators as `�`, `\r\n` as `\n`. Line feeds and tabs stay.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    if text.chars().all(|c| is_harmless(c) || c == '\n' || c == '\t') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\t' => out.push(c),
            c if is_harmless(c) => out.push(c),
            c => out.push(picture(c)),
        }
    }
    Cow::Owned(out)
}

/// A quick yes: printable ASCII and scripts such as Hangul, on one line. A no means: look closer.
pub(super) fn is_plain(text: &str) -> bool {
    // The lead bytes of C1, U+061C, U+2000 to U+2FFF and U+FEFF; none of them is ever a
    // continuation byte.
    text.bytes().all(|b| {
        (0x20..0x7f).contains(&b) || (b >= 0x80 && !matches!(b, 0xc2 | 0xd8 | 0xe2 | 0xef))
    })
}

/// The text on one line: harmless, every run of white space one blank.
pub fn one_line(text: &str) -> String {
    if is_plain(text) && !text.contains("  ") {
        return text.trim().to_string();
    }
    let text = harmless(text);
    if !text.contains(['\n', '\t']) && !text.contains("  ") {
        return text.trim().to_string();
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// True for a character that may reach a terminal as it is.
pub(super) fn is_harmless(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => false,
        // Overrides and isolates reorder what is read; separators break lines in some terminals.
        '\u{200e}' | '\u{200f}' | '\u{061c}' => false,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => false,
        _ => true,
    }
}

fn picture(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        _ => '\u{fffd}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_pictures_and_columns_stay() {
        let text = "a\u{1b}[2Jb\u{7}\u{9b}31m\u{202e}x\r\n\ty\r";
        let clean = harmless(text);
        assert_eq!(clean, "a␛[2Jb␇\u{fffd}31m\u{fffd}x\n\ty␍");
        assert!(!clean.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    }

    #[test]
    fn clean_text_is_not_copied() {
        assert!(matches!(harmless("정규화 SQL\n\tx"), Cow::Borrowed(_)));
    }

    #[test]
    fn one_line_has_no_breaks() {
        assert_eq!(
            one_line("ALTER TABLE users\r\n    ADD\tCOLUMN x"),
            "ALTER TABLE users ADD COLUMN x"
        );
    }
}
