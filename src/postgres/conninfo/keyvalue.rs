//! libpq's `key=value` strings: `host=/tmp dbname='my shop' password='it\'s'`.

use super::translate::{Dialect, Parameters};
use crate::model::Fault;
use crate::msg;

/// Cuts the string into parameters, by libpq's rules for blanks, quotes and backslashes.
pub(super) fn parse(text: &str) -> Result<Parameters, Fault> {
    let mut parameters = Parameters::default();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(parameters);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != '=') {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.next() != Some('=') || key.is_empty() {
            return Err(malformed());
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\\') => value.push(chars.next().ok_or_else(malformed)?),
                Some('\'') if quoted => break,
                Some(c) if !quoted && c.is_whitespace() => break,
                Some(c) => value.push(c),
                None if quoted => return Err(malformed()),
                None => break,
            }
        }
        parameters.accept(Dialect::KeyValue, &key, value)?;
    }
}

fn malformed() -> Fault {
    Fault::usage("url-form", msg!("postgres.keyvalue-form"))
        .remedy(msg!("postgres.keyvalue-form-remedy"))
}
