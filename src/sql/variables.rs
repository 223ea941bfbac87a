//! psql variables: values, substitution in statements, and what is not known before it runs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::lex::{Kind, tokens};
use super::place::Edit;
use crate::model::{quote_ident, quote_literal};

/// The variables of one script.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    values: BTreeMap<String, String>,
    /// Prefixes of the \gset commands passed by a validation: what they set is not known.
    prefixes: Vec<String>,
    /// Names set for certain since the last \gset.
    certain: BTreeSet<String>,
    /// Names set in a branch that may not be taken.
    uncertain: BTreeSet<String>,
}

/// How a variable is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    Literal,
    Identifier,
    Defined,
}

/// A statement after substitution.
pub(crate) struct Substituted<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) edits: Vec<Edit>,
    /// True where a value stands in the text as it is, and could change where the statement ends.
    pub(crate) raw: bool,
    /// True where a variable is used that only the run will know.
    pub(crate) unknown: bool,
}

impl Variables {
    pub(crate) fn new(values: BTreeMap<String, String>) -> Self {
        Self { values, ..Self::default() }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_string(), value.to_string());
        self.uncertain.remove(name);
        self.certain.insert(name.to_string());
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.values.remove(name);
        self.uncertain.remove(name);
        self.certain.insert(name.to_string());
    }

    /// A \gset whose result is not known.
    pub(crate) fn forget_prefix(&mut self, prefix: &str) {
        self.prefixes.push(prefix.to_string());
        self.certain.clear();
    }

    /// A \set or \unset that may not be reached.
    pub(crate) fn forget(&mut self, name: &str) {
        self.uncertain.insert(name.to_string());
    }

    fn unknown(&self, name: &str) -> bool {
        self.uncertain.contains(name)
            || (!self.certain.contains(name)
                && self.prefixes.iter().any(|prefix| name.starts_with(prefix)))
    }

    /// The text for a `:name`, `:'name'`, `:"name"` or `:{?name}`; None leaves it as it is.
    /// The flag is true where only the run will know it.
    pub(crate) fn expand(&self, token: &str) -> (Option<String>, bool) {
        let (form, name) = parse(token);
        if self.unknown(name) {
            return (None, true);
        }
        let value = self.values.get(name);
        let text = match form {
            Form::Raw => value.cloned(),
            Form::Literal => value.map(|value| quote_literal(value)),
            Form::Identifier => value.map(|value| quote_ident(value)),
            Form::Defined => Some(if value.is_some() { "TRUE" } else { "FALSE" }.to_string()),
        };
        (text, false)
    }

    /// Substitutes outside of quotes and comments, as psql does. Undefined ones stay.
    pub(crate) fn substitute<'a>(&self, text: &'a str) -> Substituted<'a> {
        let mut done = Substituted {
            text: Cow::Borrowed(text),
            edits: Vec::new(),
            raw: false,
            unknown: false,
        };
        if !text.as_bytes().contains(&b':') {
            return done;
        }
        let mut out = String::new();
        let mut copied = 0;
        for token in tokens(text).filter(|token| token.kind == Kind::Variable) {
            let (value, unknown) = self.expand(token.text);
            done.unknown |= unknown;
            let Some(value) = value else { continue };
            out.push_str(&text[copied..token.start]);
            done.raw |= parse(token.text).0 == Form::Raw;
            done.edits.push(Edit {
                source_start: token.start,
                source_length: token.text.len(),
                sent_start: out.len(),
                sent_length: value.len(),
            });
            out.push_str(&value);
            copied = token.end();
        }
        if !done.edits.is_empty() {
            out.push_str(&text[copied..]);
            done.text = Cow::Owned(out);
        }
        done
    }
}

fn parse(token: &str) -> (Form, &str) {
    let inner = token.strip_prefix(':').unwrap_or(token);
    let between = |open: &str, close: &str| inner.strip_prefix(open)?.strip_suffix(close);
    if let Some(name) = between("'", "'") {
        (Form::Literal, name)
    } else if let Some(name) = between("\"", "\"") {
        (Form::Identifier, name)
    } else if let Some(name) = between("{?", "}") {
        (Form::Defined, name)
    } else {
        (Form::Raw, inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::place::StatementPlace;

    fn variables() -> Variables {
        let pairs = [("t", "users"), ("name", "it's"), ("n", "5"), ("한글", "값")];
        Variables::new(pairs.map(|(k, v)| (k.to_string(), v.to_string())).into())
    }

    #[test]
    fn variables_are_substituted_as_psql_does() {
        let text = "select :'name', :\"t\".x, :n::int, a[1:2], ':n', $$ :n $$ -- :n\n, :한글, :{?n}, :{?no}, :no from :t";
        let done = variables().substitute(text);
        assert_eq!(
            done.text,
            "select 'it''s', \"users\".x, 5::int, a[1:2], ':n', $$ :n $$ -- :n\n, 값, TRUE, FALSE, :no from users"
        );
        assert!(done.raw);
        assert!(matches!(variables().substitute("select a::int").text, Cow::Borrowed(_)));
    }

    #[test]
    fn a_slice_bound_that_is_defined_is_substituted_even_so() {
        let variables = Variables::new([("2".to_string(), "3".to_string())].into());
        assert_eq!(variables.substitute("a[1:2]").text, "a[13]");
    }

    #[test]
    fn positions_are_found_behind_and_inside_of_values() {
        let text = "INSERT INTO :t\r\nVALUES (:'name', '한글', 없음)";
        let done = variables().substitute(text);
        let place = StatementPlace {
            file: "a.sql".into(),
            line: 4,
            column: 1,
            text: text.into(),
            whole: true,
            lead: String::new(),
            tail: ";".into(),
            edits: Some(done.edits),
        };
        let at = |wanted: &str| {
            let byte = done.text.find(wanted).map_or(0, |at| done.text[..at].chars().count());
            let found = place.place_of(&done.text, byte as u32 + 1);
            (found.line, found.column, found.length)
        };
        assert_eq!(at("없음"), (5, 24, 2));
        assert_eq!(at("'한글'"), (5, 18, 4));
        assert_eq!(at("users"), (4, 13, 2));
        assert_eq!(at("s', "), (5, 9, 7));
    }

    #[test]
    fn what_a_gset_sets_is_unknown_until_it_is_set_again() {
        let mut variables = variables();
        variables.forget_prefix("n");
        assert_eq!(variables.expand(":n"), (None, true));
        assert_eq!(variables.expand(":{?nothing}"), (None, true));
        assert_eq!(variables.expand(":t").0.as_deref(), Some("users"));
        variables.set("n", "7");
        assert_eq!(variables.expand(":n").0.as_deref(), Some("7"));
    }
}
