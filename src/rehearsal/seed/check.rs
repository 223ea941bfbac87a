//! Values that may satisfy a CHECK: what stands in its own text, and what lies beside it.

use super::shape::{Check, Column, Shape};
use crate::model::quote_literal;

/// One try: columns by number, and what they get instead.
pub(super) type Instead = Vec<(i64, String)>;

/// So many tries for one CHECK.
const MOST: usize = 80;

/// What to try for a CHECK that refused a row, the likeliest first.
pub(super) fn instead(shape: &Shape, check: &Check) -> Vec<Instead> {
    let columns: Vec<&Column> = check
        .columns
        .iter()
        .filter_map(|number| shape.columns.iter().find(|column| column.number == *number))
        .collect();
    let mut tries: Vec<Instead> = Vec::new();
    let words = literals(&check.text);
    for column in &columns {
        for text in candidates(column, &words) {
            tries.push(vec![(column.number, text)]);
        }
    }
    // "Exactly one of these": every set of those that may be NULL.
    let nullable: Vec<&&Column> =
        columns.iter().filter(|column| !column.not_null).take(6).collect();
    for set in 1..(1_usize << nullable.len()) {
        let gone = nullable.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
        tries.push(gone.map(|(_, column)| (column.number, "NULL".to_string())).collect());
    }
    // Two columns that belong together.
    if let [first, second] = columns[..] {
        for one in candidates(first, &words).into_iter().take(6) {
            for other in candidates(second, &words).into_iter().take(6) {
                tries.push(vec![(first.number, one.clone()), (second.number, other)]);
            }
        }
    }
    tries.truncate(MOST);
    tries
}

fn candidates(column: &Column, words: &[String]) -> Vec<String> {
    let typed = |text: &str| format!("{}::{}", quote_literal(text), column.sql_type);
    let mut found = Vec::new();
    let numbers: Vec<i64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    match column.category.as_str() {
        "N" => {
            for number in numbers.iter().chain(&[0, 1, -1]) {
                found.extend([0, 1, -1].map(|by| typed(&number.saturating_add(by).to_string())));
            }
        }
        "B" => found.extend(["true", "false"].map(typed)),
        "S" => {
            found.extend(words.iter().map(|word| typed(word)));
            let long = numbers.iter().filter(|length| (1..=4096).contains(*length));
            found.extend(long.map(|length| typed(&"a".repeat(*length as usize))));
            found.extend(["a", "abc", "ABC", "abc123", "1", "https://example.com/", ""].map(typed));
        }
        "E" => found.extend(column.labels.iter().flatten().map(|label| typed(label))),
        "A" => found.extend(["{}", "{1}", "{a}"].map(typed)),
        _ => {}
    }
    if matches!(column.base.as_str(), "json" | "jsonb") {
        found.extend(["{}", "[]", "\"a\"", "1"].map(typed));
    }
    if matches!(column.category.as_str(), "D") {
        found.extend(["infinity", "-infinity", "2000-01-01", "2040-01-01"].map(typed));
    }
    found.dedup();
    found
}

/// Texts in quotes and numbers, in the order in which they stand there.
fn literals(text: &str) -> Vec<String> {
    let (mut found, mut at) = (Vec::new(), 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let start = at;
        at += 1;
        if bytes[start] == b'\'' {
            let mut word = String::new();
            let mut rest = text[at..].chars().peekable();
            while let Some(c) = rest.next() {
                at += c.len_utf8();
                if c == '\'' {
                    if rest.peek() != Some(&'\'') {
                        break;
                    }
                    rest.next();
                    at += 1;
                }
                word.push(c);
            }
            found.push(word);
        } else if bytes[start].is_ascii_digit() {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            let before = start.checked_sub(1).map(|at| bytes[at]);
            if !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                found.push(text[start..at].to_string());
            }
        }
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checks_own_words_and_numbers_are_found() {
        let text = "CHECK (state = ANY (ARRAY['open'::text, 'it''s'::text]) AND size1 >= 10)";
        assert_eq!(literals(text), ["open", "it's", "10"]);
        assert_eq!(literals("CHECK (한 = '글')"), ["글"]);
    }
}
