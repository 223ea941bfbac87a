//! The statements inside of DO blocks and function bodies.
//!
//! PL/pgSQL is read as a tree; `SELECT .. INTO variable`, which SQL itself does not have, is made
//! plain SQL first. SQL bodies are read as SQL. What a body puts together at run time (EXECUTE)
//! cannot be known, but for a lone literal.

use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SourceFile, SyntaxKind as K, SyntaxNode};

use super::lex::{Kind, tokens};
use super::tree;

/// What stands in a body.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// The trees of its statements, in order.
    pub(super) statements: Vec<SyntaxNode>,
    /// Texts that it executes and that nobody can know beforehand.
    pub(super) dynamic: Vec<String>,
    /// Parts that do not parse.
    pub(super) unreadable: Vec<String>,
    /// Functions called by its own expressions, in trees that hold them.
    pub(super) expressions: Vec<SyntaxNode>,
    /// True where it commits or rolls back by itself.
    pub(super) controls: bool,
}

/// The body of a DO block, of a function or of a procedure; None for other statements and for
/// languages other than PL/pgSQL and SQL.
pub(super) fn of(stmt: &SyntaxNode) -> Option<Body> {
    let (text, language) = match stmt.kind() {
        K::DO => {
            let literal = stmt.children().find(|child| child.kind() == K::LITERAL)?;
            (tree::source(&literal), language(stmt).unwrap_or_else(|| "plpgsql".into()))
        }
        K::CREATE_FUNCTION | K::CREATE_PROCEDURE => {
            if let Some(atomic) = stmt.descendants().find(|node| node.kind() == K::ATOMIC_BODY) {
                return Some(Body { statements: atomic.children().collect(), ..Body::default() });
            }
            let definition = stmt.descendants().find(|node| node.kind() == K::AS_DEFINITION)?;
            (tree::source(&definition), language(stmt)?)
        }
        _ => return None,
    };
    let text = content(&text)?;
    match language.as_str() {
        "plpgsql" => Some(plpgsql(&text)),
        "sql" => Some(plain(&text)),
        _ => None,
    }
}

fn language(stmt: &SyntaxNode) -> Option<String> {
    let name = stmt
        .descendants()
        .find(|node| matches!(node.kind(), K::DO_LANGUAGE | K::LANGUAGE_FUNC_OPTION))?;
    let text = tree::source(&name);
    let last = super::lex::meaningful(&text).last()?.text.to_string();
    Some(last.trim_matches(['"', '\'']).to_ascii_lowercase())
}

/// What a literal stands for, as far as bodies are written: dollar quotes and plain quotes.
fn content(literal: &str) -> Option<String> {
    // AS 'object file', 'symbol' has two of them and is no SQL.
    let mut literals = super::lex::meaningful(literal)
        .filter(|token| matches!(token.kind, Kind::Text | Kind::Dollar));
    let first = literals.next()?;
    if literals.next().is_some() {
        return None;
    }
    if first.kind == Kind::Dollar {
        let tag = super::lex::dollar_tag(first.text.as_bytes()).len();
        return first.text.get(tag..first.text.len().checked_sub(tag)?).map(String::from);
    }
    let inner = first.text.trim_start_matches(['E', 'e']);
    Some(inner.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'"))
}

/// A dollar quote that no body has within it.
const TAG: &str = "$runsheet_body$";

fn plpgsql(text: &str) -> Body {
    let mut body = Body::default();
    let wrapped = format!("DO {TAG}{}{TAG}", without_into(text));
    let root = SourceFile::parse(&wrapped).syntax_node();
    let parsed = root.children().find_map(ast::Do::cast).and_then(|block| block.plpgsql());
    match parsed {
        Some(parsed) => {
            let tree = parsed.syntax();
            walk(&tree, &mut body);
            // The parser leaves an error without a node where a word is missing.
            if body.unreadable.is_empty() && !parsed.errors().is_empty() {
                body.unreadable.push(shortened(text));
            }
        }
        None => body.unreadable.push(shortened(text)),
    }
    body
}

fn plain(text: &str) -> Body {
    let parse = SourceFile::parse(text);
    if !parse.errors().is_empty() {
        return Body { unreadable: vec![shortened(text)], ..Body::default() };
    }
    Body { statements: parse.syntax_node().children().collect(), ..Body::default() }
}

fn walk(node: &SyntaxNode, body: &mut Body) {
    for child in node.children() {
        match child.kind() {
            K::ERROR => body.unreadable.push(shortened(&tree::source(&child))),
            K::PLPGSQL_DYN_EXECUTE_STMT
            | K::PLPGSQL_FOR_DYN_STMT
            | K::PLPGSQL_RETURN_QUERY_EXECUTE_STMT
            | K::PLPGSQL_OPEN_EXECUTE => executed(&child, body),
            K::PLPGSQL_COMMIT_STMT | K::PLPGSQL_ROLLBACK_STMT => body.controls = true,
            K::PLPGSQL_EXPR | K::PLPGSQL_CONDITION => body.expressions.push(child),
            K::PLPGSQL_BODY => walk(&child, body),
            kind if format!("{kind:?}").starts_with("PLPGSQL_") => walk(&child, body),
            K::LITERAL | K::PATH_TYPE | K::NAME_REF => {}
            kind if is_type(kind) => {}
            _ => body.statements.push(child),
        }
    }
}

fn is_type(kind: K) -> bool {
    let word = format!("{kind:?}");
    word.ends_with("_TYPE") || word.ends_with("_TYPE_CLAUSE") || kind == K::COLLATE
}

/// EXECUTE of a lone literal is the statement itself.
fn executed(stmt: &SyntaxNode, body: &mut Body) {
    let expression = stmt.children().find(|child| child.kind() == K::PLPGSQL_EXPR);
    let literal = expression.as_ref().and_then(|expression| {
        let mut inner = expression.clone();
        while inner.kind() != K::LITERAL {
            let mut children = inner.children();
            let only = children.next()?;
            if children.next().is_some() || only.text() != expression.text() {
                return None;
            }
            inner = only;
        }
        content(&tree::source(&inner))
    });
    match literal {
        Some(text) => {
            let inner = plain(&text);
            body.statements.extend(inner.statements);
            body.unreadable.extend(inner.unreadable);
        }
        None => {
            body.dynamic.push(shortened(&tree::source(&expression.unwrap_or_else(|| stmt.clone()))))
        }
    }
    for below in stmt.children().filter(|child| child.kind() == K::PLPGSQL_BODY) {
        walk(&below, body);
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 120;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN).collect()
}

/// The same text with `INTO [STRICT] variables` of queries blanked, every other byte in its place.
fn without_into(text: &str) -> String {
    let all: Vec<_> = tokens(text).filter(|token| !token.kind.is_trivia()).collect();
    let mut out = text.as_bytes().to_vec();
    let (mut at, mut in_query, mut starts, mut depth, mut cases) = (0, false, true, 0_i32, 0_u32);
    while at < all.len() {
        let token = all[at];
        if starts {
            let query = ["select", "insert", "update", "delete", "merge", "with", "values"];
            in_query = query.iter().any(|word| token.is(word));
            (starts, depth, cases) = (false, 0, 0);
        }
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            Kind::Semicolon => starts = true,
            Kind::Word if in_query && token.is("case") => cases += 1,
            Kind::Word if in_query && token.is("end") && cases > 0 => cases -= 1,
            Kind::Word if cases == 0 && boundary(&token) => starts = true,
            Kind::Word if in_query && depth == 0 && token.is("into") => {
                let after = at.checked_sub(1).and_then(|before| all.get(before));
                if !after.is_some_and(|word| word.is("insert") || word.is("merge")) {
                    let last = targets(&all, at + 1);
                    let end = all[last].end();
                    out[token.start..end].iter_mut().for_each(|byte| {
                        if *byte != b'\n' {
                            *byte = b' ';
                        }
                    });
                    at = last;
                }
            }
            _ => {}
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_string())
}

fn boundary(token: &super::lex::Token<'_>) -> bool {
    ["then", "else", "loop", "begin"].iter().any(|word| token.is(word))
}

/// The index of the last token of a list of variables that begins here.
fn targets(all: &[super::lex::Token<'_>], mut at: usize) -> usize {
    let is_name = |at: usize| {
        all.get(at).is_some_and(|t| matches!(t.kind, Kind::Word | Kind::Quoted | Kind::Parameter))
    };
    let text = |at: usize| all.get(at).map_or("", |token| token.text);
    if all.get(at).is_some_and(|token| token.is("strict")) {
        at += 1;
    }
    loop {
        while is_name(at) && text(at + 1) == "." {
            at += 2;
        }
        if text(at + 1) == "[" {
            while at + 1 < all.len() && text(at) != "]" {
                at += 1;
            }
        }
        if text(at + 1) != "," || !is_name(at + 2) {
            return at.min(all.len().saturating_sub(1));
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn body(statement: &str) -> Body {
        let root = SourceFile::parse(statement).syntax_node();
        of(&root.children().next().unwrap()).unwrap()
    }

    fn kinds(body: &Body) -> Vec<K> {
        body.statements.iter().map(SyntaxNode::kind).collect()
    }

    #[test]
    fn a_block_gives_its_statements_and_what_it_executes() {
        let found = body(
            "DO $$ DECLARE r record; n int := 3; BEGIN \
             IF NOT EXISTS (SELECT 1 FROM t) THEN ALTER TABLE t ADD b int; END IF; \
             FOR r IN SELECT * FROM u LOOP EXECUTE format('DROP TABLE %I', r.x); \
             UPDATE t SET a = 1 WHERE id = r.id; END LOOP; \
             SELECT CASE WHEN a THEN 1 ELSE 2 END INTO STRICT n FROM t; \
             INSERT INTO t VALUES (1) RETURNING id INTO n, r.x; PERFORM f(1); \
             EXECUTE 'TRUNCATE z'; \
             EXCEPTION WHEN others THEN DELETE FROM q; END $$",
        );
        assert_eq!(found.unreadable, Vec::<String>::new());
        assert_eq!(
            kinds(&found),
            [
                K::ALTER_TABLE,
                K::SELECT,
                K::UPDATE,
                K::SELECT,
                K::INSERT,
                K::SELECT,
                K::TRUNCATE,
                K::DELETE
            ]
        );
        assert_eq!(found.dynamic, ["format('DROP TABLE %I', r.x)"]);
    }

    #[test]
    fn sql_bodies_and_plain_quotes_are_read() {
        let found = body(
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM t WHERE a = ''x''; SELECT 1'",
        );
        assert_eq!(kinds(&found), [K::DELETE, K::SELECT]);
        let found =
            body("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC DELETE FROM t; SELECT 1; END");
        assert_eq!(kinds(&found), [K::DELETE, K::SELECT]);
    }

    #[test]
    fn what_does_not_parse_is_named() {
        let found = body("DO $$ BEGIN SELEC 1; DELETE FROM t; END $$");
        assert!(!found.unreadable.is_empty());
        assert!(body("DO $$ BEGIN COMMIT; END $$").controls);
    }
}
