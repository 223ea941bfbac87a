//! The arguments of a backslash command, with psql's quoting (`psqlscanslash.l`), and `\copy`.

use super::lex::{self, Kind, Token, meaningful};
use super::variables::Variables;

/// One argument after quoting and substitution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) text: String,
    /// True where it uses a variable that only the run will know.
    pub(crate) unknown: bool,
}

/// What cannot be an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A command in backticks.
    Backtick,
    /// A quote that is not closed on its line.
    Unclosed,
}

/// Splits and unquotes.
pub(crate) fn arguments(text: &str, variables: &Variables) -> Result<Vec<Argument>, Refused> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (argument, after) = one(rest, variables)?;
        found.push(argument);
        rest = after.trim_start();
    }
    Ok(found)
}

fn one<'a>(text: &'a str, variables: &Variables) -> Result<(Argument, &'a str), Refused> {
    let mut argument = Argument { text: String::new(), unknown: false };
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match first {
            '`' => return Err(Refused::Backtick),
            '\'' => {
                let (value, after) = quoted(&rest[1..])?;
                argument.text.push_str(&value);
                rest = after;
            }
            '"' => {
                let close = rest[1..].find('"').ok_or(Refused::Unclosed)? + 2;
                argument.text.push_str(&rest[..close]);
                rest = &rest[close..];
            }
            ':' => {
                let lex::Lexed::Token(kind, end) = lex::lex(rest.as_bytes(), 0, true) else {
                    return Err(Refused::Unclosed);
                };
                let token = &rest[..end];
                if kind == Kind::Variable {
                    let (value, unknown) = variables.expand(token);
                    argument.unknown |= unknown;
                    argument.text.push_str(value.as_deref().unwrap_or(token));
                } else {
                    argument.text.push_str(token);
                }
                rest = &rest[end..];
            }
            c if c.is_ascii_whitespace() => break,
            c => {
                argument.text.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Ok((argument, rest))
}

/// A single-quoted part behind its opening quote: `''` is a quote, backslash escapes as in C.
fn quoted(text: &str) -> Result<(String, &str), Refused> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
                value.push('\'');
            }
            '\'' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next().ok_or(Refused::Unclosed)?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'b' => value.push('\u{8}'),
                'r' => value.push('\r'),
                'f' => value.push('\u{c}'),
                'x' => value.extend(number(&mut chars, "", 16, 2)),
                digit @ '0'..='7' => {
                    value.extend(number(&mut chars, digit.encode_utf8(&mut [0; 4]), 8, 3));
                }
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    Err(Refused::Unclosed)
}

fn number(
    chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    first: &str,
    radix: u32,
    most: usize,
) -> Option<char> {
    let mut digits = first.to_string();
    while digits.len() < most {
        let Some((_, next)) = chars.next_if(|(_, next)| next.is_digit(radix)) else { break };
        digits.push(next);
    }
    u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32)
}

/// psql's boolean words; None where it is not one.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    let word = text.trim().to_ascii_lowercase();
    let abbreviates = |full: &str, least: usize| word.len() >= least && full.starts_with(&word);
    if word == "1" || abbreviates("true", 1) || abbreviates("yes", 1) || word == "on" {
        Some(true)
    } else if word == "0"
        || abbreviates("false", 1)
        || abbreviates("no", 1)
        || abbreviates("off", 2)
    {
        Some(false)
    } else {
        None
    }
}

/// Which way data flows in a `\copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the file into the table.
    From,
    /// From the table or query into the file.
    To,
}

/// Where the other end of a `\copy` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CopyEnd {
    File(String),
    /// Data follows in the script.
    Inline,
    Program,
    /// psql's own input or output.
    Terminal,
}

/// A `\copy` as the server is to hear it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyCommand {
    pub(crate) sql: String,
    pub(crate) direction: Direction,
    pub(crate) end: CopyEnd,
}

/// Reads the arguments of `\copy`; None where they are no copy command.
pub(crate) fn copy_command(args: &str) -> Option<CopyCommand> {
    let mut depth = 0_i32;
    let mut seen = false;
    let mut tokens = meaningful(args);
    let word: Token<'_> = tokens.find(|token| {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        let found = depth == 0 && seen && (token.is("from") || token.is("to"));
        seen = true;
        found
    })?;
    let direction = if word.is("from") { Direction::From } else { Direction::To };
    let behind = args[word.end()..].trim_start();
    let (end, options) = copy_end(behind, direction)?;
    let table = args[..word.start].trim_end();
    let to = if direction == Direction::From { "FROM STDIN" } else { "TO STDOUT" };
    let options = options.trim().trim_end_matches(';').trim_end();
    let gap = if options.is_empty() { "" } else { " " };
    Some(CopyCommand { sql: format!("COPY {table} {to}{gap}{options}"), direction, end })
}

fn copy_end(text: &str, direction: Direction) -> Option<(CopyEnd, &str)> {
    if let Some(rest) = text.strip_prefix('\'') {
        let (file, after) = quoted(rest).ok()?;
        return Some((CopyEnd::File(file), after));
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == ';').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let end = match (word.to_ascii_lowercase().as_str(), direction) {
        ("", _) => return None,
        ("program", _) => CopyEnd::Program,
        ("stdin", Direction::From) => CopyEnd::Inline,
        ("pstdin" | "stdin" | "stdout" | "pstdout", _) => CopyEnd::Terminal,
        _ => CopyEnd::File(word.trim_matches('"').to_string()),
    };
    Some((end, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<Vec<String>, Refused> {
        let variables = Variables::new([("v".to_string(), "a b".to_string())].into());
        Ok(arguments(text, &variables)?.into_iter().map(|argument| argument.text).collect())
    }

    #[test]
    fn arguments_are_quoted_as_in_psql() {
        assert_eq!(
            texts(r"a 'b c' 'it''s' 'x\ty\x41\101' :v :'v'z "),
            Ok(["a", "b c", "it's", "x\tyAA", "a b", "'a b'z"].map(String::from).to_vec())
        );
        assert_eq!(
            texts(":no ::v \"a b\""),
            Ok([":no", "::v", "\"a b\""].map(String::from).to_vec())
        );
        assert_eq!(texts("a `date`"), Err(Refused::Backtick));
        assert_eq!(texts("'a"), Err(Refused::Unclosed));
        assert_eq!(texts("'`date`'"), Ok(vec!["`date`".to_string()]));
    }

    #[test]
    fn booleans_may_be_abbreviated_where_that_is_unambiguous() {
        for word in ["t", "TRUE", "ye", "on", "1"] {
            assert_eq!(boolean(word), Some(true), "{word}");
        }
        for word in ["f", "fal", "n", "of", "off", "0"] {
            assert_eq!(boolean(word), Some(false), "{word}");
        }
        for word in ["", "o", "2", "maybe", ":x"] {
            assert_eq!(boolean(word), None, "{word}");
        }
    }

    #[test]
    fn copy_commands_are_turned_into_copy_statements() {
        let copy = |args: &str| copy_command(args).map(|copy| (copy.sql, copy.end));
        assert_eq!(
            copy("t (a, \"from\") from 'data/a b.csv' with (format csv)"),
            Some((
                "COPY t (a, \"from\") FROM STDIN with (format csv)".into(),
                CopyEnd::File("data/a b.csv".into())
            ))
        );
        assert_eq!(
            copy("(select a from t) to out.csv csv header;"),
            Some((
                "COPY (select a from t) TO STDOUT csv header".into(),
                CopyEnd::File("out.csv".into())
            ))
        );
        assert_eq!(copy("t from stdin"), Some(("COPY t FROM STDIN".into(), CopyEnd::Inline)));
        assert_eq!(copy("t from program 'x'").map(|copy| copy.1), Some(CopyEnd::Program));
        assert_eq!(copy("t to stdout").map(|copy| copy.1), Some(CopyEnd::Terminal));
        assert_eq!(copy("t"), None);
    }
}
