//! Reading a TOML tree key by key, so that every complaint knows its place.
//!
//! A section remembers which keys were asked for; what is left at the end is unknown, and is named
//! with its nearest neighbour. Nothing stops at the first complaint.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::settings::Values;
use crate::model::{Fault, Place, Redactor, nearest, parse_span};
use crate::msg;

/// The text of the file, and what there is to say about it.
pub(super) struct Source<'t> {
    /// The file as the user would type it.
    pub(super) file: &'t str,
    /// Its text, without a byte order mark.
    pub(super) text: &'t str,
    complaints: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
}

impl<'t> Source<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, complaints: RefCell::default(), warnings: RefCell::default() }
    }

    /// The place of a byte range: its first line, underlined to the end of the range or the line.
    fn place(&self, span: &Range<usize>) -> Place {
        let part = self.text.get(span.clone()).unwrap_or("");
        let length = part.lines().next().unwrap_or("").chars().count().max(1) as u32;
        blank_password(Place::at_offset(self.file, self.text, span.start, length))
    }

    /// The 1-based line where a byte range begins.
    pub(super) fn line_of(&self, span: &Range<usize>) -> u32 {
        self.place(span).line
    }

    /// Keeps a complaint about a byte range.
    pub(super) fn complain(&self, span: &Range<usize>, fault: Fault) {
        self.complaints.borrow_mut().push(fault.place(self.place(span)));
    }

    /// Keeps a complaint about a value that is not to be shown: the place has no text.
    pub(super) fn complain_hidden(&self, span: &Range<usize>, fault: Fault) {
        let mut place = self.place(span);
        (place.source, place.column, place.length) = (String::new(), 0, 0);
        self.complaints.borrow_mut().push(fault.place(place));
    }

    /// Keeps something that a reader should know, but that stops nothing.
    pub(super) fn warn(&self, span: &Range<usize>, fault: Fault) {
        self.warnings.borrow_mut().push(fault.place(self.place(span)));
    }

    /// Complaints and warnings, in the order of the file.
    pub(super) fn into_findings(self) -> (Vec<Fault>, Vec<Fault>) {
        let by_place = |mut faults: Vec<Fault>| {
            faults.sort_by_key(|fault| fault.places.first().map(|at| (at.line, at.column)));
            faults
        };
        (by_place(self.complaints.into_inner()), by_place(self.warnings.into_inner()))
    }
}

/// A value with the bytes of the file where it stands.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// One table of the file.
pub(super) struct Section<'s, 't> {
    source: &'s Source<'t>,
    path: String,
    table: &'s DeTable<'t>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'s, 't> Section<'s, 't> {
    pub(super) fn new(
        source: &'s Source<'t>,
        path: impl Into<String>,
        table: &'s DeTable<'t>,
    ) -> Self {
        Self { source, path: path.into(), table, asked: RefCell::default() }
    }

    pub(super) fn source(&self) -> &'s Source<'t> {
        self.source
    }

    /// The dotted name of a key of this section, as complaints show it.
    pub(super) fn name_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    fn raw(&self, key: &'static str) -> Option<(&'s DeValue<'t>, Range<usize>)> {
        self.asked.borrow_mut().push(key);
        self.entries().find(|(name, ..)| *name == key).map(|(_, _, value, span)| (value, span))
    }

    /// Every entry: name, the name's bytes, value, the value's bytes.
    pub(super) fn entries(
        &self,
    ) -> impl Iterator<Item = (&'s str, Range<usize>, &'s DeValue<'t>, Range<usize>)> + use<'s, 't>
    {
        self.table.iter().map(|(name, value)| {
            (name.get_ref().as_ref(), name.span(), value.get_ref(), value.span())
        })
    }

    /// Complains that a value is not of the type that is wanted.
    fn wrong_type(&self, key: &str, span: &Range<usize>, found: &DeValue<'_>, wanted: String) {
        let found = type_word(found);
        let key = self.name_of(key);
        self.source.complain(
            span,
            Fault::usage(
                "config-type",
                msg!("config.wrong-type", key = key, wanted = wanted, found = found),
            ),
        );
    }

    /// A text that is not empty.
    pub(super) fn text(&self, key: &'static str) -> Option<At<String>> {
        let (value, span) = self.raw(key)?;
        self.text_of(key, value, span)
    }

    pub(super) fn text_of(
        &self,
        key: &str,
        value: &DeValue<'_>,
        span: Range<usize>,
    ) -> Option<At<String>> {
        match value.as_str() {
            None => self.wrong_type(key, &span, value, msg!("config.type.text")),
            Some(text) if text.trim().is_empty() => {
                let key = self.name_of(key);
                self.source
                    .complain(&span, Fault::usage("config-empty", msg!("config.empty", key = key)));
            }
            Some(text) => return Some(At { value: text.to_string(), span }),
        }
        None
    }

    /// true or false.
    pub(super) fn flag(&self, key: &'static str) -> Option<At<bool>> {
        let (value, span) = self.raw(key)?;
        match value.as_bool() {
            Some(flag) => Some(At { value: flag, span }),
            None => {
                self.wrong_type(key, &span, value, msg!("config.type.flag"));
                None
            }
        }
    }

    /// A whole number within a range.
    pub(super) fn number(
        &self,
        key: &'static str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let (value, span) = self.raw(key)?;
        let wanted = msg!("config.type.number-between", low = range.start(), high = range.end());
        let Some(number) = value.as_integer() else {
            self.wrong_type(key, &span, value, wanted);
            return None;
        };
        let found = whole(number).and_then(|number| u32::try_from(number).ok());
        if let Some(found) = found.filter(|found| range.contains(found)) {
            return Some(found);
        }
        let key = self.name_of(key);
        self.source.complain(
            &span,
            Fault::usage(
                "config-value",
                msg!("config.out-of-range", key = key, found = number.as_str(), wanted = wanted),
            ),
        );
        None
    }

    /// A text, or a whole number taken as text: identifiers that people write without quotes.
    pub(super) fn text_or_number(&self, key: &'static str) -> Option<String> {
        let (value, span) = self.raw(key)?;
        match value.as_integer() {
            Some(number) => Some(number.as_str().to_string()),
            None => self.text_of(key, value, span).map(|at| at.value),
        }
    }

    /// A duration, "2s".
    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        let at = self.text(key)?;
        match parse_span(&at.value) {
            Ok(span) => Some(span),
            Err(found) => {
                let key = self.name_of(key);
                self.source.complain(
                    &at.span,
                    Fault::usage(
                        "config-duration",
                        msg!("config.bad-duration", key = key, found = found),
                    )
                    .remedy(msg!("config.bad-duration.remedy")),
                );
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.word_at(key, words).map(|at| at.value)
    }

    /// One of a few words, with its place.
    pub(super) fn word_at<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<At<T>> {
        let at = self.text(key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == at.value) {
            return Some(At { value: *value, span: at.span });
        }
        let key = self.name_of(key);
        let mut fault =
            Fault::usage("config-value", msg!("config.unknown-word", key = key, found = at.value));
        fault.remedy = Some(neighbours(&at.value, words.iter().map(|(word, _)| *word)));
        self.source.complain(&at.span, fault);
        None
    }

    /// A list of texts.
    pub(super) fn list(&self, key: &'static str) -> Vec<At<String>> {
        let Some((value, span)) = self.raw(key) else { return Vec::new() };
        let Some(array) = value.as_array() else {
            self.wrong_type(key, &span, value, msg!("config.type.list"));
            return Vec::new();
        };
        array.iter().filter_map(|entry| self.text_of(key, entry.get_ref(), entry.span())).collect()
    }

    /// The same, and an empty one is a mistake.
    pub(super) fn list_not_empty(&self, key: &'static str) -> Vec<At<String>> {
        let empty = self.entries().find(|(name, _, value, _)| {
            *name == key && value.as_array().is_some_and(|array| array.is_empty())
        });
        if let Some((.., span)) = empty {
            let text = msg!("config.empty", key = self.name_of(key));
            self.source.complain(&span, Fault::usage("config-empty", text));
        }
        self.list(key)
    }

    /// A table below this one.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'s, 't>> {
        let (value, span) = self.raw(key)?;
        self.section_of(key, value, span)
    }

    pub(super) fn section_of(
        &self,
        key: &str,
        value: &'s DeValue<'t>,
        span: Range<usize>,
    ) -> Option<Section<'s, 't>> {
        match value.as_table() {
            Some(table) => Some(Section::new(self.source, self.name_of(key), table)),
            None => {
                self.wrong_type(key, &span, value, msg!("config.type.table"));
                None
            }
        }
    }

    /// The tables below a key, by names that the user chose.
    pub(super) fn sections(&self, key: &'static str) -> Vec<(String, Section<'s, 't>)> {
        let Some(section) = self.section(key) else { return Vec::new() };
        section
            .entries()
            .filter_map(|(name, _, value, span)| {
                section
                    .section_of(name, value, span)
                    .map(|below| (super::settings::nfc(name), below))
            })
            .collect()
    }

    /// A free map of values below a key.
    pub(super) fn values(&self, key: &'static str) -> Values {
        let Some(section) = self.section(key) else { return Values::new() };
        section
            .entries()
            .filter_map(|(name, _, value, span)| {
                let value = section.json(name, value, &span)?;
                Some((super::settings::nfc(name), value))
            })
            .collect()
    }

    fn json(&self, key: &str, value: &DeValue<'_>, span: &Range<usize>) -> Option<Value> {
        match to_json(value) {
            Some(value) => Some(value),
            None => {
                let key = self.name_of(key);
                self.source.complain(
                    span,
                    Fault::usage("config-value", msg!("config.not-a-number", key = key)),
                );
                None
            }
        }
    }

    /// Complains about every key that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for (name, span, ..) in self.entries().filter(|(name, ..)| !asked.contains(name)) {
            let key = self.name_of(name);
            let mut fault =
                Fault::usage("config-unknown-key", msg!("config.unknown-key", key = key));
            fault.remedy = Some(neighbours(name, asked.iter().copied()));
            self.source.complain(&span, fault);
        }
    }
}

/// "Did you mean", or the whole choice where nothing is near.
pub(super) fn neighbours<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str> + Clone,
) -> String {
    match nearest(word, candidates.clone()) {
        Some(guess) => msg!("config.did-you-mean", guess = guess),
        None => {
            let known = candidates.into_iter().collect::<Vec<_>>().join(", ");
            msg!("config.one-of", known = known)
        }
    }
}

fn type_word(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => msg!("config.type.text"),
        DeValue::Integer(_) => msg!("config.type.number"),
        DeValue::Float(_) => msg!("config.type.fraction"),
        DeValue::Boolean(_) => msg!("config.type.flag"),
        DeValue::Datetime(_) => msg!("config.type.time"),
        DeValue::Array(_) => msg!("config.type.list"),
        DeValue::Table(_) => msg!("config.type.table"),
    }
}

fn whole(number: &toml::de::DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

/// A TOML value as JSON; None where JSON has no such number (nan, inf, beyond 64 bits).
fn to_json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => Value::from(whole(number)?),
        DeValue::Float(number) => {
            let number: f64 = number.as_str().replace('_', "").parse().ok()?;
            Value::Number(serde_json::Number::from_f64(number)?)
        }
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(array) => {
            Value::Array(array.iter().map(|entry| to_json(entry.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(name, value)| Some((name.get_ref().to_string(), to_json(value.get_ref())?)))
                .collect::<Option<_>>()?,
        ),
    })
}

/// The bytes of a password in an address: `scheme://user:HERE@host`, or `password=HERE`.
///
/// Generous on purpose: an unescaped `@` or `/` belongs to the password.
pub(super) fn password_in(line: &str) -> Option<Range<usize>> {
    if let Some(at) = line.find("://").map(|at| at + 3) {
        let address = &line[at..];
        let end = address.find(['"', '\'', ' ', '\t']).unwrap_or(address.len());
        if let Some(host) = address[..end].rfind('@')
            && let Some(colon) = address[..host].find(':')
            && colon + 1 < host
        {
            return Some(at + colon + 1..at + host);
        }
    }
    let at = line.find("password=")? + "password=".len();
    let end = line[at..].find(['&', '"', '\'', ' ', '\t']).map_or(line.len(), |end| at + end);
    (at < end).then_some(at..end)
}

/// A place whose line shows no password; the underline moves along.
fn blank_password(mut place: Place) -> Place {
    let Some(span) = password_in(&place.source) else { return place };
    let chars = |bytes: &str| bytes.chars().count() as u32;
    let (start, hidden) =
        (chars(&place.source[..span.start]) + 1, chars(&place.source[span.clone()]));
    let blank = chars(Redactor::BLANK);
    let end = place.column + place.length;
    if place.column >= start + hidden {
        place.column = place.column - hidden + blank;
    } else if end >= start + hidden {
        place.length = (place.length + blank).saturating_sub(hidden).max(1);
    }
    place.source.replace_range(span, Redactor::BLANK);
    place
}
