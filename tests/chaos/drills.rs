//! The kinds of disturbance, each as one trial.

use std::time::Duration;

use super::arena::{Arena, Outcome};
use super::dice::Dice;
use super::proxy::Cut;

/// kill -9 at the n-th visit of a crash point. False where a run does not come there so often.
pub fn at_point(arena: &Arena, point: &str, nth: u32, outcome: &mut Outcome) -> bool {
    arena.reset();
    let ran = arena.start(&["run"], &arena.url(), &format!("{point}:{nth}")).wait();
    if ran.code == 0 {
        return false;
    }
    ran.exits(137);
    outcome.hits += 1;
    if nth.is_multiple_of(2) {
        outcome.ghost = outcome.ghost.max(arena.ghost());
    }
    arena.finish(outcome);
    true
}

/// kill -9 at random moments, up to five times in one run.
pub fn at_random(arena: &Arena, dice: &mut Dice, outcome: &mut Outcome) {
    arena.reset();
    for _ in 0..1 + dice.below(5) {
        let words: &[&str] = if dice.toss() { &["run"] } else { &["resume"] };
        let process = arena.start(words, &arena.url(), "");
        std::thread::sleep(moment(arena.took, dice));
        process.signal("KILL");
        let ran = process.wait();
        if ran.code != 137 {
            // It was faster, or there was nothing to go on with.
            if words == ["run"] {
                arena.report_is_true(&ran, outcome);
            }
            continue;
        }
        outcome.hits += 1;
        if dice.toss() {
            outcome.ghost = outcome.ghost.max(arena.ghost());
        }
    }
    arena.finish(outcome);
}

/// A COMMIT that is lost, whose answer is lost, or that arrives late.
pub fn at_commit(arena: &Arena, dice: &mut Dice, outcome: &mut Outcome) {
    arena.reset();
    let nth = 1 + dice.below(arena.commits);
    let cut = match dice.below(3) {
        0 => Cut::Before,
        1 => Cut::After,
        _ => Cut::Late(Duration::from_millis(dice.below(400))),
    };
    arena.proxy.plan(Some((nth, cut)));
    let ran = arena.start(&["run"], &arena.proxied(), "").wait();
    outcome.hits += u64::from(arena.proxy.has_cut());
    assert!(ran.code != 2, "{nth} {cut:?}\n{}\n{}", ran.stdout, ran.stderr);
    arena.report_is_true(&ran, outcome);
    arena.proxy.plan(None);
    arena.finish(outcome);
}

/// The server is stopped as if the power went, and started again.
pub fn at_restart(arena: &mut Arena, dice: &mut Dice, outcome: &mut Outcome) {
    arena.reset();
    let process = arena.start(&["run"], &arena.url(), "");
    std::thread::sleep(moment(arena.took, dice));
    arena.crashed = true;
    arena.cluster.crash();
    let killed = dice.below(3) == 0;
    if killed {
        process.signal("KILL");
    }
    arena.cluster.restart();
    outcome.hits += 1;
    let ran = process.wait();
    if !killed {
        arena.report_is_true(&ran, outcome);
    }
    arena.finish(outcome);
}

/// kill -9 inside the building (or dropping) of an index that waits for an old snapshot.
pub fn at_index(arena: &Arena, dice: &mut Dice, outcome: &mut Outcome) {
    arena.reset();
    // So many of the builds go through before the one that is hit.
    for _ in 0..dice.below(6) {
        let process = arena.start(&["run"], &arena.url(), "alone-sent:2");
        process.wait();
        outcome.hits += 1;
    }
    let snapshot = arena.snapshot();
    let process = arena.start(&["run"], &arena.url(), "");
    let building = arena.soon(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'runsheet%'
            AND state = 'active' AND query LIKE '%CONCURRENTLY%')",
        Duration::from_secs(5),
    );
    std::thread::sleep(Duration::from_millis(dice.below(150)));
    // Released before the kill: the build is ended by both, whoever is faster.
    let race = dice.below(3) == 0;
    let snapshot = if race {
        drop(snapshot);
        None
    } else {
        Some(snapshot)
    };
    std::thread::sleep(Duration::from_micros(dice.below(3000) * u64::from(race)));
    process.signal("KILL");
    let ran = process.wait();
    outcome.hits += u64::from(ran.code == 137 && building);
    if dice.toss() {
        outcome.ghost = outcome.ghost.max(arena.ghost());
    }
    drop(snapshot);
    arena.finish(outcome);
}

fn moment(of: Duration, dice: &mut Dice) -> Duration {
    Duration::from_micros(dice.below(of.as_micros() as u64))
}

/// A signal that a runner may answer, at the n-th visit of a crash point. False where a run does
/// not come there so often.
pub fn at_signal(
    arena: &Arena,
    point: &str,
    nth: u32,
    signal: &str,
    outcome: &mut Outcome,
) -> bool {
    arena.reset();
    let ran = arena.start(&["run"], &arena.url(), &format!("{point}:{nth}:{signal}")).wait();
    arena.report_is_true(&ran, outcome);
    // Behind the last thing that it could be stopped in, a run ends well.
    let polite = if signal == "INT" { 130 } else { 143 };
    assert!([0, 5, polite].contains(&ran.code), "{signal} at {point}:{nth} gave {}", ran.code);
    outcome.hits += u64::from(ran.code != 0);
    outcome.ghost = outcome.ghost.max(arena.ghost());
    arena.clean();
    arena.finish(outcome);
    ran.code != 0
}

/// A runner falls asleep at a crash point, another one takes over and ends the run, the first one
/// wakes up.
pub fn asleep(arena: &Arena, point: &str, nth: u32, outcome: &mut Outcome) {
    arena.reset();
    let first = arena.start(&["run"], &arena.url(), &format!("{point}:{nth}:STOP"));
    first.wait_until_it_stands_still();
    outcome.hits += 1;
    let second = arena.start(&["run", "it", "--take-over"], &arena.url(), "").wait();
    arena.report_is_true(&second, outcome);
    first.signal("CONT");
    let first = first.wait();
    if second.code == 0 {
        assert!(point.ends_with("-close") || first.code != 0, "{}\n{}", first.stdout, first.stderr);
    }
    arena.finish(outcome);
}
