//! What a statement does: kind, objects, risk, locks, and what is known of it beforehand.
//!
//! Reads the parse tree and asks no server: table sizes and triggers are not known here. What does
//! not parse, and what runs text (DO, CALL, EXECUTE), counts as the highest risk. Called by the
//! review and by the verbs that plan or run SQL.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use super::insert::plain_insert;
use super::lex::{Kind, meaningful};
use super::probe::{Probe, probe_of};
use super::quick::{Control, Quick, quick_kind};
use super::{locks, risk, tree, words};
use crate::model::Risk;
use crate::msg;

/// A table lock that a statement takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// As PostgreSQL's manual writes it: `ACCESS EXCLUSIVE`.
    pub mode: String,
    /// The relation, as in [`StatementInfo::objects`].
    pub object: String,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.mode, self.object)
    }
}

/// What is known of a statement before it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementInfo {
    /// In words: `create table`, `insert`; `statement` where unknown.
    pub kind: String,
    /// What it writes or alters: lower-cased unless quoted, the quotes kept where they matter.
    pub objects: Vec<String>,
    /// Relations that it only reads.
    pub reads: Vec<String>,
    /// The highest risk of its parts.
    pub risk: Risk,
    /// The table locks that it takes, ACCESS SHARE left out.
    pub locks: Vec<Lock>,
    /// Why it has this risk, for people.
    pub reason: String,
    /// False where the server refuses it inside a transaction.
    pub transactional: bool,
    /// Transaction control.
    pub control: Option<Control>,
    /// True where nobody can say beforehand what it changes.
    pub opaque: bool,
    /// True where data is lost for good: DROP of tables and columns, TRUNCATE, DELETE, MERGE that
    /// deletes or updates, UPDATE of every row.
    pub destructive: bool,
    /// True where it changes the database, as far as can be seen (see `calls_functions`).
    pub writes: bool,
    /// True where it calls functions that are not known to be harmless.
    pub calls_functions: bool,
    /// True where something of it stays in the session.
    pub session_dirty: bool,
    /// How to find out whether it has happened, for statements that run outside a transaction.
    pub probe: Option<Probe>,
}

/// Expressions nested deeper than this are not parsed: the parser descends by recursion.
const DEEPEST: usize = 200;
/// Statements with more tokens than this get a large stack of their own: a chain of operators is a
/// tree as deep as the chain is long.
const LONG: usize = 1000;
/// Statements with more tokens than this are not parsed.
const LONGEST: usize = 1_000_000;
const LARGE_STACK: usize = 256 << 20;

/// Classifies one statement.
pub fn classify(statement: &str) -> StatementInfo {
    let quick = quick_kind(statement);
    if quick.verb == "insert"
        && let Some(info) = plain_insert(statement)
    {
        return info;
    }
    let (mut depth, mut deepest, mut count) = (0_usize, 0_usize, 0_usize);
    for token in meaningful(statement) {
        count += 1;
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => continue,
        }
        deepest = deepest.max(depth);
    }
    if deepest > DEEPEST || count > LONGEST {
        return unparsable(&quick);
    }
    let parsed = || catch_unwind(AssertUnwindSafe(|| parse(statement, &quick)));
    let info = if count > LONG {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(LARGE_STACK);
            thread.spawn_scoped(scope, parsed).map(std::thread::ScopedJoinHandle::join)
        })
        .ok()
        .and_then(Result::ok)
        .and_then(Result::ok)
    } else {
        parsed().ok()
    };
    info.flatten().unwrap_or_else(|| unparsable(&quick))
}

/// None where it does not parse as one statement.
fn parse(statement: &str, quick: &Quick) -> Option<StatementInfo> {
    let parse = SourceFile::parse(statement);
    let errors = parse.errors();
    let root = parse.syntax_node();
    // Errors inside of a function's body are the body's: the server reads it when it is called.
    let bodies: Vec<_> = root
        .descendants()
        .filter(|node| node.kind() == SyntaxKind::AS_DEFINITION)
        .map(|node| node.text_range())
        .collect();
    if errors.iter().any(|error| !bodies.iter().any(|body| body.contains_range(error.range()))) {
        return None;
    }
    let mut statements = root.children();
    let first = statements.next()?;
    if statements.next().is_some() {
        return None;
    }
    Some(describe(&first, quick))
}

fn describe(stmt: &SyntaxNode, quick: &Quick) -> StatementInfo {
    // EXPLAIN ANALYZE runs what it explains.
    if stmt.kind() == SyntaxKind::EXPLAIN {
        return explain(stmt, quick);
    }
    let refs = tree::relations(stmt);
    let objects = tree::objects(stmt, &refs);
    let verdict = risk::judge(stmt, quick);
    let functions = tree::calls(stmt);
    let changes = functions.iter().any(|name| words::WRITERS.contains(&name.as_str()));
    let reader = risk::only_reads(stmt.kind());
    let writes = changes || !refs.written.is_empty() || !reader;
    let runs_expressions = reader || tree::is_dml(stmt.kind());
    StatementInfo {
        kind: kind_of(stmt, quick),
        reads: refs.read.iter().filter(|name| !objects.contains(name)).cloned().collect(),
        risk: verdict.risk,
        locks: locks::of(stmt, &objects),
        reason: verdict.reason,
        transactional: quick.transactional,
        control: quick.control,
        opaque: verdict.opaque,
        destructive: verdict.destructive,
        writes,
        calls_functions: runs_expressions
            && functions.iter().any(|name| !words::HARMLESS.contains(&name.as_str())),
        session_dirty: quick.session_dirty,
        probe: probe_of(stmt, quick),
        objects,
    }
}

fn explain(stmt: &SyntaxNode, quick: &Quick) -> StatementInfo {
    let inner = stmt.children().find(|child| {
        !matches!(child.kind(), SyntaxKind::EXPLAIN_ANALYZE | SyntaxKind::EXPLAIN_OPTION_LIST)
            && !format!("{:?}", child.kind()).starts_with("EXPLAIN")
    });
    let runs = tree::has_word(stmt, "analyze");
    let Some(inner) = inner else { return unparsable(quick) };
    let inside = describe(&inner, &quick_kind(&inner.text().to_string()));
    if runs {
        return StatementInfo { kind: "explain analyze".into(), ..inside };
    }
    StatementInfo {
        kind: "explain".into(),
        reads: inside.objects.into_iter().chain(inside.reads).collect(),
        objects: Vec::new(),
        risk: Risk::Low,
        locks: Vec::new(),
        reason: msg!("sql.reason.read"),
        opaque: false,
        destructive: false,
        writes: false,
        calls_functions: false,
        session_dirty: false,
        probe: None,
        ..inside
    }
}

/// WITH .. is named after what it does in the end.
fn kind_of(stmt: &SyntaxNode, quick: &Quick) -> String {
    match stmt.kind() {
        SyntaxKind::INSERT => "insert".into(),
        SyntaxKind::UPDATE => "update".into(),
        SyntaxKind::DELETE => "delete".into(),
        SyntaxKind::MERGE => "merge".into(),
        SyntaxKind::SELECT_INTO => "select into".into(),
        SyntaxKind::SELECT | SyntaxKind::COMPOUND_SELECT | SyntaxKind::PAREN_SELECT => {
            "select".into()
        }
        _ => quick.kind(),
    }
}

/// What nobody can read beforehand.
fn unparsable(quick: &Quick) -> StatementInfo {
    StatementInfo {
        kind: quick.kind(),
        objects: Vec::new(),
        reads: Vec::new(),
        risk: Risk::VeryHigh,
        locks: Vec::new(),
        reason: msg!("sql.reason.unparsable"),
        transactional: quick.transactional,
        control: quick.control,
        opaque: true,
        destructive: matches!(quick.verb, "drop" | "truncate" | "delete" | "merge"),
        writes: true,
        calls_functions: true,
        session_dirty: quick.session_dirty,
        probe: None,
    }
}

#[cfg(test)]
mod tests;
