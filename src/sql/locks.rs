//! The table locks of a statement, after the manual's chapter "Explicit Locking" and the pages of
//! the commands. ACCESS SHARE is left out: it conflicts with nothing but ACCESS EXCLUSIVE.

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::classify::Lock;
use super::{alter_table, tree};

/// Weakest to strongest, as far as statements take them on tables.
const STRENGTH: &[&str] = &[
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
];

fn strength(mode: &str) -> usize {
    STRENGTH.iter().position(|known| *known == mode).unwrap_or(0)
}

/// The chapter's table of conflicts: a row for each mode in the order of [`STRENGTH`], a bit for
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
        let conflicts = CONFLICTS.get(strength(&self.mode)).copied().unwrap_or(0);
        let held = STRENGTH.iter().enumerate().filter(|(at, _)| conflicts >> at & 1 == 1);
        held.map(|(_, mode)| {
            let words = mode.split(' ').map(|word| {
                let (first, rest) = word.split_at(1);
                format!("{first}{}", rest.to_lowercase())
            });
            words.collect::<String>() + "Lock"
        })
        .collect()
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
            Some(lock) if strength(&lock.mode) < strength(mode) => lock.mode = mode.into(),
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

/// The locks of a statement whose objects are known.
pub(super) fn of(stmt: &SyntaxNode, objects: &[String]) -> Vec<Lock> {
    let mut taken = Taken(Vec::new());
    let has = |word: &str| tree::has_word(stmt, word);
    let first = objects.first().map_or("", String::as_str);
    match stmt.kind() {
        K::ALTER_TABLE | K::ALTER_FOREIGN_TABLE => alter(stmt, first, &mut taken),
        K::CREATE_TABLE | K::CREATE_FOREIGN_TABLE => {
            references(stmt, &mut taken);
            under(stmt, K::PARTITION_OF, "ACCESS EXCLUSIVE", &mut taken);
            under(stmt, K::INHERITS, "SHARE UPDATE EXCLUSIVE", &mut taken);
        }
        K::CREATE_INDEX if concurrently(stmt) => taken.all("SHARE UPDATE EXCLUSIVE", objects),
        K::CREATE_INDEX => taken.all("SHARE", objects),
        K::DROP_INDEX if concurrently(stmt) => taken.all("SHARE UPDATE EXCLUSIVE", objects),
        K::REINDEX if has("concurrently") => taken.all("SHARE UPDATE EXCLUSIVE", objects),
        K::REINDEX => taken.all("SHARE", objects),
        K::CREATE_TRIGGER | K::ALTER_SEQUENCE => taken.all("SHARE ROW EXCLUSIVE", objects),
        K::CREATE_STATISTICS => taken.all("SHARE UPDATE EXCLUSIVE", objects),
        K::CREATE_RULE
        | K::CREATE_POLICY
        | K::ALTER_POLICY
        | K::ALTER_TRIGGER
        | K::ALTER_RULE
        | K::DROP_POLICY
        | K::DROP_RULE
        | K::DROP_TRIGGER
        | K::DROP_TABLE
        | K::DROP_VIEW
        | K::DROP_MATERIALIZED_VIEW
        | K::DROP_SEQUENCE
        | K::DROP_FOREIGN_TABLE
        | K::DROP_INDEX
        | K::TRUNCATE
        | K::CLUSTER
        | K::ALTER_VIEW
        | K::ALTER_MATERIALIZED_VIEW => taken.all("ACCESS EXCLUSIVE", objects),
        K::ALTER_INDEX => {
            let rename = has("rename");
            taken.all(if rename { "SHARE UPDATE EXCLUSIVE" } else { "ACCESS EXCLUSIVE" }, objects);
        }
        K::CREATE_VIEW if stmt.children().any(|child| child.kind() == K::OR_REPLACE) => {
            taken.all("ACCESS EXCLUSIVE", objects);
        }
        K::REFRESH => {
            let mode = if has("concurrently") { "EXCLUSIVE" } else { "ACCESS EXCLUSIVE" };
            taken.all(mode, objects);
        }
        K::VACUUM if has("full") => taken.all("ACCESS EXCLUSIVE", objects),
        K::VACUUM | K::ANALYZE => taken.all("SHARE UPDATE EXCLUSIVE", objects),
        K::COMMENT_ON => {
            let on_table = stmt.children().next().is_some_and(|object| {
                matches!(
                    object.kind(),
                    K::OBJECT_TABLE | K::OBJECT_COLUMN | K::OBJECT_CONSTRAINT | K::OBJECT_VIEW
                )
            });
            if on_table {
                taken.all("SHARE UPDATE EXCLUSIVE", objects);
            }
        }
        K::COPY => taken.all("ROW EXCLUSIVE", objects),
        K::LOCK => taken.all(&lock_mode(stmt), objects),
        K::CREATE_FUNCTION | K::CREATE_PROCEDURE | K::PREPARE => {}
        _ => rows(stmt, &mut taken),
    }
    taken.0
}

/// Row locks and writes, also inside WITH.
fn rows(stmt: &SyntaxNode, taken: &mut Taken) {
    for node in stmt.descendants() {
        if tree::is_dml(node.kind())
            && let Some(target) = tree::dml_target(&node)
        {
            taken.add("ROW EXCLUSIVE", &tree::name(&target));
        }
        if node.kind() == K::LOCKING_CLAUSE
            && let Some(select) = node.parent()
        {
            let from = select.children().filter(|child| child.kind() == K::FROM_CLAUSE);
            for table in from.flat_map(|from| from.descendants().collect::<Vec<_>>()) {
                if table.kind() == K::RELATION_NAME_REF {
                    taken.add("ROW SHARE", &tree::name(&table));
                }
            }
        }
    }
}

fn alter(stmt: &SyntaxNode, table: &str, taken: &mut Taken) {
    for action in alter_table::actions(stmt) {
        taken.add(alter_table::lock(&action), table);
        match action.kind() {
            K::ADD_CONSTRAINT | K::ADD_COLUMN => references(&action, taken),
            K::ATTACH_PARTITION | K::DETACH_PARTITION => {
                if let Some(partition) =
                    action.children().find(|child| child.kind() == K::TABLE_NAME_REF)
                {
                    taken.add("ACCESS EXCLUSIVE", &tree::name(&partition));
                }
            }
            _ => {}
        }
    }
}

/// A foreign key locks the table that it points to.
fn references(node: &SyntaxNode, taken: &mut Taken) {
    for key in [K::FOREIGN_KEY_CONSTRAINT, K::REFERENCES_CONSTRAINT] {
        under(node, key, "SHARE ROW EXCLUSIVE", taken);
    }
}

fn under(node: &SyntaxNode, kind: K, mode: &str, taken: &mut Taken) {
    for found in node.descendants().filter(|inner| inner.kind() == kind) {
        for table in found.children().filter(|child| child.kind() == K::TABLE_NAME_REF) {
            taken.add(mode, &tree::name(&table));
        }
    }
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
            let text = mode.text().to_string();
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
        let written = |mode: &str| {
            let word = |word: &str| format!("{}{}", &word[..1], word[1..].to_lowercase());
            mode.split(' ').map(word).collect::<String>() + "Lock"
        };
        for one in STRENGTH {
            for other in STRENGTH {
                assert_eq!(
                    held_against(one).contains(&written(other)),
                    held_against(other).contains(&written(one)),
                    "{one} and {other}"
                );
            }
        }
    }
}
