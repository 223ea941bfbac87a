//! From an error of the script engine to a fault with its places, across imported modules.
//!
//! The engine's frames say where each call stands in the file of the enclosing frame. For
//! closures handed to modules it names the wrong file, so closures are looked up by their own
//! names, which the compiler gave them in this process.

use std::cell::RefCell;
use std::collections::HashMap;

use rhai::{AST, Dynamic, EvalAltResult, Position};

use super::inputs::call_text;
use super::stop::fault_in;
use crate::model::{Fault, Place};
use crate::msg;

/// The texts of the playbook and everything it imports, by the name people know them by.
#[derive(Default)]
pub struct Sources {
    texts: RefCell<HashMap<String, String>>,
    closures: RefCell<HashMap<String, String>>,
    main: RefCell<String>,
}

impl Sources {
    /// Adds a compiled file; the first one is the playbook.
    pub fn add(&self, file: &str, text: &str, ast: &AST) {
        if self.main.borrow().is_empty() {
            *self.main.borrow_mut() = file.into();
        }
        self.texts.borrow_mut().insert(file.into(), text.into());
        for function in ast.iter_functions() {
            let name = function.name.to_string();
            if name.starts_with("anon$") {
                self.closures.borrow_mut().insert(name, file.into());
            }
        }
    }

    /// Adds a text that did not compile, so that its places can be shown.
    pub fn add_text(&self, file: &str, text: &str) {
        if self.main.borrow().is_empty() {
            *self.main.borrow_mut() = file.into();
        }
        self.texts.borrow_mut().insert(file.into(), text.into());
    }

    /// The file in which a closure was written.
    pub fn file_of(&self, function: &str) -> Option<String> {
        self.closures.borrow().get(function).cloned()
    }

    /// All files with their texts.
    pub fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<_> =
            self.texts.borrow().iter().map(|(name, text)| (name.clone(), text.clone())).collect();
        files.sort();
        files
    }

    /// A place in one of the files; in the playbook where no file is given.
    pub fn place(&self, file: Option<&str>, at: Position) -> Option<Place> {
        let main = self.main.borrow().clone();
        let file = file.filter(|file| !file.is_empty()).unwrap_or(&main).to_string();
        let texts = self.texts.borrow();
        let text = texts.get(&file)?;
        let line = at.line()? as u32;
        let source = text.lines().nth(line as usize - 1).unwrap_or("").to_string();
        let column = at.position().unwrap_or(0) as u32;
        let length = source
            .chars()
            .skip(column.saturating_sub(1) as usize)
            .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
            .count()
            .max(1) as u32;
        Some(Place { file, line, column, length, label: String::new(), source })
    }

    /// A hash of the text of the call at a position.
    pub fn call_hash(&self, closure: &str, at: Position) -> String {
        let file = self.file_of(closure).unwrap_or_else(|| self.main.borrow().clone());
        let texts = self.texts.borrow();
        let (Some(text), Some(line)) = (texts.get(&file), at.line()) else { return String::new() };
        let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let column = at.position().unwrap_or(1).saturating_sub(1);
        let inside: usize = text[start..].chars().take(column).map(char::len_utf8).sum();
        call_text(text, start + inside)
    }
}

/// The fault of an engine error. `outer` is the file of the frame in which it was raised.
pub fn diagnose(error: &EvalAltResult, sources: &Sources, outer: Option<&str>) -> Fault {
    let mut frames = Vec::new();
    let (leaf, at, file) = unwrap(error, outer.map(String::from), sources, &mut frames);
    let mut fault = match fault_in(leaf) {
        Some(fault) => (*fault).clone(),
        None => of_script(leaf),
    };
    if let Some(place) = sources.place(file.as_deref(), at) {
        fault.places.push(place);
    }
    for (name, file, at) in frames.into_iter().rev() {
        let known = |place: &Place| {
            fault.places.iter().any(|other| other.file == place.file && other.line == place.line)
        };
        let place = sources.place(file.as_deref(), at).filter(|place| !known(place));
        if let Some(place) = place {
            fault.places.push(place.labelled(msg!("host.in-this-call", name = name)));
        }
    }
    fault
}

type FrameAt = (String, Option<String>, Position);

fn unwrap<'e>(
    error: &'e EvalAltResult,
    file: Option<String>,
    sources: &Sources,
    frames: &mut Vec<FrameAt>,
) -> (&'e EvalAltResult, Position, Option<String>) {
    match error {
        EvalAltResult::ErrorInFunctionCall(name, source, inner, at) => {
            let inside = sources
                .file_of(name)
                .or_else(|| (!source.is_empty()).then(|| source.clone()))
                .or_else(|| file.clone());
            if !name.starts_with("anon$") {
                frames.push((name.clone(), file, *at));
            }
            unwrap(inner, inside, sources, frames)
        }
        EvalAltResult::ErrorInModule(path, inner, at) => {
            frames.push((path.clone(), file, *at));
            unwrap(inner, Some(path.clone()), sources, frames)
        }
        leaf => (leaf, leaf.position(), file),
    }
}

/// The script used up what it may: `what`.
pub fn used_up(what: String) -> Fault {
    Fault::failed("limit", msg!("host.limit", what = what))
        .cause(msg!("host.limit.cause"))
        .remedy(msg!("host.limit.remedy"))
}

/// An error that the script made itself.
fn of_script(error: &EvalAltResult) -> Fault {
    match error {
        EvalAltResult::ErrorParsing(kind, _) => {
            Fault::usage("syntax", msg!("host.syntax", what = kind))
        }
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            // "db::count (i64, map)": the types are the engine's words, the number is enough.
            let (name, rest) = signature.split_once(" (").unwrap_or((signature, ")"));
            let inside = rest.trim_end_matches(')');
            let count = if inside.is_empty() { 0 } else { inside.split(", ").count() };
            Fault::usage("unknown-verb", msg!("host.unknown-function", name = name, count = count))
                .remedy(msg!("host.unknown-function.remedy"))
        }
        EvalAltResult::ErrorVariableNotFound(name, _) => {
            Fault::usage("unknown-variable", msg!("host.unknown-variable", name = name))
                .cause(msg!("host.unknown-variable.cause"))
        }
        EvalAltResult::ErrorPropertyNotFound(name, _) => {
            Fault::usage("unknown-property", msg!("host.unknown-property", name = name))
        }
        EvalAltResult::ErrorRuntime(value, _) => thrown(value),
        EvalAltResult::ErrorTooManyOperations(_)
        | EvalAltResult::ErrorDataTooLarge(..)
        | EvalAltResult::ErrorStackOverflow(_)
        | EvalAltResult::ErrorTooManyVariables(_)
        | EvalAltResult::ErrorTooManyModules(_) => used_up(plain(error)),
        EvalAltResult::ErrorModuleNotFound(path, _) => {
            Fault::usage("unknown-module", msg!("host.unknown-module", path = path))
        }
        other => Fault::usage("script", plain(other)),
    }
}

/// What the script threw: a text, or a map with `message`.
fn thrown(value: &Dynamic) -> Fault {
    if let Some(map) = value.read_lock::<rhai::Map>() {
        let text = |key: &str| map.get(key).map(|value| value.to_string());
        let mut fault =
            Fault::failed("thrown", text("message").unwrap_or_else(|| value.to_string()));
        fault.code = text("code").unwrap_or(fault.code);
        fault.detail = text("detail");
        fault.remedy = text("remedy");
        fault.sqlstate = text("sqlstate");
        return fault;
    }
    Fault::failed("thrown", value.to_string())
}

/// The engine's words without its own position, which the place shows better.
fn plain(error: &EvalAltResult) -> String {
    let text = error.to_string();
    match text.rfind(" (line ") {
        Some(at) => text[..at].to_string(),
        None => text,
    }
}
