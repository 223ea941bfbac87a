//! A verb: a function given to scripts, with its page beside it.
//!
//! The list of arguments is data: arity, argument types, the printed reference and the static
//! check all read it, so that they cannot disagree.

use std::any::TypeId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use rhai::{
    Array, Dynamic, Engine, FnPtr, FuncRegistration, Map, Module, NativeCallContext, Position,
    RhaiFunc, Shared,
};

use super::gate::Host;
use super::planned::Planned;
use super::stop::{Stop, Trouble};
use super::value::to_json;
use crate::model::{Effect, Fault};
use crate::msg;

/// A function given to scripts.
pub struct Verb {
    /// Its name with its namespace, `db::count`.
    pub name: &'static str,
    /// Its arguments, `sql_or_table: text, [params: array]`. Types: text, int, bool, array, map,
    /// fn, any; alternatives with `|`.
    pub args: &'static str,
    /// What it does to the world.
    pub effect: Effect,
    /// Its page: the first line says what it does; then what it gives, errors, an example.
    pub page: &'static str,
    /// What happens.
    pub call: fn(&Rc<Host>, &Call<'_, '_>) -> Result<Dynamic, Trouble>,
}

/// One argument as a verb declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its types, separated by `|`.
    pub kind: &'static str,
    /// True where it may be left out.
    pub optional: bool,
}

impl Verb {
    /// Its arguments, in order.
    pub fn arguments(&self) -> impl Iterator<Item = Argument> {
        self.args.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| {
            let optional = part.starts_with('[');
            let part = part.trim_start_matches('[').trim_end_matches(']');
            let (name, kind) = part.split_once(':').unwrap_or((part, "any"));
            Argument { name: name.trim(), kind: kind.trim(), optional }
        })
    }

    /// Fewest and most arguments.
    pub fn arity(&self) -> (usize, usize) {
        let most = self.arguments().count();
        (most - self.arguments().filter(|argument| argument.optional).count(), most)
    }

    /// Namespace (empty for items) and bare name.
    pub fn split_name(&self) -> (&'static str, &'static str) {
        self.name.split_once("::").unwrap_or(("", self.name))
    }

    /// How it is called: `db::count(sql_or_table, [params])`.
    pub fn usage(&self) -> String {
        let arguments: Vec<String> = self
            .arguments()
            .map(|a| if a.optional { format!("[{}]", a.name) } else { a.name.to_string() })
            .collect();
        format!("{}({})", self.name, arguments.join(", "))
    }
}

/// One call of a verb: its arguments, already of the declared types.
pub struct Call<'a, 'c> {
    /// The engine's context: bodies are called through it.
    pub context: &'a NativeCallContext<'c>,
    /// The verb.
    pub verb: &'static Verb,
    /// Arguments, matched to the verb's list; `()` where an optional one is missing.
    pub args: Vec<Dynamic>,
}

impl Call<'_, '_> {
    fn at(&self, index: usize) -> Dynamic {
        self.args.get(index).cloned().unwrap_or(Dynamic::UNIT)
    }

    /// A text argument; empty where it is missing.
    pub fn text(&self, index: usize) -> String {
        self.at(index).into_string().unwrap_or_default()
    }

    /// An integer argument.
    pub fn int(&self, index: usize) -> Option<i64> {
        self.at(index).as_int().ok()
    }

    /// Any argument as it is.
    pub fn any(&self, index: usize) -> Dynamic {
        self.at(index)
    }

    /// An argument as JSON.
    ///
    /// # Errors
    /// `not-recordable` for closures.
    pub fn json(&self, index: usize) -> Result<serde_json::Value, Fault> {
        to_json(&self.at(index))
    }

    /// SQL parameters, `[1, "x"]`; empty where missing.
    ///
    /// # Errors
    /// `not-recordable` for closures.
    pub fn params(&self, index: usize) -> Result<Vec<serde_json::Value>, Fault> {
        Ok(match self.json(index)? {
            serde_json::Value::Array(values) => values,
            _ => Vec::new(),
        })
    }

    /// A checked option map.
    ///
    /// # Errors
    /// `unknown-option`, `wrong-option`.
    pub fn options<T: serde::de::DeserializeOwned>(&self, index: usize) -> Result<T, Fault> {
        super::options::options(self.verb.name, &self.at(index))
    }

    /// A body.
    pub fn body(&self, index: usize) -> Option<FnPtr> {
        self.at(index).try_cast::<FnPtr>()
    }

    /// Was this argument given?
    pub fn has(&self, index: usize) -> bool {
        !self.at(index).is_unit()
    }

    /// The first argument that is only planned, nested ones included.
    pub fn planned(&self) -> Option<Planned> {
        self.args.iter().find_map(planned_in)
    }

    /// Where the script calls it.
    pub fn position(&self) -> Position {
        self.context.call_position()
    }
}

fn planned_in(value: &Dynamic) -> Option<Planned> {
    if let Some(planned) = value.read_lock::<Planned>() {
        return Some(planned.clone());
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().find_map(planned_in);
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map.values().find_map(planned_in);
    }
    None
}

/// Gives verbs to an engine: items globally, the others in their namespaces.
pub fn register(engine: &mut Engine, host: &Rc<Host>, verbs: &'static [&'static Verb]) {
    let mut rooms: Vec<(&str, Module)> = vec![("", Module::new())];
    for &verb in verbs {
        let (room, name) = verb.split_name();
        if !rooms.iter().any(|(known, _)| *known == room) {
            rooms.push((room, Module::new()));
        }
        let Some((_, module)) = rooms.iter_mut().find(|(known, _)| *known == room) else {
            continue;
        };
        let (fewest, most) = verb.arity();
        for arity in fewest..=most {
            let host = host.clone();
            let function = move |context: Option<NativeCallContext<'_>>,
                                 args: &mut [&mut Dynamic]| {
                let Some(context) = context else {
                    return Err("a verb needs its context".into());
                };
                let at = context.call_position();
                let args: Vec<Dynamic> =
                    args.iter_mut().map(|arg| std::mem::take(*arg).flatten()).collect();
                enter(&host, verb, &context, args).map_err(|trouble| trouble.raise(at))
            };
            let function = RhaiFunc::Pure {
                func: Shared::new(function),
                has_context: true,
                is_pure: true,
                is_volatile: true,
            };
            FuncRegistration::new(name).set_into_module_raw(
                module,
                vec![TypeId::of::<Dynamic>(); arity],
                function,
            );
        }
    }
    for (room, module) in rooms {
        if room.is_empty() {
            engine.register_global_module(module.into());
        } else {
            engine.register_static_module(room, module.into());
        }
    }
}

fn enter(
    host: &Rc<Host>,
    verb: &'static Verb,
    context: &NativeCallContext<'_>,
    args: Vec<Dynamic>,
) -> Result<Dynamic, Trouble> {
    if let Some(what) = host.take_tripped() {
        return Err(Stop::Decided(what).into());
    }
    host.calls.set(host.calls.get() + 1);
    let args = matched(verb, args)?;
    let call = Call { context, verb, args };
    // A panic in a host function must not tear down a run that has to tidy up.
    match catch_unwind(AssertUnwindSafe(|| (verb.call)(host, &call))) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
            Err(Fault::failed("internal", msg!("host.internal", verb = verb.name))
                .detail(text.unwrap_or_default())
                .remedy(msg!("host.internal.remedy"))
                .into())
        }
    }
}

/// Puts arguments to their places: an optional one in the middle (`check(title, [opts], body)`)
/// is left out by type.
fn matched(verb: &'static Verb, given: Vec<Dynamic>) -> Result<Vec<Dynamic>, Fault> {
    let mut missing = verb.arity().1 - given.len();
    let mut given = given.into_iter().peekable();
    let mut args = Vec::new();
    for (index, wanted) in verb.arguments().enumerate() {
        let fits = given.peek().is_some_and(|value| fits(wanted.kind, value));
        if !fits && wanted.optional && missing > 0 {
            missing -= 1;
            args.push(Dynamic::UNIT);
            continue;
        }
        let Some(value) = given.next() else {
            args.push(Dynamic::UNIT);
            continue;
        };
        if !fits {
            return Err(Fault::usage(
                "wrong-argument",
                msg!(
                    "host.wrong-argument",
                    verb = verb.name,
                    argument = wanted.name,
                    number = index + 1,
                    wanted = wanted.kind.replace('|', " / "),
                    given = kind_of(&value)
                ),
            )
            .remedy(msg!("host.usage", usage = verb.usage()))
            .next(format!("runsheet verbs {}", verb.name)));
        }
        args.push(value);
    }
    Ok(args)
}

fn fits(kinds: &str, value: &Dynamic) -> bool {
    value.is::<Planned>() && !kinds.contains("fn")
        || kinds.split('|').any(|kind| kind == "any" || kind == kind_of(value))
}

fn kind_of(value: &Dynamic) -> &'static str {
    if value.is_string() || value.is_char() {
        "text"
    } else if value.is_int() {
        "int"
    } else if value.is_bool() {
        "bool"
    } else if value.is_array() {
        "array"
    } else if value.is_map() {
        "map"
    } else if value.is_fnptr() {
        "fn"
    } else if value.is_float() || value.is_decimal() {
        "number"
    } else if value.is_unit() {
        "()"
    } else {
        "value"
    }
}
