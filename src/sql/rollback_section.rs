//! The commented way back at the end of a migration file.
//!
//! Teams write it as a comment block under a heading such as `-- ROLLBACK`, to be pasted by hand on
//! the bad night. Here it is found and uncommented; line numbers stay those of the file.

use crate::model::{Fault, Place};
use crate::msg;

/// Words of a heading, compared without case.
const HEADINGS: [&str; 5] = ["rollback", "롤백", "되돌리기", "undo", "down"];
/// A heading is short; a sentence that mentions a rollback is none.
const LONGEST_HEADING: usize = 60;
/// First words of SQL statements that a way back is made of.
const STARTS: [&str; 30] = [
    "alter",
    "analyze",
    "begin",
    "call",
    "cluster",
    "comment",
    "commit",
    "create",
    "delete",
    "do",
    "drop",
    "end",
    "execute",
    "grant",
    "insert",
    "lock",
    "merge",
    "perform",
    "reindex",
    "refresh",
    "release",
    "reset",
    "revoke",
    "savepoint",
    "select",
    "set",
    "start",
    "truncate",
    "update",
    "with",
];

/// Finds the rollback section: its SQL, each line where it stands in the file, and the 1-based
/// line of its heading.
///
/// # Errors
/// `rollback-missing`, `rollback-empty`, `rollback-prose` with the line, `rollback-after` where
/// SQL stands behind the section.
pub fn find(text: &str, name: &str) -> Result<(String, u32), Fault> {
    let lines = classified(text);
    let heading =
        lines.iter().rposition(|line| matches!(line, Line::Comment(inside) if is_heading(inside)));
    let Some(heading) = heading else {
        return Err(Fault::usage("rollback-missing", msg!("sql.rollback-missing", file = name))
            .remedy(msg!("sql.rollback-missing.remedy")));
    };
    let mut sql = "\n".repeat(heading + 1);
    let (mut begun, mut open) = (false, false);
    for (index, line) in lines.iter().enumerate().skip(heading + 1) {
        let inside = match line {
            Line::Empty => "",
            Line::Comment(inside) => inside.as_str(),
            Line::Sql => {
                let at = Place::at_line(name, text, index as u32 + 1);
                return Err(Fault::usage("rollback-after", msg!("sql.rollback-after"))
                    .cause(msg!("sql.rollback-after.cause"))
                    .remedy(msg!("sql.rollback-after.remedy"))
                    .place(at));
            }
        };
        let body = inside.trim();
        let remark = body.is_empty() || body.starts_with("--") || is_rule(body);
        if !remark && !open && !starts_sql(body) {
            if begun {
                let at = Place::at_line(name, text, index as u32 + 1);
                return Err(Fault::usage("rollback-prose", msg!("sql.rollback-prose"))
                    .remedy(msg!("sql.rollback-prose.remedy"))
                    .place(at));
            }
        } else if !remark {
            begun = true;
            sql.push_str(inside);
            open = !body.ends_with(';');
        }
        sql.push('\n');
    }
    if !begun {
        return Err(Fault::usage("rollback-empty", msg!("sql.rollback-empty", file = name)));
    }
    Ok((sql, heading as u32 + 1))
}

enum Line {
    Empty,
    /// What stands inside the comment.
    Comment(String),
    Sql,
}

/// Each line as what it is; block comments and dollar quotes are followed over lines.
fn classified(text: &str) -> Vec<Line> {
    let mut block = false;
    text.lines()
        .map(|line| {
            let trimmed = line.trim();
            if block {
                let (inside, ended) = match line.split_once("*/") {
                    Some((inside, _)) => (inside, true),
                    None => (line, false),
                };
                block = !ended;
                return Line::Comment(inside.trim_start_matches([' ', '*']).to_string());
            }
            if trimmed.is_empty() {
                return Line::Empty;
            }
            if let Some(inside) = trimmed.strip_prefix("--") {
                return Line::Comment(inside.strip_prefix(' ').unwrap_or(inside).to_string());
            }
            if let Some(inside) = trimmed.strip_prefix("/*") {
                return match inside.split_once("*/") {
                    Some((inside, rest)) if rest.trim().is_empty() => Line::Comment(inside.into()),
                    Some(_) => Line::Sql,
                    None => {
                        block = true;
                        Line::Comment(inside.to_string())
                    }
                };
            }
            Line::Sql
        })
        .collect()
}

fn is_heading(inside: &str) -> bool {
    let bare = inside.trim_matches(|c: char| !c.is_alphanumeric());
    let low = bare.to_lowercase();
    bare.chars().count() <= LONGEST_HEADING
        && !bare.contains(';')
        && !inside.trim_end().ends_with(';')
        && HEADINGS.iter().any(|word| {
            low.split(|c: char| !c.is_alphanumeric())
                .any(|part| part == *word || part.starts_with(word) && !word.is_ascii())
        })
}

/// A line of decoration.
fn is_rule(body: &str) -> bool {
    body.chars().all(|c| matches!(c, '=' | '-' | '*' | '#' | '~' | '_'))
}

fn starts_sql(body: &str) -> bool {
    let first: String = body.chars().take_while(|c| c.is_ascii_alphabetic()).collect();
    STARTS.contains(&first.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::find;

    const FILE: &str = "CREATE TABLE a (id int);\n\n-- ======\n-- 롤백 (ROLLBACK)\n-- ======\n\
        -- 문제가 생기면 아래를 실행하세요\n-- DROP TABLE\n--   a;\n-- -- 그리고\n-- DELETE FROM log;\n";

    #[test]
    fn the_section_is_uncommented_and_keeps_its_lines() {
        let (sql, line) = find(FILE, "up.sql").unwrap();
        assert_eq!(line, 4);
        let lines: Vec<&str> = sql.lines().collect();
        assert_eq!((lines[6], lines[7], lines[9]), ("DROP TABLE", "  a;", "DELETE FROM log;"));
        assert_eq!(lines[8], "");
    }

    #[test]
    fn a_block_comment_is_a_section_too() {
        let (sql, _) = find("SELECT 1;\n/*\n Rollback:\n DROP TABLE a;\n*/\n", "up.sql").unwrap();
        assert_eq!(sql.trim(), "DROP TABLE a;");
    }

    #[test]
    fn what_is_no_section_is_refused_with_its_line() {
        let code = |text: &str| {
            let fault = find(text, "up.sql").unwrap_err();
            (fault.code, fault.places.first().map_or(0, |place| place.line))
        };
        assert_eq!(code("SELECT 1;\n"), ("rollback-missing".into(), 0));
        assert_eq!(code("-- rollback\n-- nothing here\n"), ("rollback-empty".into(), 0));
        let prose = "-- rollback\n-- DROP TABLE a;\n-- then phone us\n";
        assert_eq!(code(prose), ("rollback-prose".into(), 3));
        let after = "-- rollback\n-- DROP TABLE a;\nSELECT 1;\n";
        assert_eq!(code(after), ("rollback-after".into(), 3));
    }
}
