//! The way back of ALTER TABLE, action by action, last one first.

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::alter_table::actions;
use super::learn;
use super::seen::{Seen, child, has, is_type, named, text};
use super::undo::Undo;
use super::{rewrite, tree};

/// The way back of a whole ALTER TABLE.
pub(super) fn of(stmt: &SyntaxNode, seen: &Seen) -> Undo {
    let Some(target) = stmt.children().find(|node| {
        matches!(node.kind(), K::TABLE_RELATION_NAME | K::RELATION_NAME | K::TABLE_NAME_REF)
    }) else {
        return Undo::Unknown;
    };
    let word = if stmt.kind() == K::ALTER_FOREIGN_TABLE { "FOREIGN TABLE" } else { "TABLE" };
    let name = tree::name(&target);
    let maybe = if has(stmt, K::IF_EXISTS) { "IF EXISTS " } else { "" };
    let written = format!("{maybe}{}", text(&target).trim_end_matches('*').trim());
    let mut parts = Vec::new();
    let mut worst = Undo::NotNeeded;
    for action in actions(stmt) {
        match back(&action, &name, seen) {
            Back::Nothing => {}
            Back::Part(part) => parts.insert(0, part),
            Back::Whole(whole) => return Undo::By(whole.replace("{TABLE}", word)),
            Back::Not(undo) => worst = worse(worst, undo),
        }
    }
    match worst {
        Undo::NotNeeded if parts.is_empty() => Undo::NotNeeded,
        Undo::NotNeeded => Undo::By(format!("ALTER {word} {written} {}", parts.join(", "))),
        other => other,
    }
}

/// Lost outweighs what is merely not known.
fn worse(one: Undo, other: Undo) -> Undo {
    if one == Undo::Lost { one } else { other }
}

enum Back {
    Nothing,
    /// An action of the same ALTER TABLE.
    Part(String),
    /// A statement of its own: renames.
    Whole(String),
    Not(Undo),
}

fn part(text: String) -> Back {
    Back::Part(text)
}

fn back(action: &SyntaxNode, table: &str, seen: &Seen) -> Back {
    let known = seen.table(table);
    let whole = seen.whole(table);
    let unknown = Back::Not(Undo::Unknown);
    match action.kind() {
        K::ADD_COLUMN if has(action, K::IF_NOT_EXISTS) => unknown,
        K::ADD_COLUMN => part(format!("DROP COLUMN {}", named(action, K::COLUMN_NAME))),
        K::DROP_COLUMN => Back::Not(Undo::Lost),
        K::ALTER_COLUMN => column(action, table, seen),
        K::ADD_CONSTRAINT => {
            if action.descendants().any(|node| node.kind() == K::USING_INDEX_NAME) {
                return using_index(action, table, seen);
            }
            let found = action.children().find_map(|item| learn::constraint(&item, table, None));
            let Some(mut one) = found else {
                let clause = action.descendants().find(|n| n.kind() == K::CONSTRAINT_NAME_CLAUSE);
                let name = clause.map(|clause| named(&clause, K::CONSTRAINT_NAME));
                return name.map_or(unknown, |name| part(format!("DROP CONSTRAINT {name}")));
            };
            let given = action.descendants().any(|node| node.kind() == K::CONSTRAINT_NAME_CLAUSE);
            if !given {
                // Only with the other constraints in sight is the server's own name known.
                let Some(known) = seen.whole(table) else { return unknown };
                let mut copy = known.clone();
                learn::add_constraint(&mut copy, one.clone());
                if let Some(last) = copy.constraints.last() {
                    one.name.clone_from(&last.name);
                }
            }
            let mut back = format!("DROP CONSTRAINT {}", one.name);
            if one.primary {
                back.push_str(&nullable_again(&one.columns, table, seen));
            }
            part(back)
        }
        K::DROP_CONSTRAINT if has(action, K::CASCADE) => unknown,
        K::DROP_CONSTRAINT => {
            let name = named(action, K::CONSTRAINT_NAME_REF);
            match known.and_then(|known| known.constraint(&name)) {
                Some(one) => part(format!("ADD CONSTRAINT {name} {}", one.definition)),
                None => unknown,
            }
        }
        K::VALIDATE_CONSTRAINT => Back::Nothing,
        K::RENAME_CONSTRAINT => {
            let (old, new) =
                (named(action, K::CONSTRAINT_NAME_REF), named(action, K::CONSTRAINT_NAME));
            Back::Whole(format!("ALTER {{TABLE}} {table} RENAME CONSTRAINT {new} TO {old}"))
        }
        K::RENAME_COLUMN => {
            let (old, new) = (named(action, K::COLUMN_NAME_REF), named(action, K::COLUMN_NAME));
            Back::Whole(format!("ALTER {{TABLE}} {table} RENAME COLUMN {new} TO {old}"))
        }
        K::TABLE_RENAME_TO => {
            let new = named(action, K::TABLE_NAME);
            let (schema, bare) = match table.rsplit_once('.') {
                Some((schema, bare)) => (format!("{schema}."), bare),
                None => (String::new(), table),
            };
            Back::Whole(format!("ALTER {{TABLE}} {schema}{new} RENAME TO {bare}"))
        }
        K::SET_SCHEMA => match table.rsplit_once('.') {
            Some((schema, bare)) => Back::Whole(format!(
                "ALTER {{TABLE}} {}.{bare} SET SCHEMA {schema}",
                named(action, K::SCHEMA_REF)
            )),
            None => unknown,
        },
        K::SET_LOGGED if seen.whole(table).is_some_and(|known| !known.unlogged) => Back::Nothing,
        K::SET_LOGGED => part("SET UNLOGGED".into()),
        K::SET_UNLOGGED => part("SET LOGGED".into()),
        K::ENABLE_RLS if whole.is_some_and(|known| known.guarded) => Back::Nothing,
        K::DISABLE_RLS if whole.is_some_and(|known| !known.guarded) => Back::Nothing,
        K::FORCE_RLS if whole.is_some_and(|known| known.forced) => Back::Nothing,
        K::NO_FORCE_RLS if whole.is_some_and(|known| !known.forced) => Back::Nothing,
        K::ENABLE_RLS => part("DISABLE ROW LEVEL SECURITY".into()),
        K::DISABLE_RLS => part("ENABLE ROW LEVEL SECURITY".into()),
        K::FORCE_RLS => part("NO FORCE ROW LEVEL SECURITY".into()),
        K::NO_FORCE_RLS => part("FORCE ROW LEVEL SECURITY".into()),
        K::ENABLE_TRIGGER | K::ENABLE_RULE
            if whole.is_some_and(|known| {
                !learn::switched(action).is_some_and(|name| known.off.contains(&name))
            }) =>
        {
            Back::Nothing
        }
        K::DISABLE_TRIGGER | K::ENABLE_ALWAYS_TRIGGER | K::ENABLE_REPLICA_TRIGGER => {
            part(switched(action, "ENABLE TRIGGER"))
        }
        K::ENABLE_TRIGGER => part(switched(action, "DISABLE TRIGGER")),
        K::DISABLE_RULE | K::ENABLE_ALWAYS_RULE | K::ENABLE_REPLICA_RULE => {
            part(switched(action, "ENABLE RULE"))
        }
        K::ENABLE_RULE => part(switched(action, "DISABLE RULE")),
        K::INHERIT_TABLE => part(format!("NO INHERIT {}", named(action, K::TABLE_NAME_REF))),
        K::NO_INHERIT_TABLE => part(format!("INHERIT {}", named(action, K::TABLE_NAME_REF))),
        K::OF_TYPE => part("NOT OF".into()),
        K::SET_WITHOUT_OIDS => Back::Nothing,
        K::SET_WITHOUT_CLUSTER if whole.is_some_and(|known| !known.clustered) => Back::Nothing,
        K::CLUSTER_ON if whole.is_some_and(|known| !known.clustered) => {
            part("SET WITHOUT CLUSTER".into())
        }
        K::SET_OPTIONS if whole.is_some() => part(format!("RESET ({})", options(action))),
        K::REPLICA_IDENTITY if whole.is_some_and(|known| !known.identity) => {
            if has(action, K::REPLICA_IDENTITY_DEFAULT) {
                Back::Nothing
            } else {
                part("REPLICA IDENTITY DEFAULT".into())
            }
        }
        K::NOT_OF if whole.is_some_and(|known| !known.of_type.is_empty()) => {
            part(format!("OF {}", whole.map(|known| known.of_type.as_str()).unwrap_or_default()))
        }
        K::ATTACH_PARTITION => {
            part(format!("DETACH PARTITION {}", named(action, K::TABLE_NAME_REF)))
        }
        K::DETACH_PARTITION => {
            let partition = named(action, K::TABLE_NAME_REF);
            match seen.table(&partition).and_then(|known| known.bounds.as_ref()) {
                Some(bounds) => part(format!("ATTACH PARTITION {partition} {bounds}")),
                None => unknown,
            }
        }
        _ => unknown,
    }
}

/// The index becomes an index of its own again.
fn using_index(action: &SyntaxNode, table: &str, seen: &Seen) -> Back {
    let named_below = |kind: K| {
        action.descendants().find(|node| node.kind() == kind).map(|node| tree::name(&node))
    };
    let index = named_below(K::INDEX_REF).unwrap_or_default();
    let name = named_below(K::CONSTRAINT_NAME).unwrap_or_else(|| index.clone());
    let primary = action.descendants().any(|node| node.kind() == K::PRIMARY_KEY_CONSTRAINT);
    let in_schema = super::seen::in_schema_of(table, &index);
    let (Some(known), false) = (seen.indexes.get(&super::seen::key(&in_schema)), primary) else {
        return Back::Not(Undo::Unknown);
    };
    Back::Whole(format!("ALTER {{TABLE}} {table} DROP CONSTRAINT {name};\n{}", known.definition))
}

/// A primary key makes its columns NOT NULL, and leaves them so.
fn nullable_again(columns: &[String], table: &str, seen: &Seen) -> String {
    let Some(known) = seen.whole(table) else { return String::new() };
    let were = columns.iter().filter(|name| known.column(name).is_some_and(|one| !one.not_null));
    were.map(|name| format!(", ALTER COLUMN {name} DROP NOT NULL")).collect()
}

/// `TRIGGER name` with another verb before it.
fn switched(action: &SyntaxNode, verb: &str) -> String {
    let name = action.children().next().map(|name| text(&name)).unwrap_or_default();
    format!("{verb} {name}")
}

fn options(action: &SyntaxNode) -> String {
    let names = action.descendants().filter(|node| node.kind() == K::ATTRIBUTE_OPTION);
    let first = |option: SyntaxNode| {
        let all = text(&option);
        all.split('=').next().unwrap_or_default().trim().to_string()
    };
    names.map(first).collect::<Vec<_>>().join(", ")
}

fn column(action: &SyntaxNode, table: &str, seen: &Seen) -> Back {
    let name = named(action, K::COLUMN_NAME_REF);
    let known = seen.table(table).and_then(|known| known.column(&name));
    let unknown = Back::Not(Undo::Unknown);
    let back = |rest: String| part(format!("ALTER COLUMN {name} {rest}"));
    let Some(option) = action.children().find(|node| node.kind() != K::COLUMN_NAME_REF) else {
        return unknown;
    };
    match option.kind() {
        K::SET_TYPE => match known {
            Some(known) if !known.kind.is_empty() => {
                let new = option.children().find(|node| is_type(node.kind())).map(|n| text(&n));
                if rewrite::type_change_loses(&option, &name, &known.kind) {
                    return Back::Not(Undo::Lost);
                }
                let collation = child(&option, K::COLLATE).map(|c| text(&c)).unwrap_or_default();
                let old = &known.kind;
                if new.as_deref() == Some(old.as_str()) && collation == known.collation {
                    return Back::Nothing;
                }
                let collate = if known.collation.is_empty() {
                    String::new()
                } else {
                    format!(" {}", known.collation)
                };
                back(format!("TYPE {old}{collate} USING {name}::{old}"))
            }
            _ => unknown,
        },
        K::SET_DEFAULT | K::DROP_DEFAULT => match known {
            Some(known) => match &known.default {
                Some(old) => back(format!("SET DEFAULT {old}")),
                None if option.kind() == K::DROP_DEFAULT => Back::Nothing,
                None => back("DROP DEFAULT".into()),
            },
            None => unknown,
        },
        K::SET_NOT_NULL if known.is_some_and(|known| known.not_null) => Back::Nothing,
        K::SET_NOT_NULL => back("DROP NOT NULL".into()),
        K::DROP_NOT_NULL if known.is_some_and(|known| !known.not_null) => Back::Nothing,
        K::DROP_NOT_NULL => back("SET NOT NULL".into()),
        K::ADD_GENERATED => back("DROP IDENTITY".into()),
        K::SET_STATISTICS if seen.whole(table).is_some() => back("SET STATISTICS -1".into()),
        K::SET_OPTIONS if seen.whole(table).is_some() => {
            back(format!("RESET ({})", options(&option)))
        }
        _ if child(&option, K::LITERAL).is_some() => unknown,
        _ => unknown,
    }
}
