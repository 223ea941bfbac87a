//! The tokens of SQL text as psql's own scanner sees them (`psqlscan.l`).
//!
//! Knows quotes, comments, dollar quotes, psql variables and nothing about grammar. Works on a
//! buffer that may still grow, so that the splitter can stream. Called by everything in this room
//! that must not mistake the inside of a literal for SQL.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// White space.
    Space,
    /// `--` up to the line end.
    LineComment,
    /// `/* .. */`, nested.
    BlockComment,
    /// A keyword or an unquoted identifier.
    Word,
    /// A number.
    Number,
    /// `'..'`, or `E'..'` with its letter.
    Text,
    /// `"identifier"`.
    Quoted,
    /// `$tag$..$tag$`.
    Dollar,
    /// `$1`.
    Parameter,
    /// `:name`, `:'name'`, `:"name"` or `:{?name}`.
    Variable,
    /// `;`
    Semicolon,
    /// `(`
    Open,
    /// `)`
    Close,
    /// A backslash outside of quotes.
    Backslash,
    /// Any other character, `::` and `:=` being one each.
    Other,
}

impl Kind {
    /// White space and comments: what does not reach the grammar.
    pub(crate) fn is_trivia(self) -> bool {
        matches!(self, Self::Space | Self::LineComment | Self::BlockComment)
    }
}

/// What was opened and not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unclosed {
    Text,
    Quoted,
    Dollar,
    Comment,
}

/// The answer of [`lex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lexed {
    /// A token that ends before this offset.
    Token(Kind, usize),
    /// The token may go on beyond the buffer.
    More,
    /// The text ended inside of it.
    Unclosed(Unclosed),
}

/// Letters of an identifier's first character; every byte above ASCII is one.
pub(crate) fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Characters that continue an identifier.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Characters of a psql variable's name.
pub(crate) fn is_variable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// PostgreSQL's white space.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn run(bytes: &[u8], from: usize, inside: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().position(|byte| !inside(*byte)).map_or(bytes.len(), |at| from + at)
}

fn find(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    bytes.get(from..)?.iter().position(|byte| *byte == wanted).map(|at| from + at)
}

/// The token at `at`, which must be below `bytes.len()`. `eof` says that nothing follows the
/// buffer; without it a token that touches the end is [`Lexed::More`].
pub(crate) fn lex(bytes: &[u8], at: usize, eof: bool) -> Lexed {
    let first = bytes[at];
    let ended = |kind: Kind, end: usize| {
        if end == bytes.len() && !eof { Lexed::More } else { Lexed::Token(kind, end) }
    };
    match first {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
            Lexed::Token(Kind::Space, run(bytes, at + 1, is_space))
        }
        b'\'' => quoted(bytes, at, eof, b'\'', Kind::Text, Unclosed::Text),
        b'"' => quoted(bytes, at, eof, b'"', Kind::Quoted, Unclosed::Quoted),
        b'-' => match bytes.get(at + 1) {
            Some(b'-') => {
                ended(Kind::LineComment, run(bytes, at + 2, |byte| byte != b'\n' && byte != b'\r'))
            }
            None if !eof => Lexed::More,
            _ => Lexed::Token(Kind::Other, at + 1),
        },
        b'/' => match bytes.get(at + 1) {
            Some(b'*') => block_comment(bytes, at, eof),
            None if !eof => Lexed::More,
            _ => Lexed::Token(Kind::Other, at + 1),
        },
        b'$' => dollar(bytes, at, eof),
        b':' => colon(bytes, at, eof),
        b';' => Lexed::Token(Kind::Semicolon, at + 1),
        b'(' => Lexed::Token(Kind::Open, at + 1),
        b')' => Lexed::Token(Kind::Close, at + 1),
        b'\\' => Lexed::Token(Kind::Backslash, at + 1),
        b'0'..=b'9' => {
            let end = run(bytes, at + 1, |byte| {
                byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.'
            });
            ended(Kind::Number, end)
        }
        first if is_word_start(first) => {
            let end = run(bytes, at + 1, is_word);
            match bytes.get(end) {
                Some(b'\'') if end == at + 1 && matches!(first, b'e' | b'E') => {
                    escaped(bytes, end, eof)
                }
                _ => ended(Kind::Word, end),
            }
        }
        _ => Lexed::Token(Kind::Other, at + 1),
    }
}

/// A doubled quote closes and opens again, which comes to the same for everybody but the two
/// tokens; it is kept in one, so that a literal is one token.
fn quoted(bytes: &[u8], at: usize, eof: bool, quote: u8, kind: Kind, unclosed: Unclosed) -> Lexed {
    let mut from = at + 1;
    loop {
        let Some(close) = find(bytes, from, quote) else {
            return if eof { Lexed::Unclosed(unclosed) } else { Lexed::More };
        };
        match bytes.get(close + 1) {
            Some(next) if *next == quote => from = close + 2,
            None if !eof => return Lexed::More,
            _ => return Lexed::Token(kind, close + 1),
        }
    }
}

/// `E'..'` from its quote on. A second literal after a line end continues the first one with the
/// same rules (`'a'\n'b\'c'`), which matters here because of the backslash.
fn escaped(bytes: &[u8], quote: usize, eof: bool) -> Lexed {
    let more = |unclosed| if eof { Lexed::Unclosed(unclosed) } else { Lexed::More };
    let mut from = quote + 1;
    loop {
        let Some(at) = bytes[from.min(bytes.len())..]
            .iter()
            .position(|byte| matches!(byte, b'\'' | b'\\'))
            .map(|at| from + at)
        else {
            return more(Unclosed::Text);
        };
        if bytes[at] == b'\\' {
            if at + 1 >= bytes.len() {
                return more(Unclosed::Text);
            }
            from = at + 2;
            continue;
        }
        match bytes.get(at + 1) {
            Some(b'\'') => from = at + 2,
            None if !eof => return Lexed::More,
            _ => match continuation(bytes, at + 1, eof) {
                Some(Some(next)) => from = next + 1,
                Some(None) => return Lexed::Token(Kind::Text, at + 1),
                None => return Lexed::More,
            },
        }
    }
}

/// Where the literal goes on: `Some(Some(quote))`; that it does not: `Some(None)`; not yet known:
/// `None`.
fn continuation(bytes: &[u8], from: usize, eof: bool) -> Option<Option<usize>> {
    let mut at = from;
    let mut line_end = false;
    loop {
        match bytes.get(at) {
            None => return if eof { Some(None) } else { None },
            Some(b'\n' | b'\r') => line_end = true,
            Some(byte) if is_space(*byte) => {}
            Some(b'\'') if line_end => return Some(Some(at)),
            Some(b'-') => match bytes.get(at + 1) {
                Some(b'-') => {
                    at = run(bytes, at, |byte| byte != b'\n' && byte != b'\r');
                    continue;
                }
                None if !eof => return None,
                _ => return Some(None),
            },
            Some(_) => return Some(None),
        }
        at += 1;
    }
}

fn block_comment(bytes: &[u8], at: usize, eof: bool) -> Lexed {
    let mut depth = 1_usize;
    let mut from = at + 2;
    while from < bytes.len() {
        let Some(found) =
            bytes[from..].iter().position(|byte| matches!(byte, b'*' | b'/')).map(|at| from + at)
        else {
            break;
        };
        match (bytes[found], bytes.get(found + 1)) {
            (b'*', Some(b'/')) => {
                depth -= 1;
                from = found + 2;
                if depth == 0 {
                    return Lexed::Token(Kind::BlockComment, from);
                }
            }
            (b'/', Some(b'*')) => {
                depth += 1;
                from = found + 2;
            }
            _ => from = found + 1,
        }
    }
    if eof { Lexed::Unclosed(Unclosed::Comment) } else { Lexed::More }
}

/// `$tag$..$tag$`, `$1`, or a lone `$`.
fn dollar(bytes: &[u8], at: usize, eof: bool) -> Lexed {
    let next = match bytes.get(at + 1) {
        None if !eof => return Lexed::More,
        None => return Lexed::Token(Kind::Other, at + 1),
        Some(next) => *next,
    };
    if next.is_ascii_digit() {
        let end = run(bytes, at + 1, |byte| byte.is_ascii_digit());
        return if end == bytes.len() && !eof {
            Lexed::More
        } else {
            Lexed::Token(Kind::Parameter, end)
        };
    }
    let tag_end = if is_word_start(next) { run(bytes, at + 1, is_variable) } else { at + 1 };
    match bytes.get(tag_end) {
        None if !eof => return Lexed::More,
        Some(b'$') => {}
        _ => return Lexed::Token(Kind::Other, at + 1),
    }
    let tag = &bytes[at..=tag_end];
    let mut from = tag_end + 1;
    while let Some(found) = find(bytes, from, b'$') {
        let rest = &bytes[found..];
        if rest.starts_with(tag) {
            return Lexed::Token(Kind::Dollar, found + tag.len());
        }
        from = found + 1;
    }
    if eof { Lexed::Unclosed(Unclosed::Dollar) } else { Lexed::More }
}

fn colon(bytes: &[u8], at: usize, eof: bool) -> Lexed {
    let plain = Lexed::Token(Kind::Other, at + 1);
    let next = match bytes.get(at + 1) {
        None if !eof => return Lexed::More,
        None => return plain,
        Some(next) => *next,
    };
    let (name, close): (usize, &[u8]) = match next {
        b':' | b'=' => return Lexed::Token(Kind::Other, at + 2),
        b'\'' => (at + 2, b"'"),
        b'"' => (at + 2, b"\""),
        b'{' => match bytes.get(at + 2) {
            Some(b'?') => (at + 3, b"}"),
            None if !eof => return Lexed::More,
            _ => return plain,
        },
        next if is_variable(next) => (at + 1, b""),
        _ => return plain,
    };
    let end = run(bytes, name, is_variable);
    if end == bytes.len() && !eof {
        return Lexed::More;
    }
    if end == name || !bytes[end..].starts_with(close) {
        return plain;
    }
    Lexed::Token(Kind::Variable, end + close.len())
}

/// One token of a whole text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) text: &'a str,
}

impl Token<'_> {
    /// True for this keyword, whatever its case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// The offset behind it.
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The tokens of a whole text; what was not closed becomes one token up to the end.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let (kind, end) = match lex(bytes, at, true) {
            Lexed::Token(kind, end) => (kind, end),
            Lexed::Unclosed(Unclosed::Text) => (Kind::Text, bytes.len()),
            Lexed::Unclosed(Unclosed::Quoted) => (Kind::Quoted, bytes.len()),
            Lexed::Unclosed(Unclosed::Dollar) => (Kind::Dollar, bytes.len()),
            Lexed::Unclosed(Unclosed::Comment) | Lexed::More => (Kind::BlockComment, bytes.len()),
        };
        let start = at;
        at = end;
        // Every token ends before an ASCII byte or at the end of a run of non-ASCII ones.
        let text = text.get(start..end).unwrap_or("");
        Some(Token { kind, start, text })
    })
}

/// The tokens that reach the grammar.
pub(crate) fn meaningful(text: &str) -> impl Iterator<Item = Token<'_>> {
    tokens(text).filter(|token| !token.kind.is_trivia())
}

/// The tag of a dollar quote with its dollars, `$body$`.
pub(crate) fn dollar_tag(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().skip(1).position(|byte| *byte == b'$').map_or(1, |at| at + 2);
    &bytes[..end.min(bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        meaningful(text).map(|token| (token.kind, token.text)).collect()
    }

    #[test]
    fn identifiers_with_dollars_do_not_open_a_quote() {
        assert_eq!(kinds("a$b$c $t$ ; $t$"), [(Kind::Word, "a$b$c"), (Kind::Dollar, "$t$ ; $t$")]);
    }

    #[test]
    fn operators_do_not_hide_a_comment() {
        assert_eq!(
            kinds("1--2\n@-1"),
            [(Kind::Number, "1"), (Kind::Other, "@"), (Kind::Other, "-"), (Kind::Number, "1")]
        );
    }

    #[test]
    fn an_escape_string_goes_on_after_a_line_end() {
        let text = "E'a\\'b'  -- why\n 'c\\'d' 'e'";
        assert_eq!(kinds(text), [(Kind::Text, "E'a\\'b'  -- why\n 'c\\'d'"), (Kind::Text, "'e'")]);
    }

    #[test]
    fn casts_and_slices_are_no_variables_but_may_look_like_one() {
        assert_eq!(kinds("x::int")[1], (Kind::Other, "::"));
        assert_eq!(kinds("a := 1")[1], (Kind::Other, ":="));
        assert_eq!(kinds("a[1:2]")[3], (Kind::Variable, ":2"));
        assert_eq!(
            kinds(":'a' :\"b\" :{?c} :d :'e f'"),
            [
                (Kind::Variable, ":'a'"),
                (Kind::Variable, ":\"b\""),
                (Kind::Variable, ":{?c}"),
                (Kind::Variable, ":d"),
                (Kind::Other, ":"),
                (Kind::Text, "'e f'")
            ]
        );
    }

    #[test]
    fn comments_nest() {
        assert_eq!(kinds("/* a /* b */ ; */ x"), [(Kind::Word, "x")]);
        assert_eq!(lex(b"/* /* */", 0, true), Lexed::Unclosed(Unclosed::Comment));
    }

    #[test]
    fn a_quote_at_the_end_of_the_buffer_may_be_doubled() {
        assert_eq!(lex(b"'a'", 0, false), Lexed::More);
        assert_eq!(lex(b"'a'", 0, true), Lexed::Token(Kind::Text, 3));
        assert_eq!(lex(b"'a''b'", 0, true), Lexed::Token(Kind::Text, 6));
    }
}
