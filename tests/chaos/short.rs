//! A few trials of each kind with fixed seeds; seconds, not hours.
#![cfg(test)]

use super::arena::{Arena, Outcome};
use super::dice::Dice;
use super::{drills, played};
use crate::support::AT_ONCE;

const SEED: u64 = 20_261_121;

/// F01, P1, P4, P14: every crash point, at its first visits.
#[test]
fn a_run_killed_at_every_crash_point_ends_like_one_that_was_not() {
    let arena = Arena::new();
    let mut outcome = Outcome::default();
    for point in runsheet::host::POINTS {
        assert!(drills::at_point(&arena, point, 1, &mut outcome), "{point} is never reached");
    }
    assert_eq!(outcome.hits, runsheet::host::POINTS.len() as u64);
    assert!(outcome.ghost < AT_ONCE, "{:?}", outcome.ghost);
}

/// F02, P1, P4, P14.
#[test]
fn a_run_killed_at_random_moments_ends_like_one_that_was_not() {
    let arena = Arena::new();
    let mut outcome = Outcome::default();
    // How many moments fall into a run hangs on how long it takes today.
    for trial in 0.. {
        assert!(trial < 60, "hardly any run is hit: {outcome:?}");
        drills::at_random(&arena, &mut Dice::new(SEED, trial), &mut outcome);
        if trial >= 5 && outcome.hits >= 2 {
            break;
        }
    }
    assert!(outcome.ghost < AT_ONCE, "{outcome:?}");
}

/// F03, F04, F05, P1, P14.
#[test]
fn a_commit_that_is_lost_or_late_or_unanswered_takes_effect_once() {
    let arena = Arena::new();
    let mut outcome = Outcome::default();
    for trial in 0..8 {
        drills::at_commit(&arena, &mut Dice::new(SEED, trial), &mut outcome);
    }
    assert_eq!(outcome.hits, 8);
}

/// F07, P1, P4, P14.
#[test]
fn a_server_that_crashes_in_the_middle_loses_and_doubles_nothing() {
    let mut arena = Arena::new();
    let mut outcome = Outcome::default();
    for trial in 0..4 {
        drills::at_restart(&mut arena, &mut Dice::new(SEED, trial), &mut outcome);
    }
    assert_eq!(outcome.hits, 4);
}

/// F13, P4, P14: each of the three signals, at every crash point's first visit.
#[test]
fn a_run_that_is_asked_to_stop_says_how_the_database_stands_and_can_be_gone_on_with() {
    let arena = Arena::new();
    let mut outcome = Outcome::default();
    let signals = ["INT", "TERM", "HUP"].into_iter().cycle();
    for (point, signal) in runsheet::host::POINTS.into_iter().zip(signals) {
        drills::at_signal(&arena, point, 1, signal, &mut outcome);
    }
    assert!(outcome.hits >= 10 && outcome.ghost < AT_ONCE, "{outcome:?}");
}

/// F36, F37, P2, P4.
#[test]
fn a_run_killed_while_it_builds_indexes_leaves_no_invalid_one() {
    let arena = Arena::with(played::INDEXES);
    let mut outcome = Outcome::default();
    for trial in 0..5 {
        drills::at_index(&arena, &mut Dice::new(SEED, trial), &mut outcome);
    }
    assert!(outcome.hits >= 5, "{outcome:?}");
}
