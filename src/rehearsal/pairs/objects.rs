//! The schema before an up beside the one behind its down.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::told::Schema;
use crate::postgres::fingerprint::relation_of;
use crate::postgres::{Change, Fingerprint, ObjectChange, objects};

/// Kind and name of each object to everything that counts of it.
type Objects = BTreeMap<String, String>;

/// The word for it, and the objects that are not the same. A column that only moved up because
/// another one is gone is none of them.
pub(super) fn compare(before: &Objects, after: &Objects) -> (Schema, Vec<ObjectChange>) {
    if before == after {
        return (Schema::Exact, Vec::new());
    }
    let print = |schema: &Objects| Fingerprint { schema: schema.clone(), ..Fingerprint::default() };
    let mut found = objects(&print(before), &print(after));
    found.retain(|one| {
        !moved(one) || rank(before, after, &one.what) != rank(after, before, &one.what)
    });
    let word = if found.iter().all(moved) { Schema::Order } else { Schema::Differs };
    (word, found)
}

fn cells(text: Option<&str>) -> Vec<Value> {
    serde_json::from_str(text.unwrap_or_default()).unwrap_or_default()
}

/// A column of which only the position is another one.
fn moved(one: &ObjectChange) -> bool {
    let (left, right) = (cells(one.left.as_deref()), cells(one.right.as_deref()));
    one.change == Change::Different
        && one.what.starts_with("column ")
        && left.len() > 1
        && left.get(1..) == right.get(1..)
}

/// How many columns that both sides have stand before this one.
fn rank(here: &Objects, there: &Objects, what: &str) -> usize {
    let Some(table) = relation_of(what, "") else { return 0 };
    let place =
        |what: &str| cells(here.get(what).map(String::as_str)).first().and_then(Value::as_u64);
    let own = place(what);
    let names: BTreeSet<&String> = here
        .keys()
        .filter(|name| name.starts_with("column ") && there.contains_key(*name))
        .filter(|name| relation_of(name, "").as_deref() == Some(&table))
        .collect();
    names.into_iter().filter(|name| place(name) < own).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[&str]) -> Objects {
        let column = |(at, name): (usize, &&str)| {
            (format!("column public.t.{name}"), format!("[{}, \"int\"]", at + 1))
        };
        columns.iter().enumerate().map(column).collect()
    }

    #[test]
    fn columns_that_moved_up_are_no_change_and_those_that_changed_places_are() {
        let word = |left: &[&str], right: &[&str]| {
            let (word, found) = compare(&table(left), &table(right));
            (word, found.into_iter().map(|one| one.what).collect::<Vec<_>>())
        };
        assert_eq!(word(&["a", "b"], &["a", "b"]).0, Schema::Exact);
        let (gone, named) = word(&["a", "b", "c"], &["b", "c"]);
        assert_eq!((gone, named), (Schema::Differs, vec!["column public.t.a".to_string()]));
        let (order, named) = word(&["a", "b", "c"], &["a", "c", "b"]);
        assert_eq!(order, Schema::Order);
        assert_eq!(named.len(), 2);
    }
}
