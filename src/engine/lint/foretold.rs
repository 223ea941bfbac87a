//! What a playbook would do to the database, as far as its text shows: the SQL that it holds itself
//! and the risks that its steps declare. Ways back (`undo`, `on_failure`) are not counted: they
//! lead to what was. SQL that is put together when it runs is judged with a name in each gap, and
//! left to the gate where that does not parse.

use std::collections::HashSet;

use rhai::{Expr, FnCallExpr, Position, Stmt};

use super::program::Program;
use super::reach::Target;
use super::tree::{self, Part, call_position};
use super::words;
use crate::host::Foretold;
use crate::model::Risk;
use crate::msg;
use crate::sql::{Piece, Splitter, classify};

/// What stands in a gap of a text that is put together.
const GAP: &str = "x1";

/// What can be foretold, in the order of the files.
pub(super) fn of(program: &Program) -> Vec<Foretold> {
    let mut walk = Walk { program, met: HashSet::new(), found: Vec::new() };
    if let Some(main) = program.units.first() {
        walk.block(0, &main.main);
    }
    walk.found
}

struct Walk<'p> {
    program: &'p Program,
    met: HashSet<(usize, usize)>,
    found: Vec<Foretold>,
}

impl<'p> Walk<'p> {
    fn block(&mut self, unit: usize, stmts: &'p [Stmt]) {
        for stmt in stmts {
            self.parts(unit, tree::parts(stmt));
        }
    }

    fn parts(&mut self, unit: usize, parts: Vec<Part<'p>>) {
        for part in parts {
            match part {
                Part::Expr(expr) | Part::Arm(_, expr) => self.expr(unit, expr),
                Part::Block(block) | Part::ArmBlock(_, block) | Part::Loop(block) => {
                    self.block(unit, block);
                }
                Part::Call(call, at) => self.call(unit, call, at),
            }
        }
    }

    fn expr(&mut self, unit: usize, expr: &'p Expr) {
        if let Some(closure) = tree::closure(expr) {
            return self.functions(unit, &closure.function);
        }
        match expr {
            Expr::FnCall(call, at) | Expr::MethodCall(call, at) => self.call(unit, call, *at),
            Expr::Map(entries, _) => {
                for (_, value) in entries.0.iter().filter(|(key, _)| key.name != "undo") {
                    self.expr(unit, value);
                }
            }
            other => self.parts(unit, tree::inside(other)),
        }
    }

    /// A closure, or a function whose name is handed over.
    fn functions(&mut self, unit: usize, name: &str) {
        let program = self.program;
        for (number, function) in program.units[unit].functions.iter().enumerate() {
            if function.name == name && self.met.insert((unit, number)) {
                self.block(unit, &function.body);
            }
        }
    }

    fn call(&mut self, unit: usize, call: &'p FnCallExpr, at: Position) {
        let at = call_position(call, at);
        match self.program.target(unit, call) {
            Target::Function(other, number) => {
                if self.met.insert((other, number)) {
                    let program = self.program;
                    self.block(other, &program.units[other].functions[number].body);
                }
            }
            Target::Verb(verb) if verb.name == "on_failure" => return,
            Target::Verb(verb) => self.verb(unit, verb.name, call, at),
            Target::Other => {}
        }
        for arg in &call.args {
            self.expr(unit, arg);
        }
    }

    fn verb(&mut self, unit: usize, verb: &str, call: &'p FnCallExpr, at: Position) {
        let program = self.program;
        let place = || {
            let unit = &program.units[unit];
            format!("{}:{}", unit.file, at.line().unwrap_or(1))
        };
        if verb == "db::exec" {
            if let Some((text, gaps)) = call.args.first().and_then(written) {
                self.found.extend(judged(&text, gaps, &place()));
            }
        } else if words::item_kind(verb).is_some() {
            let declared = call.args.iter().find_map(|arg| {
                let word = tree::entry_value(arg, "risk")?;
                serde_json::from_value::<Risk>(word).ok()
            });
            self.found.extend(declared.map(|risk| Foretold {
                risk,
                what: msg!("engine.declared-risk", place = place()),
            }));
        }
    }
}

/// The text of an argument, and whether it has gaps.
fn written(expr: &Expr) -> Option<(String, bool)> {
    match expr {
        Expr::StringConstant(text, _) => Some((text.to_string(), false)),
        Expr::InterpolatedString(parts, _) => {
            let parts = parts.iter().map(|part| tree::text(part).unwrap_or(GAP));
            Some((parts.collect(), true))
        }
        _ => None,
    }
}

/// The most dangerous statement of a text.
fn judged(text: &str, gaps: bool, place: &str) -> Option<Foretold> {
    let mut worst: Option<Foretold> = None;
    for piece in Splitter::new("db::exec", text.as_bytes()) {
        let Ok(Piece::Statement(statement) | Piece::Copy { statement, .. }) = piece else { break };
        let info = classify(&statement.text);
        if (gaps && info.opaque) || worst.as_ref().is_some_and(|worst| worst.risk >= info.risk) {
            continue;
        }
        let what = msg!("engine.foretold", place = place, kind = info.kind, reason = info.reason);
        worst = Some(Foretold { risk: info.risk, what });
    }
    worst
}
