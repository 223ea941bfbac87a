//! The way back of ALTER TABLE, action by action, last one first.

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::alter_table::actions;
use super::learn;
use super::seen::{Seen, child, has, is_type, named, text};
use super::tree;
use super::undo::Undo;

/// The way back of a whole ALTER TABLE.
pub(super) fn of(stmt: &SyntaxNode, seen: &Seen) -> Undo {
    let Some(target) = stmt.children().find(|node| {
        matches!(node.kind(), K::TABLE_RELATION_NAME | K::RELATION_NAME | K::TABLE_NAME_REF)
    }) else {
        return Undo::Unknown;
    };
    let word = if stmt.kind() == K::ALTER_FOREIGN_TABLE { "FOREIGN TABLE" } else { "TABLE" };
    let name = tree::name(&target);
    let written = text(&target).trim_end_matches('*').trim().to_string();
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
    let unknown = Back::Not(Undo::Unknown);
    match action.kind() {
        K::ADD_COLUMN if has(action, K::IF_NOT_EXISTS) => unknown,
        K::ADD_COLUMN => part(format!("DROP COLUMN {}", named(action, K::COLUMN_NAME))),
        K::DROP_COLUMN => Back::Not(Undo::Lost),
        K::ALTER_COLUMN => column(action, table, seen),
        K::ADD_CONSTRAINT => {
            let found = action.children().find_map(|item| learn::constraint(&item, table, None));
            let Some(mut one) = found else { return unknown };
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
            part(format!("DROP CONSTRAINT {}", one.name))
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
        K::ENABLE_RLS => part("DISABLE ROW LEVEL SECURITY".into()),
        K::DISABLE_RLS => part("ENABLE ROW LEVEL SECURITY".into()),
        K::FORCE_RLS => part("NO FORCE ROW LEVEL SECURITY".into()),
        K::NO_FORCE_RLS => part("FORCE ROW LEVEL SECURITY".into()),
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
        K::CLUSTER_ON => part("SET WITHOUT CLUSTER".into()),
        K::SET_OPTIONS => part(format!("RESET ({})", options(action))),
        K::REPLICA_IDENTITY => part("REPLICA IDENTITY DEFAULT".into()),
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
                if new.as_deref() == Some(known.kind.as_str()) {
                    return Back::Nothing;
                }
                back(format!("TYPE {} USING {name}::{}", known.kind, known.kind))
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
        K::SET_STATISTICS => back("SET STATISTICS -1".into()),
        K::SET_OPTIONS => back(format!("RESET ({})", options(&option))),
        _ if child(&option, K::LITERAL).is_some() => unknown,
        _ => unknown,
    }
}
