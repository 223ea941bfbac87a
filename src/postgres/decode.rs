//! PostgreSQL's binary forms of numbers, times and arrays, as JSON or as the text that it prints.
//!
//! The forms are those of the `*_send` functions in `src/backend/utils/adt` of PostgreSQL.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::value::decimal;

/// Why a value could not be read: the server speaks another form than it announced.
pub(super) type Wrong = Box<dyn std::error::Error + Sync + Send>;

/// Exactly N bytes.
pub(super) fn fixed<const N: usize>(raw: &[u8]) -> Result<[u8; N], Wrong> {
    <[u8; N]>::try_from(raw).map_err(|_| format!("{} bytes instead of {N}", raw.len()).into())
}

/// Takes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Wrong> {
        let (head, tail) = self.0.split_at_checked(length).ok_or("the value ends too early")?;
        self.0 = tail;
        Ok(head)
    }

    fn i32(&mut self) -> Result<i32, Wrong> {
        Ok(i32::from_be_bytes(fixed(self.take(4)?)?))
    }

    fn u16(&mut self) -> Result<u16, Wrong> {
        Ok(u16::from_be_bytes(fixed(self.take(2)?)?))
    }
}

/// numeric: an integer that fits becomes a number, everything else keeps its digits and scale.
pub(super) fn numeric(raw: &[u8]) -> Result<Value, Wrong> {
    let mut from = Reader(raw);
    let groups = from.u16()? as usize;
    let weight = from.u16()? as i16 as i32;
    let sign = from.u16()?;
    let scale = from.u16()? as usize;
    match sign {
        0xC000 => return Ok("NaN".into()),
        0xD000 => return Ok("Infinity".into()),
        0xF000 => return Ok("-Infinity".into()),
        _ => {}
    }
    // Groups of four decimal digits; the first one counts 10000^weight.
    let mut digits = Vec::with_capacity(groups);
    for _ in 0..groups {
        digits.push(from.u16()?);
    }
    let group =
        |at: i32| usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    let mut text = String::new();
    for at in 0..=weight.max(0) {
        let value = if weight < 0 { 0 } else { group(at) };
        text.push_str(&format!("{value:04}"));
    }
    let whole = text.trim_start_matches('0');
    let mut text = if whole.is_empty() { "0".to_string() } else { whole.to_string() };
    if scale > 0 {
        let mut fraction = String::new();
        let mut at = weight + 1;
        while fraction.len() < scale {
            fraction.push_str(&format!("{:04}", group(at)));
            at += 1;
        }
        text = format!("{text}.{}", &fraction[..scale]);
    }
    if sign == 0x4000 {
        text.insert(0, '-');
    }
    Ok(match text.parse::<i64>() {
        Ok(number) if scale == 0 => number.into(),
        _ => decimal(text),
    })
}

/// An array of any number of dimensions; the lower bounds are left out.
pub(super) fn array(
    raw: &[u8],
    read: &mut dyn FnMut(&[u8]) -> Result<Value, Wrong>,
) -> Result<Value, Wrong> {
    let mut from = Reader(raw);
    let dimensions = from.i32()?;
    from.take(8)?; // whether there are NULLs, and the type of the elements
    if dimensions == 0 {
        return Ok(Value::Array(Vec::new()));
    }
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(usize::try_from(from.i32()?)?);
        from.take(4)?;
    }
    level(&mut from, &lengths, read)
}

fn level(
    from: &mut Reader<'_>,
    lengths: &[usize],
    read: &mut dyn FnMut(&[u8]) -> Result<Value, Wrong>,
) -> Result<Value, Wrong> {
    let Some((length, inner)) = lengths.split_first() else {
        return match usize::try_from(from.i32()?) {
            Ok(length) => read(from.take(length)?),
            // -1 is NULL.
            Err(_) => Ok(Value::Null),
        };
    };
    let items: Result<Vec<Value>, Wrong> = (0..*length).map(|_| level(from, inner, read)).collect();
    Ok(Value::Array(items?))
}

pub(super) fn uuid(raw: &[u8]) -> Result<String, Wrong> {
    let number = u128::from_be_bytes(fixed(raw)?);
    let hex = format!("{number:032x}");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// `10.0.0.1`, `10.0.0.0/8`; the length of the network is left out for a single host of inet.
pub(super) fn inet(raw: &[u8], with_length: bool) -> Result<String, Wrong> {
    // Address family, length of the network in bits, whether it is a cidr, bytes of the address.
    let [_, bits, _, _, address @ ..] = raw else { return Err("an address without a head".into()) };
    let (text, most) = match address.len() {
        4 => (Ipv4Addr::from(fixed::<4>(address)?).to_string(), 32),
        _ => (Ipv6Addr::from(fixed::<16>(address)?).to_string(), 128),
    };
    Ok(if *bits == most && !with_length { text } else { format!("{text}/{bits}") })
}

pub(super) fn bytea(raw: &[u8]) -> String {
    format!("\\x{}", crate::model::hex(raw))
}

/// Days between 1970-01-01 and PostgreSQL's day 0, 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
const DAY: i64 = 86_400_000_000;

/// `2026-01-02`, `0044-03-15 BC`, `infinity`.
pub(super) fn date(raw: &[u8]) -> Result<String, Wrong> {
    Ok(match i32::from_be_bytes(fixed(raw)?) {
        i32::MAX => "infinity".into(),
        i32::MIN => "-infinity".into(),
        days => {
            let (text, before_christ) = day(i64::from(days));
            format!("{text}{before_christ}")
        }
    })
}

/// `03:04:05.006`
pub(super) fn time(raw: &[u8]) -> Result<String, Wrong> {
    Ok(clock(i64::from_be_bytes(fixed(raw)?)))
}

/// `2026-01-02 03:04:05.006`, with the zone behind it where there is one.
pub(super) fn timestamp(raw: &[u8], zone: &str) -> Result<String, Wrong> {
    Ok(match i64::from_be_bytes(fixed(raw)?) {
        i64::MAX => "infinity".into(),
        i64::MIN => "-infinity".into(),
        micros => {
            let (text, before_christ) = day(micros.div_euclid(DAY));
            format!("{text} {}{zone}{before_christ}", clock(micros.rem_euclid(DAY)))
        }
    })
}

/// A day (0 is 2000-01-01) and " BC" where it is before Christ. PostgreSQL's range of years is
/// wider than that of any date library, so it is counted here: the proleptic Gregorian calendar
/// in eras of 400 years that begin on the first of March.
fn day(days: i64) -> (String, &'static str) {
    let shifted = days + EPOCH_DAYS + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // Year 0 is 1 BC.
    let (year, suffix) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), suffix)
}

/// Microseconds of a day; trailing zeros of the fraction are left out.
fn clock(micros: i64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let text = format!("{hour:02}:{minute:02}:{second:02}");
    match fraction {
        0 => text,
        _ => format!("{text}.{}", format!("{fraction:06}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn number(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> Value {
        let mut raw = Vec::new();
        for word in [groups.len() as u16, weight as u16, sign, scale] {
            raw.extend(word.to_be_bytes());
        }
        raw.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
        numeric(&raw).unwrap()
    }

    #[test]
    fn a_numeric_keeps_every_digit_and_its_scale() {
        assert_eq!(number(0, 0, 0, &[]), json!(0));
        assert_eq!(number(0, 0, 2, &[1, 5000]), json!({"$decimal": "1.50"}));
        assert_eq!(number(0, 0x4000, 2, &[1, 5000]), json!({"$decimal": "-1.50"}));
        assert_eq!(number(-1, 0, 4, &[12]), json!({"$decimal": "0.0012"}));
        assert_eq!(number(-2, 0, 8, &[1200]), json!({"$decimal": "0.00001200"}));
        assert_eq!(number(1, 0, 0, &[12]), json!(120_000));
        assert_eq!(number(0, 0, 2, &[]), json!({"$decimal": "0.00"}));
        assert_eq!(number(4, 0, 0, &[922, 3372, 368, 5477, 5807]), json!(i64::MAX));
        let more = json!({"$decimal": "9223372036854775808"});
        assert_eq!(number(4, 0, 0, &[922, 3372, 368, 5477, 5808]), more);
        assert_eq!(number(0, 0xC000, 0, &[]), json!("NaN"));
    }

    #[test]
    fn times_are_written_as_the_server_prints_them() {
        let at = |micros: i64| timestamp(&micros.to_be_bytes(), "+00").unwrap();
        assert_eq!(at(0), "2000-01-01 00:00:00+00");
        assert_eq!(at(820_551_845_006_000), "2026-01-01 03:04:05.006+00");
        assert_eq!(at(-1), "1999-12-31 23:59:59.999999+00");
        assert_eq!(at(i64::MIN), "-infinity");
        assert_eq!(date(&59i32.to_be_bytes()).unwrap(), "2000-02-29");
        assert_eq!(date(&(-730_119i32).to_be_bytes()).unwrap(), "0001-01-01");
        assert_eq!(date(&(-730_120i32).to_be_bytes()).unwrap(), "0001-12-31 BC");
        assert_eq!(time(&DAY.to_be_bytes()).unwrap(), "24:00:00");
    }

    #[test]
    fn arrays_keep_their_dimensions_and_their_nulls() {
        let mut raw: Vec<u8> = Vec::new();
        for word in [2i32, 1, 23, 2, 1, 1, 1, 4, 7, -1] {
            raw.extend(word.to_be_bytes());
        }
        let mut read = |raw: &[u8]| Ok(Value::from(i32::from_be_bytes(fixed(raw)?)));
        assert_eq!(array(&raw, &mut read).unwrap(), json!([[7], [null]]));
        assert!(array(&raw[..raw.len() - 2], &mut read).is_err());
    }
}
