//! Looks at every place of every file once: variables, calls, options, literals.

use std::path::Path;

use rhai::{Expr, FnCallExpr, Position, Stmt};

use super::declared::{Declared, RESERVED, is_playbook};
use super::finding::Findings;
use super::program::{Program, Unit};
use super::scope::{Holds, Scope};
use super::tree::{self, Part};
use super::{secrets, words};
use crate::config::Config;
use crate::model::{Fault, ItemKind, nearest};
use crate::msg;
use crate::playbook::Playbook;

/// Methods that change what they are called on.
const CHANGING: &[&str] = &[
    "append",
    "chop",
    "clear",
    "crop",
    "dedup",
    "drain",
    "fill_with",
    "insert",
    "mixin",
    "pad",
    "pop",
    "push",
    "remove",
    "replace",
    "retain",
    "reverse",
    "set",
    "shift",
    "sort",
    "splice",
    "split_at",
    "truncate",
];

/// The walk over all places.
pub(super) struct Forms<'p> {
    pub(super) program: &'p Program,
    pub(super) project: &'p Path,
    pub(super) playbook: &'p Playbook,
    pub(super) config: &'p Config,
    pub(super) declared: &'p Declared,
    pub(super) findings: &'p mut Findings,
    pub(super) scope: Scope,
    pub(super) sql_files: Vec<String>,
    index: usize,
}

/// Looks at every file of a program.
pub(super) fn look(
    program: &Program,
    project: &Path,
    playbook: &Playbook,
    config: &Config,
    findings: &mut Findings,
) {
    let Some(main) = program.units.first() else { return };
    let declared = Declared::of(main);
    let mut forms = Forms {
        program,
        project,
        playbook,
        config,
        declared: &declared,
        findings,
        scope: Scope::default(),
        sql_files: Vec::new(),
        index: 0,
    };
    for index in 0..program.units.len() {
        forms.index = index;
        forms.file();
    }
}

impl<'p> Forms<'p> {
    /// The file that is looked at.
    pub(super) fn unit(&self) -> &'p Unit {
        &self.program.units[self.index]
    }

    fn file(&mut self) {
        let unit = self.unit();
        self.scope = Scope::default();
        self.block(&unit.main);
        for function in unit.functions.iter().filter(|function| !function.is_closure()) {
            if words::verb(&function.name).is_some() {
                self.findings.error(
                    Fault::usage(
                        "redefined-verb",
                        msg!("engine.redefined-verb", name = function.name),
                    )
                    .cause(msg!("engine.redefined-verb.cause"))
                    .remedy(msg!("engine.redefined-verb.remedy"))
                    .place(unit.place(unit.function_position(function))),
                );
            }
            self.scope = Scope::default();
            for parameter in &function.params {
                self.scope.add(parameter, Holds::Anything);
            }
            self.block(&function.body);
        }
    }

    fn block(&mut self, stmts: &[Stmt]) {
        let mark = self.scope.mark();
        for stmt in stmts {
            self.stmt(stmt);
        }
        self.scope.cut(mark);
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let mark = self.scope.mark();
        match stmt {
            Stmt::Var(variable, ..) => {
                self.expr(&variable.1);
                let holds = self.held_by(&variable.1);
                self.scope.add(&variable.0.name, holds);
                return;
            }
            Stmt::For(each, _) => {
                self.expr(&each.2.expr);
                self.scope.add(&each.0.name, Holds::Anything);
                if let Some(counter) = &each.1 {
                    self.scope.add(&counter.name, Holds::Anything);
                }
                self.block(each.2.body.statements());
            }
            Stmt::TryCatch(flow, _) => {
                self.block(flow.body.statements());
                if let Expr::Variable(variable, ..) = &flow.expr {
                    self.scope.add(&variable.1, Holds::Anything);
                }
                self.block(flow.branch.statements());
            }
            Stmt::Assignment(assigned) => {
                self.assigned(&assigned.1.lhs);
                self.expr(&assigned.1.lhs);
                self.expr(&assigned.1.rhs);
            }
            Stmt::Switch(switch, at) => {
                if self.held_by(&switch.0) == Holds::StepResult {
                    self.planned_switch("switch", *at);
                }
                self.parts(tree::parts(stmt));
            }
            other => self.parts(tree::parts(other)),
        }
        self.scope.cut(mark);
    }

    fn parts(&mut self, parts: Vec<Part<'_>>) {
        for part in parts {
            match part {
                Part::Expr(expr) | Part::Arm(_, expr) => self.expr(expr),
                Part::Block(block) | Part::ArmBlock(_, block) | Part::Loop(block) => {
                    self.block(block);
                }
                Part::Call(call, at) => self.call(call, at, false),
            }
        }
    }

    pub(super) fn expr(&mut self, expr: &Expr) {
        if let Some(closure) = tree::closure(expr) {
            return self.closure_body(&closure);
        }
        match expr {
            Expr::FnCall(call, at) => self.call(call, *at, false),
            Expr::MethodCall(call, at) => self.call(call, *at, true),
            Expr::StringConstant(text, at) => self.text(text, *at),
            Expr::Variable(variable, _, at) => self.variable(&variable.1, *at, &variable.2),
            Expr::Dot(pair, ..) => {
                self.chain(expr);
                self.parameter(&pair.lhs, &pair.rhs);
                self.parts(tree::inside(expr));
            }
            other => self.parts(tree::inside(other)),
        }
    }

    /// The body of a closure sees the variables around it.
    fn closure_body(&mut self, closure: &tree::Closure) {
        let Some(function) = self.unit().closure(&closure.function) else { return };
        if !function.is_closure() {
            return;
        }
        let mark = self.scope.mark();
        for parameter in function.params.iter().skip(closure.captured) {
            self.scope.add(parameter, Holds::Anything);
        }
        self.block(&function.body);
        self.scope.cut(mark);
    }

    /// The body of an item: what it assigns outside of it is lost on resume.
    pub(super) fn item_body(&mut self, expr: &Expr) {
        let floor = self.scope.begin_item();
        self.expr(expr);
        self.scope.end_item(floor);
    }

    fn variable(&mut self, name: &str, at: Position, namespace: &rhai::Namespace) {
        if let Some(first) = namespace.path.first() {
            let room = first.name.as_str();
            if room != "global" && self.unit().import(room).is_none() {
                self.unknown_namespace(room, first.pos);
            }
            return;
        }
        let unit = self.unit();
        if self.scope.find(name).is_some() || unit.named(name).next().is_some() {
            return;
        }
        let fault = Fault::usage("unknown-variable", msg!("host.unknown-variable", name = name));
        let fault = match nearest(name, self.scope.names()) {
            Some(near) => fault.remedy(msg!("host.did-you-mean", name = near)),
            None => fault.cause(msg!("host.unknown-variable.cause")),
        };
        self.findings.error(fault.place(unit.place(at)));
    }

    /// `p.name`: the playbook declares it, or it comes with the map.
    fn parameter(&mut self, object: &Expr, rest: &Expr) {
        let Some((variable, _)) = tree::root(object) else { return };
        if !matches!(object, Expr::Variable(..))
            || self.scope.find(variable) != Some(Holds::Parameters)
        {
            return;
        }
        let (Some(params), Some((name, at))) = (&self.declared.params, tree::property(rest)) else {
            return;
        };
        let known = || params.iter().map(|(name, _)| name.as_str()).chain(RESERVED);
        if known().any(|known| known == name) {
            return;
        }
        let fault =
            Fault::usage("unknown-parameter", msg!("engine.unknown-parameter", name = name));
        let fault = match nearest(name, known()) {
            Some(near) => fault.remedy(msg!("host.did-you-mean", name = near)),
            None => fault.remedy(msg!("engine.unknown-parameter.remedy")),
        };
        self.findings.error(fault.place(self.unit().place(at)));
    }

    fn text(&mut self, text: &str, at: Position) {
        if let Some(password) = secrets::password_in(text) {
            self.program.secrets.borrow_mut().push(password.into());
            self.findings.warning(
                Fault::usage("secret-in-script", msg!("engine.secret-in-address"))
                    .cause(msg!("engine.secret-in-script.cause"))
                    .remedy(msg!("engine.secret-in-script.remedy"))
                    .place(self.unit().place(at)),
            );
        }
    }

    /// What the value of an expression is known to be.
    fn held_by(&self, expr: &Expr) -> Holds {
        match expr {
            Expr::FnCall(call, _) if is_playbook(call) => Holds::Parameters,
            Expr::FnCall(call, _) if call.name == "step" && call.namespace.path.is_empty() => {
                Holds::StepResult
            }
            Expr::Dot(..) | Expr::Index(..) | Expr::Variable(..) => {
                let held = tree::root(expr).and_then(|(name, _)| self.scope.find(name));
                match (held, expr) {
                    // A property of the parameters is a value like any other.
                    (Some(Holds::Parameters), Expr::Dot(..) | Expr::Index(..)) => Holds::Anything,
                    (held, _) => held.unwrap_or(Holds::Anything),
                }
            }
            _ => Holds::Anything,
        }
    }

    /// `x in list` is written into the tree as `contains(list, x)`.
    pub(super) fn look_for_planned_in(&mut self, call: &FnCallExpr, at: Position) {
        let of_step = call.args.iter().any(|arg| self.held_by(arg) == Holds::StepResult);
        if call.name == "contains" && call.args.len() == 2 && of_step {
            self.planned_switch("in", at);
        }
    }

    fn planned_switch(&mut self, word: &str, at: Position) {
        self.findings.warning(
            Fault::usage("planned-switch", msg!("engine.planned-switch", word = word))
                .cause(msg!("engine.planned-switch.cause"))
                .remedy(msg!("engine.planned-switch.remedy"))
                .place(self.unit().place(at)),
        );
    }

    /// `list.push(1)` and its kin change the variable that the chain starts from.
    fn chain(&mut self, expr: &Expr) {
        let Some((name, at)) = tree::root(expr) else { return };
        let Expr::Dot(pair, ..) = expr else { return };
        if !matches!(pair.lhs, Expr::Variable(..)) {
            return;
        }
        let mut rest = &pair.rhs;
        loop {
            match rest {
                Expr::MethodCall(call, _) if CHANGING.contains(&call.name.as_str()) => {
                    return self.outer(name, at);
                }
                Expr::Dot(pair, ..) | Expr::Index(pair, ..) => match &pair.lhs {
                    Expr::MethodCall(call, _) if CHANGING.contains(&call.name.as_str()) => {
                        return self.outer(name, at);
                    }
                    // What a method gives is another value.
                    Expr::MethodCall(..) => return,
                    _ => rest = &pair.rhs,
                },
                _ => return,
            }
        }
    }

    fn assigned(&mut self, target: &Expr) {
        if let Some((name, at)) = tree::root(target) {
            self.outer(name, at);
        }
    }

    /// The same for `push(list, 1)`.
    pub(super) fn changed_argument(&mut self, call: &FnCallExpr) {
        if CHANGING.contains(&call.name.as_str())
            && let Some((name, at)) = call.args.first().and_then(tree::root)
        {
            self.outer(name, at);
        }
    }

    fn outer(&mut self, name: &str, at: Position) {
        if self.scope.is_outer(name) {
            self.findings.error(
                Fault::usage("outer-assignment", msg!("engine.outer-assignment", name = name))
                    .cause(msg!("host.outer-assignment.cause"))
                    .remedy(msg!("host.outer-assignment.remedy"))
                    .place(self.unit().place(at)),
            );
        }
    }

    /// Is this verb an item with a body?
    pub(super) fn has_body(verb: &str) -> bool {
        words::item_kind(verb)
            .is_some_and(|kind| !matches!(kind, ItemKind::Manual | ItemKind::Approve))
    }
}
