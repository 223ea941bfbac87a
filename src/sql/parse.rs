//! One statement to one tree, whatever its depth and whatever the parser does with it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use super::lex::{Kind, meaningful};

/// Expressions nested deeper than this are not parsed: the parser descends by recursion.
const DEEPEST: usize = 200;
/// Statements with more tokens than this get a large stack of their own: a chain of operators is a
/// tree as deep as the chain is long.
const LONG: usize = 1000;
/// Statements with more tokens than this are not parsed.
const LONGEST: usize = 1_000_000;
const LARGE_STACK: usize = 256 << 20;

/// What the body makes of the tree of a statement; None where it does not parse as one statement.
pub(super) fn with_tree<T: Send>(
    statement: &str,
    body: impl FnOnce(&SyntaxNode) -> T + Send,
) -> Option<T> {
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
        return None;
    }
    let parsed = || catch_unwind(AssertUnwindSafe(|| tree(statement).map(|tree| body(&tree))));
    if count <= LONG {
        return parsed().ok().flatten();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(LARGE_STACK);
        thread.spawn_scoped(scope, parsed).map(std::thread::ScopedJoinHandle::join)
    })
    .ok()
    .and_then(Result::ok)
    .and_then(Result::ok)
    .flatten()
}

fn tree(statement: &str) -> Option<SyntaxNode> {
    let parse = SourceFile::parse(statement);
    let errors = parse.errors();
    let root = parse.syntax_node();
    if !errors.is_empty() {
        // Errors inside of a function's body are the body's: the server reads it when it is called.
        let bodies: Vec<_> = root
            .descendants()
            .filter(|node| node.kind() == SyntaxKind::AS_DEFINITION)
            .map(|node| node.text_range())
            .collect();
        if errors.iter().any(|error| !bodies.iter().any(|body| body.contains_range(error.range())))
        {
            return None;
        }
    }
    let mut statements = root.children();
    let first = statements.next()?;
    if statements.next().is_some() {
        return None;
    }
    Some(first)
}

/// Where a statement stops making sense: byte offset and what the parser expected. None where it
/// parses, or where it was too deep to be tried.
pub(super) fn first_error(statement: &str) -> Option<(usize, String)> {
    if meaningful(statement).count() > LONG {
        return None;
    }
    catch_unwind(AssertUnwindSafe(|| {
        let errors = SourceFile::parse(statement).errors();
        let first = errors.first()?;
        Some((usize::from(first.range().start()), first.message().to_string()))
    }))
    .ok()
    .flatten()
}
