//! The statement that takes a statement back, where there is one and where it can be known.
//!
//! Nothing is guessed: a thing that may have been there before (IF NOT EXISTS, OR REPLACE) is not
//! dropped, an old value is given back only where the file shows it. ALTER TABLE is in `undo_table`.

use serde::{Deserialize, Serialize};
use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::quick::Quick;
use super::seen::{Seen, child, hanging, has, in_schema_of, key, named, own_name, text};
use super::{risk, tree, undo_table};

/// How a statement can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "way", content = "sql", rename_all = "snake_case")]
pub enum Undo {
    /// Nothing that lasts was changed.
    NotNeeded,
    /// By this statement. Rows and values that came later are lost with what it drops.
    By(String),
    /// Rows or values are gone: from a backup, or from a copy made before.
    Lost,
    /// There is no way back in PostgreSQL but a restore.
    Never,
    /// There is one, but it needs what the file does not show.
    Unknown,
}

impl Undo {
    /// The statement, where there is one.
    pub fn sql(&self) -> Option<&str> {
        match self {
            Self::By(sql) => Some(sql),
            _ => None,
        }
    }
}

/// The way back of a statement, before [`Seen`] has learnt it.
pub(super) fn of(stmt: &SyntaxNode, quick: &Quick, seen: &Seen) -> Undo {
    let kind = stmt.kind();
    match kind {
        K::ALTER_TABLE | K::ALTER_FOREIGN_TABLE => undo_table::of(stmt, seen),
        K::INSERT if !overwrites(stmt) => Undo::Unknown,
        K::INSERT | K::UPDATE | K::DELETE | K::MERGE | K::TRUNCATE => Undo::Lost,
        K::COPY if stmt.children().any(|child| child.kind() == K::COPY_FROM) => Undo::Unknown,
        K::CLUSTER => clustered(stmt, seen),
        K::DO | K::CALL | K::EXECUTE => Undo::Unknown,
        K::VACUUM | K::ANALYZE | K::REINDEX | K::REFRESH | K::COPY | K::LOCK => Undo::NotNeeded,
        K::NOTIFY => Undo::NotNeeded,
        _ if risk::only_reads(kind) => writes_inside(stmt, seen),
        K::SELECT_INTO => by(format!("DROP TABLE {}", own(stmt))),
        K::GRANT => granted(stmt),
        _ if quick.verb == "create" => created(stmt, quick, seen),
        _ if quick.verb == "drop" => dropped(stmt, quick, seen),
        _ if quick.verb == "alter" => altered(stmt, quick, seen),
        K::COMMENT_ON => commented(stmt, seen),
        _ => Undo::Unknown,
    }
}

fn by(sql: String) -> Undo {
    Undo::By(sql)
}

fn own(stmt: &SyntaxNode) -> String {
    tree::objects(stmt, &tree::relations(stmt)).into_iter().next().unwrap_or_default()
}

/// True where rows that are there may be changed.
fn overwrites(stmt: &SyntaxNode) -> bool {
    stmt.descendants().any(|node| {
        matches!(node.kind(), K::CONFLICT_DO_UPDATE_SET | K::UPDATE | K::DELETE | K::MERGE)
    })
}

/// CLUSTER remembers its index.
fn clustered(stmt: &SyntaxNode, seen: &Seen) -> Undo {
    let table = own(stmt);
    let names_index = tree::has_word(stmt, "using");
    match seen.whole(&table) {
        Some(known) if names_index && !known.clustered => {
            by(format!("ALTER TABLE {table} SET WITHOUT CLUSTER"))
        }
        None if names_index => Undo::Unknown,
        _ => Undo::NotNeeded,
    }
}

fn writes_inside(stmt: &SyntaxNode, seen: &Seen) -> Undo {
    let unknown = |name: &String| {
        !super::words::is_harmless(name)
            && seen.body(name).is_none_or(|body| body.writes || body.calls_functions)
    };
    if stmt.descendants().any(|node| tree::is_dml(node.kind())) {
        Undo::Lost
    } else if tree::calls(stmt).iter().any(unknown) {
        Undo::Unknown
    } else {
        Undo::NotNeeded
    }
}

fn created(stmt: &SyntaxNode, quick: &Quick, seen: &Seen) -> Undo {
    if has(stmt, K::IF_NOT_EXISTS) {
        return Undo::Unknown;
    }
    let replaces = has(stmt, K::OR_REPLACE);
    let name = own_name(stmt);
    let old = |kind: &str, name: &str| match seen.definition(kind, name) {
        Some(old) if old.to_ascii_lowercase().starts_with("create or replace") => by(old.clone()),
        Some(old) => by(format!("CREATE OR REPLACE{}", &old["CREATE".len()..])),
        None => Undo::Unknown,
    };
    match stmt.kind() {
        K::CREATE_INDEX => {
            let index = named(stmt, K::INDEX);
            if index.is_empty() {
                return Undo::Unknown;
            }
            let alone = if quick.concurrently { "CONCURRENTLY " } else { "" };
            by(format!(
                "DROP INDEX {alone}{}",
                in_schema_of(&named(stmt, K::TABLE_RELATION_NAME), &index)
            ))
        }
        K::CREATE_TABLE | K::CREATE_TABLE_AS => by(format!("DROP TABLE {name}")),
        K::CREATE_FOREIGN_TABLE => by(format!("DROP FOREIGN TABLE {name}")),
        K::CREATE_MATERIALIZED_VIEW => by(format!("DROP MATERIALIZED VIEW {name}")),
        K::CREATE_VIEW if replaces => old("view", &name),
        K::CREATE_FUNCTION | K::CREATE_PROCEDURE if replaces => old("function", &name),
        K::CREATE_FUNCTION => by(format!("DROP FUNCTION {name}({})", arguments(stmt))),
        K::CREATE_PROCEDURE => by(format!("DROP PROCEDURE {name}({})", arguments(stmt))),
        K::CREATE_AGGREGATE => by(format!("DROP AGGREGATE {name}({})", arguments(stmt))),
        K::CREATE_TRIGGER | K::CREATE_POLICY | K::CREATE_RULE => {
            let (kind, name) = hanging(stmt);
            if replaces {
                return match seen.definition(&kind, &name) {
                    Some(old) if stmt.kind() == K::CREATE_TRIGGER => {
                        by(format!("CREATE OR REPLACE{}", &old["CREATE".len()..]))
                    }
                    _ => Undo::Unknown,
                };
            }
            by(format!("DROP {} {name}", kind.to_uppercase()))
        }
        K::CREATE_STATISTICS => match named(stmt, K::STATISTICS) {
            name if name.is_empty() => Undo::Unknown,
            name => by(format!("DROP STATISTICS {name}")),
        },
        K::CREATE_SCHEMA => {
            let name = named(stmt, K::NAMED_SCHEMA);
            if name.is_empty() { Undo::Unknown } else { by(format!("DROP SCHEMA {name}")) }
        }
        K::CREATE_CAST => match child(stmt, K::CAST_SIG) {
            Some(cast) => by(format!("DROP CAST {}", text(&cast))),
            None => Undo::Unknown,
        },
        K::CREATE_OPERATOR
        | K::CREATE_OPERATOR_CLASS
        | K::CREATE_OPERATOR_FAMILY
        | K::CREATE_TRANSFORM
        | K::CREATE_USER_MAPPING => Undo::Unknown,
        _ if replaces || name.is_empty() || quick.object.is_empty() => Undo::Unknown,
        _ => {
            let object = match quick.object {
                "user" | "group" => "role",
                other => other,
            };
            by(format!("DROP {} {name}", object.to_uppercase()))
        }
    }
}

/// The types of the arguments that identify a function.
fn arguments(stmt: &SyntaxNode) -> String {
    let list = stmt.children().find(|child| child.kind() == K::PARAM_LIST);
    let Some(list) = list else { return String::new() };
    let one = |param: SyntaxNode| -> Option<String> {
        if has(&param, K::PARAM_OUT) {
            return None;
        }
        let kind = param.children().find(|child| super::seen::is_type(child.kind()))?;
        let variadic = if has(&param, K::PARAM_VARIADIC) { "VARIADIC " } else { "" };
        Some(format!("{variadic}{}", text(&kind)))
    };
    list.children().filter_map(one).collect::<Vec<_>>().join(", ")
}

/// What was created in the same file is created again as it stands there.
fn dropped(stmt: &SyntaxNode, quick: &Quick, seen: &Seen) -> Undo {
    if matches!(quick.object, "table" | "foreign table" | "schema" | "database" | "owned") {
        return Undo::Lost;
    }
    if quick.object == "sequence" || has(stmt, K::CASCADE) {
        return Undo::Lost;
    }
    if matches!(stmt.kind(), K::DROP_TRIGGER | K::DROP_POLICY | K::DROP_RULE) {
        let (kind, name) = hanging(stmt);
        return seen.definition(&kind, &name).cloned().map_or(Undo::Unknown, Undo::By);
    }
    let names = tree::objects(stmt, &tree::relations(stmt));
    let kind = match quick.object {
        "materialized view" => "view",
        "procedure" | "routine" => "function",
        other => other,
    };
    // What hangs on a materialized view goes with it.
    let with_indexes = |name: &String, view: String| {
        let own = seen.indexes.values().filter(|index| key(&index.table) == key(name));
        own.fold(view, |all, index| format!("{all};\n{}", index.definition))
    };
    let one = |name: &String| match kind {
        "view" => seen.definition(kind, name).map(|text| with_indexes(name, text.clone())),
        "index" => seen.indexes.get(&key(name)).map(|index| index.definition.clone()),
        kind => seen.definition(kind, name).cloned(),
    };
    let all: Option<Vec<String>> = names.iter().map(one).collect();
    match all {
        Some(all) if !all.is_empty() => by(all.join(";\n")),
        _ => Undo::Unknown,
    }
}

fn altered(stmt: &SyntaxNode, quick: &Quick, _seen: &Seen) -> Undo {
    let word = quick.object.to_uppercase();
    let sig = stmt.children().find(|node| format!("{:?}", node.kind()).ends_with("_SIG"));
    let first = stmt.children().find(|node| node.kind() != K::IF_EXISTS);
    let name = sig.as_ref().or(first.as_ref()).map(text).unwrap_or_default();
    let rename = stmt.children().find(|node| format!("{:?}", node.kind()).ends_with("_RENAME_TO"));
    if let Some(rename) = rename {
        let on = match stmt.kind() {
            K::ALTER_TRIGGER | K::ALTER_POLICY | K::ALTER_RULE => format!(" ON {}", own(stmt)),
            _ => String::new(),
        };
        let new = rename.children().next().map(|new| tree::name(&new)).unwrap_or_default();
        let arguments = sig.as_ref().map_or("", |_| name.find('(').map_or("", |at| &name[at..]));
        let old = name.strip_suffix(arguments).unwrap_or(&name);
        let (schema, bare) = match old.rsplit_once('.') {
            Some((schema, bare)) => (format!("{schema}."), bare),
            None => (String::new(), old),
        };
        return by(format!("ALTER {word} {schema}{new}{arguments}{on} RENAME TO {bare}"));
    }
    if let Some(rename) = child(stmt, K::RENAME_VALUE) {
        let mut values = rename.children().map(|value| text(&value));
        if let (Some(old), Some(new)) = (values.next(), values.next()) {
            return by(format!("ALTER TYPE {name} RENAME VALUE {new} TO {old}"));
        }
    }
    if let Some(schema) = child(stmt, K::SET_SCHEMA) {
        let new = named(&schema, K::SCHEMA_REF);
        if let Some((old, bare)) = name.split_once('.') {
            return by(format!("ALTER {word} {new}.{bare} SET SCHEMA {old}"));
        }
        return Undo::Unknown;
    }
    if has(stmt, K::ADD_VALUE) {
        return Undo::Never;
    }
    if let Some(list) = child(stmt, K::ALTER_TYPE_ATTRIBUTE_ACTION_LIST) {
        let added: Option<Vec<String>> = list
            .children()
            .map(|action| {
                let field = child(&action, K::COMPOSITE_FIELD)
                    .filter(|_| action.kind() == K::ADD_ATTRIBUTE)?;
                let cascade = if tree::has_word(&action, "cascade") { " CASCADE" } else { "" };
                Some(format!("DROP ATTRIBUTE {}{cascade}", tree::parts(&text(&field)).first()?))
            })
            .collect();
        return match added {
            Some(all) => by(format!("ALTER TYPE {name} {}", all.join(", "))),
            None => Undo::Unknown,
        };
    }
    if let Some(column) = child(stmt, K::RENAME_COLUMN) {
        let (old, new) = (named(&column, K::COLUMN_NAME_REF), named(&column, K::COLUMN_NAME));
        return by(format!("ALTER {word} {name} RENAME COLUMN {new} TO {old}"));
    }
    Undo::Unknown
}

fn granted(stmt: &SyntaxNode) -> Undo {
    let whole = text(stmt);
    let roles = child(stmt, K::ROLE_REF_LIST);
    let Some(roles) = roles else { return Undo::Unknown };
    let end = whole.find(&format!(" TO {}", text(&roles))).or_else(|| {
        whole.to_ascii_lowercase().rfind(&format!(" to {}", text(&roles).to_ascii_lowercase()))
    });
    match end {
        Some(end) if whole.len() > 5 => {
            by(format!("REVOKE{} FROM {}", &whole["GRANT".len()..end], text(&roles)))
        }
        _ => Undo::Unknown,
    }
}

/// A comment on what the file itself created was none before.
fn commented(stmt: &SyntaxNode, seen: &Seen) -> Undo {
    let refs = tree::relations(stmt);
    let target = tree::objects(stmt, &refs).into_iter().next().unwrap_or_default();
    let whole = text(stmt);
    match whole.to_ascii_lowercase().rfind(" is ") {
        Some(at) if seen.is_new(&target) => by(format!("{} IS NULL", &whole[..at])),
        _ => Undo::Unknown,
    }
}
