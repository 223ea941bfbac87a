//! Two values that must be equal: the evidence, and the fault where they are not.

use serde_json::Value;

use crate::host::{Host, Trouble};
use crate::model::{EventKind, Fault};
use crate::msg;

/// Shows both values as evidence. They hold where they are equal, numbers whatever their scale, and
/// no line says otherwise.
///
/// # Errors
/// `not-equal` with both values, and the lines as its detail.
pub(super) fn settle(
    host: &Host,
    what: &str,
    left: Value,
    right: Value,
    lines: &[String],
) -> Result<Value, Trouble> {
    let same =
        left == right || matches!((exact(&left), exact(&right)), (Some(a), Some(b)) if a == b);
    let holds = same && lines.is_empty();
    host.emit(EventKind::Compared {
        what: what.into(),
        left: left.clone(),
        right: right.clone(),
        holds,
    })?;
    if holds {
        return Ok(Value::Null);
    }
    let shown = |value: &Value| match (value, exact(value)) {
        (_, Some(number)) => number.to_string(),
        (Value::String(text), None) => text.clone(),
        (value, None) => value.to_string(),
    };
    let (left, right) = (shown(&left), shown(&right));
    let message = if same {
        msg!("verbs.keys-differ", what = what, count = left)
    } else {
        msg!("verbs.not-equal", what = what, left = left, right = right)
    };
    let mut fault = Fault::failed("not-equal", message);
    if !lines.is_empty() {
        fault = fault.detail(lines.join("\n"));
    }
    Err(fault.into())
}

/// 5, 5.0 and the exact 5.00 are one number.
fn exact(value: &Value) -> Option<rust_decimal::Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        value => value.get("$decimal")?.as_str()?.to_string(),
    };
    text.parse::<rust_decimal::Decimal>().ok().map(|number| number.normalize())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::exact;

    #[test]
    fn numbers_are_equal_whatever_their_scale() {
        assert_eq!(exact(&json!(5)), exact(&json!({"$decimal": "5.00"})));
        assert_ne!(exact(&json!(5)), exact(&json!({"$decimal": "5.01"})));
        assert_eq!(exact(&json!("5")), None);
    }
}
