//! What single parts of CREATE TABLE and ALTER TABLE tell [`Seen`]: columns, constraints, renames.

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::alter_table::actions;
use super::seen::{Column, Constraint, Seen, Table, child, has, is_type, key, named, text};
use super::tree;

/// The column that a COLUMN or ADD COLUMN node describes, with its constraints.
pub(super) fn column(item: &SyntaxNode, table_name: &str, table: &mut Table) {
    let name = named(item, K::COLUMN_NAME);
    let kind = item.children().find(|c| is_type(c.kind())).map(|c| text(&c)).unwrap_or_default();
    let collation = child(item, K::COLLATE).map(|collate| text(&collate)).unwrap_or_default();
    let default = child(item, K::DEFAULT_CONSTRAINT).and_then(|c| value_of_default(&c));
    let made = has(item, K::GENERATED_CONSTRAINT) || kind.to_lowercase().contains("serial");
    let not_null =
        has(item, K::NOT_NULL_CONSTRAINT) || has(item, K::PRIMARY_KEY_CONSTRAINT) || made;
    for part in item.children() {
        if let Some(constraint) = constraint(&part, table_name, Some(&name)) {
            add_constraint(table, constraint);
        }
    }
    table.columns.retain(|known| known.name != name);
    table.columns.push(Column { name, kind, collation, default, not_null, made });
}

/// Behind the word DEFAULT.
fn value_of_default(node: &SyntaxNode) -> Option<String> {
    let all = text(node);
    let at = all.to_ascii_lowercase().find("default")?;
    Some(all[at + "default".len()..].trim().to_string())
}

/// A constraint of a table or, with its name, of a column.
pub(super) fn constraint(
    item: &SyntaxNode,
    table: &str,
    column: Option<&str>,
) -> Option<Constraint> {
    let ending = match item.kind() {
        K::PRIMARY_KEY_CONSTRAINT => "pkey",
        K::UNIQUE_CONSTRAINT => "key",
        K::CHECK_CONSTRAINT => "check",
        K::EXCLUDE_CONSTRAINT => "excl",
        K::FOREIGN_KEY_CONSTRAINT | K::REFERENCES_CONSTRAINT => "fkey",
        _ => return None,
    };
    let columns = match column {
        Some(column) => vec![column.to_string()],
        None => columns_of(item),
    };
    let given = child(item, K::CONSTRAINT_NAME_CLAUSE)
        .map(|clause| (named(&clause, K::CONSTRAINT_NAME), text(&clause)));
    let whole = text(item);
    let definition = given
        .as_ref()
        .and_then(|(_, clause)| whole.strip_prefix(clause.as_str()))
        .unwrap_or(&whole)
        .trim()
        .to_string();
    let bare = table.rsplit('.').next().unwrap_or(table).trim_matches('"');
    let usual = || {
        let mut parts = vec![bare.to_string()];
        if ending != "pkey" {
            parts.extend(columns.iter().map(|name| name.trim_matches('"').to_string()));
        }
        parts.push(ending.to_string());
        tree::render(&[parts.join("_")])
    };
    let references = child(item, K::TABLE_NAME_REF).map(|other| key(&tree::name(&other)));
    Some(Constraint {
        name: given.map_or_else(usual, |(name, _)| name),
        writes_on_delete: child(item, K::ON_DELETE_ACTION).is_some_and(|action| {
            tree::has_word(&action, "cascade") || tree::has_word(&action, "set")
        }),
        references: references.filter(|_| ending == "fkey"),
        primary: ending == "pkey",
        check: ending == "check",
        valid: !has(item, K::NOT_VALID),
        definition: match column {
            Some(column) if ending == "fkey" => format!("FOREIGN KEY ({column}) {definition}"),
            Some(column) if ending != "check" => format!("{} ({column})", definition.trim()),
            _ => definition,
        },
        columns,
    })
}

fn columns_of(item: &SyntaxNode) -> Vec<String> {
    let list = item.descendants().find(|node| {
        matches!(
            node.kind(),
            K::CONSTRAINT_COLUMN_REF_LIST | K::FOREIGN_KEY_COLUMN_LIST | K::COLUMN_REF_LIST
        )
    });
    let names = |list: &SyntaxNode| -> Vec<String> {
        let refs = list.descendants().filter(|node| node.kind() == K::COLUMN_NAME_REF);
        refs.map(|name| tree::name(&name)).collect()
    };
    if let Some(list) = list {
        return names(&list);
    }
    // CHECK: the columns that it names, in order.
    let mut found = Vec::new();
    for node in item.descendants().filter(|node| node.kind() == K::NAME_REF) {
        let called = node.parent().is_some_and(|above| above.kind() == K::CALL_EXPR);
        let name = tree::name(&node);
        if !called && !found.contains(&name) {
            found.push(name);
        }
    }
    // PostgreSQL names a CHECK after its column only where there is one.
    if item.kind() == K::CHECK_CONSTRAINT && found.len() > 1 {
        found.clear();
    }
    found
}

pub(super) fn add_constraint(table: &mut Table, mut one: Constraint) {
    let wanted = one.name.clone();
    let mut number = 0;
    while table.constraint(&one.name).is_some() {
        number += 1;
        one.name = format!("{wanted}{number}");
    }
    if one.primary {
        for column in table.columns.iter_mut().filter(|c| one.columns.contains(&c.name)) {
            column.not_null = true;
        }
    }
    table.constraints.push(one);
}

/// Takes in an ALTER TABLE.
pub(super) fn alter(seen: &mut Seen, stmt: &SyntaxNode) {
    let refs = tree::relations(stmt);
    let Some(name) = tree::objects(stmt, &refs).into_iter().next() else { return };
    seen.tables.entry(key(&name)).or_insert_with(|| Table { partial: true, ..Table::default() });
    for action in actions(stmt) {
        match action.kind() {
            K::TABLE_RENAME_TO => {
                let new = named(&action, K::TABLE_NAME);
                let new = match name.rsplit_once('.') {
                    Some((schema, _)) => format!("{schema}.{new}"),
                    None => new,
                };
                seen.rename(&name, &new);
            }
            K::SET_SCHEMA => {
                let schema = named(&action, K::SCHEMA_REF);
                let bare = name.rsplit('.').next().unwrap_or(&name);
                seen.rename(&name, &format!("{schema}.{bare}"));
            }
            K::ATTACH_PARTITION => {
                let partition = key(&named(&action, K::TABLE_NAME_REF));
                if let Some(table) = seen.tables.get_mut(&key(&name)) {
                    table.children.push(partition);
                }
            }
            K::DETACH_PARTITION => {
                let partition = key(&named(&action, K::TABLE_NAME_REF));
                if let Some(table) = seen.tables.get_mut(&key(&name)) {
                    table.children.retain(|child| *child != partition);
                }
            }
            _ => {
                if let Some(table) = seen.tables.get_mut(&key(&name)) {
                    on_table(table, &name, &action);
                }
            }
        }
    }
}

fn on_table(table: &mut Table, name: &str, action: &SyntaxNode) {
    let column_name = named(action, K::COLUMN_NAME_REF);
    match action.kind() {
        K::ADD_COLUMN => column(action, name, table),
        K::DROP_COLUMN => {
            table.columns.retain(|column| column.name != column_name);
            table.constraints.retain(|one| !one.columns.contains(&column_name));
        }
        K::RENAME_COLUMN => {
            let new = named(action, K::COLUMN_NAME);
            for column in table.columns.iter_mut().filter(|c| c.name == column_name) {
                column.name.clone_from(&new);
            }
        }
        K::RENAME_CONSTRAINT => {
            let (old, new) =
                (named(action, K::CONSTRAINT_NAME_REF), named(action, K::CONSTRAINT_NAME));
            for one in table.constraints.iter_mut().filter(|c| c.name == old) {
                one.name.clone_from(&new);
            }
        }
        K::ADD_CONSTRAINT => {
            let found = action.children().find_map(|item| constraint(&item, name, None));
            if let Some(constraint) = found {
                add_constraint(table, constraint);
            }
        }
        K::VALIDATE_CONSTRAINT => {
            let wanted = named(action, K::CONSTRAINT_NAME_REF);
            for one in table.constraints.iter_mut().filter(|c| c.name == wanted) {
                one.valid = true;
            }
        }
        K::DROP_CONSTRAINT => {
            let dropped = named(action, K::CONSTRAINT_NAME_REF);
            table.constraints.retain(|one| one.name != dropped);
        }
        K::ENABLE_RLS => table.guarded = true,
        K::DISABLE_RLS => table.guarded = false,
        K::FORCE_RLS => table.forced = true,
        K::NO_FORCE_RLS => table.forced = false,
        K::CLUSTER_ON => table.clustered = true,
        K::SET_WITHOUT_CLUSTER => table.clustered = false,
        K::REPLICA_IDENTITY => table.identity = !has(action, K::REPLICA_IDENTITY_DEFAULT),
        K::DISABLE_TRIGGER | K::DISABLE_RULE => table.off.extend(switched(action)),
        K::ENABLE_TRIGGER | K::ENABLE_RULE => {
            let on = switched(action);
            table.off.retain(|name| Some(name) != on.as_ref());
        }
        K::SET_LOGGED => table.unlogged = false,
        K::SET_UNLOGGED => table.unlogged = true,
        K::ALTER_COLUMN => {
            for column in table.columns.iter_mut().filter(|c| c.name == column_name) {
                on_column(column, action);
            }
        }
        _ => {}
    }
}

/// The trigger or rule that is switched.
pub(super) fn switched(action: &SyntaxNode) -> Option<String> {
    action.children().next().map(|name| text(&name))
}

fn on_column(column: &mut Column, action: &SyntaxNode) {
    for option in action.children() {
        match option.kind() {
            K::SET_TYPE => {
                if let Some(kind) = option.children().find(|c| is_type(c.kind())) {
                    column.kind = text(&kind);
                }
                column.collation = child(&option, K::COLLATE).map(|c| text(&c)).unwrap_or_default();
            }
            K::SET_DEFAULT => column.default = value_of_default(&option),
            K::DROP_DEFAULT => column.default = None,
            K::SET_NOT_NULL => column.not_null = true,
            K::DROP_NOT_NULL => column.not_null = false,
            K::DROP_IDENTITY | K::DROP_EXPRESSION => column.made = false,
            K::ADD_GENERATED => column.made = true,
            _ => {}
        }
    }
}
