//! The commented way back at the end of a migration file.
//!
//! Many teams keep it there: a heading (ROLLBACK, 롤백, 되돌리기, UNDO, DOWN), and the SQL in
//! comments under it. Finding it is guesswork within narrow limits: what is neither SQL nor clearly
//! a remark is refused with its line, never dropped in silence.

use super::classify::classify;
use super::lex::{Kind, meaningful, tokens};
use super::quick::quick_kind;
use super::split::{Piece, Splitter};
use crate::model::{Fault, Place};
use crate::msg;

/// The section as SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackSection {
    /// Comment marks taken off, one line for each line of the file, from `line` on.
    pub sql: String,
    /// The line of the file (1-based) on which its first statement begins.
    pub line: u32,
}

const WORDS: &[&str] = &["rollback", "roll back", "롤백", "되돌리기", "undo", "down"];

/// One line of a comment.
#[derive(Debug)]
struct Line {
    number: u32,
    text: String,
}

/// Finds the rollback section of a file; `name` is the file's, for places.
///
/// # Errors
/// `sql-rollback-missing`, `sql-rollback-empty`, `sql-rollback-after` (SQL behind it),
/// `sql-rollback-prose` (a line that is neither SQL nor a remark), each with its place where there
/// is one; and what the splitter refuses of the file.
pub fn find(text: &str, name: &str) -> Result<RollbackSection, Fault> {
    let end = end_of_sql(text, name)?;
    let lines = comment_lines(text, end, text.len());
    let Some(heading) = lines.iter().position(|line| is_heading(&line.text)) else {
        return Err(missing(text, name, end));
    };
    let section = section(&lines[heading..]);
    let Some(first) = section.iter().find(|line| begins_sql(&line.text)) else {
        return Err(Fault::usage("sql-rollback-empty", msg!("sql.rollback-empty", file = name))
            .remedy(msg!("sql.rollback-missing.remedy"))
            .place(Place::at_line(name, text, lines[heading].number)));
    };
    let start = first.number;
    let mut sql = String::new();
    let mut number = start;
    for line in section.iter().filter(|line| line.number >= start) {
        while number < line.number {
            sql.push('\n');
            number += 1;
        }
        if !is_rule(&line.text) {
            sql.push_str(&line.text);
        }
    }
    let sql = sql.trim_end().to_string() + "\n";
    check(&sql, start, text, name)?;
    Ok(RollbackSection { sql, line: start })
}

/// The offset behind the last statement, COPY data or command.
fn end_of_sql(text: &str, name: &str) -> Result<usize, Fault> {
    let mut splitter = Splitter::new(name, text.as_bytes());
    let mut end = 0;
    while let Some(piece) = splitter.next() {
        if matches!(piece?, Piece::Copy { .. }) {
            while splitter.copy_chunk()?.is_some() {}
        }
        end = splitter.offset() as usize;
    }
    Ok(end)
}

/// No section behind the SQL; perhaps there is one in front of some.
fn missing(text: &str, name: &str, end: usize) -> Fault {
    let lines = comment_lines(text, 0, end);
    let early = lines
        .iter()
        .position(|line| is_heading(&line.text))
        .filter(|at| lines[at + 1..].iter().any(|line| begins_sql(&line.text)));
    match early {
        Some(at) => Fault::usage("sql-rollback-after", msg!("sql.rollback-after"))
            .cause(msg!("sql.rollback-after.cause"))
            .remedy(msg!("sql.rollback-after.remedy"))
            .place(Place::at_line(name, text, lines[at].number)),
        None => Fault::usage("sql-rollback-missing", msg!("sql.rollback-missing", file = name))
            .remedy(msg!("sql.rollback-missing.remedy")),
    }
}

/// The lines of the comments between two offsets, their marks taken off.
fn comment_lines(text: &str, from: usize, to: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut number = text[..from].matches('\n').count() as u32 + 1;
    for token in tokens(&text[from..to]) {
        match token.kind {
            Kind::LineComment => {
                let inner = token.text.strip_prefix("--").unwrap_or(token.text);
                let inner = inner.strip_prefix(' ').unwrap_or(inner);
                lines.push(Line { number, text: inner.trim_end().to_string() });
            }
            Kind::BlockComment => {
                let inner = token.text.strip_prefix("/*").unwrap_or(token.text);
                let inner = inner.strip_suffix("*/").unwrap_or(inner);
                let starred = inner
                    .lines()
                    .skip(1)
                    .filter(|line| !line.trim().is_empty())
                    .all(|line| line.trim_start().starts_with('*'));
                for (at, line) in inner.lines().enumerate() {
                    let bare = line.trim_start().strip_prefix('*').filter(|_| starred && at > 0);
                    let bare = bare.map(|line| line.strip_prefix(' ').unwrap_or(line));
                    let text = bare.unwrap_or(line).trim_end().to_string();
                    lines.push(Line { number: number + at as u32, text });
                }
            }
            _ => {}
        }
        number += token.text.matches('\n').count() as u32;
    }
    lines
}

/// The lines behind the heading, up to the next heading of any kind.
fn section(lines: &[Line]) -> &[Line] {
    let mut begun = false;
    for (at, line) in lines.iter().enumerate().skip(1) {
        begun |= begins_sql(&line.text);
        let boxed = at + 1 < lines.len()
            && is_rule(&lines[at - 1].text)
            && is_rule(&lines[at + 1].text)
            && !is_rule(&line.text);
        if begun
            && (is_heading(&line.text)
                || is_framed(&line.text)
                || (boxed && !begins_sql(&line.text)))
        {
            return &lines[..at];
        }
    }
    lines
}

fn is_decoration(c: char) -> bool {
    matches!(c, '=' | '-' | '*' | '#' | '_' | '~' | '─' | '━' | '═')
}

/// `=======`, `---`: at least three signs and nothing else.
fn is_rule(text: &str) -> bool {
    let text = text.trim();
    text.chars().count() >= 3 && text.chars().all(is_decoration)
}

/// `=== Verify ===`.
fn is_framed(text: &str) -> bool {
    let text = text.trim();
    let signs = text.chars().take_while(|c| is_decoration(*c)).count();
    let ends = text.chars().rev().take_while(|c| is_decoration(*c)).count();
    signs >= 3 && ends >= 3 && !is_rule(text)
}

fn is_heading(text: &str) -> bool {
    let bare = text.trim().trim_matches(|c| is_decoration(c) || c == ' ');
    if bare.is_empty() || bare.ends_with(';') || bare.chars().count() > 80 {
        return false;
    }
    let lower = bare.to_lowercase();
    WORDS.iter().any(|word| {
        lower.match_indices(word).any(|(at, found)| {
            let before = lower[..at].chars().next_back();
            let after = lower[at + found.len()..].chars().next();
            let edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            // Korean puts particles and nouns behind the word without a space.
            edge(before) && (edge(after) || !word.is_ascii())
        })
    })
}

/// True for a line that begins with a word that begins statements.
fn begins_sql(text: &str) -> bool {
    let quick = quick_kind(text);
    if quick.verb.is_empty() || is_heading(text) && !text.trim_end().ends_with(';') {
        return false;
    }
    let mut words = meaningful(text).skip(1);
    match quick.verb {
        // Prose begins with these words, too: what follows has to fit.
        "create" | "alter" | "drop" | "comment" => !quick.object.is_empty(),
        "delete" => words.next().is_some_and(|word| word.is("from")),
        "insert" | "merge" => words.next().is_some_and(|word| word.is("into")),
        _ => true,
    }
}

/// Refuses prose: what is not SQL inside of the section.
fn check(sql: &str, start: u32, text: &str, name: &str) -> Result<(), Fault> {
    for piece in Splitter::new(name, sql.as_bytes()).with_first_line(start) {
        let (Piece::Statement(statement) | Piece::Copy { statement }) = piece? else { continue };
        let variables = tokens(&statement.text).any(|token| token.kind == Kind::Variable);
        let unknown = quick_kind(&statement.text).verb.is_empty();
        let info = (!variables).then(|| classify(&statement.text));
        let broken = info.is_some_and(|info| {
            info.opaque && !matches!(info.kind.as_str(), "do" | "call" | "execute" | "copy")
        });
        if unknown || broken {
            return Err(Fault::usage("sql-rollback-prose", msg!("sql.rollback-prose"))
                .remedy(msg!("sql.rollback-prose.remedy"))
                .place(Place::at_line(name, text, statement.line)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(text: &str) -> (String, u32) {
        let section = find(text, "a.sql").unwrap();
        (section.sql, section.line)
    }

    fn refused(text: &str) -> (String, u32) {
        let fault = find(text, "a.sql").unwrap_err();
        let line = fault.places.first().map_or(0, |place| place.line);
        (fault.code, line)
    }

    #[test]
    fn a_line_commented_section_is_uncommented() {
        let text = "CREATE TABLE t (a int);\nCOMMIT;\n\n\
                    -- ============================\n-- ROLLBACK (문제가 생겼을 때)\n\
                    -- ============================\n-- 먼저 백업을 확인한다.\n\
                    -- BEGIN;\n-- DROP TABLE t; -- gone\n--\n-- -- a remark\n\
                    -- UPDATE u\n--    SET a = ';'\n--  WHERE b;\n-- COMMIT;\n";
        let (sql, line) = found(text);
        assert_eq!(line, 8);
        assert_eq!(
            sql,
            "BEGIN;\nDROP TABLE t; -- gone\n\n-- a remark\nUPDATE u\n   SET a = ';'\n WHERE b;\nCOMMIT;\n"
        );
    }

    #[test]
    fn a_block_comment_is_a_section_as_well() {
        assert_eq!(found("select 1;\n/* 롤백\nDROP TABLE t;\n*/\n"), ("DROP TABLE t;\n".into(), 3));
        assert_eq!(
            found("select 1;\n/*\n * Undo:\n *\n * DROP TABLE t;\n * DROP TABLE u;\n */"),
            ("DROP TABLE t;\nDROP TABLE u;\n".into(), 5)
        );
        assert_eq!(found("select 1;\n-- 되돌리기\n/*\nDROP TABLE t;\n*/").1, 4);
    }

    #[test]
    fn a_section_ends_at_the_next_heading() {
        let text =
            "select 1;\n-- === DOWN ===\n-- DROP TABLE t;\n-- === 검증 ===\n-- 사람이 확인한다\n";
        assert_eq!(found(text), ("DROP TABLE t;\n".into(), 3));
        let boxed =
            "select 1;\n-- rollback\n-- DROP TABLE t;\n-- =====\n-- 검증\n-- =====\n-- 확인\n";
        assert_eq!(found(boxed), ("DROP TABLE t;\n".into(), 3));
        let ended = "select 1;\n-- rollback\n-- DROP TABLE t;\n-- end of rollback\n-- 확인\n";
        assert_eq!(found(ended), ("DROP TABLE t;\n".into(), 3));
    }

    #[test]
    fn quotes_and_copy_data_in_the_file_do_not_confuse() {
        let text = "select '-- ROLLBACK';\nCOPY t FROM stdin;\n-- DOWN '\n\\.\n-- UNDO\n-- DROP TABLE x;\n";
        assert_eq!(found(text), ("DROP TABLE x;\n".into(), 6));
    }

    #[test]
    fn prose_between_statements_is_refused_with_its_line() {
        let text = "select 1;\n-- ROLLBACK\n-- DROP TABLE t;\n-- 그리고 이것도\n-- DROP TABLE u;\n";
        assert_eq!(refused(text), ("sql-rollback-prose".into(), 4));
        let text = "select 1;\n-- ROLLBACK\n-- DROP TABLE t;\n-- update the wiki afterwards\n";
        assert_eq!(refused(text), ("sql-rollback-prose".into(), 4));
    }

    #[test]
    fn what_is_not_there_is_said() {
        assert_eq!(refused("select 1;\n-- the end\n"), ("sql-rollback-missing".into(), 0));
        assert_eq!(
            refused("select 1;\n-- ROLLBACK\n-- restore the backup\n"),
            ("sql-rollback-empty".into(), 2)
        );
        assert_eq!(
            refused("-- ROLLBACK\n-- DROP TABLE t;\nCREATE TABLE t (a int);\n"),
            ("sql-rollback-after".into(), 1)
        );
    }

    #[test]
    fn statements_that_roll_back_are_no_headings() {
        assert!(!is_heading("ROLLBACK;"));
        assert!(!is_heading("downtime: 5 min"));
        assert!(is_heading("--- Down Migration ---"));
        assert!(is_heading("롤백SQL"));
    }
}
