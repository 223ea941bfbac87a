//! What `playbook("id", #{..})` declares, as far as it is literal.

use rhai::{Expr, FnCallExpr, Position, Stmt};
use serde_json::Value;

use super::program::Unit;
use super::tree::{self, Part};

/// The keys of a parameter that is spelled out.
pub(super) const PARAMETER_KEYS: [&str; 6] =
    ["value", "env", "help", "required", "secret", "choices"];
/// What the parameters' map holds beside the parameters.
pub(super) const RESERVED: [&str; 4] = ["id", "database", "env", "run_id"];

/// The literal part of `playbook(..)`.
#[derive(Default)]
pub(super) struct Declared {
    /// The id.
    pub(super) id: Option<String>,
    /// The title.
    pub(super) title: Option<String>,
    /// The risk.
    pub(super) risk: Option<String>,
    /// Is it meant to run where nobody is?
    pub(super) unattended: bool,
    /// The parameters with their defaults; None where the map is not a literal.
    pub(super) params: Option<Vec<(String, Option<Value>)>>,
}

impl Declared {
    /// Of the first `playbook(..)` at the top level of a file.
    pub(super) fn of(unit: &Unit) -> Self {
        find(&unit.main).map(|(call, _)| Self::read(call)).unwrap_or_default()
    }

    /// Of a call of `playbook`.
    pub(super) fn read(call: &FnCallExpr) -> Self {
        let id = call.args.first().and_then(tree::text).map(String::from);
        let Some(options) = call.args.get(1) else {
            return Self { id, params: Some(Vec::new()), ..Self::default() };
        };
        let text = |key: &str| tree::entry_value(options, key)?.as_str().map(String::from);
        let unattended = tree::entry_value(options, "unattended") == Some(Value::Bool(true));
        let (title, risk) = (text("title"), text("risk"));
        Self { id, title, risk, unattended, params: params(options) }
    }

    /// A parameter's literal default.
    pub(super) fn default_of(&self, name: &str) -> Option<&Value> {
        let params = self.params.as_ref()?;
        params.iter().find(|(known, _)| known == name)?.1.as_ref()
    }
}

fn params(options: &Expr) -> Option<Vec<(String, Option<Value>)>> {
    match options {
        Expr::Map(..) => match tree::entry(options, "params") {
            None => Some(Vec::new()),
            Some(params @ Expr::Map(..)) => Some(
                tree::entries(params)
                    .map(|(name, _, value)| (name.to_string(), default_of(value)))
                    .collect(),
            ),
            Some(_) => None,
        },
        Expr::DynamicConstant(..) => {
            let map = tree::literal(options)?;
            let params = map.get("params").cloned().unwrap_or(Value::Object(Default::default()));
            let params = params.as_object()?.clone();
            Some(params.into_iter().map(|(name, value)| (name, Some(unfolded(value)))).collect())
        }
        _ => None,
    }
}

/// Is this map a parameter that is spelled out, `#{ value: .. }`?
pub(super) fn is_spelled(value: &Expr) -> bool {
    let mut keys = tree::entries(value).map(|(key, ..)| key).peekable();
    keys.peek().is_some() && keys.all(|key| PARAMETER_KEYS.contains(&key))
}

fn default_of(value: &Expr) -> Option<Value> {
    if is_spelled(value) {
        tree::literal(tree::entry(value, "value")?)
    } else {
        tree::literal(value)
    }
}

fn unfolded(value: Value) -> Value {
    match value {
        Value::Object(map)
            if !map.is_empty() && map.keys().all(|key| PARAMETER_KEYS.contains(&key.as_str())) =>
        {
            map.get("value").cloned().unwrap_or(Value::Null)
        }
        other => other,
    }
}

/// The first `playbook(..)` among statements.
pub(super) fn find(stmts: &[Stmt]) -> Option<(&FnCallExpr, Position)> {
    stmts.iter().find_map(|stmt| tree::parts(stmt).into_iter().find_map(in_part))
}

fn in_part(part: Part<'_>) -> Option<(&FnCallExpr, Position)> {
    let (call, at) = match part {
        Part::Call(call, at) => (call, at),
        Part::Expr(Expr::FnCall(call, at)) => (&**call, *at),
        _ => return None,
    };
    is_playbook(call).then_some((call, at))
}

/// Is this a call of `playbook`?
pub(super) fn is_playbook(call: &FnCallExpr) -> bool {
    call.name == "playbook" && call.namespace.path.is_empty()
}
