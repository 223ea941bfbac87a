//! The table locks of a statement, after the manual's chapter "Explicit Locking" and the pages of
//! the commands, held against `pg_locks` by a test. ACCESS SHARE is left out: it conflicts with
//! nothing but ACCESS EXCLUSIVE. Tables that only the catalog connects with the statement (an
//! index's table, partitions, keys) are there where the file itself shows them.

mod keys;

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

pub(in crate::sql) use keys::of_insert;
use keys::{inserts, keys_of, retyped, rows};

use super::classify::Lock;
use super::seen::{Seen, child, key, named};
use super::{alter_table, tree};
use crate::model::{LOCK_MODES, lock_strength, written_lock};

/// The chapter's table of conflicts: a row for each mode in the order of [`LOCK_MODES`], a bit for
/// each mode that it cannot stand beside, the weakest lowest.
const CONFLICTS: [u8; 8] = [
    0b1000_0000,
    0b1100_0000,
    0b1111_0000,
    0b1111_1000,
    0b1110_1100,
    0b1111_1100,
    0b1111_1110,
    0b1111_1111,
];

impl Lock {
    /// The modes that keep this lock waiting while another session holds them, as `pg_locks`
    /// writes them: `AccessShareLock`.
    pub fn kept_waiting_by(&self) -> Vec<String> {
        let conflicts = CONFLICTS.get(lock_strength(&self.mode)).copied().unwrap_or(0);
        let held = LOCK_MODES.iter().enumerate().filter(|(at, _)| conflicts >> at & 1 == 1);
        held.map(|(_, mode)| written_lock(mode)).collect()
    }
}

struct Taken(Vec<Lock>);

impl Taken {
    /// Adds a lock, or strengthens the one already there.
    fn add(&mut self, mode: &str, object: &str) {
        if object.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|lock| lock.object == object) {
            Some(lock) if lock_strength(&lock.mode) < lock_strength(mode) => {
                lock.mode = mode.into()
            }
            Some(_) => {}
            None => self.0.push(Lock { mode: mode.into(), object: object.into() }),
        }
    }

    fn all(&mut self, mode: &str, objects: &[String]) {
        for object in objects {
            self.add(mode, object);
        }
    }
}

/// Adds locks to others, the stronger of two on one object.
pub(super) fn merge(own: &mut Vec<Lock>, others: Vec<Lock>) {
    let mut taken = Taken(std::mem::take(own));
    others.iter().for_each(|lock| taken.add(&lock.mode, &lock.object));
    *own = taken.0;
}

/// True for ALTER TABLE ONLY, TRUNCATE ONLY and their kin.
pub(super) fn says_only(stmt: &SyntaxNode) -> bool {
    let text = tree::source(stmt);
    super::lex::meaningful(&text).take(8).any(|token| token.is("only"))
}

/// The locks of a statement whose objects are known.
pub(super) fn of(stmt: &SyntaxNode, objects: &[String], seen: &Seen) -> Vec<Lock> {
    let mut taken = Taken(Vec::new());
    let has = |word: &str| tree::has_word(stmt, word);
    let first = objects.first().map_or("", String::as_str);
    let families = || -> Vec<String> {
        if says_only(stmt) {
            return objects.to_vec();
        }
        objects.iter().flat_map(|name| seen.family(name)).collect()
    };
    match stmt.kind() {
        K::ALTER_TABLE | K::ALTER_FOREIGN_TABLE => alter(stmt, first, seen, &mut taken),
        K::CREATE_TABLE | K::CREATE_FOREIGN_TABLE => {
            references(stmt, &mut taken);
            for parent in under(stmt, K::PARTITION_OF, "ACCESS EXCLUSIVE", &mut taken) {
                default_partition(&parent, seen, &mut taken);
                keys_of(&parent, seen, &mut taken);
            }
            under(stmt, K::INHERITS, "SHARE UPDATE EXCLUSIVE", &mut taken);
        }
        K::CREATE_INDEX if concurrently(stmt) => taken.all("SHARE UPDATE EXCLUSIVE", objects),
        K::CREATE_INDEX => taken.all("SHARE", &families()),
        K::DROP_INDEX => {
            let mode = if concurrently(stmt) { "SHARE UPDATE EXCLUSIVE" } else { STRONGEST };
            for index in objects {
                taken.add(mode, index);
                if let Some(known) = seen.indexes.get(&key(index)) {
                    taken.all(mode, &seen.family(&known.table));
                }
            }
        }
        K::REINDEX => reindex(stmt, objects, seen, &mut taken),
        K::CREATE_TRIGGER | K::ALTER_SEQUENCE if has("rename") || has("schema") => {
            taken.all(STRONGEST, objects);
        }
        K::CREATE_TRIGGER => {
            taken.all("SHARE ROW EXCLUSIVE", &families());
            under(stmt, K::FROM_TABLE, "SHARE ROW EXCLUSIVE", &mut taken);
        }
        K::ALTER_SEQUENCE => taken.all("SHARE ROW EXCLUSIVE", objects),
        K::CREATE_STATISTICS => taken.all("SHARE UPDATE EXCLUSIVE", objects),
        K::CREATE_PUBLICATION | K::ALTER_PUBLICATION => {
            let tables = stmt
                .descendants()
                .filter(|node| matches!(node.kind(), K::RELATION_NAME_REF | K::TABLE_NAME_REF));
            for table in tables {
                taken.add("SHARE UPDATE EXCLUSIVE", &tree::name(&table));
            }
        }
        K::DROP_STATISTICS => {
            for table in objects.iter().filter_map(|name| seen.statistics.get(&key(name))) {
                taken.add("SHARE UPDATE EXCLUSIVE", table);
            }
        }
        K::DROP_TYPE | K::DROP_DOMAIN | K::ALTER_TYPE if has("cascade") => {
            for table in objects.iter().flat_map(|name| seen.made_of(name)) {
                taken.all(STRONGEST, &seen.family(table));
            }
        }
        K::DROP_SCHEMA if has("cascade") => {
            for schema in objects {
                let within = |name: &&String| {
                    name.strip_prefix(schema.as_str()).is_some_and(|rest| rest.starts_with('.'))
                };
                seen.tables.keys().filter(within).for_each(|name| taken.add(STRONGEST, name));
            }
        }
        K::DROP_FUNCTION if has("cascade") => {
            for table in objects.iter().flat_map(|name| seen.run_by(name)) {
                taken.all(STRONGEST, &seen.family(&table));
            }
        }
        K::DROP_TABLE => {
            for table in objects.iter().flat_map(|name| seen.family(name)) {
                taken.add(STRONGEST, &table);
                keys_of(&table, seen, &mut taken);
                for (holder, _) in seen.pointing_to(&table) {
                    if has("cascade") {
                        taken.add(STRONGEST, holder);
                    }
                }
            }
        }
        K::TRUNCATE => {
            let mut tables = families();
            if has("cascade") {
                let mut at = 0;
                while at < tables.len() {
                    for (holder, _) in seen.pointing_to(&tables[at].clone()) {
                        if !tables.iter().any(|name| key(name) == *holder) {
                            tables.push(holder.clone());
                        }
                    }
                    at += 1;
                }
            }
            taken.all(STRONGEST, &tables);
        }
        K::CREATE_RULE
        | K::CREATE_POLICY
        | K::ALTER_POLICY
        | K::ALTER_RULE
        | K::DROP_POLICY
        | K::DROP_RULE
        | K::DROP_VIEW
        | K::DROP_MATERIALIZED_VIEW
        | K::DROP_SEQUENCE
        | K::DROP_FOREIGN_TABLE
        | K::CLUSTER
        | K::ALTER_VIEW => taken.all(STRONGEST, objects),
        K::ALTER_TRIGGER | K::DROP_TRIGGER => taken.all(STRONGEST, &families()),
        K::ALTER_MATERIALIZED_VIEW | K::ALTER_INDEX => {
            alter_other(stmt, objects, seen, &mut taken);
        }
        K::CREATE_VIEW if stmt.children().any(|child| child.kind() == K::OR_REPLACE) => {
            taken.all(STRONGEST, objects);
        }
        K::REFRESH => {
            taken.all(if has("concurrently") { "EXCLUSIVE" } else { STRONGEST }, objects);
        }
        K::VACUUM if has("full") => taken.all(STRONGEST, objects),
        K::VACUUM | K::ANALYZE => taken.all("SHARE UPDATE EXCLUSIVE", &families()),
        K::COMMENT_ON | K::SECURITY_LABEL => {
            let of_table = stmt.children().any(|object| {
                matches!(
                    object.kind(),
                    K::OBJECT_TABLE
                        | K::OBJECT_COLUMN
                        | K::OBJECT_VIEW
                        | K::OBJECT_MATERIALIZED_VIEW
                        | K::OBJECT_FOREIGN_TABLE
                        | K::OBJECT_INDEX
                        | K::OBJECT_SEQUENCE
                )
            });
            if of_table && !has("domain") {
                taken.all("SHARE UPDATE EXCLUSIVE", objects);
            }
        }
        K::COPY => {
            taken.all("ROW EXCLUSIVE", objects);
            objects.iter().for_each(|table| inserts(table, seen, &mut taken));
        }
        K::LOCK => taken.all(&lock_mode(stmt), &families()),
        K::CREATE_FUNCTION | K::CREATE_PROCEDURE | K::PREPARE => {}
        _ => rows(stmt, seen, &mut taken),
    }
    taken.0
}

const STRONGEST: &str = "ACCESS EXCLUSIVE";

fn reindex(stmt: &SyntaxNode, objects: &[String], seen: &Seen, taken: &mut Taken) {
    let alone = tree::has_word(stmt, "concurrently");
    let mode = if alone { "SHARE UPDATE EXCLUSIVE" } else { "SHARE" };
    for object in objects {
        match seen.indexes.get(&key(object)) {
            Some(index) => {
                taken.add(mode, &index.table);
                taken.add(if alone { mode } else { STRONGEST }, object);
            }
            None if child(stmt, K::REINDEX_TARGET_INDEX).is_some() => {
                taken.add(if alone { mode } else { STRONGEST }, object);
            }
            None => taken.add(mode, object),
        }
    }
}

/// ALTER INDEX and ALTER MATERIALIZED VIEW, action by action.
fn alter_other(stmt: &SyntaxNode, objects: &[String], seen: &Seen, taken: &mut Taken) {
    let index = stmt.kind() == K::ALTER_INDEX;
    let mut mode = "SHARE UPDATE EXCLUSIVE";
    for action in stmt.children().skip(1) {
        match action.kind() {
            K::INDEX_RENAME_TO => {}
            K::ATTACH_INDEX_PARTITION => {
                // The partition's own table and index are locked as well.
                let below = named(&action, K::INDEX_REF);
                taken.add(STRONGEST, &below);
                if let Some(known) = seen.indexes.get(&key(&below)) {
                    taken.add("SHARE", &known.table);
                }
                for parent in objects.iter().filter_map(|name| seen.indexes.get(&key(name))) {
                    taken.add("SHARE UPDATE EXCLUSIVE", &parent.table);
                }
            }
            K::ALTER_SET_STATISTICS
            | K::SET_STATISTICS
            | K::CLUSTER_ON
            | K::SET_WITHOUT_CLUSTER => {}
            K::ALTER_COLUMN if alter_table::lock(&action) == mode => {}
            K::SET_OPTIONS | K::RESET_OPTIONS => {
                if alter_table::option_lock(&action) == STRONGEST {
                    mode = STRONGEST;
                }
            }
            _ if index && action.kind() == K::IF_EXISTS => {}
            K::IF_EXISTS | K::INDEX_REF | K::VIEW_REF => {}
            _ => mode = STRONGEST,
        }
    }
    taken.all(mode, objects);
}

fn alter(stmt: &SyntaxNode, table: &str, seen: &Seen, taken: &mut Taken) {
    let only = says_only(stmt);
    for action in alter_table::actions(stmt) {
        let mode = alter_table::lock(&action);
        taken.add(mode, table);
        if !only && alter_table::recurses(&action) {
            taken.all(mode, &seen.family(table));
        }
        match action.kind() {
            K::ADD_CONSTRAINT | K::ADD_COLUMN => references(&action, taken),
            K::VALIDATE_CONSTRAINT => {
                let name = named(&action, K::CONSTRAINT_NAME_REF);
                let known = seen.table(table).and_then(|known| known.constraint(&name));
                let open = known.filter(|one| !one.valid);
                if let Some(other) = open.and_then(|one| one.references.as_ref()) {
                    taken.add("ROW SHARE", other);
                }
            }
            K::DROP_CONSTRAINT => {
                let name = named(&action, K::CONSTRAINT_NAME_REF);
                let known = seen.table(table).and_then(|known| known.constraint(&name));
                if let Some(other) = known.and_then(|one| one.references.as_ref()) {
                    taken.add(STRONGEST, other);
                }
                if tree::has_word(&action, "cascade") {
                    for (holder, key) in seen.pointing_to(table) {
                        let mine = known.is_some_and(|one| one.references.is_none());
                        if mine && key.references.is_some() {
                            taken.add(STRONGEST, holder);
                        }
                    }
                }
            }
            K::DROP_COLUMN => {
                let name = named(&action, K::COLUMN_NAME_REF);
                let known = seen.table(table).map(|known| known.constraints.as_slice());
                for one in known.unwrap_or_default().iter().filter(|c| c.columns.contains(&name)) {
                    if let Some(other) = &one.references {
                        taken.add(STRONGEST, other);
                    }
                }
            }
            K::ALTER_COLUMN => retyped(&action, table, seen, taken),
            K::ATTACH_PARTITION | K::DETACH_PARTITION => {
                let partition = named(&action, K::TABLE_NAME_REF);
                let gentle =
                    mode == "SHARE UPDATE EXCLUSIVE" && action.kind() == K::DETACH_PARTITION;
                taken.add(if gentle { mode } else { STRONGEST }, &partition);
                default_partition(table, seen, taken);
                if action.kind() == K::ATTACH_PARTITION {
                    keys_of(table, seen, taken);
                }
            }
            K::INHERIT_TABLE | K::NO_INHERIT_TABLE => {
                let parent = named(&action, K::TABLE_NAME_REF);
                if action.kind() == K::INHERIT_TABLE {
                    taken.add("SHARE UPDATE EXCLUSIVE", &parent);
                }
            }
            _ => {}
        }
    }
}

/// The default partition is looked through for rows that belong elsewhere.
fn default_partition(parent: &str, seen: &Seen, taken: &mut Taken) {
    let children = seen.table(parent).map(|known| known.children.as_slice()).unwrap_or_default();
    for partition in children {
        let bounds = seen.table(partition).and_then(|known| known.bounds.as_deref());
        if bounds.is_some_and(|bounds| bounds.eq_ignore_ascii_case("default")) {
            taken.add(STRONGEST, partition);
        }
    }
}

/// A foreign key locks the table that it points to.
fn references(node: &SyntaxNode, taken: &mut Taken) {
    for key in [K::FOREIGN_KEY_CONSTRAINT, K::REFERENCES_CONSTRAINT] {
        under(node, key, "SHARE ROW EXCLUSIVE", taken);
    }
}

fn under(node: &SyntaxNode, kind: K, mode: &str, taken: &mut Taken) -> Vec<String> {
    let mut found = Vec::new();
    for inner in node.descendants().filter(|inner| inner.kind() == kind) {
        for table in inner.children().filter(|child| child.kind() == K::TABLE_NAME_REF) {
            taken.add(mode, &tree::name(&table));
            found.push(tree::name(&table));
        }
    }
    found
}

fn concurrently(stmt: &SyntaxNode) -> bool {
    stmt.children_with_tokens().any(|child| child.kind() == K::CONCURRENTLY_KW)
}

fn lock_mode(stmt: &SyntaxNode) -> String {
    let clause = stmt.children().find(|child| child.kind() == K::LOCK_MODE_CLAUSE);
    let mode = clause.and_then(|clause| clause.children().next());
    mode.map_or_else(
        || "ACCESS EXCLUSIVE".to_string(),
        |mode| {
            let text = tree::source(&mode);
            text.split_whitespace().map(str::to_uppercase).collect::<Vec<_>>().join(" ")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_against(mode: &str) -> Vec<String> {
        Lock { mode: mode.into(), object: "t".into() }.kept_waiting_by()
    }

    #[test]
    fn a_lock_waits_for_the_modes_of_the_manuals_table() {
        assert_eq!(held_against("ACCESS SHARE"), ["AccessExclusiveLock"]);
        assert_eq!(
            held_against("SHARE"),
            [
                "RowExclusiveLock",
                "ShareUpdateExclusiveLock",
                "ShareRowExclusiveLock",
                "ExclusiveLock",
                "AccessExclusiveLock"
            ]
        );
        assert_eq!(held_against("ACCESS EXCLUSIVE").len(), 8);
        // Who keeps whom waiting goes both ways.
        for one in LOCK_MODES {
            for other in LOCK_MODES {
                assert_eq!(
                    held_against(one).contains(&written_lock(other)),
                    held_against(other).contains(&written_lock(one)),
                    "{one} and {other}"
                );
            }
        }
    }
}
