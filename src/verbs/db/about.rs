//! What the verbs of `db::` have in common: the actions of their reads, and arguments that are one
//! text or several.

use rhai::Dynamic;
use serde_json::Value;

use crate::host::{Call, to_json, wrong_option};
use crate::model::{Action, Effect, Fault};
use crate::msg;

/// A read of something that no recorded write changes: a setting, the server's version.
pub(super) fn fact(call: &Call<'_, '_>, target: &str) -> Action {
    Action::new(call.verb.name, Effect::Read, target)
}

/// A read about tables: a recorded change of one of them answers it differently.
pub(super) fn about(call: &Call<'_, '_>, tables: &[&str]) -> Action {
    let mut action = Action::new(call.verb.name, Effect::Read, tables.join(", "));
    action.touches = tables.iter().map(|table| (*table).to_string()).collect();
    action
}

/// A read of everything.
pub(super) fn about_all(call: &Call<'_, '_>) -> Action {
    about(call, &["*"])
}

/// One text or an array of texts; None where the argument is missing or only planned.
pub(super) fn texts(call: &Call<'_, '_>, index: usize) -> Result<Option<Vec<String>>, Fault> {
    let given: Dynamic = call.any(index);
    if given.is_unit() || call.planned().is_some() {
        return Ok(None);
    }
    words_of(&to_json(&given)?).map(Some).ok_or_else(|| {
        Fault::usage(
            "wrong-argument",
            msg!("verbs.not-names", verb = call.verb.name, number = index + 1),
        )
        .remedy(msg!("host.usage", usage = call.verb.usage()))
    })
}

/// The texts of a JSON text or array of texts.
pub(super) fn words_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list.iter().map(|v| v.as_str().map(str::to_string)).collect(),
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}

/// A list for an option that takes one text or several.
///
/// # Errors
/// `wrong-option`.
pub(super) fn listed(verb: &str, option: &str, value: &Value) -> Result<Vec<String>, Fault> {
    words_of(value).ok_or_else(|| {
        wrong_option(verb, option)
            .detail(msg!("verbs.text-or-texts"))
            .remedy(msg!("host.see-verb", verb = verb))
    })
}
