//! What a playbook would do to the database, as far as its text shows: the SQL that it holds
//! itself, the risks that its steps declare, the commands that it starts, and its backups. Ways back
//! (`undo`, `on_failure`) are kept apart: they lead to what was. SQL that is put together when it
//! runs is judged with a name in each gap, and left to the gate where that does not parse.

use std::collections::HashSet;

use rhai::{Expr, FnCallExpr, Position, Stmt};
use serde_json::Value;

use super::program::Program;
use super::reach::Target;
use super::tree::{self, Part, call_position};
use super::words;
use crate::host::{ForeseenCommand, Foresight, Foretold, makes_backup};
use crate::model::Risk;
use crate::msg;
use crate::sql::{Piece, Splitter, classify};

/// What stands in a gap of a text that is put together.
const GAP: &str = "x1";

/// Where the walk goes: on, back, and through functions that it met on neither way.
const FORWARD: usize = 0;
const BACK: usize = 1;
const REST: usize = 2;

/// What can be foretold, in the order of the files.
pub(super) fn of(program: &Program) -> Foresight {
    let mut walk = Walk {
        program,
        way: FORWARD,
        roads: Default::default(),
        named: Vec::new(),
        commands: Vec::new(),
        declared: false,
        backs_up: false,
    };
    if let Some(main) = program.units.first() {
        walk.block(0, &main.main);
    }
    walk.rest();
    let back_files = walk.back_files();
    let [forward, back, _] = walk.roads;
    Foresight {
        forward: forward.found,
        commands: walk.commands,
        back: back.found,
        back_files,
        backs_up: walk.backs_up,
    }
}

/// What was met on one of the ways.
#[derive(Default)]
struct Way {
    met: HashSet<(usize, usize)>,
    found: Vec<Foretold>,
    /// Names of SQL files that stand there as texts.
    files: Vec<String>,
    /// Variables that are used there.
    names: HashSet<String>,
}

struct Walk<'p> {
    program: &'p Program,
    way: usize,
    roads: [Way; 3],
    /// `let down = "sql/003_down.sql"`: a file is where its variable is.
    named: Vec<(String, String)>,
    commands: Vec<ForeseenCommand>,
    /// The item around declares its risk.
    declared: bool,
    backs_up: bool,
}

impl<'p> Walk<'p> {
    fn block(&mut self, unit: usize, stmts: &'p [Stmt]) {
        for stmt in stmts {
            if let Stmt::Var(var, ..) = stmt
                && let Some(file) = tree::text(&var.1).filter(|text| is_file(text))
            {
                self.named.push((var.0.name.to_string(), file.to_string()));
                continue;
            }
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
                for (key, value) in &entries.0 {
                    if key.name == "undo" {
                        self.back(|walk| walk.expr(unit, value));
                    } else {
                        self.expr(unit, value);
                    }
                }
            }
            Expr::StringConstant(text, _) => self.text(text),
            Expr::DynamicConstant(..) => {
                if let Some(value) = tree::literal(expr) {
                    self.texts(&value);
                }
            }
            Expr::Variable(variable, ..) => {
                self.roads[self.way].names.insert(variable.1.to_string());
            }
            other => self.parts(unit, tree::inside(other)),
        }
    }

    fn text(&mut self, text: &str) {
        if is_file(text) {
            self.roads[self.way].files.push(text.to_string());
        }
    }

    fn texts(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(all) => all.iter().for_each(|one| self.texts(one)),
            Value::Object(all) => all.values().for_each(|one| self.texts(one)),
            _ => {}
        }
    }

    /// Walks on as a way back.
    fn back(&mut self, walk: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.way, BACK);
        walk(self);
        self.way = before;
    }

    /// A closure, or a function whose name is handed over.
    fn functions(&mut self, unit: usize, name: &str) {
        let program = self.program;
        for (number, function) in program.units[unit].functions.iter().enumerate() {
            if function.name == name && self.roads[self.way].met.insert((unit, number)) {
                self.block(unit, &function.body);
            }
        }
    }

    fn call(&mut self, unit: usize, call: &'p FnCallExpr, at: Position) {
        let at = call_position(call, at);
        let before = self.declared;
        match self.program.target(unit, call) {
            Target::Function(other, number) => {
                if self.roads[self.way].met.insert((other, number)) {
                    let program = self.program;
                    self.block(other, &program.units[other].functions[number].body);
                }
            }
            Target::Verb(verb) if verb.name == "on_failure" => {
                return self.back(|walk| call.args.iter().for_each(|arg| walk.expr(unit, arg)));
            }
            Target::Verb(verb) => self.verb(unit, verb.name, call, at),
            Target::Other => {}
        }
        for arg in &call.args {
            self.expr(unit, arg);
        }
        self.declared = before;
    }

    fn verb(&mut self, unit: usize, verb: &str, call: &'p FnCallExpr, at: Position) {
        let program = self.program;
        let place = || {
            let unit = &program.units[unit];
            format!("{}:{}", unit.file, at.line().unwrap_or(1))
        };
        let option = |key: &str| call.args.iter().find_map(|arg| tree::entry_value(arg, key));
        if verb == "db::exec" {
            if let Some((text, gaps)) = call.args.first().and_then(written) {
                self.roads[self.way].found.extend(judged(&text, gaps, &place()));
            }
        } else if words::item_kind(verb).is_some() {
            let declared =
                option("risk").and_then(|word| serde_json::from_value::<Risk>(word).ok());
            self.declared |= declared.is_some();
            self.roads[self.way].found.extend(declared.map(|risk| Foretold {
                risk,
                what: msg!("engine.declared-risk", place = place()),
            }));
        } else if self.way == FORWARD && makes_backup(verb) {
            // Some tables are no backup.
            self.backs_up |= !call.args.iter().any(|arg| tree::entry(arg, "tables").is_some());
        } else if self.way == FORWARD && verb == "app::run" && !self.declared {
            let looks = option("changes") == Some(Value::Bool(false));
            let program = match call.args.first() {
                Some(Expr::Array(argv, _)) => argv.first().and_then(tree::text),
                _ => None,
            };
            let program = program.map(String::from);
            self.commands.extend((!looks).then(|| ForeseenCommand { program, place: place() }));
        }
    }

    /// Whatever was not met may be used on the way forward, by a road that nobody sees here.
    fn rest(&mut self) {
        self.way = REST;
        let program = self.program;
        for (number, unit) in program.units.iter().enumerate() {
            if number > 0 {
                self.block(number, &unit.main);
            }
            for (function, body) in unit.functions.iter().enumerate() {
                let one = (number, function);
                if !self.roads.iter().any(|road| road.met.contains(&one)) {
                    self.roads[REST].met.insert(one);
                    self.block(number, &body.body);
                }
            }
        }
    }

    /// The files that stand on ways back and nowhere else.
    fn back_files(&self) -> Vec<String> {
        let uses = |way: &Way, file: &String| {
            let by_name = |(name, of): &(String, String)| of == file && way.names.contains(name);
            way.files.contains(file) || self.named.iter().any(by_name)
        };
        let [forward, back, rest] = &self.roads;
        let named = self.named.iter().map(|(_, file)| file);
        let mut found: Vec<String> = Vec::new();
        for file in back.files.iter().chain(named) {
            let only = uses(back, file) && !uses(forward, file) && !uses(rest, file);
            if only && !found.contains(file) {
                found.push(file.clone());
            }
        }
        found
    }
}

fn is_file(text: &str) -> bool {
    text.ends_with(".sql")
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
