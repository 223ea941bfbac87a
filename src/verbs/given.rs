//! What option maps give in the words of people: durations, sizes, statuses, patience.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::host::bad_span;
use crate::model::{Fault, parse_span};
use crate::msg;

/// A duration of an option; the default where it is missing.
pub(super) fn span(
    verb: &str,
    option: &str,
    text: Option<&str>,
    default: Duration,
) -> Result<Duration, Fault> {
    let Some(text) = text else { return Ok(default) };
    parse_span(text).map_err(|text| bad_span(verb, option, &text))
}

/// Bytes: a number, or a text such as "2GiB", "500 MB".
pub(super) fn bytes(verb: &str, value: &Value) -> Result<u64, Fault> {
    let parsed = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => parse_bytes(text),
        _ => None,
    };
    parsed.ok_or_else(|| {
        let given = value.as_str().map_or(value.to_string(), String::from);
        Fault::usage("wrong-argument", msg!("verbs.not-a-size", verb = verb, given = given))
            .remedy(msg!("verbs.not-a-size.remedy"))
    })
}

fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "kb" => 1_000,
        "m" | "mib" => 1 << 20,
        "mb" => 1_000_000,
        "g" | "gib" => 1 << 30,
        "gb" => 1_000_000_000,
        "t" | "tib" => 1 << 40,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    match number.parse::<u64>() {
        Ok(number) => number.checked_mul(factor),
        Err(_) => {
            let bytes = number.parse::<f64>().ok()? * factor as f64;
            (bytes.is_finite() && bytes < u64::MAX as f64).then_some(bytes as u64)
        }
    }
}

/// One number or several: `status: 200`, `allow_status: [0, 3]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    /// One.
    One(i64),
    /// Several.
    Many(Vec<i64>),
}

impl OneOrMany {
    /// Is this number among them?
    pub(super) fn has(&self, number: i64) -> bool {
        match self {
            Self::One(one) => *one == number,
            Self::Many(many) => many.contains(&number),
        }
    }
}

/// `retry: 3` or `retry: #{tries: 3, every: "5s"}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Retry {
    /// Tries in all.
    Tries(u32),
    /// Tries in all, and the pause between two.
    Paced {
        /// Tries in all.
        tries: u32,
        /// The pause.
        every: Option<String>,
    },
}

impl Retry {
    /// Tries in all (at least one), and the pause between two (a second where none is given).
    pub(super) fn checked(this: Option<&Self>, verb: &str) -> Result<(u32, Duration), Fault> {
        let second = Duration::from_secs(1);
        match this {
            None => Ok((1, second)),
            Some(Self::Tries(tries)) => Ok(((*tries).max(1), second)),
            Some(Self::Paced { tries, every }) => {
                Ok(((*tries).max(1), span(verb, "retry.every", every.as_deref(), second)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_bytes("2GiB"), Some(2 << 30));
        assert_eq!(parse_bytes(" 1.5 kib"), Some(1536));
        assert_eq!(parse_bytes("500 MB"), Some(500_000_000));
        assert_eq!(parse_bytes("4096"), Some(4096));
        assert_eq!(parse_bytes("-1"), None);
        assert_eq!(parse_bytes("2 giga"), None);
        assert_eq!(parse_bytes("99999999999T"), None);
    }
}
