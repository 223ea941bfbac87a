//! Reading the script engine's tree: what is a closure, a literal, a part of a statement.

use rhai::{Dynamic, Expr, FnCallExpr, FnPtr, Position, Stmt};
use serde_json::{Map, Value};

use crate::host::to_json;

/// A closure as it is written: the name that the compiler gave its body, and how many of the
/// body's first parameters are captured variables.
pub(super) struct Closure {
    /// Name of the function that is its body.
    pub(super) function: String,
    /// Captured variables.
    pub(super) captured: usize,
}

/// The closure that an expression writes down.
pub(super) fn closure(expr: &Expr) -> Option<Closure> {
    match expr {
        Expr::DynamicConstant(value, _) => {
            let pointer = value.read_lock::<FnPtr>()?;
            Some(Closure { function: pointer.fn_name().to_string(), captured: 0 })
        }
        // Captured variables are first shared, then bound to the body's first parameters.
        Expr::Stmt(block) => match block.statements() {
            [Stmt::Share(_), Stmt::Expr(bound)] => match &**bound {
                Expr::FnCall(call, _) if call.name == "curry" => {
                    let inner = closure(call.args.first()?)?;
                    Some(Closure { captured: call.args.len() - 1, ..inner })
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The value of an expression that is a literal through and through.
pub(super) fn literal(expr: &Expr) -> Option<Value> {
    Some(match expr {
        Expr::StringConstant(text, _) => Value::String(text.to_string()),
        Expr::CharConstant(one, _) => Value::String(one.to_string()),
        Expr::IntegerConstant(number, _) => Value::from(*number),
        Expr::FloatConstant(number, _) => Value::from(**number),
        Expr::BoolConstant(flag, _) => Value::Bool(*flag),
        Expr::Unit(_) => Value::Null,
        Expr::Array(values, _) => {
            Value::Array(values.iter().map(literal).collect::<Option<Vec<_>>>()?)
        }
        Expr::Map(entries, _) => {
            let entries = entries.0.iter();
            let entries = entries.map(|(key, value)| Some((key.name.to_string(), literal(value)?)));
            Value::Object(entries.collect::<Option<Map<_, _>>>()?)
        }
        Expr::DynamicConstant(value, _) if !holds_closure(value) => to_json(value).ok()?,
        Expr::FnCall(call, _) if call.is_operator_call() && call.args.len() == 1 => {
            match (call.name.as_str(), literal(call.args.first()?)?) {
                ("-", Value::Number(number)) => match number.as_i64() {
                    Some(number) => Value::from(-number),
                    None => Value::from(-number.as_f64()?),
                },
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn holds_closure(value: &Dynamic) -> bool {
    value.is_fnptr()
}

/// The text of an expression that is a literal text.
pub(super) fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::StringConstant(text, _) => Some(text),
        _ => None,
    }
}

/// The entries of a map literal: key, where the key stands, value.
pub(super) fn entries(expr: &Expr) -> impl Iterator<Item = (&str, Position, &Expr)> {
    let entries = match expr {
        Expr::Map(entries, _) => entries.0.as_slice(),
        _ => &[],
    };
    entries.iter().map(|(key, value)| (key.name.as_str(), key.pos, value))
}

/// One entry of a map literal.
pub(super) fn entry<'e>(expr: &'e Expr, key: &str) -> Option<&'e Expr> {
    entries(expr).find(|(name, ..)| *name == key).map(|(.., value)| value)
}

/// The literal value of one entry, also where the whole map was folded into a constant.
pub(super) fn entry_value(expr: &Expr, key: &str) -> Option<Value> {
    match expr {
        Expr::Map(..) => literal(entry(expr, key)?),
        other => literal(other)?.get(key).cloned(),
    }
}

/// Where a call stands: at its namespace where it has one.
pub(super) fn call_position(call: &FnCallExpr, at: Position) -> Position {
    call.namespace.path.first().map_or(at, |first| first.pos)
}

/// The namespace of a call; empty where it has none.
pub(super) fn namespace(call: &FnCallExpr) -> String {
    call.namespace.path.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join("::")
}

/// A call as it is written, `db::count`.
pub(super) fn written(call: &FnCallExpr) -> String {
    match namespace(call) {
        room if room.is_empty() => call.name.to_string(),
        room => format!("{room}::{}", call.name),
    }
}

/// The variable that a chain of properties and indices starts from.
pub(super) fn root(expr: &Expr) -> Option<(&str, Position)> {
    match expr {
        Expr::Variable(variable, _, at) if variable.2.path.is_empty() => Some((&variable.1, *at)),
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => root(&pair.lhs),
        _ => None,
    }
}

/// The first property of `variable.property`.
pub(super) fn property(chain: &Expr) -> Option<(&str, Position)> {
    match chain {
        Expr::Property(property, at) => Some((&property.2, *at)),
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => property(&pair.lhs),
        _ => None,
    }
}

/// A part of a statement or expression.
pub(super) enum Part<'t> {
    /// An expression.
    Expr(&'t Expr),
    /// An expression of one arm of several that exclude each other.
    Arm(usize, &'t Expr),
    /// A block.
    Block(&'t [Stmt]),
    /// A block of one arm of several that exclude each other.
    ArmBlock(usize, &'t [Stmt]),
    /// A block that may run more than once.
    Loop(&'t [Stmt]),
    /// A call that is a statement of its own.
    Call(&'t FnCallExpr, Position),
}

/// The parts of a statement, in the order of their evaluation.
pub(super) fn parts(stmt: &Stmt) -> Vec<Part<'_>> {
    match stmt {
        Stmt::Var(var, ..) => vec![Part::Expr(&var.1)],
        Stmt::If(flow, _) => vec![
            Part::Expr(&flow.expr),
            Part::ArmBlock(0, flow.body.statements()),
            Part::ArmBlock(1, flow.branch.statements()),
        ],
        Stmt::Switch(switch, _) => {
            let mut found = vec![Part::Expr(&switch.0)];
            for (arm, case) in switch.1.expressions.iter().enumerate() {
                found.push(Part::Expr(&case.lhs));
                found.push(Part::Arm(arm, &case.rhs));
            }
            found
        }
        Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
            vec![Part::Expr(&flow.expr), Part::Loop(flow.body.statements())]
        }
        Stmt::For(each, _) => {
            vec![Part::Expr(&each.2.expr), Part::Loop(each.2.body.statements())]
        }
        Stmt::Assignment(assigned) => {
            vec![Part::Expr(&assigned.1.lhs), Part::Expr(&assigned.1.rhs)]
        }
        Stmt::FnCall(call, at) => vec![Part::Call(call, *at)],
        Stmt::Block(block) => vec![Part::Block(block.statements())],
        Stmt::TryCatch(flow, _) => {
            vec![Part::Block(flow.body.statements()), Part::Block(flow.branch.statements())]
        }
        Stmt::Expr(expr) => vec![Part::Expr(expr)],
        Stmt::Return(Some(expr), ..) | Stmt::BreakLoop(Some(expr), ..) => vec![Part::Expr(expr)],
        _ => Vec::new(),
    }
}

/// The parts of an expression; a closure has none, its body is a function.
pub(super) fn inside(expr: &Expr) -> Vec<Part<'_>> {
    fn all<'t>(exprs: impl IntoIterator<Item = &'t Expr>) -> Vec<Part<'t>> {
        exprs.into_iter().map(Part::Expr).collect()
    }
    match expr {
        Expr::InterpolatedString(parts, _) | Expr::Array(parts, _) => all(parts.iter()),
        Expr::Map(entries, _) => all(entries.0.iter().map(|(_, value)| value)),
        Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => all(parts.iter()),
        Expr::Dot(pair, ..) | Expr::Index(pair, ..) => all([&pair.lhs, &pair.rhs]),
        Expr::Stmt(block) => vec![Part::Block(block.statements())],
        _ => Vec::new(),
    }
}
