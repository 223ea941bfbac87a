//! Imports go down only; rooms on one floor do not know each other.

use super::source::{Source, Token, sources};

/// Floor by room. `message` may be used by all, `model` by all but `message`.
const FLOORS: &[(&str, u32)] = &[
    ("model", 0),
    ("message", 0),
    ("sql", 1),
    ("system", 1),
    ("playbook", 1),
    ("config", 1),
    ("report", 1),
    ("postgres", 2),
    ("journal", 3),
    ("host", 4),
    ("verbs", 5),
    ("engine", 6),
    ("rehearsal", 7),
    ("cli", 8),
    ("main", 9),
];

/// What the root of the crate holds besides rooms: the macro of `message`.
const OF_THE_ROOT: &[&str] = &["msg"];

fn floor(room: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

fn violations(source: &Source) -> Vec<String> {
    let module = source.module();
    let Some(room) = module.first() else { return Vec::new() };
    let Some(own) = floor(room) else {
        return vec![format!("{}: {room} has no floor", source.path)];
    };
    let mut found = Vec::new();
    for (line, target) in rooms_used(source) {
        let say = |why: &str| format!("{}:{line}: {room} -> {target}: {why}", source.path);
        if target == *room || OF_THE_ROOT.contains(&target.as_str()) {
            continue;
        }
        match floor(&target) {
            None => found.push(say("not a room")),
            Some(_) if target == "message" => {}
            Some(other) if other > own => found.push(say("climbs")),
            Some(other) if other == own => found.push(say("knows its neighbour")),
            Some(_) => {}
        }
    }
    found
}

/// Every room that a source names by `crate::`, `super::` or (in main) `runsheet::`, with lines.
fn rooms_used(source: &Source) -> Vec<(usize, String)> {
    let tokens = &source.tokens;
    let file = source.module();
    // Inline modules, and how deep in braces each began.
    let mut inside: Vec<(String, u32)> = Vec::new();
    let mut depth = 0;
    let mut used = Vec::new();
    for at in 0..tokens.len() {
        let token = &tokens[at];
        if token.is('{') {
            depth += 1;
        } else if token.is('}') {
            depth -= 1;
            if inside.last().is_some_and(|(_, began)| *began == depth) {
                inside.pop();
            }
        } else if token.word() == Some("mod") && tokens.get(at + 2).is_some_and(|t| t.is('{')) {
            inside.push((tokens[at + 1].word().unwrap_or("").into(), depth));
        }
        let Some(word) = token.word() else { continue };
        let begins = at == 0 || !is_path_sign(tokens, at - 1);
        let starts_here = match word {
            "crate" | "super" => begins,
            "runsheet" => begins && file == ["main"],
            _ => false,
        };
        if !starts_here {
            continue;
        }
        let here: Vec<String> =
            file.iter().cloned().chain(inside.iter().map(|(name, _)| name.clone())).collect();
        let base = if word == "super" { parent(&here) } else { Vec::new() };
        if tokens.get(at + 1).and_then(Token::word) == Some("as") {
            used.push((token.line, format!("{word} under another name")));
        }
        follow(tokens, at + 1, &base, &mut used);
    }
    used
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// True where the token is the second sign of a `::`.
fn is_path_sign(tokens: &[Token], at: usize) -> bool {
    at > 0 && tokens[at].is(':') && tokens[at - 1].is(':')
}

/// Follows `::name`, `::super`, `::{a, b::c}` from a base until the room is known. Gives the index
/// behind the path.
fn follow(tokens: &[Token], at: usize, base: &[String], used: &mut Vec<(usize, String)>) -> usize {
    let is = |at: usize, sign: char| tokens.get(at).is_some_and(|token| token.is(sign));
    if !(is(at, ':') && is(at + 1, ':')) {
        return at;
    }
    follow_name(tokens, at + 2, base, used)
}

fn follow_name(
    tokens: &[Token],
    at: usize,
    base: &[String],
    used: &mut Vec<(usize, String)>,
) -> usize {
    let Some(token) = tokens.get(at) else { return at };
    if token.is('{') {
        let mut at = at + 1;
        while at < tokens.len() && !tokens[at].is('}') {
            if tokens[at].is(',') {
                at += 1;
            } else {
                at = follow_name(tokens, at, base, used).max(at + 1);
            }
        }
        return at + 1;
    }
    if token.is('*') {
        if base.is_empty() {
            used.push((token.line, "everything of the root".into()));
        }
        return at + 1;
    }
    let Some(word) = token.word() else { return at };
    match word {
        "super" => return follow(tokens, at + 1, &parent(base), used),
        "self" => return follow(tokens, at + 1, base, used),
        _ => {}
    }
    if base.is_empty() {
        used.push((token.line, word.to_string()));
    }
    let mut deeper = base.to_vec();
    deeper.push(word.to_string());
    follow(tokens, at + 1, &deeper, used)
}

#[test]
fn imports_go_down_only() {
    let found: Vec<String> = sources().iter().flat_map(violations).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_planted_climb_is_found_in_every_form() {
    for (path, text) in [
        ("src/sql/split.rs", "use crate::postgres::Session;"),
        ("src/sql/split.rs", "use crate::{model::Fault, postgres::{Session, Copy}};"),
        ("src/sql/split.rs", "use {crate::model::Fault, crate::cli};"),
        ("src/sql/split.rs", "use super::super::postgres::Session;"),
        ("src/sql/split.rs", "use super::{lex, super::postgres};"),
        ("src/sql/split.rs", "fn a() { crate::engine::build() }"),
        ("src/sql/split.rs", "macro_rules! m { () => { $crate::engine::build() }; }"),
        ("src/sql/split.rs", "mod tests { use super::super::super::journal::Ledger; }"),
        ("src/sql/split.rs", "use crate as house;"),
        ("src/sql/split.rs", "use crate::*;"),
        ("src/sql/split.rs", "use crate::report::Terminal;"),
        ("src/config.rs", "use super::playbook::Book;"),
        ("src/message/mod.rs", "use crate::model::Fault;"),
        ("src/sql/split.rs", "use crate::undreamt::Of;"),
        ("src/attic/mod.rs", ""),
    ] {
        assert!(!violations(&Source::new(path, text)).is_empty(), "{path}: {text}");
    }
}

#[test]
fn what_goes_down_or_stays_in_its_room_is_left_alone() {
    for (path, text) in [
        ("src/postgres/mod.rs", "use crate::{msg, model::{Fault, Risk}, system::Command};"),
        ("src/postgres/scratch/server.rs", "use super::account::Account; use super::super::copy;"),
        ("src/postgres/session.rs", "mod tests { use super::*; use super::super::catalog; }"),
        ("src/postgres/session.rs", "pub(super) fn a() {} pub(crate) fn b() {} // crate::cli"),
        ("src/model/fault.rs", "use crate::message::text;"),
        ("src/main.rs", "fn main() { runsheet::cli::run() }"),
    ] {
        assert_eq!(violations(&Source::new(path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}
