//! Files of a size to be read in one go, doors that are only doors, no printing and no panics
//! where they do not belong.

use super::source::{Source, Token, sources};

const LONGEST: usize = 500;
const LONGEST_DOOR: usize = 60;
/// `message` is one small room without inner walls: its door is the room.
const ROOMS_IN_THEIR_DOOR: &[&str] = &["src/message/mod.rs"];
/// Who may write to the terminal.
const PRINTERS: &[&str] = &["src/report/", "src/cli/", "src/main.rs"];

fn violations(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    let is_door =
        source.path.ends_with("/mod.rs") && !ROOMS_IN_THEIR_DOOR.contains(&source.path.as_str());
    let limit = if is_door { LONGEST_DOOR } else { LONGEST };
    if lines > limit {
        found.push(format!("{}: {lines} lines, at most {limit}", source.path));
    }
    let prints = PRINTERS.iter().any(|room| source.path.starts_with(room));
    let tokens = source.without_tests();
    for (at, token) in tokens.iter().enumerate() {
        let Some(word) = token.word() else { continue };
        let next = |sign: char| tokens.get(at + 1).is_some_and(|token| token.is(sign));
        let after_dot = at > 0 && tokens[at - 1].is('.');
        let wrong = match word {
            "println" | "eprintln" | "print" | "eprint" => next('!') && !prints,
            "todo" | "unimplemented" | "dbg" => next('!'),
            "unwrap" | "expect" => after_dot && next('(') && !is_allowed(&tokens, at),
            _ => false,
        };
        if wrong {
            found.push(format!("{}:{}: {word}", source.path, token.line));
        }
    }
    found
}

/// Other types have an `expect` too; the one that panics is given a plain text.
fn is_allowed(tokens: &[Token], at: usize) -> bool {
    tokens[at].word() == Some("expect")
        && tokens.get(at + 2).is_none_or(|token| token.text().is_none())
}

#[test]
fn the_sources_keep_the_house_rules() {
    let found: Vec<String> = sources().iter().flat_map(violations).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_planted_breach_is_found() {
    let long = "//\n".repeat(LONGEST + 1);
    let door = "//\n".repeat(LONGEST_DOOR + 1);
    for (path, text) in [
        ("src/sql/split.rs", long.as_str()),
        ("src/sql/mod.rs", door.as_str()),
        ("src/sql/split.rs", "fn a() { println!() }"),
        ("src/sql/split.rs", "fn a() { eprint!(\"x\") }"),
        ("src/cli/args.rs", "fn a() { todo!() }"),
        ("src/cli/args.rs", "fn a() { b.unwrap() }"),
        ("src/cli/args.rs", "fn a() { b.expect(\"x\") }"),
    ] {
        assert_eq!(violations(&Source::new(path, text)).len(), 1, "{path}: {text:.40}");
    }
}

#[test]
fn tests_may_unwrap_and_the_terminal_may_print() {
    for (path, text) in [
        ("src/sql/split.rs", "#[cfg(test)] mod tests { fn a() { b.unwrap() } }"),
        ("src/system/command/tests.rs", "fn a() { b.unwrap() }"),
        ("src/report/terminal.rs", "fn a() { println!() }"),
        ("src/sql/split.rs", "fn a() { b.unwrap_or(1); unwrap(2) } // .unwrap()"),
    ] {
        assert_eq!(violations(&Source::new(path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}
