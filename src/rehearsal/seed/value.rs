//! A believable value for a column, as SQL.

use super::shape::Column;
use crate::model::quote_literal;

/// The value of a column in the `row`th row, counted from 1; None where nothing but NULL is known.
pub(super) fn value(column: &Column, row: u64) -> Option<String> {
    let typed = |text: String| Some(format!("{}::{}", quote_literal(&text), column.sql_type));
    if column.category == "A" && column.base.starts_with('_') {
        let element = column.element.as_deref().unwrap_or("text");
        let one = match &column.labels {
            Some(labels) => label(labels, row),
            None => plain(element, "", column, row)?,
        };
        let one = one.replace('\\', "\\\\").replace('"', "\\\"");
        return typed(format!("{{\"{one}\"}}"));
    }
    if let Some(labels) = &column.labels {
        let usual = column.default.as_deref().unwrap_or_default();
        let is_usual = |text: &str| usual.starts_with(&format!("{}::", quote_literal(text)));
        let next = u64::from(is_usual(&label(labels, 1)));
        return typed(label(labels, row + next));
    }
    match column.kind.as_str() {
        "r" => typed(range(&column.base, row)),
        "m" => typed("{}".into()),
        "c" => None,
        _ => typed(plain(&column.base, &column.name, column, row)?),
    }
}

fn label(labels: &[String], row: u64) -> String {
    let at = (row.saturating_sub(1) as usize) % labels.len().max(1);
    labels.get(at).cloned().unwrap_or_default()
}

fn day(row: u64) -> String {
    format!("2024-{:02}-{:02}", 1 + (row / 28) % 12, 1 + row % 28)
}

fn plain(base: &str, name: &str, column: &Column, row: u64) -> Option<String> {
    let shift = (column.number.max(0) as u64) % 24;
    Some(match base {
        "int2" => (row % 30_000).to_string(),
        "int4" | "int8" | "oid" => row.to_string(),
        "numeric" => number(column.modifier, row),
        "float4" | "float8" => format!("{row}.5"),
        "money" => format!("{row}.25"),
        // The first row never holds the default: a value that only the default brings back is lost.
        "bool" => ((row % 2 == 1) != (column.default.as_deref() == Some("true"))).to_string(),
        "text" | "citext" => word(name, row),
        "varchar" | "bpchar" => cut(word(name, row), column.modifier - 4, row),
        "name" => cut(word(name, row), 63, row),
        "char" => char::from(b'a' + (row % 26) as u8).to_string(),
        "uuid" => format!("{:08x}-0000-4000-8000-{row:012x}", column.number.max(0)),
        "date" => day(row),
        // Later columns hold later times, so that a beginning lies before its end.
        "timestamp" => format!("{} {shift:02}:00:00", day(row)),
        "timestamptz" => format!("{} {shift:02}:00:00+00", day(row)),
        "time" => format!("{shift:02}:{:02}:00", row % 60),
        "timetz" => format!("{shift:02}:{:02}:00+00", row % 60),
        "interval" => format!("{row} days"),
        "json" | "jsonb" => {
            format!("{{\"{}\": {row}}}", if name.is_empty() { "a" } else { "value" })
        }
        "bytea" => format!("\\x{row:08x}"),
        "inet" => format!("10.{}.{}.{}", row >> 16 & 255, row >> 8 & 255, row & 255),
        "cidr" => format!("10.{}.{}.0/24", row >> 8 & 255, row & 255),
        "macaddr" => format!("02:00:00:00:{:02x}:{:02x}", row >> 8 & 255, row & 255),
        "macaddr8" => format!("02:00:00:ff:fe:00:{:02x}:{:02x}", row >> 8 & 255, row & 255),
        "bit" => bits(column.modifier.max(1) as usize, row),
        "varbit" => format!("{:b}", row % 2),
        "tsvector" => format!("word{row}"),
        "tsquery" => format!("word{row}"),
        "xml" => format!("<a>{row}</a>"),
        "point" => format!("({row},{row})"),
        "lseg" | "box" | "path" => format!("(({row},{row}),({},{}))", row + 1, row + 1),
        "polygon" => format!("((0,0),(0,{row}),({row},0))"),
        "circle" => format!("<(0,0),{row}>"),
        "line" => format!("{{1,-1,{row}}}"),
        "ltree" => format!("0.{row}"),
        "hstore" => format!("a=>{row}"),
        "pg_lsn" => format!("0/{row:x}"),
        _ => return None,
    })
}

fn word(name: &str, row: u64) -> String {
    let lower = name.to_lowercase();
    if lower.contains("mail") {
        format!("{lower}{row}@example.com")
    } else if ["url", "uri", "link", "href"].iter().any(|part| lower.contains(part)) {
        format!("https://example.com/{lower}/{row}")
    } else if lower.is_empty() {
        format!("word{row}")
    } else {
        format!("{lower} {row}")
    }
}

fn cut(text: String, longest: i64, row: u64) -> String {
    let longest = if longest > 0 { longest as usize } else { return text };
    if text.len() <= longest {
        return text;
    }
    let tail = row.to_string();
    let tail = &tail[tail.len().saturating_sub(longest)..];
    let mut short: String =
        text.chars().filter(|c| c.is_ascii()).take(longest - tail.len()).collect();
    short.push_str(tail);
    short
}

fn number(modifier: i64, row: u64) -> String {
    if modifier < 4 {
        return format!("{row}.5");
    }
    let (precision, scale) = ((modifier - 4) >> 16 & 0xffff, (modifier - 4) & 0x7ff);
    let whole = u32::try_from((precision - scale).clamp(0, 18)).unwrap_or(0);
    let shown = row % 10_u64.pow(whole).max(1);
    if scale > 0 && scale <= precision { format!("{shown}.5") } else { shown.to_string() }
}

fn bits(length: usize, row: u64) -> String {
    let all = format!("{row:0length$b}");
    all[all.len() - length..].to_string()
}

fn range(base: &str, row: u64) -> String {
    match base {
        "int4range" | "int8range" | "numrange" => format!("[{row},{})", row + 1),
        "daterange" | "tsrange" | "tstzrange" => format!("[{},{})", day(row), day(row + 1)),
        _ => "empty".into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn column(base: &str, modifier: i64) -> Column {
        serde_json::from_value(serde_json::json!({
            "number": 2, "name": "mail_address", "type": base, "base": base, "category": "S",
            "kind": "b", "modifier": modifier, "element": null, "labels": null,
            "not_null": true, "default": null, "identity": false, "generated": false,
        }))
        .unwrap()
    }

    #[test]
    fn values_fit_their_types() {
        assert_eq!(value(&column("text", -1), 3).unwrap(), "'mail_address3@example.com'::text");
        assert_eq!(value(&column("varchar", 9), 12).unwrap(), "'mai12'::varchar");
        assert_eq!(value(&column("varchar", 5), 12).unwrap(), "'2'::varchar");
        // numeric(4,2)
        assert_eq!(value(&column("numeric", (4 << 16 | 2) + 4), 123).unwrap(), "'23.5'::numeric");
        assert_eq!(value(&column("bit", 3), 2).unwrap(), "'010'::bit");
        assert_eq!(value(&column("unheard_of", -1), 1), None);
    }

    #[test]
    fn the_first_row_never_holds_the_default() {
        let mut flag = column("bool", -1);
        assert_eq!(value(&flag, 1).unwrap(), "'true'::bool");
        flag.default = Some("true".into());
        assert_eq!(value(&flag, 1).unwrap(), "'false'::bool");
        flag.labels = Some(vec!["red".into(), "green".into()]);
        flag.default = Some("'red'::colour".into());
        assert_eq!(value(&flag, 1).unwrap(), "'green'::bool");
    }

    #[test]
    fn enums_and_arrays_take_their_labels() {
        let mut colour = column("colour", -1);
        colour.labels = Some(vec!["red".into(), "green".into()]);
        assert_eq!(value(&colour, 2).unwrap(), "'green'::colour");
        (colour.base, colour.category) = ("_colour".into(), "A".into());
        colour.sql_type = "colour[]".into();
        assert_eq!(value(&colour, 1).unwrap(), "'{\"red\"}'::colour[]");
    }
}
