//! Passes the arguments to the library and its exit code back.

use std::process::ExitCode;

/// The system's own takes memory for the script's thread page by page, each with a call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|word| word == runsheet::system::CHILD_WORD) {
        return ExitCode::from(runsheet::system::child_main(&args[2..]) as u8);
    }
    if let Ok(program) = std::env::current_exe() {
        // Children are tied to this process's life by starting it again as their guard.
        if runsheet::system::is_init() {
            return ExitCode::from(runsheet::system::init_main(&program, &args[1..]) as u8);
        }
        runsheet::system::offer_trampoline(program);
    }
    runsheet::system::leave(runsheet::cli::run(args))
}
