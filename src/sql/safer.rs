//! The same change without stopping readers and writers, where PostgreSQL has such a form.
//!
//! SQL that can be run as it stands, each statement in a transaction of its own unless said
//! otherwise; sentences where it takes more than SQL. Only for tables that were there before.

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::alter_table::{actions, new_column_rewrites};
use super::learn;
use super::rewrite::{proven_not_null, type_change_rewrites};
use super::seen::{Seen, child, has, named, text};
use super::tree;
use crate::msg;

/// The gentle form; None where there is none, or where the statement is gentle already.
pub(super) fn of(stmt: &SyntaxNode, seen: &Seen) -> Option<String> {
    let refs = tree::relations(stmt);
    let table = tree::objects(stmt, &refs).into_iter().next().unwrap_or_default();
    if seen.is_new(&table) {
        return None;
    }
    let alone = tree::has_word(stmt, "concurrently");
    match stmt.kind() {
        K::CREATE_INDEX if !alone && seen.whole(&table).is_none_or(|known| !known.partitioned) => {
            Some(format!("{};", with_word(stmt, "index")))
        }
        K::DROP_INDEX if !alone && !has(stmt, K::CASCADE) => {
            Some(format!("{};", with_word(stmt, "index")))
        }
        K::REINDEX if !alone => {
            let kind = ["index", "table", "schema", "database"]
                .into_iter()
                .find(|word| tree::has_word(stmt, word))?;
            Some(format!("{};", with_word(stmt, kind)))
        }
        K::REFRESH if !alone => Some(msg!("sql.safer.refresh", sql = with_word(stmt, "view"))),
        K::VACUUM if tree::has_word(stmt, "full") => Some(msg!("sql.safer.repack", table = table)),
        K::CLUSTER => Some(msg!("sql.safer.repack", table = table)),
        K::UPDATE | K::DELETE if !has(stmt, K::WHERE_CURRENT_OF) => {
            Some(msg!("sql.safer.batches", table = table))
        }
        K::DROP_TABLE => Some(msg!("sql.safer.drop-table", table = table)),
        K::ALTER_TABLE => {
            let all: Vec<String> =
                actions(stmt).filter_map(|action| alter(&action, &table, seen)).collect();
            if all.is_empty() { None } else { Some(all.join("\n")) }
        }
        _ => None,
    }
}

/// CONCURRENTLY behind the first of these words.
fn with_word(stmt: &SyntaxNode, word: &str) -> String {
    let all = text(stmt);
    let at = super::lex::meaningful(&all).find(|token| token.is(word)).map(|token| token.end());
    match at {
        Some(at) => format!("{} CONCURRENTLY{}", &all[..at], &all[at..]),
        None => all,
    }
}

fn alter(action: &SyntaxNode, table: &str, seen: &Seen) -> Option<String> {
    match action.kind() {
        K::ADD_COLUMN => add_column(action, table, seen),
        K::ADD_CONSTRAINT => add_constraint(action, table),
        K::ALTER_COLUMN => {
            let column = named(action, K::COLUMN_NAME_REF);
            let option = action.children().find(|node| node.kind() != K::COLUMN_NAME_REF)?;
            match option.kind() {
                K::SET_NOT_NULL if !proven_not_null(table, &column, seen) => {
                    Some(not_null(table, &column))
                }
                K::SET_TYPE if type_change_rewrites(&option, table, &column, seen) => {
                    Some(msg!("sql.safer.set-type", table = table, column = column))
                }
                _ => None,
            }
        }
        K::DETACH_PARTITION
            if !has(action, K::DETACH_CONCURRENTLY) && !has(action, K::DETACH_FINALIZE) =>
        {
            let partition = named(action, K::TABLE_NAME_REF);
            Some(format!("ALTER TABLE {table} DETACH PARTITION {partition} CONCURRENTLY;"))
        }
        K::ATTACH_PARTITION => {
            Some(msg!("sql.safer.attach", partition = named(action, K::TABLE_NAME_REF)))
        }
        K::RENAME_COLUMN => Some(msg!(
            "sql.safer.rename-column",
            old = named(action, K::COLUMN_NAME_REF),
            new = named(action, K::COLUMN_NAME)
        )),
        K::TABLE_RENAME_TO => Some(msg!("sql.safer.rename-table", table = table)),
        K::DROP_COLUMN => {
            Some(msg!("sql.safer.drop-column", column = named(action, K::COLUMN_NAME_REF)))
        }
        K::SET_LOGGED | K::SET_UNLOGGED | K::SET_TABLESPACE | K::SET_ACCESS_METHOD => {
            Some(msg!("sql.safer.repack", table = table))
        }
        _ => None,
    }
}

/// CHECK .. NOT VALID, VALIDATE, SET NOT NULL: the last one reads no row.
fn not_null(table: &str, column: &str) -> String {
    let bare = column.trim_matches('"');
    let check = tree::render(&[format!("{bare}_not_null")]);
    format!(
        "ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({column} IS NOT NULL) NOT VALID;\n\
         ALTER TABLE {table} VALIDATE CONSTRAINT {check};\n\
         ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;\n\
         ALTER TABLE {table} DROP CONSTRAINT {check};"
    )
}

fn add_column(action: &SyntaxNode, table: &str, seen: &Seen) -> Option<String> {
    let column = named(action, K::COLUMN_NAME);
    let kind = action
        .children()
        .find(|node| super::seen::is_type(node.kind()))
        .map(|kind| text(&kind))
        .unwrap_or_default();
    let made = has(action, K::GENERATED_CONSTRAINT) || kind.to_lowercase().contains("serial");
    let default = child(action, K::DEFAULT_CONSTRAINT);
    if new_column_rewrites(action, seen) && made {
        return Some(msg!("sql.safer.made-column", table = table, column = column));
    }
    if new_column_rewrites(action, seen) && default.is_some() {
        let default = default.map(|default| text(&default)).unwrap_or_default();
        return Some(format!(
            "ALTER TABLE {table} ADD COLUMN {column} {kind};\n\
             ALTER TABLE {table} ALTER COLUMN {column} SET {default};\n-- {}",
            msg!("sql.safer.backfill", column = column)
        ));
    }
    if has(action, K::UNIQUE_CONSTRAINT) || has(action, K::PRIMARY_KEY_CONSTRAINT) {
        let bare = column.trim_matches('"');
        let name = tree::render(&[format!("{}_{bare}_key", bare_name(table))]);
        return Some(format!(
            "ALTER TABLE {table} ADD COLUMN {column} {kind};\n\
             CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({column});\n\
             ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name};"
        ));
    }
    if has(action, K::NOT_NULL_CONSTRAINT) && default.is_none() {
        return Some(format!(
            "ALTER TABLE {table} ADD COLUMN {column} {kind};\n-- {}\n{}",
            msg!("sql.safer.backfill", column = column),
            not_null(table, &column)
        ));
    }
    let keys = action.children().filter_map(|part| learn::constraint(&part, table, Some(&column)));
    let slow: Vec<_> = keys.filter(|one| one.references.is_some() || one.check).collect();
    if slow.is_empty() || slow.iter().all(|one| one.references.is_some() && default.is_none()) {
        // A key of a column that holds only NULL has nothing to check.
        return None;
    }
    let mut out = format!("ALTER TABLE {table} ADD COLUMN {column} {kind}");
    if let Some(default) = default {
        out.push_str(&format!(" {}", text(&default)));
    }
    out.push(';');
    for one in slow {
        out.push_str(&checked_later(table, &one.name, &one.definition));
    }
    Some(out)
}

fn checked_later(table: &str, name: &str, definition: &str) -> String {
    format!(
        "\nALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID;\n\
         ALTER TABLE {table} VALIDATE CONSTRAINT {name};"
    )
}

fn bare_name(table: &str) -> &str {
    table.rsplit('.').next().unwrap_or(table).trim_matches('"')
}

fn add_constraint(action: &SyntaxNode, table: &str) -> Option<String> {
    let has_below = |wanted: K| action.descendants().any(|node| node.kind() == wanted);
    if has_below(K::NOT_VALID) || has_below(K::USING_INDEX_NAME) || has_below(K::NOT_ENFORCED) {
        return None;
    }
    let item = action.children().next()?;
    let one = learn::constraint(&item, table, None)?;
    if one.check || one.references.is_some() {
        return Some(checked_later(table, &one.name, &one.definition).trim_start().to_string());
    }
    if item.kind() == K::EXCLUDE_CONSTRAINT {
        return None;
    }
    let word = if one.primary { "PRIMARY KEY" } else { "UNIQUE" };
    let name = &one.name;
    let columns = one.columns.join(", ");
    Some(format!(
        "CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({columns});\n\
         ALTER TABLE {table} ADD CONSTRAINT {name} {word} USING INDEX {name};"
    ))
}
