//! What a body reaches: effects and items, through the playbook's own functions and its modules.

use std::collections::HashMap;

use rhai::{Expr, FnCallExpr, Position, Stmt};

use super::program::Program;
use super::tree::{self, Part, call_position};
use super::words;
use crate::host::Verb;
use crate::model::Effect;

/// A verb's call at the end of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaf {
    /// The verb.
    pub(super) verb: &'static str,
    /// Its first argument, where that is a literal text.
    pub(super) title: Option<String>,
    /// The file.
    pub(super) unit: usize,
    /// Where it is called.
    pub(super) at: Position,
}

/// What a body reaches.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// Changes of the database.
    pub(super) writes: Vec<Leaf>,
    /// Changes outside of it.
    pub(super) externals: Vec<Leaf>,
    /// Items.
    pub(super) items: Vec<Leaf>,
    /// Any verb at all.
    pub(super) verbs: bool,
}

impl Reach {
    /// Everything that changes something.
    pub(super) fn effects(&self) -> impl Iterator<Item = &Leaf> {
        self.writes.iter().chain(&self.externals)
    }

    fn merge(&mut self, other: &Reach) {
        fn add(to: &mut Vec<Leaf>, from: &[Leaf]) {
            for leaf in from {
                if !to.contains(leaf) {
                    to.push(leaf.clone());
                }
            }
        }
        add(&mut self.writes, &other.writes);
        add(&mut self.externals, &other.externals);
        add(&mut self.items, &other.items);
        self.verbs |= other.verbs;
    }
}

/// Whom a call calls.
pub(super) enum Target {
    /// A verb.
    Verb(&'static Verb),
    /// A function: its file, and its number there.
    Function(usize, usize),
    /// A function of the script language, or nothing that is known.
    Other,
}

impl Program {
    /// Whom a call in a file calls.
    pub(super) fn target(&self, unit: usize, call: &FnCallExpr) -> Target {
        let room = tree::namespace(call);
        let arity = call.args.len();
        let found = if room.is_empty() {
            self.units[unit].function(&call.name, arity).map(|function| (unit, function))
        } else {
            let module = self.units[unit].import(&room).and_then(|import| import.unit);
            module.and_then(|unit| Some((unit, self.units[unit].function(&call.name, arity)?)))
        };
        match found {
            Some((unit, function)) => Target::Function(unit, function),
            None => words::verb(&tree::written(call)).map_or(Target::Other, Target::Verb),
        }
    }

    /// The statements of a closure that an expression writes down.
    pub(super) fn closure_body(&self, unit: usize, expr: &Expr) -> Option<&[Stmt]> {
        let closure = tree::closure(expr)?;
        self.units[unit].closure(&closure.function).map(|function| function.body.as_slice())
    }
}

/// What functions reach, each looked at once.
pub(super) struct Reaches<'p> {
    program: &'p Program,
    known: HashMap<(usize, usize), Reach>,
}

impl<'p> Reaches<'p> {
    /// Nothing is known yet.
    pub(super) fn new(program: &'p Program) -> Self {
        Self { program, known: HashMap::new() }
    }

    /// What a function reaches.
    pub(super) fn of_function(&mut self, unit: usize, function: usize) -> Reach {
        if let Some(known) = self.known.get(&(unit, function)) {
            return known.clone();
        }
        // A function that calls itself reaches nothing more by that.
        self.known.insert((unit, function), Reach::default());
        let program = self.program;
        let reach = self.of_block(unit, &program.units[unit].functions[function].body);
        self.known.insert((unit, function), reach.clone());
        reach
    }

    /// What a block reaches.
    pub(super) fn of_block(&mut self, unit: usize, stmts: &[Stmt]) -> Reach {
        let mut reach = Reach::default();
        self.block(unit, stmts, &mut reach);
        reach
    }

    fn block(&mut self, unit: usize, stmts: &[Stmt], reach: &mut Reach) {
        for stmt in stmts {
            self.parts(unit, tree::parts(stmt), reach);
        }
    }

    fn parts(&mut self, unit: usize, parts: Vec<Part<'_>>, reach: &mut Reach) {
        for part in parts {
            match part {
                Part::Expr(expr) | Part::Arm(_, expr) => self.expr(unit, expr, reach),
                Part::Block(block) | Part::ArmBlock(_, block) | Part::Loop(block) => {
                    self.block(unit, block, reach);
                }
                Part::Call(call, at) => self.call(unit, call, at, false, reach),
            }
        }
    }

    fn expr(&mut self, unit: usize, expr: &Expr, reach: &mut Reach) {
        // A closure that is only kept does nothing yet; who is handed one decides below.
        if tree::closure(expr).is_some() {
            return;
        }
        match expr {
            Expr::FnCall(call, at) => self.call(unit, call, *at, false, reach),
            Expr::MethodCall(call, at) => self.call(unit, call, *at, true, reach),
            other => self.parts(unit, tree::inside(other), reach),
        }
    }

    fn call(
        &mut self,
        unit: usize,
        call: &FnCallExpr,
        at: Position,
        method: bool,
        reach: &mut Reach,
    ) {
        let program = self.program;
        let target = if method { Target::Other } else { program.target(unit, call) };
        let runs_closures = match &target {
            Target::Verb(verb) => {
                let title = call.args.first().and_then(tree::text).map(String::from);
                let at = call_position(call, at);
                let leaf = Leaf { verb: verb.name, title, unit, at };
                reach.verbs = true;
                match verb.effect {
                    Effect::Write => reach.writes.push(leaf),
                    Effect::External => reach.externals.push(leaf),
                    _ if words::item_kind(verb.name).is_some() => reach.items.push(leaf),
                    _ => {}
                }
                words::item_kind(verb.name).is_none()
            }
            Target::Function(unit, function) => {
                let inner = self.of_function(*unit, *function);
                reach.merge(&inner);
                false
            }
            Target::Other => true,
        };
        for arg in &call.args {
            match program.closure_body(unit, arg).filter(|_| runs_closures) {
                Some(body) => self.block(unit, body, reach),
                None => self.expr(unit, arg, reach),
            }
        }
    }
}
