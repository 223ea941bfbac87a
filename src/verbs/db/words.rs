//! The words of SQL statements outside of strings, quoted names and comments: enough to see what
//! kind a statement is. It judges no syntax.

/// A word, sign or quoted piece of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// As it stands in the text; a string keeps its quotes.
    pub(super) raw: String,
    /// Lower-cased where it is a plain word, else empty.
    pub(super) low: String,
    /// How many parentheses are open around it.
    pub(super) depth: u32,
}

/// The statements of a text as words. Empty ones are left out.
pub(super) fn statements(sql: &str) -> Vec<Vec<Word>> {
    let mut all = vec![Vec::<Word>::new()];
    let mut depth = 0u32;
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let length = piece(rest, c);
        let (raw, after) = rest.split_at(length);
        rest = after;
        if c.is_whitespace() || raw.starts_with("--") || raw.starts_with("/*") {
            continue;
        }
        let Some(current) = all.last_mut() else { break };
        if c == ';' && depth == 0 && !is_routine_body(current) {
            all.push(Vec::new());
            continue;
        }
        if c == ')' {
            depth = depth.saturating_sub(1);
        }
        let plain = c.is_alphabetic() || c == '_';
        let low = if plain { raw.to_lowercase() } else { String::new() };
        current.push(Word { raw: raw.into(), low, depth });
        if c == '(' {
            depth += 1;
        }
    }
    all.retain(|words| !words.is_empty());
    all
}

/// `CREATE FUNCTION .. BEGIN ATOMIC a; b; END`: its semicolons are its own.
fn is_routine_body(words: &[Word]) -> bool {
    words.first().is_some_and(|word| word.low == "create")
        && words.windows(2).any(|pair| pair[0].low == "begin" && pair[1].low == "atomic")
        && words.last().is_none_or(|word| word.low != "end")
}

/// Bytes of the piece at the beginning of a text that begins with `c`.
fn piece(text: &str, c: char) -> usize {
    let closed = |quote: char| {
        let mut from = c.len_utf8();
        while let Some(at) = text[from..].find(quote) {
            from += at + 1;
            if !text[from..].starts_with(quote) {
                return from;
            }
            from += 1;
        }
        text.len()
    };
    match c {
        '\'' | '"' => closed(c),
        '-' if text.starts_with("--") => text.find('\n').unwrap_or(text.len()),
        '/' if text.starts_with("/*") => block_comment(text),
        '$' => dollar_quoted(text),
        'e' | 'E' if text[1..].starts_with('\'') => escaped(text),
        _ if c.is_alphabetic() || c == '_' => text
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
            .unwrap_or(text.len()),
        _ if c.is_whitespace() => text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len()),
        _ => c.len_utf8(),
    }
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let here = &text[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn dollar_quoted(text: &str) -> usize {
    let Some(end) = text[1..].find('$').map(|at| at + 2) else { return 1 };
    let tag = &text[..end];
    let inside = &tag[1..tag.len() - 1];
    let named = inside.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !inside.starts_with(|c: char| c.is_ascii_digit());
    if !named {
        return 1;
    }
    text[end..].find(tag).map_or(text.len(), |at| end + at + tag.len())
}

fn escaped(text: &str) -> usize {
    let mut skip = false;
    for (at, c) in text.char_indices().skip(2) {
        match c {
            _ if skip => skip = false,
            '\\' => skip = true,
            '\'' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firsts(sql: &str) -> Vec<String> {
        statements(sql).iter().map(|words| words[0].low.clone()).collect()
    }

    #[test]
    fn semicolons_in_strings_comments_and_bodies_do_not_part_statements() {
        assert_eq!(firsts("SELECT ';' ; -- a;b\n UPDATE t SET a = 'it''s;'"), ["select", "update"]);
        assert_eq!(firsts("DO $x$ BEGIN; COMMIT; END $x$; SELECT 1;;"), ["do", "select"]);
        assert_eq!(firsts("/* a /* ; */ ; */ SELECT E'\\';' AS \"x;y\""), ["select"]);
        assert_eq!(
            firsts("CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; SELECT 2; END; COMMIT"),
            ["create", "commit"]
        );
    }

    #[test]
    fn words_know_how_deep_they_stand() {
        let words = &statements("SELECT (SELECT count(*) FROM t) FROM u")[0];
        let counts: Vec<u32> =
            words.iter().filter(|word| word.low == "from").map(|word| word.depth).collect();
        assert_eq!(counts, [1, 0]);
    }
}
