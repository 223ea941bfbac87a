//! Passes the arguments to the library and its exit code back.

use std::process::ExitCode;

use runsheet::system::{CHILD_WORD, child_main};

fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // Looked at first: between fork and exec of a command there is no time for anything else.
    if args.get(1).is_some_and(|word| word == CHILD_WORD) {
        return ExitCode::from(u8::try_from(child_main(&args[2..])).unwrap_or(1));
    }
    if let Ok(program) = std::env::current_exe() {
        runsheet::system::offer_trampoline(program);
    }
    ExitCode::SUCCESS
}
