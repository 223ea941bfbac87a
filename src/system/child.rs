//! The hidden trampoline between this process and a child: `runsheet __child PPID -- ARGV..`.
//!
//! On Linux it asks the kernel to end the child (SIGTERM) when the thread that started it ends,
//! then becomes the child by `exec`: a command does not go on writing after its runner was killed.
//! The signal follows the *thread*, so children are started from the script thread, which lives as
//! long as the run. macOS has no such signal: there a child of a killed runner goes on.
//! Called by `main` before anything else is looked at.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::msg;

/// The first argument that makes the program a trampoline.
pub const CHILD_WORD: &str = "__child";

static TRAMPOLINE: OnceLock<PathBuf> = OnceLock::new();

/// Says that this program, started with [`CHILD_WORD`], becomes the child. Only the `main` that
/// does so may say it: any other program would run its own business instead of the command.
pub fn offer_trampoline(program: PathBuf) {
    let _ = TRAMPOLINE.set(program);
}

/// The program through which children are to be started, for as long as its file is there (an
/// upgrade in the middle of a run may take it away).
pub fn trampoline() -> Option<PathBuf> {
    TRAMPOLINE.get().filter(|program| program.is_file()).cloned()
}

/// Becomes the child. `args` are what follows [`CHILD_WORD`]: the parent's process id, `--`, the
/// child's argv. Comes back only where that fails, with the exit code: 127 where the program is
/// not there, 126 where it cannot be run, 2 for wrong arguments, 143 where the parent is gone.
pub fn child_main(args: &[OsString]) -> i32 {
    let [parent, dashes, program, rest @ ..] = args else { return 2 };
    let Some(parent) = parent.to_str().and_then(|text| text.parse::<i32>().ok()) else { return 2 };
    if dashes != "--" {
        return 2;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        // Where the kernel refuses, the child runs as it does on macOS.
        let _ = set_parent_process_death_signal(Some(Signal::TERM));
    }
    // Asked after the signal was set: a parent that died in between would never send it.
    let now = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if now != parent {
        return 143;
    }
    let error = std::process::Command::new(program).args(rest).exec();
    let text =
        msg!("system.exec-failed", program = program.to_string_lossy(), error = error.to_string());
    let _ = writeln!(std::io::stderr(), "{text}");
    if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }
}
