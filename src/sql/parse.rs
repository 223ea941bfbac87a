//! One statement to one tree, whatever its depth and whatever the parser does with it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rowan::GreenNode;
use squawk_syntax::{Parse, SourceFile, SyntaxKind, SyntaxNode};

use super::lex::{Kind, meaningful};

/// Expressions nested deeper than this are not parsed: the parser descends by recursion.
const DEEPEST: usize = 200;
/// Statements with more tokens than this get a large stack of their own: a chain of operators is a
/// tree as deep as the chain is long.
const LONG: usize = 1000;
/// Statements with more tokens than this are not parsed.
const LONGEST: usize = 1_000_000;
const LARGE_STACK: usize = 256 << 20;
/// Bytes below which a text cannot be a tree deeper than an ordinary stack.
pub(super) const SMALL: usize = 4 << 10;

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

/// A whole text, parsed at once: the trees of its statements, each at the byte where it begins.
pub(super) struct Whole {
    parse: Parse<SourceFile>,
    statements: HashMap<usize, GreenNode>,
}

impl Whole {
    /// None where not every statement of it parses, or where one of them would need care.
    pub(super) fn of(text: &str) -> Option<Self> {
        if text.len() > SMALL || text.bytes().filter(|byte| *byte == b'(').count() > DEEPEST {
            return None;
        }
        let parse = || {
            let parse = SourceFile::parse(text);
            parse.errors().is_empty().then_some(parse)
        };
        let parse = catch_unwind(AssertUnwindSafe(parse)).ok().flatten()?;
        let statements = parse.syntax_node().children();
        let at = |node: &SyntaxNode| usize::from(node.text_range().start());
        let statements = statements.map(|node| (at(&node), node.green().into_owned())).collect();
        Some(Self { parse, statements })
    }

    /// The tree of the statement that is so many bytes long.
    pub(super) fn at(&self, start: usize, length: usize) -> Option<SyntaxNode> {
        let found = self.statements.get(&start)?;
        // Here a statement has its semicolon, and what stands in front of that.
        let (mut ends, mut kept) = (0, 0);
        for child in found.children() {
            if ends >= length {
                break;
            }
            ends += usize::from(child.text_len());
            kept += 1;
        }
        let alone = || found.splice_children(kept.., std::iter::empty());
        (ends == length).then(|| SyntaxNode::new_root(alone()))
    }

    /// The whole tree.
    pub(super) fn parse(&self) -> &Parse<SourceFile> {
        &self.parse
    }
}

/// What the body makes of a tree that is there already; None where it gives up.
pub(super) fn of_tree<T>(tree: &SyntaxNode, body: impl FnOnce(&SyntaxNode) -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(|| body(tree))).ok()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_text_that_parses_gives_the_tree_of_each_statement() {
        let text = "-- one\nBEGIN;\nCREATE TABLE t (id int);\n\nDROP INDEX i -- two\n;\n";
        let whole = Whole::of(text).unwrap();
        for statement in ["BEGIN", "CREATE TABLE t (id int)", "DROP INDEX i"] {
            let tree = whole.at(text.find(statement).unwrap(), statement.len());
            let tree = tree.unwrap_or_else(|| panic!("{statement}: {:?}", whole.statements));
            assert_eq!(tree.text(), statement);
            assert_eq!(Some(tree.kind()), with_tree(statement, |alone| alone.kind()));
        }
        assert!(whole.at(0, 3).is_none());
        assert!(Whole::of("SELECT 1; SELEC 2").is_none());
    }
}
