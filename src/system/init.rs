//! Process 1 of a container: starts the real work as its child, hands signals on to it, and buries
//! every process that is left to it.
//!
//! The kernel gives process 1 no default for signals and all orphans of the container. A runner
//! that waits for a command of its own must not bury strangers, and after `exec` the application
//! would have to; so this is a process of its own that does nothing else. It knows nothing of
//! playbooks. Called by `main` before anything else.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, WaitOptions, kill_process};
use signal_hook::consts::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};

use crate::msg;

/// What a terminal sends to the whole foreground group by itself: sent twice, the second one would
/// end a run at once.
const FROM_TERMINALS: [i32; 4] = [SIGINT, SIGQUIT, SIGHUP, SIGWINCH];

/// Is this process 1 of its namespace?
pub fn is_init() -> bool {
    std::process::id() == 1
}

/// Starts `program` with `args` and stays until it ends. Gives its exit code, 128+n where signal n
/// ended it, 126 where it cannot be started.
pub fn init_main(program: &Path, args: &[OsString]) -> i32 {
    let wanted = [SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH];
    let started = signal_hook::iterator::Signals::new(wanted)
        .and_then(|signals| Ok((signals, Command::new(program).args(args).spawn()?)));
    let (mut signals, child) = match started {
        Ok(started) => started,
        Err(error) => {
            let name = program.display();
            let text = msg!("system.exec-failed", program = name, error = error.to_string());
            let _ = writeln!(std::io::stderr(), "{text}");
            return 126;
        }
    };
    let child = Pid::from_child(&child);
    let at_terminal = std::io::stdin().is_terminal();
    for signal in signals.forever() {
        if signal == SIGCHLD {
            if let Some(code) = bury(child) {
                return code;
            }
        } else if !(at_terminal && FROM_TERMINALS.contains(&signal))
            && let Some(signal) = Signal::from_named_raw(signal)
        {
            let _ = kill_process(child, signal);
        }
    }
    126
}

/// Takes the exit of every process that has ended; the child's own is the answer.
fn bury(child: Pid) -> Option<i32> {
    let mut code = None;
    // Several that end together send one signal.
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == child {
            let by_signal = status.terminating_signal().map(|signal| 128 + signal);
            code = status.exit_status().or(by_signal);
        }
    }
    code
}
