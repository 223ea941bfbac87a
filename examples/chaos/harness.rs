//! Runs trials until they are over, prints what was counted, and how to bring a failure back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use crate::chaos::arena::{Arena, Outcome};
use crate::chaos::dice::Dice;
use crate::chaos::{drills, played};

const KINDS: [&str; 7] = ["points", "kill", "commit", "restart", "index", "signal", "sleep"];

/// What the command line asks for.
pub struct Wish {
    trials: u64,
    from: u64,
    seed: u64,
    only: Option<String>,
}

impl Wish {
    /// Reads the words.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of(args: &[String]) -> Result<Self, String> {
        let mut wish = Self { trials: 10, from: 0, seed: 1, only: None };
        for pair in args.chunks(2) {
            let [name, value] = pair else {
                return Err(format!("{}: a value is missing", pair[0]));
            };
            let number = || value.parse().map_err(|_| format!("{name} {value}: not a number"));
            match name.as_str() {
                "--trials" => wish.trials = number()?,
                "--from" => wish.from = number()?,
                "--seed" => wish.seed = number()?,
                "--only" if KINDS.contains(&value.as_str()) => wish.only = Some(value.clone()),
                _ => return Err(format!("{name} {value}: kinds are {}", KINDS.join(", "))),
            }
        }
        Ok(wish)
    }
}

/// Runs what is asked for; fails where a trial failed.
pub fn run(wish: &Wish) -> ExitCode {
    let mut failed = 0;
    for kind in KINDS.iter().filter(|kind| wish.only.as_deref().is_none_or(|only| only == **kind)) {
        failed += match *kind {
            "points" => points(),
            kind => trials(kind, wish),
        };
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every crash point at every visit, until a run does not come there so often.
fn points() -> u64 {
    let (began, mut total, mut failed) = (Instant::now(), Outcome::default(), 0);
    let mut arena = Arena::new();
    for point in runsheet::host::POINTS {
        for nth in 1.. {
            let mut outcome = Outcome::default();
            let end = catch_unwind(AssertUnwindSafe(|| {
                drills::at_point(&arena, point, nth, &mut outcome)
            }));
            total.add(&outcome);
            match end {
                Ok(true) => {}
                Ok(false) => {
                    println!("points: {point} at {} visits", nth - 1);
                    break;
                }
                Err(_) => {
                    failed += 1;
                    println!("points: FAILED at {point}:{nth}");
                    arena = Arena::new();
                }
            }
        }
    }
    said("points", total.hits, failed, &total, began);
    failed
}

fn trials(kind: &str, wish: &Wish) -> u64 {
    let (began, mut total, mut failed) = (Instant::now(), Outcome::default(), 0);
    let fresh = || Arena::with(if kind == "index" { played::INDEXES } else { played::ALL_KINDS });
    let mut arena = fresh();
    for trial in wish.from..wish.from + wish.trials {
        let (mut dice, mut outcome) = (Dice::new(wish.seed, trial), Outcome::default());
        let end = catch_unwind(AssertUnwindSafe(|| match kind {
            "kill" => drills::at_random(&arena, &mut dice, &mut outcome),
            "commit" => drills::at_commit(&arena, &mut dice, &mut outcome),
            "restart" => drills::at_restart(&mut arena, &mut dice, &mut outcome),
            "index" => drills::at_index(&arena, &mut dice, &mut outcome),
            _ => {
                let points = runsheet::host::POINTS;
                let point = points[(trial % points.len() as u64) as usize];
                let nth = 1 + dice.below(if trial < points.len() as u64 { 1 } else { 12 }) as u32;
                if kind == "sleep" {
                    drills::asleep(&arena, point, nth.min(1), &mut outcome);
                } else {
                    let signal = ["INT", "TERM", "HUP"][dice.below(3) as usize];
                    drills::at_signal(&arena, point, nth, signal, &mut outcome);
                }
            }
        }));
        total.add(&outcome);
        if end.is_err() {
            failed += 1;
            println!(
                "{kind}: FAILED; again with --only {kind} --seed {} --from {trial} --trials 1",
                wish.seed
            );
            arena = fresh();
        }
        if (trial + 1) % 50 == 0 {
            said(kind, trial + 1 - wish.from, failed, &total, began);
        }
    }
    said(kind, wish.trials, failed, &total, began);
    failed
}

fn said(kind: &str, trials: u64, failed: u64, total: &Outcome, began: Instant) {
    println!(
        "{kind}: {trials} trials, {} hits, {failed} failed, {} reports compared, longest session \
         of a dead runner {:.2} s, {} s",
        total.hits,
        total.reports,
        total.ghost.as_secs_f64(),
        began.elapsed().as_secs()
    );
}
