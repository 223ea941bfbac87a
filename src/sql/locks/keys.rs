//! What rows and their foreign keys lock: writes, row locks, and the other side of a key.

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::{STRONGEST, Taken};
use crate::sql::classify::Lock;
use crate::sql::seen::{Seen, child, named};
use crate::sql::tree;

/// A foreign key looks the other row up with FOR KEY SHARE.
pub(super) fn inserts(table: &str, seen: &Seen, taken: &mut Taken) {
    let Some(known) = seen.table(table) else { return };
    for other in known.constraints.iter().filter_map(|one| one.references.as_ref()) {
        taken.add("ROW SHARE", other);
    }
}

/// The locks that the keys of a plain INSERT take, beside its own.
pub(in crate::sql) fn of_insert(table: &str, seen: &Seen) -> Vec<Lock> {
    let mut taken = Taken(Vec::new());
    inserts(table, seen, &mut taken);
    taken.0
}

/// Row locks and writes, also inside WITH.
pub(super) fn rows(stmt: &SyntaxNode, seen: &Seen, taken: &mut Taken) {
    for node in stmt.descendants() {
        if tree::is_dml(node.kind())
            && let Some(target) = tree::dml_target(&node)
        {
            let table = tree::name(&target);
            if node.kind() == K::INSERT {
                taken.add("ROW EXCLUSIVE", &table);
            } else {
                taken.all("ROW EXCLUSIVE", &seen.family(&table));
            }
            keys(&node, &table, seen, taken);
        }
        if node.kind() == K::LOCKING_CLAUSE
            && let Some(select) = node.parent()
        {
            let from = select.children().filter(|child| child.kind() == K::FROM_CLAUSE);
            for table in from.flat_map(|from| from.descendants().collect::<Vec<_>>()) {
                if table.kind() == K::RELATION_NAME_REF {
                    taken.all("ROW SHARE", &seen.family(&tree::name(&table)));
                }
            }
        }
    }
}

/// What foreign keys lock where rows change.
fn keys(dml: &SyntaxNode, table: &str, seen: &Seen, taken: &mut Taken) {
    let kind = dml.kind();
    let adds = kind == K::INSERT || (kind == K::MERGE && below(dml, K::MERGE_INSERT));
    let deletes = kind == K::DELETE || (kind == K::MERGE && below(dml, K::MERGE_DELETE));
    if adds {
        inserts(table, seen, taken);
    }
    let set: Vec<String> = dml
        .descendants()
        .filter(|node| node.kind() == K::COLUMN_TARGET)
        .map(|column| tree::name(&column))
        .collect();
    if let Some(known) = seen.table(table) {
        for one in
            known.constraints.iter().filter(|one| one.columns.iter().any(|c| set.contains(c)))
        {
            if let Some(other) = &one.references {
                taken.add("ROW SHARE", other);
            }
        }
    }
    if deletes {
        for (holder, one) in seen.pointing_to(table) {
            let mode = if one.writes_on_delete { "ROW EXCLUSIVE" } else { "ROW SHARE" };
            taken.add(mode, holder);
        }
    }
}

fn below(node: &SyntaxNode, kind: K) -> bool {
    node.descendants().any(|inner| inner.kind() == kind)
}

/// A change of type makes the keys of the column anew, on both sides.
pub(super) fn retyped(action: &SyntaxNode, table: &str, seen: &Seen, taken: &mut Taken) {
    if child(action, K::SET_TYPE).is_none() {
        return;
    }
    let column = named(action, K::COLUMN_NAME_REF);
    let known = seen.table(table).map(|known| known.constraints.as_slice()).unwrap_or_default();
    for one in known.iter().filter(|one| one.columns.contains(&column)) {
        if let Some(other) = &one.references {
            taken.add(STRONGEST, other);
        }
        if one.primary {
            for (holder, _) in seen.pointing_to(table) {
                taken.add(STRONGEST, holder);
            }
        }
    }
}

/// The tables that a table's own keys point to.
pub(super) fn keys_of(table: &str, seen: &Seen, taken: &mut Taken) {
    let Some(known) = seen.table(table) else { return };
    for other in known.constraints.iter().filter_map(|one| one.references.as_ref()) {
        taken.add(STRONGEST, other);
    }
}
