//! INSERT .. VALUES without a parser: files with thousands of them are read at the speed of tokens.

use super::classify::{Lock, StatementInfo};
use super::lex::{Kind, Token, meaningful};
use super::{tree, words};
use crate::model::Risk;
use crate::msg;

/// Classifies `INSERT INTO name [(columns)] VALUES ..` where nothing in it reads or updates; None
/// leaves it to the parser.
pub(super) fn plain_insert(statement: &str) -> Option<StatementInfo> {
    let mut tokens = meaningful(statement);
    tokens.next().filter(|token| token.is("insert"))?;
    tokens.next().filter(|token| token.is("into"))?;
    let first = tokens.next()?;
    let mut end = first.end();
    let mut next = tokens.next()?;
    while next.text == "." {
        end = tokens.next()?.end();
        next = tokens.next()?;
    }
    if !matches!(first.kind, Kind::Word | Kind::Quoted) {
        return None;
    }
    if next.kind == Kind::Open {
        while next.kind != Kind::Close {
            next = tokens.next()?;
        }
        next = tokens.next()?;
    }
    if !next.is("values") {
        return None;
    }
    let calls_functions = rows(tokens)?;
    let object = tree::render(&tree::parts(&statement[first.start..end]));
    Some(StatementInfo {
        kind: "insert".into(),
        locks: vec![Lock { mode: "ROW EXCLUSIVE".into(), object: object.clone() }],
        objects: vec![object],
        reads: Vec::new(),
        risk: if calls_functions { Risk::Medium } else { Risk::Low },
        rewrites: Vec::new(),
        scans: Vec::new(),
        reason: if calls_functions {
            msg!("sql.reason.calls-functions")
        } else {
            msg!("sql.reason.insert")
        },
        transactional: true,
        control: None,
        opaque: false,
        destructive: false,
        writes: true,
        calls_functions,
        session_dirty: false,
        probe: None,
    })
}

/// True where the rows call functions; None where they hold more than values, or are not closed.
fn rows<'a>(tokens: impl Iterator<Item = Token<'a>>) -> Option<bool> {
    let mut calls = false;
    let mut depth = 0_i32;
    let mut before: Option<Token<'a>> = None;
    for token in tokens {
        match token.kind {
            Kind::Open => {
                depth += 1;
                if let Some(word) = before.filter(|word| word.kind == Kind::Word) {
                    calls |= !words::is_harmless(&word.text.to_ascii_lowercase());
                }
            }
            Kind::Close => depth -= 1,
            Kind::Word if depth == 0 => return None,
            Kind::Word if token.is("select") || token.is("with") => return None,
            Kind::Semicolon | Kind::Backslash | Kind::Variable => return None,
            _ => {}
        }
        before = Some(token);
    }
    (depth == 0 && before.is_some_and(|last| last.kind == Kind::Close)).then_some(calls)
}
