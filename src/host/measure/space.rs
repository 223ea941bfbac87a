//! The disk that a step needed: how much its tables grew, and which old files lay beside the new
//! ones until the COMMIT. Called with what was known in front of the step and what was found at
//! its end; asks nobody.

use std::collections::{BTreeMap, HashMap};

use super::{Table, on};
use crate::model::TableSpace;

/// A table or an index as it was found the last time.
pub(super) struct Known {
    pub(super) file: u32,
    /// Of a table those of its indexes included.
    pub(super) bytes: u64,
    pub(super) name: String,
    pub(super) index: bool,
}

/// What is known and was not found among all that there is: it was dropped.
pub(super) fn missing(known: &HashMap<u32, Known>, found: &[Table]) -> Vec<u32> {
    let there: std::collections::HashSet<u32> = found.iter().map(|table| table.oid).collect();
    known.keys().copied().filter(|oid| !there.contains(oid)).collect()
}

/// Table by table, where something changed. `gone`: what was dropped.
pub(super) fn of(known: &HashMap<u32, Known>, found: &[Table], gone: &[u32]) -> Vec<TableSpace> {
    let mut space: BTreeMap<&str, (i64, u64)> = BTreeMap::new();
    let mut rewritten = Vec::new();
    for table in found.iter().filter(|table| !table.index) {
        let Some(bytes) = table.bytes else { continue };
        let before = known.get(&table.oid);
        let change = space.entry(&table.name).or_default();
        change.0 += bytes.cast_signed() - before.map_or(0, |b| b.bytes.cast_signed());
        if let Some(before) = before.filter(|before| before.file != table.file) {
            change.1 += before.bytes;
            rewritten.push(table.name.as_str());
        }
    }
    for index in found.iter().filter(|table| table.index) {
        let before = known.get(&index.oid).filter(|before| before.file != index.file);
        let Some(before) = before else { continue };
        // The old indexes of a rewritten table were counted with it.
        let of = index.of.as_deref();
        let counted = of.map_or(!rewritten.is_empty(), |of| rewritten.iter().any(|t| on(of, t)));
        if !counted {
            let tables = found.iter().filter(|table| !table.index);
            let mut tables = tables.filter(|table| of.is_some_and(|of| on(of, &table.name)));
            let name = tables.next().map_or(index.name.as_str(), |table| &table.name);
            space.entry(name).or_default().1 += before.bytes;
        }
    }
    let mut dropped: Vec<&Known> = gone.iter().filter_map(|oid| known.get(oid)).collect();
    // Without their tables: those have the bytes of their indexes in them.
    let tables = dropped.iter().any(|known| !known.index);
    dropped.retain(|known| !known.index || !tables);
    for Known { bytes, name, index, .. } in dropped {
        let change = space.entry(name).or_default();
        change.0 -= if *index { 0 } else { bytes.cast_signed() };
        change.1 += bytes;
    }
    let changed = space.into_iter().filter(|(_, change)| *change != (0, 0));
    changed
        .map(|(table, (grown_bytes, replaced_bytes))| TableSpace {
            table: table.into(),
            grown_bytes,
            replaced_bytes,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(all: &[(u32, u32, u64, &str, bool)]) -> HashMap<u32, Known> {
        let one = |(oid, file, bytes, name, index): &(u32, u32, u64, &str, bool)| {
            (*oid, Known { file: *file, bytes: *bytes, name: (*name).into(), index: *index })
        };
        all.iter().map(one).collect()
    }

    fn table(oid: u32, file: u32, bytes: u64, name: &str, of: Option<&str>) -> Table {
        let (index, of) =
            (of.is_some(), of.map(|of| format!("CREATE INDEX x ON {of} USING btree")));
        let (bytes, rows) = (Some(bytes), [0; 3]);
        Table { oid, file, bytes, name: name.into(), index, of, rows, lock: None }
    }

    fn told(space: Vec<TableSpace>) -> Vec<(String, i64, u64)> {
        space.into_iter().map(|one| (one.table, one.grown_bytes, one.replaced_bytes)).collect()
    }

    #[test]
    fn a_rewrite_needs_the_old_and_the_new_files_and_its_indexes_are_counted_once() {
        let known = known(&[(1, 1, 900, "p.t", false), (2, 2, 300, "p.i", true)]);
        let found = [table(1, 11, 700, "p.t", None), table(2, 12, 250, "p.i", Some("p.t"))];
        assert_eq!(told(of(&known, &found, &[])), [("p.t".into(), -200, 900)]);
    }

    #[test]
    fn an_index_that_is_built_anew_stands_beside_the_old_one_until_the_commit() {
        let known = known(&[(1, 1, 900, "p.t", false), (2, 2, 300, "p.i", true)]);
        let found = [table(1, 1, 850, "p.t", None), table(2, 12, 250, "p.i", Some("p.t"))];
        assert_eq!(told(of(&known, &found, &[])), [("p.t".into(), -50, 300)]);
    }

    #[test]
    fn a_new_table_is_all_growth_and_a_dropped_one_stays_until_the_commit() {
        let known = known(&[(1, 1, 900, "p.old", false), (2, 2, 300, "p.i", true)]);
        let found = [table(3, 3, 80, "p.new", None)];
        let expected = [("p.new".into(), 80, 0), ("p.old".into(), -900, 900)];
        assert_eq!(told(of(&known, &found, &[1, 2])), expected);
        assert_eq!(missing(&known, &found).len(), 2);
        let alone = of(&known, &[table(1, 1, 600, "p.old", None)], &[2]);
        assert_eq!(told(alone), [("p.i".into(), 0, 300), ("p.old".into(), -300, 0)]);
    }
}
