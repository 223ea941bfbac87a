//! What a night costs those who use the tables: how long each is closed, how long that may take on
//! the source, and whether the locks were the foretold ones.

use std::collections::BTreeMap;

use serde::Serialize;

use super::told::{PassTold, StepTold};
use crate::model::{LOCK_MODES, TableLock, lock_strength, spoken_lock};
use crate::postgres::{DbError, Session};

/// How long others had to wait for one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Downtime {
    /// Qualified, quoted name.
    pub table: String,
    /// Nobody could read, in milliseconds: ACCESS EXCLUSIVE.
    pub closed_ms: u64,
    /// Nobody could write, in milliseconds; the former included.
    pub read_only_ms: u64,
    /// The same on the source, at least and at most: the faster and the slower round, times how
    /// much larger the table is there.
    pub on_source_ms: (u64, u64),
    /// The steps that did it.
    pub steps: Vec<String>,
}

/// How long a step may take on the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// The step.
    pub step: String,
    /// At least and at most, in milliseconds.
    pub on_source_ms: (u64, u64),
    /// What the playbook says.
    pub takes: Option<String>,
}

/// A lock that is not the foretold one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LockDifference {
    /// The step.
    pub step: String,
    /// The table.
    pub table: String,
    /// "ACCESS EXCLUSIVE"; None where none was foretold.
    pub foretold: Option<String>,
    /// The lock that was held; None where there was none.
    pub taken: Option<String>,
}

/// How many times larger tables are on the source than on the copy, at least 1.
pub(super) type Larger = BTreeMap<String, f64>;

/// The weakest one that other work may wait for, and the weakest one that writers wait for.
const WAITED_FOR: usize = 3;
const WRITERS_WAIT: usize = 4;

/// Sizes of tables, indexes included, for the comparison of source and copy.
///
/// # Errors
/// The server's.
pub(super) async fn sizes(session: &Session) -> Result<BTreeMap<String, u64>, DbError> {
    let sql = "SELECT coalesce(json_object_agg(format('%I.%I', n.nspname, c.relname), \
        pg_total_relation_size(c.oid)), '{}') FROM pg_class c \
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') \
        AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    let found = session.query(sql, &[]).await?.first().cloned().unwrap_or_default();
    Ok(serde_json::from_value(found).unwrap_or_default())
}

/// Below this, a table's size says nothing about time.
const SMALL: u64 = 1 << 20;

pub(super) fn larger(source: &BTreeMap<String, u64>, copy: &BTreeMap<String, u64>) -> Larger {
    let one = |(table, size): (&String, &u64)| {
        let here = copy.get(table).copied().unwrap_or(0).max(SMALL);
        (*size > here).then(|| (table.clone(), *size as f64 / here as f64))
    };
    source.iter().filter_map(one).collect()
}

/// The same of all tables together: what is small with all others counts as it is.
pub(super) fn whole(source: &BTreeMap<String, u64>, copy: &BTreeMap<String, u64>) -> f64 {
    let bytes = |sizes: &BTreeMap<String, u64>| sizes.values().sum::<u64>().max(1) as f64;
    (bytes(source) / bytes(copy)).max(1.0)
}

/// How many times larger the largest table is that a step writes or takes from others.
pub(super) fn factor(step: &StepTold, larger: &Larger) -> f64 {
    let tables = step.measured.iter().flat_map(|found| {
        let waited = found.locks.iter().filter(|lock| lock_strength(&spoken_lock(&lock.mode)) > 1);
        waited.map(|lock| &lock.table).chain(found.rows.iter().map(|row| &row.table))
    });
    tables.filter_map(|table| larger.get(table)).fold(1.0, |a: f64, b| a.max(*b))
}

/// The step of another round.
fn same<'p>(pass: Option<&'p PassTold>, step: &StepTold) -> Option<&'p StepTold> {
    pass?.steps.iter().find(|other| other.title == step.title && other.failed.is_none())
}

fn scaled(ms: u64, factor: f64) -> u64 {
    (ms as f64 * factor).round() as u64
}

/// Both rounds in order, times a factor.
fn range(forward: u64, again: Option<u64>, factor: f64) -> (u64, u64) {
    let again = again.unwrap_or(forward);
    (scaled(forward.min(again), factor), scaled(forward.max(again), factor))
}

/// Table by table, the longest first. A lock counts from the beginning of its step: it may have
/// been taken later.
pub(super) fn downtime(
    forward: &PassTold,
    again: Option<&PassTold>,
    larger: &Larger,
) -> Vec<Downtime> {
    let mut tables: BTreeMap<&str, Downtime> = BTreeMap::new();
    for step in &forward.steps {
        for TableLock { table, mode, .. } in step.measured.iter().flat_map(|found| &found.locks) {
            let strength = lock_strength(&spoken_lock(mode));
            if strength < WRITERS_WAIT {
                continue;
            }
            let down = tables.entry(table).or_default();
            down.table.clone_from(table);
            down.read_only_ms += step.took_ms;
            if strength == LOCK_MODES.len() - 1 {
                down.closed_ms += step.took_ms;
            }
            let factor = larger.get(table).copied().unwrap_or(1.0);
            let again = same(again, step).map(|other| other.took_ms);
            let (low, high) = range(step.took_ms, again, factor);
            down.on_source_ms = (down.on_source_ms.0 + low, down.on_source_ms.1 + high);
            down.steps.push(step.title.clone());
        }
    }
    let mut tables: Vec<Downtime> = tables.into_values().collect();
    tables.sort_by_key(|down| std::cmp::Reverse((down.closed_ms, down.read_only_ms)));
    tables
}

/// Step by step: a step is as much slower as the largest of its tables is larger.
pub(super) fn estimates(
    forward: &PassTold,
    again: Option<&PassTold>,
    larger: &Larger,
) -> Vec<Estimate> {
    let one = |step: &StepTold| {
        let factor = factor(step, larger);
        let again = same(again, step).map(|other| other.took_ms);
        Estimate {
            step: step.title.clone(),
            on_source_ms: range(step.took_ms, again, factor),
            takes: step.takes.clone(),
        }
    };
    forward.steps.iter().filter(|step| step.failed.is_none()).map(one).collect()
}

/// Where the locks that others wait for were other ones than was said before, of steps that were
/// seen through beforehand. `resolve`: the table that a name of a statement means, where it was there
/// before the run ([`resolved`]).
pub(super) fn lock_differences(
    forward: &PassTold,
    foretold: &BTreeMap<String, Vec<String>>,
    resolve: impl Fn(&str) -> Option<String>,
) -> Vec<LockDifference> {
    let mut found = Vec::new();
    for step in &forward.steps {
        let (Some(measured), Some(foretold)) = (&step.measured, foretold.get(&step.title)) else {
            continue;
        };
        let mut tables: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for lock in foretold {
            let Some((mode, table)) = lock.split_once(" on ") else { continue };
            if let Some(table) = resolve(table) {
                let both = tables.entry(table).or_default();
                both.0 = both.0.max(lock_strength(mode));
            }
        }
        for lock in &measured.locks {
            let both = tables.entry(lock.table.clone()).or_default();
            both.1 = both.1.max(lock_strength(&spoken_lock(&lock.mode)));
        }
        let word = |at: usize| (at >= WAITED_FOR).then(|| LOCK_MODES[at].to_string());
        for (table, (foretold, taken)) in tables {
            let (foretold, taken) = (word(foretold), word(taken));
            if foretold != taken {
                found.push(LockDifference { step: step.title.clone(), table, foretold, taken });
            }
        }
    }
    found
}

/// The table of a schema that a name in SQL means: of a name without a schema the one in `public`,
/// else the only one of that name.
pub(super) fn resolved(name: &str, schema: &BTreeMap<String, String>) -> Option<String> {
    let known = |name: &str| schema.contains_key(&format!("relation {name}"));
    if name.contains('.') {
        return known(name).then(|| name.to_string());
    }
    let public = format!("public.{name}");
    if known(&public) {
        return Some(public);
    }
    let ending = format!(".{name}");
    let relations = schema.keys().filter_map(|key| key.strip_prefix("relation "));
    let mut found = relations.filter(|full| full.ends_with(&ending));
    match (found.next(), found.next()) {
        (Some(one), None) => Some(one.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Measured;

    fn step(title: &str, took_ms: u64, locks: &[(&str, &str)]) -> StepTold {
        let lock = |(table, mode): &(&str, &str)| TableLock {
            table: (*table).into(),
            mode: (*mode).into(),
            waited_ms: 0,
        };
        let locks = locks.iter().map(lock).collect();
        StepTold {
            title: title.into(),
            took_ms,
            measured: Some(Measured { locks, ..Measured::default() }),
            failed: None,
            takes: Some("1m".into()),
            waits: Vec::new(),
            backup_bytes: None,
        }
    }

    fn pass(steps: Vec<StepTold>) -> PassTold {
        PassTold { exit: 0, took_ms: 0, steps, held: 0, fault: None }
    }

    const CLOSED: &[(&str, &str)] = &[("public.t", "AccessExclusiveLock")];

    #[test]
    fn a_table_is_down_for_as_long_as_its_steps_took_and_longer_where_it_is_larger() {
        let forward = pass(vec![
            step("a", 100, CLOSED),
            step("b", 50, &[("public.t", "ShareLock"), ("public.u", "RowExclusiveLock")]),
        ]);
        let again = pass(vec![step("a", 80, CLOSED)]);
        let sizes = |size| BTreeMap::from([("public.t".to_string(), size)]);
        let larger = larger(&sizes(30 << 20), &sizes(10 << 20));
        let down = downtime(&forward, Some(&again), &larger);
        assert_eq!(down.len(), 1, "writers of u waited for nobody");
        assert_eq!((down[0].closed_ms, down[0].read_only_ms), (100, 150));
        assert_eq!(down[0].on_source_ms, (390, 450));
        let estimates = estimates(&forward, Some(&again), &larger);
        assert_eq!(estimates[0].on_source_ms, (240, 300));
    }

    #[test]
    fn a_lock_that_nobody_foretold_is_named_and_so_is_one_that_never_came() {
        let forward = pass(vec![
            step("same", 1, CLOSED),
            step("more", 1, CLOSED),
            step("less", 1, &[]),
            step("unseen", 1, CLOSED),
        ]);
        let said = |title: &str, locks: &[&str]| {
            (title.to_string(), locks.iter().map(|lock| (*lock).to_string()).collect())
        };
        let foretold = BTreeMap::from([
            said("same", &["ACCESS EXCLUSIVE on t"]),
            said("more", &["ROW EXCLUSIVE on t"]),
            said("less", &["SHARE on public.t", "ACCESS EXCLUSIVE on new"]),
        ]);
        let schema = BTreeMap::from([("relation public.t".to_string(), String::new())]);
        let found = lock_differences(&forward, &foretold, |name| resolved(name, &schema));
        let named: Vec<_> = found
            .iter()
            .map(|one| (one.step.as_str(), one.foretold.as_deref(), one.taken.as_deref()))
            .collect();
        assert_eq!(
            named,
            [("more", None, Some("ACCESS EXCLUSIVE")), ("less", Some("SHARE"), None)]
        );
    }

    #[test]
    fn a_name_without_a_schema_means_the_table_of_public_or_the_only_one() {
        let names = ["public.users", "app.users", "app.\"Order\"", "a.twice", "b.twice"];
        let schema = names.map(|name| (format!("relation {name}"), String::new())).into();
        let found = |name: &str| resolved(name, &schema);
        assert_eq!(found("users").as_deref(), Some("public.users"));
        assert_eq!(found("app.users").as_deref(), Some("app.users"));
        assert_eq!(found("\"Order\"").as_deref(), Some("app.\"Order\""));
        assert_eq!((found("twice"), found("new"), found("public.new")), (None, None, None));
    }
}
