//! A playbook's header, read from its text: `playbook("id", #{ title: "..", risk: ".." })`.
//!
//! Enough of the language is known to skip comments and strings. Only literal texts are read; a
//! script that the compiler refuses can still be listed.

use std::ops::Range;

/// What a playbook says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Header {
    /// The first argument of `playbook(..)`.
    pub(super) id: String,
    /// Its bytes in the text, quotes included.
    pub(super) id_span: Range<usize>,
    pub(super) title: Option<String>,
    pub(super) risk: Option<String>,
}

/// The header; None where the text calls no `playbook("..")`.
pub(super) fn header(text: &str) -> Option<Header> {
    let mut lexer = Lexer { text, at: 0, depth: 0 };
    let mut before = Token::Mark(';');
    loop {
        let (token, _) = lexer.next()?;
        let called = matches!(&token, Token::Word("playbook"))
            && !matches!(before, Token::Word("fn") | Token::Mark('.' | ':'));
        before = token;
        if !called {
            continue;
        }
        let Some((Token::Mark('('), _)) = lexer.next() else { continue };
        let Some((Token::Text(Some(id)), id_span)) = lexer.next() else { continue };
        let mut header = Header { id, id_span, ..Header::default() };
        options(&mut lexer, &mut header);
        return Some(header);
    }
}

/// Reads `, #{ key: "text", .. }` as far as it goes.
fn options(lexer: &mut Lexer<'_>, header: &mut Header) {
    for wanted in [',', '#', '{'] {
        match lexer.next() {
            Some((Token::Mark(mark), _)) if mark == wanted => {}
            _ => return,
        }
    }
    loop {
        let key = match lexer.next() {
            Some((Token::Word(key), _)) => key.to_string(),
            Some((Token::Text(Some(key)), _)) => key,
            _ => return,
        };
        let Some((Token::Mark(':'), _)) = lexer.next() else { return };
        let (value, last) = value(lexer);
        match key.as_str() {
            "title" => header.title = value,
            "risk" => header.risk = value,
            _ => {}
        }
        if last {
            return;
        }
    }
}

/// The value up to the next comma of the map: its text where it is one literal; true at the end.
fn value(lexer: &mut Lexer<'_>) -> (Option<String>, bool) {
    let (mut text, mut tokens, mut depth) = (None, 0, 0u32);
    while let Some((token, _)) = lexer.next() {
        match token {
            Token::Mark(',') if depth == 0 => return (text.filter(|_| tokens == 1), false),
            Token::Mark(')' | ']' | '}') if depth == 0 => {
                return (text.filter(|_| tokens == 1), true);
            }
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            Token::Text(found) => text = found,
            _ => {}
        }
        tokens += 1;
    }
    (None, true)
}

/// The first line of the comment that a script opens with.
pub(super) fn description(text: &str) -> Option<String> {
    let lines =
        text.lines().map(str::trim).skip_while(|line| line.is_empty() || line.starts_with("#!"));
    let comment = lines.take_while(|line| line.starts_with("//") || line.starts_with("/*"));
    comment
        .map(|line| line.trim_start_matches(['/', '*', '!']).trim_end_matches("*/").trim())
        .find(|line| !line.is_empty())
        .map(str::to_string)
}

#[derive(Debug)]
enum Token<'t> {
    Word(&'t str),
    /// A string; None where it is interpolated or has an escape that is unknown here.
    Text(Option<String>),
    Mark(char),
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// How many interpolations are open.
    depth: u32,
}

/// Interpolations in interpolations beyond this are not looked into: no playbook has them, and a
/// hostile one must not exhaust the stack.
const DEEPEST: u32 = 16;

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Option<(Token<'t>, Range<usize>)> {
        self.skip_blanks();
        let start = self.at;
        let first = self.rest().chars().next()?;
        let token = match first {
            '"' => self.quoted('"'),
            '\'' => self.quoted('\''),
            '`' => self.backticks(),
            '#' => self.hash(),
            c if is_word(c) => {
                let rest = self.rest();
                let word = rest.find(|c| !is_word(c)).map_or(rest, |end| &rest[..end]);
                self.at += word.len();
                Token::Word(word)
            }
            c => {
                self.at += c.len_utf8();
                Token::Mark(c)
            }
        };
        Some((token, start..self.at))
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.at += block_comment(trimmed);
            } else {
                return;
            }
        }
    }

    /// `"..."` or `'.'` with its escapes.
    fn quoted(&mut self, quote: char) -> Token<'t> {
        let mut text = Some(String::new());
        let mut chars = self.rest().char_indices().skip(1).peekable();
        let mut length = self.rest().len();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                length = at + 1;
                break;
            }
            if c != '\\' {
                text.iter_mut().for_each(|text| text.push(c));
                continue;
            }
            let digits = match chars.next() {
                Some((_, 'x')) => 2,
                Some((_, 'u')) => 4,
                Some((_, 'U')) => 8,
                Some((_, '\n')) => {
                    // A line continued: the blanks before its text do not count.
                    while chars.next_if(|(_, c)| c.is_whitespace() && *c != '\n').is_some() {}
                    continue;
                }
                Some((_, c)) => {
                    text = text.zip(simple_escape(c)).map(|(text, c)| text + c);
                    continue;
                }
                None => break,
            };
            let hex: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
            let found = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
            text = text.zip(found).map(|(text, c)| text + &*c.encode_utf8(&mut [0; 4]));
        }
        self.at += length;
        Token::Text(text)
    }

    /// A backtick string; what `${..}` inserts is not known here.
    fn backticks(&mut self) -> Token<'t> {
        self.at += 1;
        let mut text = Some(String::new());
        while let Some(c) = self.rest().chars().next() {
            if self.rest().starts_with("``") {
                self.at += 2;
                text.iter_mut().for_each(|text| text.push('`'));
            } else if c == '`' {
                self.at += 1;
                break;
            } else if self.rest().starts_with("${") && self.depth < DEEPEST {
                self.at += 2;
                text = None;
                self.skip_interpolation();
            } else {
                self.at += c.len_utf8();
                text.iter_mut().for_each(|text| text.push(c));
            }
        }
        // The line break right after the opening backtick belongs to the layout.
        let text = text.map(|text| match text.strip_prefix('\n') {
            Some(text) => text.to_string(),
            None => text,
        });
        Token::Text(text)
    }

    fn skip_interpolation(&mut self) {
        let mut open = 0u32;
        self.depth += 1;
        while let Some((token, _)) = self.next() {
            match token {
                Token::Mark('{') => open += 1,
                Token::Mark('}') if open == 0 => break,
                Token::Mark('}') => open -= 1,
                _ => {}
            }
        }
        self.depth -= 1;
    }

    /// `#"raw"#`, else the mark alone.
    fn hash(&mut self) -> Token<'t> {
        let rest = self.rest();
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let body = &rest[hashes..];
        if !body.starts_with('"') {
            self.at += 1;
            return Token::Mark('#');
        }
        let close = format!("\"{}", &rest[..hashes]);
        let end = body[1..].find(&close).map_or(body.len(), |at| at + 1);
        self.at += (hashes + end + close.len()).min(rest.len());
        Token::Text(Some(body.get(1..end).unwrap_or("").to_string()))
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn simple_escape(c: char) -> Option<&'static str> {
    Some(match c {
        'n' => "\n",
        't' => "\t",
        'r' => "\r",
        '\\' => "\\",
        '"' => "\"",
        '\'' => "'",
        _ => return None,
    })
}

/// The length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0u32);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_header_is_found_behind_comments_strings_and_functions() {
        let text = r##"
            // playbook("no")
            /* playbook("no") /* nested */ playbook("no") */
            import "std/x" as x;
            fn playbook(id) { }
            const A = "playbook(\"no\")"; const B = `playbook("no") ${ x::f(`}`) }`;
            const C = #"playbook("no")"#; const D = '"'; other.playbook("no"); a::playbook("no");
            let p = playbook("003_users", #{
                guide: "g", params: #{ title: "inner", list: [1, #{ risk: "low" }] },
                title: "정규화 \"마이그레이션\" \u0041\x42", risk: `very_high`, takes: 1 + 2,
            });
        "##;
        let header = header(text).unwrap();
        assert_eq!(header.id, "003_users");
        assert_eq!(&text[header.id_span.clone()], "\"003_users\"");
        assert_eq!(header.title.as_deref(), Some("정규화 \"마이그레이션\" AB"));
        assert_eq!(header.risk.as_deref(), Some("very_high"));
    }

    #[test]
    fn only_literal_texts_are_taken() {
        let found = |text| header(text).map(|header| (header.id, header.title));
        assert_eq!(found("playbook(\"a\", #{ title: \"x\" + y, z: 1 })"), Some(("a".into(), None)));
        assert_eq!(found("playbook(\"a\", #{ title: `x ${y}` })"), Some(("a".into(), None)));
        assert_eq!(found("playbook(\"a\")"), Some(("a".into(), None)));
        assert_eq!(
            found("playbook(\"a\", #{ \"title\": \"t\" })"),
            Some(("a".into(), Some("t".into())))
        );
        assert_eq!(found("playbook(name)"), None);
        assert_eq!(found("let x = 1;"), None);
    }

    #[test]
    fn broken_and_hostile_texts_end() {
        for text in
            ["playbook(\"a", "playbook(`a ${", "/* never", "playbook(\"a\", #{ title: ", "#\"x"]
        {
            header(text);
        }
        assert!(header(&"`${".repeat(100_000)).is_none());
    }

    #[test]
    fn the_description_is_the_first_line_of_the_opening_comment() {
        assert_eq!(description("//! Users.\n// more\n").as_deref(), Some("Users."));
        assert_eq!(description("\n//\n// 사용자\nlet x;").as_deref(), Some("사용자"));
        assert_eq!(description("/* One */").as_deref(), Some("One"));
        assert_eq!(description("let x = 1; // no"), None);
    }
}
