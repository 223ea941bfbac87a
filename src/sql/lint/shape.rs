//! Rules about what a statement makes: types that are regretted later, keys that nothing supports.
//!
//! Each looks at one statement and at what the file has shown before it. After eugene's hints E3,
//! E15, W13 and W14, in our own words and under names that say what they find.

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::finding::Level;
use crate::msg;
use crate::sql::alter_table::actions;
use crate::sql::seen::{Constraint, Seen, is_type, key, named, text};
use crate::sql::tree;

/// What a rule found in a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub(super) rule: &'static str,
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// A foreign key that a statement made: whoever changes the other table looks for its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
    /// The file has shown every index that there can be.
    pub(super) certain: bool,
}

/// What stands out in a statement, before the file learns from it.
pub(super) fn of(stmt: &SyntaxNode, seen: &Seen) -> Vec<Shape> {
    match stmt.kind() {
        K::CREATE_TABLE => json_columns(stmt),
        K::ALTER_TABLE => {
            let mut found = json_columns(stmt);
            found.extend(key_over_index(stmt, seen));
            found
        }
        K::CREATE_TYPE if tree::has_word(stmt, "enum") => vec![Shape {
            rule: "enum-type",
            level: Level::Note,
            message: msg!("lint.enum-type"),
            help: Some(msg!("lint.enum-type.help")),
        }],
        _ => Vec::new(),
    }
}

/// `json` has no equality: DISTINCT, GROUP BY and UNION over such a row fail.
fn json_columns(stmt: &SyntaxNode) -> Vec<Shape> {
    let column = |node: &SyntaxNode| match node.kind() {
        K::COLUMN | K::ADD_COLUMN => Some(named(node, K::COLUMN_NAME)),
        K::SET_TYPE => node.parent().map(|above| named(&above, K::COLUMN_NAME_REF)),
        _ => None,
    };
    let found = stmt.descendants().filter_map(|node| {
        let name = column(&node)?;
        let kind = node.children().find(|child| is_type(child.kind()))?;
        let kind = text(&kind).to_ascii_lowercase();
        matches!(kind.as_str(), "json" | "pg_catalog.json").then(|| Shape {
            rule: "json-column",
            level: Level::Warning,
            message: msg!("lint.json-column", column = name),
            help: Some(msg!("lint.json-column.help")),
        })
    });
    found.collect()
}

/// ADD PRIMARY KEY USING INDEX reads the rows where a column may still hold NULL.
fn key_over_index(stmt: &SyntaxNode, seen: &Seen) -> Option<Shape> {
    let table = tree::objects(stmt, &tree::relations(stmt)).into_iter().next()?;
    let has = |node: &SyntaxNode, kind: K| node.descendants().any(|below| below.kind() == kind);
    let action = actions(stmt).find(|action| {
        action.kind() == K::ADD_CONSTRAINT
            && has(action, K::PRIMARY_KEY_CONSTRAINT)
            && has(action, K::USING_INDEX_NAME)
    })?;
    let using = action.descendants().find(|node| node.kind() == K::USING_INDEX_NAME)?;
    let index = key(text(&using).rsplit(' ').next().unwrap_or_default());
    let proven = seen.indexes.get(&index).zip(seen.table(&table)).is_some_and(|(index, table)| {
        let proven = |name: &String| table.column(name).is_some_and(|column| column.not_null);
        index.columns.iter().all(proven)
    });
    (!proven && !seen.is_new(&table)).then(|| Shape {
        rule: "primary-key-using-index",
        level: Level::Note,
        message: msg!("lint.primary-key-using-index", table = table),
        help: Some(msg!("lint.primary-key-using-index.help")),
    })
}

/// The foreign keys of a table, to be compared before and after a statement.
pub(super) fn keys_of(table: &str, seen: &Seen) -> Vec<Constraint> {
    let known = seen.table(table).into_iter().flat_map(|table| &table.constraints);
    known.filter(|one| one.references.is_some()).cloned().collect()
}

/// The foreign keys that a statement added to a table.
pub(super) fn new_keys(table: &str, before: &[Constraint], seen: &Seen) -> Vec<ForeignKey> {
    let Some(now) = seen.table(table) else { return Vec::new() };
    let added = keys_of(table, seen).into_iter().filter(|one| !before.contains(one));
    added
        .map(|one| ForeignKey {
            certain: !now.partial || one.columns.iter().all(|name| now.column(name).is_some()),
            table: table.to_string(),
            columns: one.columns,
        })
        .collect()
}

/// Does an index of the file begin with these columns, in whatever order?
pub(super) fn is_indexed(foreign: &ForeignKey, seen: &Seen) -> bool {
    let leads = |columns: &[String]| {
        let wanted = &foreign.columns;
        columns.len() >= wanted.len()
            && columns[..wanted.len()].iter().all(|column| wanted.contains(column))
    };
    // Dropped since.
    let Some(known) = seen.table(&foreign.table) else { return true };
    let table = key(&foreign.table);
    let partial =
        |definition: &str| crate::sql::lex::meaningful(definition).any(|token| token.is("where"));
    let index = seen.indexes.values().any(|index| {
        key(&index.table) == table && !partial(&index.definition) && leads(&index.columns)
    });
    let mut keys = known.constraints.iter().filter(|one| one.references.is_none() && !one.check);
    index || keys.any(|one| leads(&one.columns))
}
