//! Script values to JSON and back. What a step returns is recorded as JSON, and the script sees
//! the recorded form already in the first run, so that a resumed run computes with the same.

use rhai::{Array, Dynamic, Map};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::model::Fault;
use crate::msg;

/// The key that marks an exact number: JSON's own are binary fractions for most readers.
const DECIMAL: &str = "$decimal";

/// A script value as JSON.
///
/// # Errors
/// `not-recordable` for closures and other values that have no JSON form.
pub fn to_json(value: &Dynamic) -> Result<Value, Fault> {
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(flag) = value.as_bool() {
        return Ok(Value::Bool(flag));
    }
    if let Ok(number) = value.as_int() {
        return Ok(json!(number));
    }
    if let Ok(number) = value.as_float() {
        return Ok(json!(number));
    }
    if let Some(number) = value.read_lock::<Decimal>() {
        return Ok(json!({ DECIMAL: number.to_string() }));
    }
    if let Some(text) = value.read_lock::<rhai::ImmutableString>() {
        return Ok(Value::String(text.to_string()));
    }
    if let Ok(letter) = value.as_char() {
        return Ok(Value::String(letter.to_string()));
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().map(to_json).collect::<Result<_, _>>().map(Value::Array);
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map
            .iter()
            .map(|(key, value)| Ok((key.to_string(), to_json(value)?)))
            .collect::<Result<_, _>>()
            .map(Value::Object);
    }
    Err(Fault::usage("not-recordable", msg!("host.not-recordable", what = value.type_name()))
        .cause(msg!("host.not-recordable.cause"))
        .remedy(msg!("host.not-recordable.remedy")))
}

/// JSON as a script value: null is `()`, whole numbers are integers, exact ones decimals.
pub fn from_json(value: Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(flag) => flag.into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.into(),
        Value::Array(values) => values.into_iter().map(from_json).collect::<Array>().into(),
        Value::Object(map) => {
            if let (1, Some(Value::String(text))) = (map.len(), map.get(DECIMAL)) {
                if let Ok(number) = text.parse::<Decimal>() {
                    return Dynamic::from_decimal(number);
                }
                return text.clone().into();
            }
            map.into_iter()
                .map(|(key, value)| (key.into(), from_json(value)))
                .collect::<Map>()
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_survive_the_journal() {
        let value = json!({"a": [1, 2.5, null, "글"], "d": {"$decimal": "1.50"}, "t": true});
        assert_eq!(to_json(&from_json(value.clone())).unwrap(), value);
    }

    #[test]
    fn a_closure_is_not_a_value_to_record() {
        let closure = Dynamic::from(rhai::FnPtr::new("f").unwrap());
        assert_eq!(to_json(&closure).unwrap_err().code, "not-recordable");
    }
}
