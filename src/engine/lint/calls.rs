//! One call: is there such a verb or function, and are its arguments what it takes.

use rhai::{Expr, FnCallExpr, Position};

use super::arguments::{self, Matched};
use super::files::SQL_VERBS;
use super::forms::Forms;
use super::program::Function;
use super::tree::{call_position, namespace, written};
use super::{tree, words};
use crate::host::Verb;
use crate::model::{Fault, nearest};
use crate::msg;

impl Forms<'_> {
    /// Looks at a call, and at its arguments.
    pub(super) fn call(&mut self, call: &FnCallExpr, at: Position, method: bool) {
        let room = namespace(call);
        let verb = if method {
            self.method(call, at);
            None
        } else if room.is_empty() {
            self.plain(call, at)
        } else {
            self.qualified(call, &room, at)
        };
        let Some(verb) = verb else {
            for arg in &call.args {
                self.expr(arg);
            }
            return;
        };
        let Some(matched) = arguments::matched(verb, &call.args) else {
            self.wrong_arity(&verb.usage(), call, call_position(call, at));
            for arg in &call.args {
                self.expr(arg);
            }
            return;
        };
        self.kinds(verb, &matched);
        self.options(verb, &matched);
        if SQL_VERBS.contains(&verb.name)
            && let Some(Some(path)) = matched.places.first()
        {
            self.sql_file(path);
        }
        self.verb_arguments(verb, &matched);
    }

    fn verb_arguments(&mut self, verb: &Verb, matched: &Matched<'_>) {
        for expr in matched.places.iter().flatten() {
            if !Self::has_body(verb.name) {
                self.expr(expr);
            } else if tree::closure(expr).is_some() {
                self.item_body(expr);
            } else {
                match tree::entry(expr, "undo") {
                    Some(undo) if tree::closure(undo).is_some() => {
                        for (key, _, value) in tree::entries(expr) {
                            if key == "undo" { self.item_body(value) } else { self.expr(value) }
                        }
                    }
                    _ => self.expr(expr),
                }
            }
        }
    }

    /// A call without a namespace.
    fn plain(&mut self, call: &FnCallExpr, at: Position) -> Option<&'static Verb> {
        let name = call.name.as_str();
        self.look_for_planned_in(call, at);
        self.changed_argument(call);
        if call.is_operator_call() || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return None;
        }
        let unit = self.unit();
        let arity = call.args.len();
        match name {
            "eval" => {
                let fault = Fault::usage("no-eval", msg!("engine.no-eval"))
                    .remedy(msg!("engine.no-eval.remedy"));
                self.findings.error(fault.place(unit.place(at)));
                return None;
            }
            "exit" if unit.named(name).next().is_none() => {
                let fault = Fault::usage("no-exit", msg!("engine.no-exit"))
                    .remedy(msg!("engine.no-exit.remedy"));
                self.findings.error(fault.place(unit.place(at)));
                return None;
            }
            _ => {}
        }
        let mut own = unit.named(name).peekable();
        if own.peek().is_some() {
            if unit.function(name, arity).is_none() && words::verb(name).is_none() {
                self.wrong_arity(&usages(own), call, at);
            }
            return None;
        }
        if let Some(verb) = words::verb(name) {
            return Some(verb);
        }
        match words::natives().get(name) {
            Some(known) if known.contains(&arity) => {}
            Some(_) if name == "call" || name == "curry" => {}
            Some(known) => {
                let taken: Vec<String> = known.iter().map(ToString::to_string).collect();
                let usage = format!("{name}({})", msg!("engine.takes", counts = taken.join(", ")));
                self.wrong_arity(&usage, call, at);
            }
            None if name == "call" || name == "curry" => {}
            None => self.unknown_function(call, at),
        }
        None
    }

    fn unknown_function(&mut self, call: &FnCallExpr, at: Position) {
        let name = call.name.as_str();
        let unit = self.unit();
        let fault = Fault::usage("unknown-verb", msg!("engine.unknown-verb", name = written(call)));
        let elsewhere = crate::verbs::ALL.iter().find(|verb| verb.split_name().1 == name);
        let functions = unit.functions.iter().filter(|one| !one.is_closure());
        let mut known: Vec<&str> = functions.map(|one| one.name.as_str()).collect();
        for word in words::names_in("").chain(words::natives().keys().map(String::as_str)) {
            known.push(word);
        }
        let fault = if self.scope.find(name).is_some() {
            fault.remedy(msg!("engine.call-closure.remedy", name = name))
        } else if let Some(verb) = elsewhere {
            fault.remedy(msg!("host.did-you-mean", name = verb.name))
        } else if let Some(near) = nearest(name, known) {
            fault.remedy(msg!("host.did-you-mean", name = near))
        } else {
            fault.remedy(msg!("engine.unknown-function.remedy")).next("runsheet verbs")
        };
        self.findings.error(fault.place(unit.place(at)));
    }

    /// A call with a namespace: of verbs, or of an imported module.
    fn qualified(&mut self, call: &FnCallExpr, room: &str, at: Position) -> Option<&'static Verb> {
        let at = call_position(call, at);
        let name = written(call);
        if room == "global" {
            return None;
        }
        let unit = self.unit();
        if let Some(import) = unit.import(room) {
            self.closures_to_module(call);
            let module = &self.program.units[import.unit?];
            if !module.compiled {
                return None;
            }
            let mut of_name = module.named(&call.name).filter(|one| !one.private).peekable();
            if of_name.peek().is_some() {
                let usages = usages(of_name);
                if module.function(&call.name, call.args.len()).is_none() {
                    self.wrong_arity(&usages, call, at);
                }
                return None;
            }
            let public = module.functions.iter().filter(|one| !one.private && !one.is_closure());
            let text = msg!("engine.not-in-module", name = call.name, file = module.file);
            let fault = Fault::usage("unknown-verb", text);
            let names: Vec<&str> = public.map(|one| one.name.as_str()).collect();
            let fault = match nearest(&call.name, names.iter().copied()) {
                Some(near) => {
                    fault.remedy(msg!("host.did-you-mean", name = format!("{room}::{near}")))
                }
                None => fault.detail(msg!("engine.known-functions", names = names.join(", "))),
            };
            self.findings.error(fault.place(unit.place(at)));
            return None;
        }
        if !words::is_room(room) {
            self.unknown_namespace(room, at);
            return None;
        }
        let verb = words::verb(&name);
        if verb.is_none() {
            let fault = Fault::usage("unknown-verb", msg!("engine.unknown-verb", name = name));
            let elsewhere =
                crate::verbs::ALL.iter().find(|verb| verb.split_name().1 == call.name.as_str());
            let near = nearest(&call.name, words::names_in(room))
                .map(|near| format!("{room}::{near}"))
                .or_else(|| elsewhere.map(|verb| verb.name.to_string()));
            let fault = match near {
                Some(near) => fault.remedy(msg!("host.did-you-mean", name = near)),
                None => fault.remedy(msg!("engine.unknown-function.remedy")).next("runsheet verbs"),
            };
            self.findings.error(fault.place(unit.place(at)));
        }
        verb
    }

    /// A namespace that is none.
    pub(super) fn unknown_namespace(&mut self, room: &str, at: Position) {
        let unit = self.unit();
        let fault =
            Fault::usage("unknown-namespace", msg!("engine.unknown-namespace", name = room));
        let mut known: Vec<&str> = unit.imports.iter().map(|one| one.alias.as_str()).collect();
        for room in words::rooms() {
            known.push(room);
        }
        let fault = match nearest(room, known) {
            Some(near) => fault.remedy(msg!("host.did-you-mean", name = format!("{near}::"))),
            None => {
                let rooms: Vec<&str> = words::rooms().collect();
                fault
                    .detail(msg!("engine.known-namespaces", names = rooms.join(", ")))
                    .remedy(msg!("engine.unknown-namespace.remedy", name = room))
            }
        };
        self.findings.error(fault.place(unit.place(at)));
    }

    /// A method: of the language, of the file, or a closure kept in a map.
    fn method(&mut self, call: &FnCallExpr, at: Position) {
        let name = call.name.as_str();
        let unit = self.unit();
        let arity = call.args.len();
        let of_file =
            unit.named(name).any(|one| one.params.len() == arity || one.params.len() == arity + 1);
        let known = words::natives().get(name);
        let fits = known.is_some_and(|known| known.contains(&(arity + 1)));
        // A map may hold a closure under any name; a name that is written as a key is believed.
        let as_key = || [": ", ":"].iter().any(|sign| unit.text.contains(&format!("{name}{sign}")));
        if fits || of_file || words::verb(name).is_some() || ["call", "curry"].contains(&name) {
            return;
        }
        match known {
            Some(known) => {
                let taken: Vec<String> = known
                    .iter()
                    .filter(|count| **count > 0)
                    .map(|count| (count - 1).to_string())
                    .collect();
                let usage = format!(".{name}({})", msg!("engine.takes", counts = taken.join(", ")));
                self.wrong_arity(&usage, call, at);
            }
            None if as_key() => {}
            None => {
                let fault =
                    Fault::usage("unknown-verb", msg!("engine.unknown-method", name = name));
                let names = words::natives().keys().map(String::as_str);
                let fault = match nearest(name, names) {
                    Some(near) => fault.remedy(msg!("host.did-you-mean", name = near)),
                    None => fault,
                };
                self.findings.error(fault.place(unit.place(at)));
            }
        }
    }

    fn wrong_arity(&mut self, usage: &str, call: &FnCallExpr, at: Position) {
        let text = msg!("engine.wrong-arity", name = written(call), count = call.args.len());
        self.findings.error(
            Fault::usage("wrong-arity", text)
                .remedy(msg!("host.usage", usage = usage))
                .place(self.unit().place(at)),
        );
    }

    fn kinds(&mut self, verb: &Verb, matched: &Matched<'_>) {
        if verb.arguments().next().is_some_and(|argument| argument.name == "argv")
            && let Some(Some(expr)) = matched.places.first()
            && let Some(text) = tree::text(expr)
        {
            let words: Vec<String> =
                text.split_whitespace().map(|word| format!("\"{word}\"")).collect();
            self.findings.error(
                Fault::usage("not-an-argv", msg!("verbs.app.text", verb = verb.name))
                    .cause(msg!("verbs.app.text.cause"))
                    .remedy(msg!("verbs.app.text.remedy", array = words.join(", ")))
                    .place(self.unit().place(expr.start_position())),
            );
        }
        for (index, kind) in &matched.wrong {
            let (Some(argument), Some(Some(expr))) =
                (verb.arguments().nth(*index), matched.places.get(*index))
            else {
                continue;
            };
            let text = msg!(
                "host.wrong-argument",
                number = index + 1,
                verb = verb.name,
                argument = argument.name,
                wanted = argument.kind.replace('|', " / "),
                given = kind
            );
            let fault = Fault::usage("wrong-argument", text)
                .remedy(msg!("host.usage", usage = verb.usage()));
            let fault = fault.next(format!("runsheet verbs {}", verb.name));
            self.findings.error(fault.place(self.unit().place(expr.start_position())));
        }
    }

    /// A closure loses its own file's functions when a module gets it.
    fn closures_to_module(&mut self, call: &FnCallExpr) {
        fn written_in(expr: &Expr) -> bool {
            tree::closure(expr).is_some()
                || match expr {
                    Expr::Array(values, _) => values.iter().any(written_in),
                    Expr::Map(entries, _) => entries.0.iter().any(|(_, value)| written_in(value)),
                    _ => false,
                }
        }
        for arg in call.args.iter().filter(|arg| written_in(arg)) {
            self.findings.error(
                Fault::usage(
                    "closure-to-module",
                    msg!("engine.closure-to-module", name = written(call)),
                )
                .cause(msg!("engine.closure-to-module.cause"))
                .remedy(msg!("engine.closure-to-module.remedy"))
                .place(self.unit().place(arg.start_position())),
            );
        }
    }
}

fn usages<'f>(functions: impl Iterator<Item = &'f Function>) -> String {
    functions.map(Function::usage).collect::<Vec<_>>().join(" / ")
}
