//! The long form of the chaos tests:
//! `cargo run --features failpoints --example chaos -- --trials N --seed S [--only KIND]`.
//!
//! It is the program under trial itself: started with any other words, it is `runsheet` with its
//! crash points. KIND: `points` (the whole matrix), `kill`, `commit`, `restart`, `index`,
//! `signal`, `sleep`; without
//! one, all of them, `--trials` each. `--from N` begins at a trial: a failure is brought back by
//! the seed and the number that it printed.

#![allow(missing_docs, unreachable_pub, dead_code, unused_imports)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../../tests/chaos/mod.rs"]
mod chaos;
mod harness;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    match args.get(1).and_then(|word| word.to_str()) {
        Some(runsheet::system::CHILD_WORD) => {
            return ExitCode::from(runsheet::system::child_main(&args[2..]) as u8);
        }
        Some("--trials" | "--seed" | "--only" | "--from") => {}
        _ => {
            if let Ok(program) = std::env::current_exe() {
                runsheet::system::offer_trampoline(program);
            }
            return ExitCode::from(runsheet::cli::run(args));
        }
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    match harness::Wish::of(&args) {
        Ok(wish) => harness::run(&wish),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}
