//! Which argument is which: an option map may be left out in the middle, and a literal shows its
//! type before anything runs.

use rhai::Expr;

use super::tree;
use crate::host::{Argument, Verb};

/// The arguments of a call, put to the places of the verb's list.
pub(super) struct Matched<'e> {
    /// For each argument of the verb the expression, or None where it is left out.
    pub(super) places: Vec<Option<&'e Expr>>,
    /// Places whose literal has another type, with its type.
    pub(super) wrong: Vec<(usize, &'static str)>,
}

/// The type of an expression where it can be seen.
pub(super) fn kind_of(expr: &Expr) -> Option<&'static str> {
    if tree::closure(expr).is_some() {
        return Some("fn");
    }
    Some(match expr {
        Expr::StringConstant(..) | Expr::InterpolatedString(..) | Expr::CharConstant(..) => "text",
        Expr::IntegerConstant(..) => "int",
        Expr::FloatConstant(..) => "number",
        Expr::BoolConstant(..) | Expr::And(..) | Expr::Or(..) => "bool",
        Expr::Array(..) => "array",
        Expr::Map(..) => "map",
        Expr::Unit(_) => "()",
        Expr::DynamicConstant(value, _) if value.is_array() => "array",
        Expr::DynamicConstant(value, _) if value.is_map() => "map",
        _ => return None,
    })
}

fn fits(wanted: &Argument, expr: &Expr) -> bool {
    let Some(kind) = kind_of(expr) else { return true };
    wanted.kind.split('|').any(|one| one == "any" || one == kind)
}

/// Finds the assignment with the fewest wrong types. None where the number of arguments is wrong.
pub(super) fn matched<'e>(verb: &Verb, given: &'e [Expr]) -> Option<Matched<'e>> {
    let wanted: Vec<Argument> = verb.arguments().collect();
    let (fewest, most) = verb.arity();
    if given.len() < fewest || given.len() > most {
        return None;
    }
    let optional: Vec<usize> = (0..most).filter(|index| wanted[*index].optional).collect();
    let mut best: Option<Matched<'e>> = None;
    // Few verbs have more than two optional arguments: every choice of those left out is tried,
    // the last ones first.
    for choice in 0..1u32 << optional.len() {
        if choice.count_ones() as usize != most - given.len() {
            continue;
        }
        let left_out = |index: usize| {
            let at = optional.iter().rev().position(|known| *known == index);
            at.is_some_and(|at| choice & (1 << at) != 0)
        };
        let mut rest = given.iter();
        let places: Vec<Option<&Expr>> =
            (0..most).map(|index| if left_out(index) { None } else { rest.next() }).collect();
        let wrong: Vec<(usize, &'static str)> = (0..most)
            .filter_map(|index| {
                let expr = places[index].filter(|expr| !fits(&wanted[index], expr))?;
                Some((index, kind_of(expr)?))
            })
            .collect();
        if best.as_ref().is_none_or(|best| wrong.len() < best.wrong.len()) {
            best = Some(Matched { places, wrong });
        }
    }
    best
}
