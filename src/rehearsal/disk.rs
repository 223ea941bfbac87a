//! The free disk that a run on the source needs: what the tables grew by at their largest, the log,
//! temporary files and the backup, times how much larger the tables are there. Only what was
//! measured; what came and went inside of a step is not seen.

use super::downtime::{Larger, factor};
use super::told::PassTold;
use crate::model::{Bytes, DiskNeed, TableSpace};

/// One figure on both sides.
fn both(on_copy: u64, factor: f64) -> Bytes {
    Bytes { on_copy, on_source: (on_copy as f64 * factor).round() as u64 }
}

fn sum(bytes: impl Iterator<Item = Bytes>) -> Bytes {
    bytes.fold(Bytes::default(), |all, one| Bytes {
        on_copy: all.on_copy.saturating_add(one.on_copy),
        on_source: all.on_source.saturating_add(one.on_source),
    })
}

/// Of a forward walk that came to its end. `whole`: how many times larger a dump of the source is.
pub(super) fn disk_need(forward: &PassTold, larger: &Larger, whole: f64) -> DiskNeed {
    let measured = || {
        let steps = forward.steps.iter();
        steps.filter_map(|step| Some((step.measured.as_ref()?, factor(step, larger))))
    };
    let temporary = measured().filter_map(|(found, by)| Some(both(found.temp_bytes?, by)));
    let dumps = || forward.steps.iter().filter(|step| step.backup_bytes.is_some());
    let backup = sum(dumps().map(|step| both(step.backup_bytes.unwrap_or(0), whole)));
    DiskNeed {
        tables: Bytes {
            on_copy: most(forward, |_, _| 1.0),
            on_source: most(forward, |table, step| {
                larger.get(table).copied().unwrap_or_else(|| factor(step, larger))
            }),
        },
        wal: sum(measured().map(|(found, by)| both(found.wal_bytes, by))),
        temporary: temporary.max_by_key(|bytes| bytes.on_source),
        backup: dumps().next().map(|_| backup),
        backup_ms: dumps().next().map(|_| dumps().map(|step| step.took_ms).sum()),
    }
}

/// The most that all tables together are larger by just before a COMMIT.
fn most(forward: &PassTold, by: impl Fn(&str, &super::told::StepTold) -> f64) -> u64 {
    let (mut stays, mut most) = (0.0_f64, 0.0_f64);
    for step in &forward.steps {
        let space = || step.measured.iter().flat_map(|found| &found.space);
        let scaled = |bytes: &dyn Fn(&TableSpace) -> f64| -> f64 {
            space().map(|one| bytes(one) * by(&one.table, step)).sum()
        };
        stays += scaled(&|one| one.grown_bytes as f64);
        most = most.max(stays + scaled(&|one| one.replaced_bytes as f64));
    }
    most.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Measured;
    use crate::rehearsal::told::StepTold;

    fn step(wal: u64, temp: Option<u64>, space: &[(&str, i64, u64)]) -> StepTold {
        let one = |(table, grown, replaced): &(&str, i64, u64)| TableSpace {
            table: (*table).into(),
            grown_bytes: *grown,
            replaced_bytes: *replaced,
        };
        StepTold {
            title: "it".into(),
            took_ms: 7,
            measured: Some(Measured {
                wal_bytes: wal,
                temp_bytes: temp,
                space: space.iter().map(one).collect(),
                ..Measured::default()
            }),
            failed: None,
            takes: None,
            waits: Vec::new(),
            backup_bytes: None,
        }
    }

    fn pass(steps: Vec<StepTold>) -> PassTold {
        PassTold { exit: 0, took_ms: 0, steps, held: 0, fault: None }
    }

    #[test]
    fn the_largest_moment_counts_and_each_table_by_how_much_larger_it_is() {
        let forward = pass(vec![
            step(10, Some(3), &[("p.new", 100, 0)]),
            step(20, Some(9), &[("p.t", -50, 400)]),
            step(30, Some(0), &[("p.t", 20, 0)]),
        ]);
        let need = disk_need(&forward, &Larger::new(), 1.0);
        assert_eq!(need.tables, Bytes { on_copy: 450, on_source: 450 });
        assert_eq!((need.wal.on_copy, need.temporary.map(|t| t.on_copy)), (60, Some(9)));
        assert_eq!((need.backup, need.backup_ms), (None, None));
        let larger = Larger::from([("p.t".to_string(), 10.0)]);
        let need = disk_need(&forward, &larger, 1.0);
        assert_eq!(need.tables.on_source, 100 + 4000 - 500);
        assert_eq!(need.on_source(), 3600 + 60 + 9);
    }

    #[test]
    fn a_dump_of_a_sample_is_smaller_than_that_of_the_source() {
        let mut dump = step(0, None, &[]);
        dump.backup_bytes = Some(40);
        let need = disk_need(&pass(vec![dump]), &Larger::new(), 2.5);
        assert_eq!(need.backup, Some(Bytes { on_copy: 40, on_source: 100 }));
        assert_eq!((need.backup_ms, need.temporary), (Some(7), None));
    }
}
