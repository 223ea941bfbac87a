//! Names in a parse tree: what a statement writes, what it reads, what it calls.

use rowan::{GreenNodeData, NodeOrToken};
use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::lex::{Kind, meaningful};
use crate::model::quote_ident;

/// The identifiers of a name as the catalog has them: folded, or as quoted.
pub(super) fn parts(name: &str) -> Vec<String> {
    meaningful(name)
        .filter_map(|token| match token.kind {
            Kind::Word => Some(token.text.to_lowercase()),
            Kind::Quoted => {
                let inner = token.text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                Some(inner.unwrap_or(token.text).replace("\"\"", "\""))
            }
            _ => None,
        })
        .collect()
}

/// A name from its parts, quoted only where it has to be.
pub(super) fn render(parts: &[String]) -> String {
    let plain = |part: &str| {
        part.bytes().next().is_some_and(|first| !first.is_ascii_digit() && first != b'$')
            && part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte >= 0x80
            })
    };
    let parts: Vec<_> = parts
        .iter()
        .map(|part| if plain(part) { part.clone() } else { quote_ident(part) })
        .collect();
    parts.join(".")
}

/// What stands in the source at a node. The library's own way to it makes a cursor for every token.
pub(super) fn source(node: &SyntaxNode) -> String {
    fn push(node: &GreenNodeData, text: &mut String) {
        for child in node.children() {
            match child {
                NodeOrToken::Node(node) => push(node, text),
                NodeOrToken::Token(token) => text.push_str(token.text()),
            }
        }
    }
    let mut text = String::with_capacity(node.text_range().len().into());
    push(&node.green(), &mut text);
    text
}

/// The parts of the name that a node holds.
pub(super) fn name_parts(node: &SyntaxNode) -> Vec<String> {
    let path = node.descendants().find(|inner| matches!(inner.kind(), K::PATH | K::PATH_REF));
    parts(&source(path.as_ref().unwrap_or(node)))
}

/// The name that a node holds.
pub(super) fn name(node: &SyntaxNode) -> String {
    render(&name_parts(node))
}

/// True for a word outside of literals, in the statement's own text.
pub(super) fn has_word(node: &SyntaxNode, word: &str) -> bool {
    meaningful(&source(node)).any(|token| token.is(word))
}

pub(super) fn is_dml(kind: K) -> bool {
    matches!(kind, K::INSERT | K::UPDATE | K::DELETE | K::MERGE)
}

fn is_relation(kind: K) -> bool {
    matches!(kind, K::TABLE_NAME_REF | K::RELATION_NAME_REF | K::VIEW_REF)
}

/// Relations that a statement writes (DML, also inside WITH) and those that it names otherwise.
#[derive(Debug, Default)]
pub(super) struct Relations {
    pub(super) written: Vec<String>,
    pub(super) read: Vec<String>,
}

pub(super) fn add(list: &mut Vec<String>, name: String) {
    if !name.is_empty() && !list.contains(&name) {
        list.push(name);
    }
}

/// The relations of a statement. Names of WITH queries are not relations.
pub(super) fn relations(stmt: &SyntaxNode) -> Relations {
    let mut found = Relations::default();
    let (mut targets, mut local, mut named) = (Vec::new(), Vec::new(), Vec::new());
    for node in stmt.descendants() {
        match node.kind() {
            K::CTE_NAME => local.push(name(&node)),
            kind if is_relation(kind) => named.push(node),
            K::INTO_CLAUSE => add(&mut found.written, name(&node)),
            kind if is_dml(kind) => {
                if let Some(target) = dml_target(&node) {
                    add(&mut found.written, name(&target));
                    targets.push(target);
                }
            }
            _ => {}
        }
    }
    for node in named {
        let name = name(&node);
        if !targets.contains(&node) && !local.contains(&name) {
            add(&mut found.read, name);
        }
    }
    found.read.retain(|name| !found.written.contains(name));
    found
}

/// The relation that an INSERT, UPDATE, DELETE or MERGE writes.
pub(super) fn dml_target(dml: &SyntaxNode) -> Option<SyntaxNode> {
    let child = dml.children().find(|child| {
        is_relation(child.kind())
            || matches!(child.kind(), K::RELATION_NAME | K::TABLE_RELATION_NAME)
    })?;
    child.descendants().find(|node| is_relation(node.kind()))
}

/// What a statement writes or alters.
pub(super) fn objects(stmt: &SyntaxNode, refs: &Relations) -> Vec<String> {
    let kind = stmt.kind();
    if is_dml(kind) || kind == K::SELECT_INTO || super::risk::only_reads(kind) {
        return refs.written.clone();
    }
    let word = format!("{kind:?}");
    let mut found = Vec::new();
    match kind {
        // These hang on a table: the table is what they change.
        K::CREATE_INDEX
        | K::CREATE_TRIGGER
        | K::CREATE_POLICY
        | K::CREATE_RULE
        | K::CREATE_STATISTICS
        | K::DROP_TRIGGER
        | K::DROP_POLICY
        | K::DROP_RULE
        | K::ALTER_TRIGGER
        | K::ALTER_POLICY
        | K::ALTER_RULE => {
            let table = stmt.descendants().find(|node| is_relation(node.kind()));
            found.extend(table.map(|table| name(&table)));
        }
        K::COMMENT_ON => found.extend(commented(stmt)),
        K::COPY => {
            if stmt.children().any(|child| child.kind() == K::COPY_FROM) {
                let table = stmt.children().find(|child| child.kind() == K::COPY_TABLE);
                found.extend(table.map(|table| name(&table)));
            }
        }
        K::REINDEX => {
            let target = stmt.children().find(|child| {
                matches!(child.kind(), K::REINDEX_TARGET_INDEX | K::REINDEX_TARGET_TABLE)
            });
            found.extend(target.and_then(|target| target.children().next()).map(|one| name(&one)));
        }
        K::ALTER_TABLE if stmt.children().any(|child| child.kind() == K::ALL_IN_TABLESPACE) => {}
        K::DO
        | K::CALL
        | K::EXECUTE
        | K::PREPARE
        | K::SET
        | K::RESET
        | K::CREATE_CAST
        | K::DROP_CAST
        | K::DROP_OWNED
        | K::ALTER_SYSTEM
        | K::ALTER_DEFAULT_PRIVILEGES => {}
        K::ALTER_TABLE | K::ALTER_FOREIGN_TABLE => {
            found.extend(stmt.children().find(named).map(|table| name(&table)));
            let partitions = stmt
                .children()
                .filter(|action| matches!(action.kind(), K::ATTACH_PARTITION | K::DETACH_PARTITION))
                .filter_map(|action| action.children().find(|node| is_relation(node.kind())));
            found.extend(partitions.map(|partition| name(&partition)));
        }
        _ if word.starts_with("DROP_") => found.extend(dropped(stmt)),
        _ if word.starts_with("CREATE_") || word.starts_with("ALTER_") => {
            found.extend(stmt.children().find(named).map(|child| name(&child)));
        }
        _ => found.extend(refs.read.iter().cloned()),
    }
    let mut unique = Vec::new();
    for name in found {
        add(&mut unique, name);
    }
    unique
}

/// True for a node that can hold a statement's own name.
fn named(node: &SyntaxNode) -> bool {
    !matches!(
        node.kind(),
        K::IF_EXISTS
            | K::IF_NOT_EXISTS
            | K::OR_REPLACE
            | K::TEMP
            | K::UNLOGGED
            | K::CASCADE
            | K::RESTRICT
    )
}

fn dropped(stmt: &SyntaxNode) -> Vec<String> {
    let mut found = Vec::new();
    for child in stmt.children().filter(named) {
        if format!("{:?}", child.kind()).ends_with("_LIST") {
            found.extend(child.children().map(|item| name(&item)));
        } else {
            found.push(name(&child));
        }
    }
    found
}

/// The relation of COMMENT ON TABLE, COLUMN and their kin; else the object itself.
fn commented(stmt: &SyntaxNode) -> Option<String> {
    let object = stmt.children().next()?;
    if let Some(table) = object.descendants().find(|node| is_relation(node.kind())) {
        return Some(name(&table));
    }
    let mut parts = name_parts(&object);
    if object.kind() == K::OBJECT_COLUMN {
        parts.pop();
    }
    Some(render(&parts)).filter(|name| !name.is_empty())
}

/// The functions that a statement calls, without schema, lower-cased.
pub(super) fn calls(stmt: &SyntaxNode) -> Vec<String> {
    let mut found = Vec::new();
    for node in stmt.descendants().filter(|node| node.kind() == K::CALL_EXPR) {
        let function = node.children().next().map(|child| source(&child));
        let last = function.as_deref().map(parts).unwrap_or_default().pop();
        if let Some(last) = last {
            add(&mut found, last);
        }
    }
    found
}
