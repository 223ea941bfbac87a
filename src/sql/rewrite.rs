//! Which tables a statement rewrites, and which it reads from end to end while it holds its lock.
//!
//! After the manual's pages of the commands ("ALTER TABLE", Notes) and the casts that PostgreSQL
//! itself calls binary coercible. Where the old type of a column is not known, a change of type is
//! said to rewrite: it may.

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::seen::{Seen, child, has, is_type, named, text};
use super::{alter_table, tree, words};

/// What becomes of the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Passes {
    /// Written anew, every row of them.
    pub(super) rewrites: Vec<String>,
    /// Read from end to end.
    pub(super) scans: Vec<String>,
}

impl Passes {
    fn rewrite(&mut self, tables: Vec<String>) {
        add(&mut self.rewrites, tables);
    }

    fn scan(&mut self, tables: Vec<String>) {
        add(&mut self.scans, tables);
    }
}

fn add(list: &mut Vec<String>, names: Vec<String>) {
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        if !list.contains(&name) {
            list.push(name);
        }
    }
}

/// What a statement rewrites and reads through.
pub(super) fn of(stmt: &SyntaxNode, objects: &[String], seen: &Seen) -> Passes {
    let mut passes = Passes::default();
    match stmt.kind() {
        K::ALTER_TABLE => {
            let only = super::locks::says_only(stmt);
            if let Some(table) = objects.first() {
                for action in alter_table::actions(stmt) {
                    alter(&action, table, only, seen, &mut passes);
                }
            }
        }
        K::CLUSTER => passes.rewrite(objects.to_vec()),
        K::VACUUM if tree::has_word(stmt, "full") => passes.rewrite(objects.to_vec()),
        K::REFRESH if !tree::has_word(stmt, "concurrently") => passes.rewrite(objects.to_vec()),
        K::ALTER_MATERIALIZED_VIEW
            if stmt
                .descendants()
                .any(|node| matches!(node.kind(), K::SET_ACCESS_METHOD | K::SET_TABLESPACE)) =>
        {
            passes.rewrite(objects.to_vec());
        }
        K::CREATE_INDEX => {
            let table = objects.first().cloned().unwrap_or_default();
            passes.scan(seen.family(&table));
        }
        K::REINDEX => passes.scan(objects.to_vec()),
        K::CREATE_TABLE if has(stmt, K::PARTITION_OF) => {}
        _ => {}
    }
    let rewritten = passes.rewrites.clone();
    passes.scans.retain(|name| !rewritten.contains(name));
    passes
}

fn alter(action: &SyntaxNode, table: &str, only: bool, seen: &Seen, passes: &mut Passes) {
    let family = || if only { vec![table.to_string()] } else { seen.family(table) };
    match action.kind() {
        K::ADD_COLUMN => {
            if alter_table::new_column_rewrites(action, seen) {
                passes.rewrite(family());
            } else if action.children().any(|part| {
                matches!(
                    part.kind(),
                    K::PRIMARY_KEY_CONSTRAINT | K::UNIQUE_CONSTRAINT | K::CHECK_CONSTRAINT
                ) || (part.kind() == K::REFERENCES_CONSTRAINT && has(action, K::DEFAULT_CONSTRAINT))
            }) {
                passes.scan(family());
            }
        }
        K::SET_ACCESS_METHOD => passes.rewrite(vec![table.to_string()]),
        K::SET_TABLESPACE if seen.whole(table).is_none_or(|known| !known.partitioned) => {
            passes.rewrite(vec![table.to_string()]);
        }
        K::SET_LOGGED if seen.whole(table).is_none_or(|known| known.unlogged) => {
            passes.rewrite(vec![table.to_string()]);
        }
        K::SET_UNLOGGED if seen.whole(table).is_none_or(|known| !known.unlogged) => {
            passes.rewrite(vec![table.to_string()]);
        }
        K::MERGE_PARTITIONS | K::SPLIT_PARTITION => passes.rewrite(vec![table.to_string()]),
        K::ADD_CONSTRAINT => {
            let unchecked = action.descendants().any(|node| {
                matches!(node.kind(), K::NOT_VALID | K::USING_INDEX_NAME | K::NOT_ENFORCED)
            });
            if !unchecked || makes_not_null(action, table, seen) {
                passes.scan(family());
            }
        }
        K::VALIDATE_CONSTRAINT if !alter_table::is_valid(action, table, seen) => {
            passes.scan(family());
        }
        K::ATTACH_PARTITION => passes.scan(vec![named(action, K::TABLE_NAME_REF)]),
        K::ALTER_COLUMN => {
            let column = named(action, K::COLUMN_NAME_REF);
            for option in action.children() {
                match option.kind() {
                    K::SET_EXPRESSION => passes.rewrite(family()),
                    K::SET_TYPE if type_change_rewrites(&option, table, &column, seen) => {
                        passes.rewrite(family());
                    }
                    K::SET_NOT_NULL if !proven_not_null(table, &column, seen) => {
                        passes.scan(family());
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// True for a PRIMARY KEY that takes over an index whose columns may hold NULL: every row is read
/// to make them NOT NULL.
pub(super) fn makes_not_null(action: &SyntaxNode, table: &str, seen: &Seen) -> bool {
    let below = |kind: K| action.descendants().find(|node| node.kind() == kind);
    let Some(index) = below(K::USING_INDEX_NAME).and_then(|using| child(&using, K::INDEX_REF))
    else {
        return false;
    };
    if below(K::PRIMARY_KEY_CONSTRAINT).is_none() {
        return false;
    }
    let index = super::seen::in_schema_of(table, &tree::name(&index));
    let known = seen.indexes.get(&super::seen::key(&index));
    known.is_none_or(|index| {
        index.columns.iter().any(|column| !proven_not_null(table, column, seen))
    })
}

/// True where a valid CHECK of the file says so already, or the column is NOT NULL anyway.
pub(super) fn proven_not_null(table: &str, column: &str, seen: &Seen) -> bool {
    let Some(known) = seen.table(table) else { return false };
    if known.column(column).is_some_and(|column| column.not_null) {
        return true;
    }
    known.constraints.iter().any(|one| {
        let words: Vec<_> = super::lex::meaningful(&one.definition)
            .map(|token| token.text.to_lowercase())
            .collect();
        let wanted = ["check", "(", column, "is", "not", "null", ")"];
        one.check && one.valid && words == wanted
    })
}

/// True where a change of type writes the table anew; true also where nobody can say.
pub(super) fn type_change_rewrites(
    option: &SyntaxNode,
    table: &str,
    column: &str,
    seen: &Seen,
) -> bool {
    let Some(new) = option.children().find(|node| is_type(node.kind())) else { return true };
    let Some(old) = seen.table(table).and_then(|known| known.column(column)) else { return true };
    let (old, new) = (Type::of(&old.kind), Type::of(&text(&new)));
    if is_expression(option, column) {
        return true;
    }
    !old.becomes(&new)
}

/// True where a change of type, as far as it is known, changes values beyond return.
pub(super) fn type_change_loses(option: &SyntaxNode, column: &str, old: &str) -> bool {
    let Some(new) = option.children().find(|node| is_type(node.kind())) else { return false };
    is_expression(option, column) || Type::of(old).loses(&Type::of(&text(&new)))
}

/// True for a USING with anything but the column itself, cast at most.
fn is_expression(option: &SyntaxNode, column: &str) -> bool {
    let Some(using) = child(option, K::USING_EXPR) else { return false };
    let inner: String = super::lex::meaningful(&text(&using))
        .skip(1)
        .map(|token| token.text.to_lowercase())
        .collect();
    let cast = inner.split_once("::").map_or(inner.as_str(), |(before, _)| before);
    cast.trim_matches(['(', ')']) != column
}

/// A type, without its synonyms.
#[derive(Debug, PartialEq, Eq)]
struct Type {
    name: String,
    numbers: Vec<u32>,
    array: bool,
}

impl Type {
    fn of(written: &str) -> Self {
        let low = written.to_ascii_lowercase();
        let low = low.split(" collate ").next().unwrap_or(&low).to_string();
        let array = low.contains('[') || low.ends_with(" array");
        let numbers = low
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .map(|(inside, _)| inside.split(',').filter_map(|n| n.trim().parse().ok()).collect())
            .unwrap_or_default();
        let mut words = String::new();
        let mut depth = 0;
        for c in low.chars() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                '[' => break,
                _ if depth == 0 => words.push(c),
                _ => {}
            }
        }
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = words.trim_start_matches("pg_catalog.");
        let name = words::TYPE_NAMES.iter().find(|(other, _)| *other == name).map_or(name, |t| t.1);
        Self { name: name.to_string(), numbers, array }
    }

    /// True where values of this type can stay on disk as they are.
    fn becomes(&self, new: &Self) -> bool {
        if self.array != new.array {
            return false;
        }
        let (length, longer) = (self.numbers.first(), new.numbers.first());
        match (self.name.as_str(), new.name.as_str()) {
            ("text" | "varchar", "text") => true,
            ("text", "varchar") => longer.is_none(),
            ("varchar", "varchar") | ("varbit", "varbit") => match (length, longer) {
                (_, None) => true,
                (Some(length), Some(longer)) => longer >= length,
                (None, Some(_)) => false,
            },
            ("numeric", "numeric") => match (length, longer) {
                (_, None) => true,
                (Some(length), Some(longer)) => longer >= length && self.scale() == new.scale(),
                (None, Some(_)) => false,
            },
            (old, new_name) if old == new_name && words::PRECISE.contains(&old) => {
                longer.copied().unwrap_or(6) >= length.copied().unwrap_or(6)
            }
            ("cidr", "inet") | ("xml", "text") => true,
            (old, new_name) => old == new_name && self.numbers == new.numbers,
        }
    }

    /// True where values may lose something on the way.
    fn loses(&self, new: &Self) -> bool {
        let shorter = |usual: u32| {
            let digits = |of: &Self| of.numbers.first().copied().unwrap_or(usual);
            digits(new) < digits(self)
        };
        match (self.name.as_str(), new.name.as_str()) {
            ("numeric", "numeric") => {
                !new.numbers.is_empty() && (self.numbers.is_empty() || new.scale() < self.scale())
            }
            (old, new_name) if old == new_name && words::PRECISE.contains(&old) => shorter(6),
            ("timestamp" | "timestamptz", "date" | "time" | "timetz") => true,
            ("numeric" | "double precision" | "real", "integer" | "bigint" | "smallint") => true,
            ("double precision", "real") | ("jsonb", _) if self.name != new.name => {
                new.name == "real"
            }
            ("json", "jsonb") => true,
            _ => false,
        }
    }

    fn scale(&self) -> u32 {
        self.numbers.get(1).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_leaves_the_rows_as_they_are() {
        for (old, new, stays) in [
            ("varchar(20)", "varchar(30)", true),
            ("varchar(20)", "character varying(10)", false),
            ("character varying(20)", "text", true),
            ("text", "varchar", true),
            ("text", "varchar(10)", false),
            ("int", "bigint", false),
            ("int4", "integer", true),
            ("numeric(10,2)", "numeric(12,2)", true),
            ("decimal(10,2)", "numeric(12,4)", false),
            ("numeric(10,2)", "numeric", true),
            ("timestamp(3)", "timestamp", true),
            ("timestamp", "timestamptz", false),
            ("timestamp(3) with time zone", "timestamptz(6)", true),
            ("cidr", "inet", true),
            ("inet", "cidr", false),
            ("text", "text[]", false),
            ("char(3)", "char(5)", false),
            ("mood", "mood", true),
            ("text", "mood", false),
        ] {
            assert_eq!(Type::of(old).becomes(&Type::of(new)), stays, "{old} -> {new}");
        }
    }
}
