//! A query rewritten so that columns without a decoder arrive as text.
//!
//! `SELECT q.c1 AS "a", q.c2::text AS "b" FROM (the query) AS q(c1, c2)`. Only what may stand in
//! FROM is rewritten: a statement that writes is not, and is not tried either, since a refusal by
//! the server would abort an open transaction.

use crate::model::quote_ident;

/// The rewritten query. Columns: name, and true where it has to be cast.
/// None where the statement cannot stand in FROM.
pub(super) fn as_text(sql: &str, columns: &[(&str, bool)]) -> Option<Wrapped> {
    let words = words(sql)?;
    let first = words.list.first()?.as_str();
    let writes = words.list.iter().enumerate().any(|(at, word)| {
        // FOR UPDATE and FOR NO KEY UPDATE only lock.
        let locks = at > 0 && ["for", "key"].contains(&words.list[at - 1].as_str());
        ["insert", "update", "delete", "merge", "into"].contains(&word.as_str()) && !locks
    });
    let reads = match first {
        "select" | "values" | "table" => true,
        "with" => !writes,
        _ => false,
    };
    if !reads {
        return None;
    }
    let list: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(at, (name, cast))| {
            let cast = if *cast { "::pg_catalog.text" } else { "" };
            format!("q.c{at}{cast} AS {}", quote_ident(name))
        })
        .collect();
    let names: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
    let head = format!("SELECT {} FROM (", list.join(", "));
    let prefix = head.chars().count() as u32;
    // The line break ends a comment at the end of the query.
    let sql = format!("{head}{}\n) AS q({})", &sql[..words.end], names.join(", "));
    Some(Wrapped { sql, prefix })
}

/// A rewritten query.
pub(super) struct Wrapped {
    pub(super) sql: String,
    /// Characters before the query itself: error positions are moved back by it.
    pub(super) prefix: u32,
}

struct Words {
    /// Lower-cased words outside of strings, quoted names and comments.
    list: Vec<String>,
    /// Where the statement ends, without the semicolon.
    end: usize,
}

/// None where something is not closed; the server has refused that already.
fn words(sql: &str) -> Option<Words> {
    let bytes = sql.as_bytes();
    let (mut list, mut end, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let rest = &sql[at..];
        let next = match bytes[at] {
            b';' => {
                at += 1;
                continue;
            }
            b'-' if rest.starts_with("--") => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            b'/' if rest.starts_with("/*") => {
                at += comment(rest)?;
                continue;
            }
            c if c.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'\'' => at + quoted(rest, b'\'', escapes(bytes, at))?,
            b'"' => at + quoted(rest, b'"', false)?,
            b'$' => at + dollar(rest)?,
            c if c.is_ascii_alphabetic() || c == b'_' || c >= 0x80 => {
                let in_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                let length = rest.find(|c| !in_word(c)).unwrap_or(rest.len()).max(1);
                list.push(rest[..length].to_lowercase());
                at + length
            }
            c if c.is_ascii_digit() => {
                let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                at + length
            }
            _ => at + 1,
        };
        at = next;
        end = at;
    }
    Some(Words { list, end })
}

/// True for E'..', where a backslash escapes the quote.
fn escapes(bytes: &[u8], quote: usize) -> bool {
    let e = quote > 0 && matches!(bytes[quote - 1], b'e' | b'E');
    e && (quote < 2 || !(bytes[quote - 2].is_ascii_alphanumeric() || bytes[quote - 2] == b'_'))
}

fn quoted(rest: &str, quote: u8, escapes: bool) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            c if c == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            c if c == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// `$tag$ .. $tag$`, or only the `$` of a parameter.
fn dollar(rest: &str) -> Option<usize> {
    let Some(close) = rest[1..].find('$').map(|at| at + 1) else { return Some(1) };
    let tag = &rest[1..close];
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return Some(1);
    }
    let mark = &rest[..=close];
    rest[mark.len()..].find(mark).map(|at| mark.len() + at + mark.len())
}

/// Comments nest.
fn comment(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wrapped(sql: &str) -> Option<String> {
        as_text(sql, &[("a", false), ("B c", true)]).map(|wrapped| wrapped.sql)
    }

    #[test]
    fn a_query_is_put_into_from_with_its_columns_cast() {
        let head = "SELECT q.c0 AS \"a\", q.c1::pg_catalog.text AS \"B c\" FROM (";
        assert_eq!(
            wrapped("select 1, '1'::inet ; -- x\n").unwrap(),
            format!("{head}select 1, '1'::inet\n) AS q(c0, c1)")
        );
        assert_eq!(as_text("table t", &[("a", false)]).unwrap().prefix, 25);
    }

    #[test]
    fn only_what_reads_is_rewritten() {
        for sql in [
            "values (1, 2)",
            "/* a /* b */ ; */ select 1, 2",
            "with x as (select 'delete') select * from x, x y",
            "with x as (select 1 for update) select $$ insert $$, \"update\" from x",
            "with x as (select 1 for no key update) select 1, E'\\' insert '",
            "with x as (select $1, $2) select $t$ delete $t$, $1 from x",
            "(select 1, 2)",
        ] {
            assert!(wrapped(sql).is_some(), "{sql}");
        }
        for sql in [
            "insert into t values (1) returning *",
            "update t set a = 1 returning *",
            "with x as (delete from t returning *) select * from x",
            "with x as (select 1) insert into t select * from x returning *",
            "explain select 1",
            "show all",
            "",
        ] {
            assert!(wrapped(sql).is_none(), "{sql}");
        }
    }
}
