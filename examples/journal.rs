//! `cargo run --example journal -- --trials 100 --seed 1`: restores, deletions and edits of journal
//! and ledger at random steps. Prints how many went on and how many were refused; ends with 1 at
//! the first step that happened twice or not at all.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code)]
#[path = "../tests/support/disaster.rs"]
mod disaster;

use std::collections::BTreeMap;
use std::process::ExitCode;

use disaster::{Ending, trial};
use runsheet::postgres::programs::Programs;
use runsheet::postgres::scratch::{ScratchOptions, ScratchServer};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = words.iter().position(|word| word == name);
        at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (trials, seed) = (number("--trials", 100), number("--seed", 1));
    let folder = std::env::temp_dir().join("runsheet-journal");
    let options = ScratchOptions::new(Programs::new(None, None), folder, "journal");
    let server = match ScratchServer::start(&options) {
        Ok(server) => server,
        Err(fault) => {
            eprintln!("no server: {fault}");
            return ExitCode::FAILURE;
        }
    };
    let mut counts: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for number in 0..trials {
        match trial(&server, number, seed) {
            Ok((disaster, Ending::Reconciled)) => counts.entry(disaster).or_default().0 += 1,
            Ok((disaster, Ending::Refused)) => counts.entry(disaster).or_default().1 += 1,
            Err(error) => {
                eprintln!("trial {number} of seed {seed}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{:<20} {:>10} {:>8}", "disaster", "reconciled", "refused");
    let (mut reconciled, mut refused) = (0, 0);
    for (disaster, (on, stopped)) in counts {
        println!("{:<20} {on:>10} {stopped:>8}", format!("{disaster:?}"));
        reconciled += on;
        refused += stopped;
    }
    println!("{:<20} {reconciled:>10} {refused:>8}", format!("{trials} trials"));
    println!("seed {seed}: no step twice in the same data, none lost");
    ExitCode::SUCCESS
}
