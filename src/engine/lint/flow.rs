//! Walks from the first line of the playbook, through its own functions and modules, in the order
//! of execution: what stands outside of items, and which items there are.

use rhai::{Expr, FnCallExpr, Position, Stmt};

use super::declared::Declared;
use super::finding::Findings;
use super::outline::OutlineItem;
use super::program::Program;
use super::reach::{Leaf, Reaches, Target};
use super::tree::{self, Part, call_position};
use crate::host::Verb;
use crate::model::{Effect, Fault, Place};
use crate::msg;

/// A function with items may be called from many places, and each of them makes other items; no
/// playbook has as many calls as this.
const MOST_CALLS: usize = 20_000;

/// Where the walk is.
#[derive(Clone, Default)]
pub(super) struct Here {
    /// The file.
    pub(super) unit: usize,
    /// The arms of branches around it: two arms of one branch exclude each other.
    pub(super) arms: Vec<(usize, usize)>,
    /// Inside of something that repeats.
    pub(super) repeats: bool,
    /// The calls that led here.
    pub(super) calls: Vec<Place>,
    open: Vec<(usize, usize)>,
}

/// The walk.
pub(super) struct Flow<'p> {
    pub(super) program: &'p Program,
    pub(super) findings: &'p mut Findings,
    pub(super) reaches: Reaches<'p>,
    pub(super) declared: Declared,
    pub(super) items: Vec<OutlineItem>,
    pub(super) titles: Vec<(String, Here)>,
    begun: bool,
    early: bool,
    branches: usize,
    left: usize,
}

impl<'p> Flow<'p> {
    /// Walks a program; gives its items in their order.
    pub(super) fn walk(program: &'p Program, findings: &'p mut Findings) -> Vec<OutlineItem> {
        let Some(main) = program.units.first().filter(|unit| unit.compiled) else {
            return Vec::new();
        };
        let mut flow = Self {
            program,
            findings,
            reaches: Reaches::new(program),
            declared: Declared::of(main),
            items: Vec::new(),
            titles: Vec::new(),
            begun: false,
            early: false,
            branches: 0,
            left: MOST_CALLS,
        };
        flow.block(&main.main, &Here::default());
        if !flow.begun && !flow.early {
            let place = Place::at_line(&main.file, &main.text, 1);
            flow.findings.error(no_playbook().place(place));
        }
        flow.items
    }

    fn block(&mut self, stmts: &[Stmt], here: &Here) {
        for stmt in stmts {
            self.branches += 1;
            let branch = self.branches;
            for part in tree::parts(stmt) {
                self.part(part, branch, here);
            }
        }
    }

    fn part(&mut self, part: Part<'_>, branch: usize, here: &Here) {
        let arm = |arm: usize| {
            let mut inside = here.clone();
            inside.arms.push((branch, arm));
            inside
        };
        match part {
            Part::Expr(expr) => self.expr(expr, here),
            Part::Arm(number, expr) => self.expr(expr, &arm(number)),
            Part::Block(block) => self.block(block, here),
            Part::ArmBlock(number, block) => self.block(block, &arm(number)),
            Part::Loop(block) => self.block(block, &Here { repeats: true, ..here.clone() }),
            Part::Call(call, at) => self.call(call, at, false, here),
        }
    }

    fn expr(&mut self, expr: &Expr, here: &Here) {
        if tree::closure(expr).is_some() {
            return;
        }
        match expr {
            Expr::FnCall(call, at) => self.call(call, *at, false, here),
            Expr::MethodCall(call, at) => self.call(call, *at, true, here),
            other => {
                self.branches += 1;
                let branch = self.branches;
                for part in tree::inside(other) {
                    self.part(part, branch, here);
                }
            }
        }
    }

    fn call(&mut self, call: &FnCallExpr, at: Position, method: bool, here: &Here) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let program = self.program;
        let at = call_position(call, at);
        let target = if method { Target::Other } else { program.target(here.unit, call) };
        match target {
            Target::Verb(verb) => self.verb(verb, call, at, here),
            Target::Function(unit, function) => {
                self.arguments(call, here, false);
                self.function(unit, function, call, at, here);
            }
            Target::Other => {
                let repeats = method || here.repeats;
                self.arguments(call, &Here { repeats, ..here.clone() }, true);
            }
        }
    }

    fn arguments(&mut self, call: &FnCallExpr, here: &Here, runs_closures: bool) {
        for arg in &call.args {
            let program = self.program;
            match program.closure_body(here.unit, arg).filter(|_| runs_closures) {
                Some(body) => self.block(body, here),
                None => self.expr(arg, here),
            }
        }
    }

    fn function(
        &mut self,
        unit: usize,
        function: usize,
        call: &FnCallExpr,
        at: Position,
        here: &Here,
    ) {
        let reach = self.reaches.of_function(unit, function);
        let place = self.program.units[here.unit].place(at);
        let place = place.labelled(msg!("host.in-this-call", name = tree::written(call)));
        if reach.verbs {
            self.not_before_playbook("", &place);
        }
        if reach.items.is_empty() {
            for leaf in reach.effects() {
                self.outside(leaf, std::iter::once(&place).chain(here.calls.iter().rev()));
            }
            return;
        }
        if here.open.contains(&(unit, function)) {
            return;
        }
        let mut inside = here.clone();
        inside.unit = unit;
        inside.open.push((unit, function));
        inside.calls.push(place);
        let program = self.program;
        self.block(&program.units[unit].functions[function].body, &inside);
    }

    fn verb(&mut self, verb: &'static Verb, call: &FnCallExpr, at: Position, here: &Here) {
        let place = self.program.units[here.unit].place(at);
        self.not_before_playbook(verb.name, &place);
        if self.item(verb, call, at, here) {
            return;
        }
        if matches!(verb.effect, Effect::Write | Effect::External) {
            let leaf = Leaf { verb: verb.name, title: None, unit: here.unit, at };
            self.outside(&leaf, here.calls.iter().rev());
        }
        self.arguments(call, here, true);
    }

    fn not_before_playbook(&mut self, verb: &str, place: &Place) {
        if verb == "playbook" {
            if self.begun {
                let fault = Fault::usage("playbook-twice", msg!("host.playbook-twice"));
                self.findings.error(fault.place(place.clone()));
            }
            self.begun = true;
        } else if !self.begun && !self.early {
            self.early = true;
            self.findings.error(no_playbook().place(place.clone()));
        }
    }

    fn outside<'c>(&mut self, leaf: &Leaf, calls: impl Iterator<Item = &'c Place>) {
        let fault =
            Fault::usage("write-outside-step", msg!("host.write-outside-step", verb = leaf.verb))
                .cause(msg!("host.write-outside-step.cause"))
                .remedy(msg!("host.write-outside-step.remedy", verb = leaf.verb))
                .place(self.place_of(leaf));
        self.findings.error(calls.fold(fault, |fault, call| fault.place(call.clone())));
    }

    /// Where a leaf stands.
    pub(super) fn place_of(&self, leaf: &Leaf) -> Place {
        self.program.units[leaf.unit].place(leaf.at)
    }
}

fn no_playbook() -> Fault {
    Fault::usage("no-playbook", msg!("host.no-playbook")).remedy(msg!("host.no-playbook.remedy"))
}
