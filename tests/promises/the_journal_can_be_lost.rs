//! P15: file or ledger can be lost, cut, edited or restored; the run sees it and repeats nothing.

use crate::support::Cluster;
use crate::support::disaster::{ALL, Ending, trial};

/// P15, F24, F33, F69: each kind of disaster twice, at steps that the seed gives.
/// `cargo run --example journal -- --trials 100 --seed 1` is the long form.
#[test]
fn p15_every_disaster_is_reconciled_or_refused_and_no_step_happens_twice() {
    let cluster = Cluster::start();
    let mut refused = 0;
    for number in 0..2 * ALL.len() as u64 {
        match trial(cluster.scratch(), number, 1) {
            Ok((_, Ending::Refused)) => refused += 1,
            Ok((_, Ending::Reconciled)) => {}
            Err(error) => panic!("trial {number}: {error}"),
        }
    }
    // A deleted file and an empty past are no contradictions; everything else is one.
    assert_eq!(refused, 10);
}
