//! What a statement does: kind, objects, risk, locks, and what is known of it beforehand.
//!
//! Reads the parse tree and asks no server: table sizes and triggers are not known here. DO blocks
//! are looked into. What does not parse, and what runs text that nobody can know beforehand
//! (EXECUTE of an expression, CALL), counts as the highest risk. Called by the linter, the review
//! and the verbs that plan or run SQL.

use std::fmt;

use serde::{Deserialize, Serialize};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::body::Body;
use super::insert::plain_insert;
use super::parse::with_tree;
use super::probe::{Probe, probe_of};
use super::quick::{Control, Quick, quick_kind};
use super::seen::Seen;
use super::{body, locks, rewrite, risk, tree, words};
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
    /// Relations that it writes anew, every row; a change of type counts unless it is known to be
    /// none on disk.
    pub rewrites: Vec<String>,
    /// Relations that it reads from end to end while it holds its lock.
    pub scans: Vec<String>,
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

/// Classifies one statement.
pub fn classify(statement: &str) -> StatementInfo {
    let quick = quick_kind(statement);
    if quick.verb == "insert"
        && let Some(info) = plain_insert(statement)
    {
        return info;
    }
    let seen = Seen::default();
    with_tree(statement, |stmt| describe(stmt, &quick, &seen)).unwrap_or_else(|| unparsable(&quick))
}

/// The same of a tree, with what the statements before it have shown.
pub(super) fn describe(stmt: &SyntaxNode, quick: &Quick, seen: &Seen) -> StatementInfo {
    // EXPLAIN ANALYZE runs what it explains.
    if stmt.kind() == SyntaxKind::EXPLAIN {
        return explain(stmt, quick, seen);
    }
    if stmt.kind() == SyntaxKind::DO {
        return block(stmt, quick, seen);
    }
    if stmt.kind() == SyntaxKind::CALL
        && let Some(known) = stmt.children().next().and_then(|name| seen.body(&tree::name(&name)))
    {
        return StatementInfo { kind: "call".into(), ..known.clone() };
    }
    let refs = tree::relations(stmt);
    let objects = tree::objects(stmt, &refs);
    let functions = tree::calls(stmt);
    let runs_expressions = risk::only_reads(stmt.kind()) || tree::is_dml(stmt.kind());
    let unknown = |name: &String| !words::is_harmless(name) && seen.body(name).is_none();
    let calls_functions = runs_expressions && functions.iter().any(unknown);
    let mut verdict = risk::judge(stmt, quick, seen);
    if calls_functions {
        verdict = verdict.or_worse(risk::calls(&functions));
    }
    let passes = rewrite::of(stmt, &objects, seen);
    let changes = functions.iter().any(|name| words::WRITERS.contains(&name.as_str()));
    let reader = risk::only_reads(stmt.kind());
    let writes = changes || !refs.written.is_empty() || !reader;
    let mut info = StatementInfo {
        kind: kind_of(stmt, quick),
        reads: refs.read.iter().filter(|name| !objects.contains(name)).cloned().collect(),
        risk: verdict.risk,
        locks: locks::of(stmt, &objects, seen),
        rewrites: passes.rewrites,
        scans: passes.scans,
        reason: verdict.reason,
        transactional: quick.transactional,
        control: quick.control,
        opaque: verdict.opaque,
        destructive: verdict.destructive,
        writes,
        calls_functions,
        session_dirty: quick.session_dirty,
        probe: probe_of(stmt, quick),
        objects,
    };
    // Functions that the file itself has defined do what their bodies do.
    for called in functions.iter().filter(|_| runs_expressions) {
        if let Some(body) = seen.body(called) {
            info.take_in(body.clone());
        }
    }
    info
}

/// A DO block is the sum of its statements.
fn block(stmt: &SyntaxNode, quick: &Quick, seen: &Seen) -> StatementInfo {
    match body::of(stmt) {
        Some(body) => of_body(&body, quick, seen),
        None => StatementInfo { reason: msg!("sql.reason.do"), ..unparsable(quick) },
    }
}

/// What a body does when it runs.
pub(super) fn of_body(body: &Body, quick: &Quick, seen: &Seen) -> StatementInfo {
    let mut sum = StatementInfo {
        risk: Risk::Low,
        reason: msg!("sql.reason.do-nothing"),
        opaque: false,
        destructive: false,
        writes: false,
        calls_functions: false,
        ..unparsable(quick)
    };
    let mut seen = seen.clone();
    for inner in &body.statements {
        let info = describe(inner, &quick_kind(&tree::source(inner)), &seen);
        seen.learn(inner);
        sum.take_in(info);
    }
    for expression in &body.expressions {
        let functions = tree::calls(expression);
        for called in &functions {
            if let Some(known) = seen.body(called) {
                sum.take_in(known.clone());
            }
        }
        if functions.iter().any(|name| !words::is_harmless(name) && seen.body(name).is_none()) {
            sum.calls_functions = true;
            let verdict = risk::calls(&functions);
            if verdict.risk > sum.risk {
                (sum.risk, sum.reason) = (verdict.risk, verdict.reason);
            }
        }
        for name in tree::relations(expression).read {
            tree::add(&mut sum.reads, name);
        }
    }
    if let Some(text) = body.unreadable.first() {
        sum.reason = msg!("sql.reason.do-unreadable", text = text);
    } else if let Some(text) = body.dynamic.first() {
        sum.reason = msg!("sql.reason.do-dynamic", text = text);
    }
    if !body.unreadable.is_empty() || !body.dynamic.is_empty() {
        sum.risk = Risk::VeryHigh;
        (sum.opaque, sum.writes, sum.calls_functions) = (true, true, true);
    }
    sum.transactional &= !body.controls;
    let objects = sum.objects.clone();
    sum.reads.retain(|name| !objects.contains(name));
    sum
}

impl StatementInfo {
    /// Adds what a statement inside of a block does.
    fn take_in(&mut self, inner: Self) {
        if inner.risk > self.risk || (self.objects.is_empty() && !inner.objects.is_empty()) {
            self.reason = inner.reason;
        }
        self.risk = self.risk.max(inner.risk);
        for (own, others) in [
            (&mut self.objects, inner.objects),
            (&mut self.reads, inner.reads),
            (&mut self.rewrites, inner.rewrites),
            (&mut self.scans, inner.scans),
        ] {
            others.into_iter().for_each(|name| tree::add(own, name));
        }
        locks::merge(&mut self.locks, inner.locks);
        self.destructive |= inner.destructive;
        self.opaque |= inner.opaque;
        self.writes |= inner.writes;
        self.calls_functions |= inner.calls_functions;
    }
}

fn explain(stmt: &SyntaxNode, quick: &Quick, seen: &Seen) -> StatementInfo {
    let inner = stmt.children().find(|child| {
        !matches!(child.kind(), SyntaxKind::EXPLAIN_ANALYZE | SyntaxKind::EXPLAIN_OPTION_LIST)
            && !format!("{:?}", child.kind()).starts_with("EXPLAIN")
    });
    let runs = tree::has_word(stmt, "analyze");
    let Some(inner) = inner else { return unparsable(quick) };
    let inside = describe(&inner, &quick_kind(&tree::source(&inner)), seen);
    if runs {
        return StatementInfo { kind: "explain analyze".into(), ..inside };
    }
    StatementInfo {
        kind: "explain".into(),
        reads: inside.objects.into_iter().chain(inside.reads).collect(),
        objects: Vec::new(),
        risk: Risk::Low,
        locks: Vec::new(),
        rewrites: Vec::new(),
        scans: Vec::new(),
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
pub(super) fn unparsable(quick: &Quick) -> StatementInfo {
    StatementInfo {
        kind: quick.kind(),
        objects: Vec::new(),
        reads: Vec::new(),
        risk: Risk::VeryHigh,
        locks: Vec::new(),
        rewrites: Vec::new(),
        scans: Vec::new(),
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
