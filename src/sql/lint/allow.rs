//! Comments that accept a finding: `-- runsheet: allow RULE, RULE because REASON`.
//!
//! One stands in front of its statement, inside of it, or behind it on its last line. Without a
//! reason it accepts nothing.

use crate::sql::lex::{Kind, tokens};

/// One comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allow {
    /// 1-based line.
    pub(super) line: u32,
    pub(super) rules: Vec<String>,
    /// Empty where none was given.
    pub(super) reason: String,
}

/// The comments of a text that begins on this line.
pub(super) fn comments(text: &str, first_line: u32) -> Vec<Allow> {
    if !text.contains("runsheet:") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut line = first_line;
    for token in tokens(text) {
        if matches!(token.kind, Kind::LineComment | Kind::BlockComment)
            && let Some((rules, reason)) = read(token.text)
        {
            found.push(Allow { line, rules, reason });
        }
        line += token.text.matches('\n').count() as u32;
    }
    found
}

fn read(comment: &str) -> Option<(Vec<String>, String)> {
    let inner = comment.trim_start_matches(['-', '/', '*']).trim();
    let inner = inner.trim_end_matches(['*', '/']).trim();
    let rest = inner.strip_prefix("runsheet:")?.trim().strip_prefix("allow")?;
    if !rest.starts_with([' ', '\t', ':']) {
        return None;
    }
    let rest = rest.trim_start_matches(':');
    let (rules, reason) = match rest.split_once(" because") {
        Some((rules, reason)) => (rules, reason.trim()),
        None => (rest, ""),
    };
    let names = rules.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty());
    Some((names.map(String::from).collect(), reason.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_names_rules_and_a_reason() {
        let text = "SELECT 1;\n-- runsheet: allow data-loss, ban-drop-column because nobody reads it\n\
                    DROP TABLE a; /* runsheet: allow data-loss */ SELECT '-- runsheet: allow x because y';";
        let found = comments(text, 5);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].rules, ["data-loss", "ban-drop-column"]);
        assert_eq!((found[0].line, found[0].reason.as_str()), (6, "nobody reads it"));
        assert_eq!((found[1].line, found[1].reason.as_str()), (7, ""));
    }
}
