//! Reads Rust sources as tokens: enough to follow paths and macro calls, blind to comments and to
//! what stands in strings.

use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Word(String),
    Text(String),
    Sign(char),
}

#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub line: usize,
}

impl Token {
    pub fn is(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }

    pub fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }
}

pub struct Source {
    /// `src/postgres/mod.rs`
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into(), tokens: tokens(text) }
    }

    /// `src/postgres/scratch/server.rs` is postgres::scratch::server, `src/lib.rs` is the root.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts: Vec<String> = path.split('/').map(str::to_string).collect();
        if parts.last().is_some_and(|last| last == "mod" || (last == "lib" && parts.len() == 1)) {
            parts.pop();
        }
        parts
    }

    /// The tokens without what is compiled for tests only.
    pub fn without_tests(&self) -> Vec<Token> {
        if self.path.ends_with("/tests.rs") || self.text.contains("\n#![cfg(test)]\n") {
            return Vec::new();
        }
        let mut kept = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            if is_cfg_test(&self.tokens[at..]) {
                at = end_of_item(&self.tokens, at + 7);
            } else {
                kept.push(self.tokens[at].clone());
                at += 1;
            }
        }
        kept
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source of the library and the program.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join("src"), &mut found);
    found.sort();
    assert!(found.len() > 10, "the sources were not found");
    found
        .iter()
        .map(|path| {
            let shown = path.strip_prefix(root()).unwrap().display().to_string();
            Source::new(&shown, &std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// `#[cfg(test)]`
fn is_cfg_test(tokens: &[Token]) -> bool {
    tokens.len() > 7
        && tokens[0].is('#')
        && tokens[1].is('[')
        && tokens[2].word() == Some("cfg")
        && tokens[3].is('(')
        && tokens[4].word() == Some("test")
        && tokens[5].is(')')
        && tokens[6].is(']')
}

/// The index behind the item that begins at `at`: behind its `;`, or its closing brace.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        match &tokens[at].kind {
            Kind::Sign('{' | '(' | '[') => depth += 1,
            Kind::Sign(')' | ']') => depth -= 1,
            Kind::Sign('}') => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            Kind::Sign(';') if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

pub fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let (c, next) = (chars[at], chars.get(at + 1).copied().unwrap_or(' '));
        let start_line = line;
        let start = at;
        match c {
            '/' if next == '/' => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            }
            '/' if next == '*' => at = end_of_comment(&chars, at),
            '"' => {
                at = end_of_string(&chars, at);
                let inside: String = chars[start + 1..at - 1].iter().collect();
                tokens.push(Token { kind: Kind::Text(inside), line: start_line });
            }
            'r' | 'b' | 'c' if raw_string(&chars, at).is_some() => {
                let (open, hashes) = raw_string(&chars, at).unwrap();
                at = end_of_raw(&chars, open, hashes);
                let inside: String = chars[open + 1..at - 1 - hashes].iter().collect();
                tokens.push(Token { kind: Kind::Text(inside), line: start_line });
            }
            '\'' => at = end_of_quote(&chars, at),
            c if c.is_alphanumeric() || c == '_' => {
                while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                    at += 1;
                }
                let word: String = chars[start..at].iter().collect();
                tokens.push(Token { kind: Kind::Word(word), line });
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token { kind: Kind::Sign(c), line });
                }
                at += 1;
            }
        }
        line += chars[start..at].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn end_of_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// For `r"`, `br##"`, `b"`: where the quote is and how many `#` stand before it.
fn raw_string(chars: &[char], at: usize) -> Option<(usize, usize)> {
    if at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') {
        return None;
    }
    let mut quote = at + 1;
    while matches!(chars.get(quote), Some('r' | 'b' | 'c')) && quote < at + 2 {
        quote += 1;
    }
    let hashes = chars[quote.min(chars.len())..].iter().take_while(|c| **c == '#').count();
    (chars.get(quote + hashes) == Some(&'"')).then_some((quote + hashes, hashes))
}

fn end_of_raw(chars: &[char], open: usize, hashes: usize) -> usize {
    if hashes == 0 && chars[open - 1] != 'r' {
        return end_of_string(chars, open);
    }
    let mut at = open + 1;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).all(|c| *c == '#') {
            return (at + 1 + hashes).min(chars.len());
        }
        at += 1;
    }
    at
}

/// A character literal, or a lifetime.
fn end_of_quote(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let mut end = at + 3;
            while end < chars.len() && chars[end] != '\'' {
                end += 1;
            }
            end + 1
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

#[test]
fn tokens_are_blind_to_comments_strings_and_lifetimes() {
    let text = r####"
        // crate::cli
        /* crate::cli /* nested */ */
        let a: &'static str = "crate::cli \" x"; let b = r#"a "quoted" cli"#; let c = '\''; let d = '"';
        b"bytes"; end
    "####;
    let tokens = tokens(text);
    let words: Vec<&str> = tokens.iter().filter_map(Token::word).collect();
    assert_eq!(words, ["let", "a", "static", "str", "let", "b", "let", "c", "let", "d", "end"]);
    let texts: Vec<&str> = tokens.iter().filter_map(Token::text).collect();
    assert_eq!(texts, ["crate::cli \\\" x", "a \"quoted\" cli", "bytes"]);
    assert_eq!(tokens.last().unwrap().line, 5);
}

#[test]
fn what_is_compiled_for_tests_only_is_left_out() {
    let source =
        Source::new("src/x.rs", "fn a() {} #[cfg(test)] mod tests { fn b() {} } fn c() {}");
    let kept = source.without_tests();
    let words: Vec<&str> = kept.iter().filter_map(Token::word).collect();
    assert_eq!(words, ["fn", "a", "fn", "c"]);
}
