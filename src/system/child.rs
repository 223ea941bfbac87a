//! The hidden trampoline between this process and a child: `runsheet __child PPID -- ARGV..`.
//!
//! On Linux it asks the kernel for a signal when the thread that started it ends, and stays as the
//! guard of the command: then it ends the whole process group, so that nothing that the command
//! had started in turn (a shell's psql, npx' node) goes on writing after the runner was killed.
//! The signal follows the *thread*, so children are started from the script thread, which lives as
//! long as the run. macOS has no such signal: there it becomes the child by `exec`, and a child of
//! a killed runner goes on.
//! Called by `main` before anything else is looked at.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
#[cfg(target_os = "linux")]
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
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

/// Starts the child and answers with its exit code; 128+n where signal n ended it. `args` are what
/// follows [`CHILD_WORD`]: the parent's process id, `--`, the child's argv. Of its own it gives 127
/// where the program is not there, 126 where it cannot be run, 2 for wrong arguments, 143 where the
/// parent is gone.
pub fn child_main(args: &[OsString]) -> i32 {
    let [parent, dashes, program, rest @ ..] = args else { return 2 };
    let Some(parent) = parent.to_str().and_then(|text| text.parse::<i32>().ok()) else { return 2 };
    if dashes != "--" {
        return 2;
    }
    let mut command = Command::new(program);
    command.args(rest);
    let error = match guarded(parent, &mut command) {
        Ok(code) => return code,
        Err(error) => error,
    };
    let text =
        msg!("system.exec-failed", program = program.to_string_lossy(), error = error.to_string());
    let _ = writeln!(std::io::stderr(), "{text}");
    if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }
}

fn parent_is(parent: i32) -> bool {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get()) == parent
}

#[cfg(not(target_os = "linux"))]
fn guarded(parent: i32, command: &mut Command) -> std::io::Result<i32> {
    if parent_is(parent) { Err(command.exec()) } else { Ok(143) }
}

/// How long a command may tidy up after its runner's death.
#[cfg(target_os = "linux")]
const GRACE: std::time::Duration = std::time::Duration::from_millis(500);

#[cfg(target_os = "linux")]
fn guarded(parent: i32, command: &mut Command) -> std::io::Result<i32> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    use signal_hook::consts::{SIGCHLD, SIGTERM, SIGUSR1};
    // Before the child is there: its end must not be missed.
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGUSR1, SIGTERM, SIGCHLD]) else {
        return Err(command.exec());
    };
    // Where the kernel refuses, the child runs as it does on macOS.
    let _ = set_parent_process_death_signal(Some(Signal::USR1));
    // Asked after the signal was set: a parent that died in between would never send it.
    if !parent_is(parent) {
        return Ok(143);
    }
    let mut child = command.spawn()?;
    for signal in signals.forever() {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
        }
        // A SIGTERM went to the whole group: the child decides.
        if signal == SIGUSR1 {
            end_group(&mut child);
            let _ = signal_hook::low_level::emulate_default_handler(SIGTERM);
        }
    }
    Ok(143)
}

/// Ends the command and everything in its process group, the guard itself included. Where the
/// group is not its own (somebody else started the guard), the child alone.
#[cfg(target_os = "linux")]
fn end_group(child: &mut std::process::Child) {
    use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process, kill_process_group};
    let own = getpgrp() == getpid();
    let tell = |signal| match (own, Pid::from_raw(child.id().cast_signed())) {
        (true, _) => drop(kill_process_group(getpgrp(), signal)),
        (false, Some(pid)) => drop(kill_process(pid, signal)),
        (false, None) => {}
    };
    tell(Signal::TERM);
    // The child's own children may take as long as the child: there is nobody to ask.
    std::thread::sleep(GRACE);
    tell(Signal::KILL);
    let _ = child.wait();
}
