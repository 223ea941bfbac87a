//! Values on their way to the server (as text, so that the server decides the type) and back.
//!
//! Everything above speaks JSON. A decimal that JSON cannot hold exactly is `{"$decimal":"1.50"}`,
//! both ways. Types without a decoder here are cast to text by the query (see `wrap`).

use serde_json::{Map, Number, Value};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type};

use super::decode::{self, Wrong};

/// The key of an exact decimal in JSON.
pub const DECIMAL: &str = "$decimal";

/// A JSON value as a parameter, sent as text: what `psql` would have put between the quotes.
///
/// Arrays become array literals where the server expects an array, else JSON; objects become JSON;
/// a string is always sent as it is, also for a json parameter.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) &'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match text_of(self.0, ty) {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.to_sql(ty, out)
    }
}

/// True where the text of a value does not depend on the parameter's type.
pub(super) fn is_plain(value: &Value) -> bool {
    !matches!(value, Value::Array(_)) && (decimal_of(value).is_some() || !value.is_object())
}

/// The digits of `{"$decimal": "1.50"}`.
pub fn decimal_of(value: &Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(DECIMAL)?.as_str()
}

/// An exact decimal as JSON.
pub(super) fn decimal(digits: String) -> Value {
    Value::Object(Map::from_iter([(DECIMAL.to_string(), Value::String(digits))]))
}

fn text_of(value: &Value, ty: &Type) -> Option<String> {
    let ty = without_domain(ty);
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => match ty.kind() {
            Kind::Array(element) => Some(array_literal(items, element)),
            _ => Some(value.to_string()),
        },
        value => Some(decimal_of(value).map_or_else(|| value.to_string(), str::to_string)),
    }
}

fn array_literal(items: &[Value], element: &Type) -> String {
    let items: Vec<String> = items
        .iter()
        .map(|item| match item {
            // An array inside an array is another dimension, unless the elements are JSON.
            Value::Array(inner) if !is_json(element) => array_literal(inner, element),
            item => match text_of(item, element) {
                None => "NULL".into(),
                Some(text) => {
                    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
                }
            },
        })
        .collect();
    format!("{{{}}}", items.join(","))
}

fn is_json(ty: &Type) -> bool {
    matches!(*ty, Type::JSON | Type::JSONB)
}

/// The type below all domains.
fn without_domain(ty: &Type) -> &Type {
    match ty.kind() {
        Kind::Domain(base) => without_domain(base),
        _ => ty,
    }
}

/// True where a column of this type is decoded here; others are asked for as text.
pub(super) fn is_readable(ty: &Type) -> bool {
    let ty = without_domain(ty);
    match ty.kind() {
        Kind::Enum(_) => true,
        Kind::Array(element) => is_readable(element),
        _ => READABLE.contains(ty) || ty.name() == "citext",
    }
}

const READABLE: &[Type] = &[
    Type::BOOL,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::OID,
    Type::XID,
    Type::XID8,
    Type::CID,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::NUMERIC,
    Type::TEXT,
    Type::VARCHAR,
    Type::BPCHAR,
    Type::NAME,
    Type::CHAR,
    Type::UNKNOWN,
    Type::CSTRING,
    Type::JSON,
    Type::JSONB,
    Type::UUID,
    Type::DATE,
    Type::TIME,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::BYTEA,
    Type::INET,
    Type::CIDR,
    Type::PG_LSN,
    Type::VOID,
];

/// A column of a row, as JSON.
pub(super) struct Cell(pub(super) Value);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(
        ty: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(read(ty, raw)?))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(ty: &Type) -> bool {
        is_readable(ty)
    }
}

/// One value in the server's binary form.
fn read(ty: &Type, raw: &[u8]) -> Result<Value, Wrong> {
    let ty = without_domain(ty);
    if let Kind::Array(element) = ty.kind() {
        return decode::array(raw, &mut |raw| read(element, raw));
    }
    Ok(match *ty {
        Type::VOID => Value::Null,
        Type::BOOL => Value::Bool(raw == [1]),
        Type::INT2 => Value::from(i16::from_be_bytes(decode::fixed(raw)?)),
        Type::INT4 => Value::from(i32::from_be_bytes(decode::fixed(raw)?)),
        Type::INT8 => Value::from(i64::from_be_bytes(decode::fixed(raw)?)),
        Type::OID | Type::XID | Type::CID => Value::from(u32::from_be_bytes(decode::fixed(raw)?)),
        Type::XID8 => {
            let number = u64::from_be_bytes(decode::fixed(raw)?);
            i64::try_from(number).map_or_else(|_| number.to_string().into(), Value::from)
        }
        // The shortest digits that give the same float4: 0.1, not 0.10000000149011612.
        Type::FLOAT4 => float(f32::from_be_bytes(decode::fixed(raw)?).to_string()),
        Type::FLOAT8 => float(f64::from_be_bytes(decode::fixed(raw)?).to_string()),
        Type::NUMERIC => decode::numeric(raw)?,
        Type::JSON => serde_json::from_slice(raw)?,
        // The first byte is the version of the format.
        Type::JSONB => serde_json::from_slice(raw.get(1..).unwrap_or_default())?,
        Type::UUID => decode::uuid(raw)?.into(),
        Type::DATE => decode::date(raw)?.into(),
        Type::TIME => decode::time(raw)?.into(),
        Type::TIMESTAMP => decode::timestamp(raw, "")?.into(),
        Type::TIMESTAMPTZ => decode::timestamp(raw, "+00")?.into(),
        // Their cast to text is not what the server prints: it adds the /32 of a single host.
        Type::INET => decode::inet(raw, false)?.into(),
        Type::CIDR => decode::inet(raw, true)?.into(),
        Type::BYTEA => decode::bytea(raw).into(),
        Type::PG_LSN => {
            let at = u64::from_be_bytes(decode::fixed(raw)?);
            format!("{:X}/{:X}", at >> 32, at & 0xffff_ffff).into()
        }
        // "char" is one byte, and may be none.
        Type::CHAR => String::from_utf8_lossy(raw).trim_matches('\0').into(),
        // Not UTF-8 only in SQL_ASCII databases.
        _ => String::from_utf8_lossy(raw).into(),
    })
}

/// JSON has neither NaN nor infinities: they are text, in PostgreSQL's words.
fn float(text: String) -> Value {
    match text.parse::<f64>().ok().and_then(Number::from_f64) {
        Some(number) => Value::Number(number),
        None => match text.as_str() {
            "inf" => "Infinity".into(),
            "-inf" => "-Infinity".into(),
            _ => "NaN".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_become_the_text_that_the_server_expects() {
        for (value, ty, wanted) in [
            (json!(null), Type::INT4, None),
            (json!(true), Type::BOOL, Some("true")),
            (json!(-7), Type::INT8, Some("-7")),
            (json!(1.5), Type::FLOAT8, Some("1.5")),
            (json!("it's"), Type::TEXT, Some("it's")),
            (json!({"$decimal": "1.50"}), Type::NUMERIC, Some("1.50")),
            (json!([1, null, 2]), Type::INT4_ARRAY, Some("{\"1\",NULL,\"2\"}")),
            (json!([[1], [2]]), Type::INT4_ARRAY, Some("{{\"1\"},{\"2\"}}")),
            (json!(["a\"b\\", "NULL", ""]), Type::TEXT_ARRAY, Some(r#"{"a\"b\\","NULL",""}"#)),
            (json!([1, "a"]), Type::JSONB, Some("[1,\"a\"]")),
            (json!({"a": [1]}), Type::JSON, Some("{\"a\":[1]}")),
            (json!([[1], {"a": 1}]), Type::JSONB_ARRAY, Some(r#"{"[1]","{\"a\":1}"}"#)),
            (json!("{1,2}"), Type::INT4_ARRAY, Some("{1,2}")),
        ] {
            assert_eq!(text_of(&value, &ty).as_deref(), wanted, "{value} as {ty}");
        }
    }

    #[test]
    fn only_scalars_can_be_sent_before_the_type_is_known() {
        assert!(is_plain(&json!({"$decimal": "1"})) && is_plain(&json!("a")));
        assert!(!is_plain(&json!([1])) && !is_plain(&json!({"a": 1})));
        assert!(!is_plain(&json!({"$decimal": "1", "b": 2})));
    }

    #[test]
    fn floats_keep_their_shortest_digits_and_their_words() {
        assert_eq!(read(&Type::FLOAT4, &0.1f32.to_be_bytes()).ok(), Some(json!(0.1)));
        assert_eq!(read(&Type::FLOAT8, &f64::NAN.to_be_bytes()).ok(), Some(json!("NaN")));
        let low = f64::NEG_INFINITY.to_be_bytes();
        assert_eq!(read(&Type::FLOAT8, &low).ok(), Some(json!("-Infinity")));
    }
}
