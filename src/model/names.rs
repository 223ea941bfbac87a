//! Names and values as SQL text, and secrets that are blanked wherever text leaves the process.

use std::sync::{Arc, RwLock};

use serde_json::Value;

/// An identifier as SQL: always quoted, so that `Project` keeps its case and `x"; drop` is a name.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A possibly schema-qualified, possibly already quoted name as SQL: `public.users`, `"Project"`,
/// `app."Order Items"`. Case is kept exactly.
pub fn quote_name(name: &str) -> String {
    split_name(name).iter().map(|part| quote_ident(part)).collect::<Vec<_>>().join(".")
}

/// The parts of a possibly qualified name, quotes taken off.
fn split_name(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut parts, '"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => push(&mut parts, c),
        }
    }
    parts
}

fn push(parts: &mut [String], c: char) {
    if let Some(last) = parts.last_mut() {
        last.push(c);
    }
}

/// A text as an SQL literal, safe with any setting of `standard_conforming_strings`.
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// Blanks every secret that the run knows out of a text. One is shared by all sinks.
///
/// Values shorter than four characters, and the words that JSON is made of, are not blanked:
/// replacing every `no` of a report would hide the report and not the secret.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Arc<RwLock<Vec<String>>>,
}

impl Redactor {
    /// What stands where a secret was.
    pub const BLANK: &'static str = "******";

    /// Adds a secret, and its percent-encoded, JSON-escaped and SQL-quoted forms.
    pub fn add(&self, secret: &str) {
        if secret.chars().count() < 4 || ["null", "none", "true", "false"].contains(&secret) {
            return;
        }
        let encoded: String =
            percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC)
                .to_string();
        let json = serde_json::to_string(secret).unwrap_or_default();
        let json = json.trim_matches('"').to_string();
        let forms = [secret.to_string(), encoded, json, secret.replace('\'', "''")];
        if let Ok(mut secrets) = self.secrets.write() {
            for form in forms {
                if !secrets.contains(&form) {
                    secrets.push(form);
                }
            }
            // Longest first: a secret that contains another one is blanked whole.
            secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// Is there something to blank in a text?
    pub fn occurs_in(&self, text: &str) -> bool {
        self.secrets
            .read()
            .is_ok_and(|secrets| secrets.iter().any(|secret| text.contains(secret.as_str())))
    }

    /// The text with every secret blanked.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_string();
        if let Ok(secrets) = self.secrets.read() {
            for secret in secrets.iter() {
                if text.contains(secret.as_str()) {
                    text = text.replace(secret.as_str(), Self::BLANK);
                }
            }
        }
        text
    }

    /// The value with every secret blanked in its texts and keys. A number that is a secret as a
    /// whole becomes a blanked text; the shape of the rest stays.
    pub fn clean_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.clean(text)),
            Value::Number(number) => {
                let text = number.to_string();
                match self.clean(&text) == Self::BLANK {
                    true => Value::String(Self::BLANK.into()),
                    false => value.clone(),
                }
            }
            Value::Array(items) => items.iter().map(|item| self.clean_value(item)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, item)| (self.clean(key), self.clean_value(item)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Null | Value::Bool(_) => value.clone(),
        }
    }

    /// True where nothing has to be blanked.
    pub fn is_empty(&self) -> bool {
        self.secrets.read().map_or(true, |secrets| secrets.is_empty())
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_table_name_stays_a_name() {
        assert_eq!(quote_ident("x\"; drop table t;--"), "\"x\"\"; drop table t;--\"");
        assert_eq!(quote_name("app.\"Order.Items\""), "\"app\".\"Order.Items\"");
    }

    #[test]
    fn literals_survive_backslashes_and_quotes() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\b'"), " E'a\\\\b'''");
    }

    #[test]
    fn a_secret_is_blanked_in_every_form() {
        let redactor = Redactor::default();
        redactor.add("p@ss/w\"rd");
        redactor.add("no");
        assert_eq!(redactor.clean("x p@ss/w\"rd y"), "x ****** y");
        assert_eq!(redactor.clean("p%40ss%2Fw%22rd"), "******");
        assert_eq!(redactor.clean(r#"{"a":"p@ss/w\"rd"}"#), r#"{"a":"******"}"#);
        assert_eq!(redactor.clean("no change"), "no change");
    }

    #[test]
    fn a_value_keeps_its_shape_when_a_secret_is_blanked_in_it() {
        let redactor = Redactor::default();
        redactor.add("null");
        redactor.add("4711");
        let value = serde_json::json!({ "a": null, "b": [4711, 47110, "x4711"], "4711": true });
        let clean =
            serde_json::json!({ "a": null, "b": ["******", 47110, "x******"], "******": true });
        assert_eq!(redactor.clean_value(&value), clean);
    }
}
