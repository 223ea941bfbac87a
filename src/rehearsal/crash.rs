//! `--crash`: the runner is this very program as a child process, killed with SIGKILL as soon as
//! its file says that a step has ended, and then run to its end by another process.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::copy::Copy;
use super::night::Wanted;
use super::told::CrashTold;
use crate::journal::read_events;
use crate::model::{EventKind, Fault, ItemKind, ItemState, RunId};
use crate::msg;
use crate::system::StateDir;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// A run that took a night is not waited for twice; Ctrl-C ends the wait at once.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Where and when a runner is killed.
pub(super) struct At<'a> {
    pub(super) copy: &'a Copy,
    pub(super) state: &'a StateDir,
    pub(super) arguments: &'a [String],
    /// Behind the end of this step, from 1.
    pub(super) number: usize,
    /// Its title.
    pub(super) title: &'a str,
}

/// Kills and resumes; None where the run had ended well before it could be killed.
///
/// # Errors
/// The program cannot be started; Ctrl-C.
pub(super) fn kill_and_resume(wanted: &Wanted, at: &At<'_>) -> Result<Option<CrashTold>, Fault> {
    let mut first = start(at, None)?;
    let started = Instant::now();
    let killed = loop {
        if let Some(step) = step_ended(at.state, at.number) {
            break first.kill().is_ok().then_some(step);
        }
        if first.ended() || started.elapsed() > LIMIT {
            break None;
        }
        wanted.cancel.check()?;
        std::thread::sleep(LOOK);
    };
    let status = first.wait(wanted)?;
    let told = |after, exit| CrashTold { after, exit, same: false, differs: Vec::new() };
    let (Some((run, after)), Some(9)) = (killed, status.1) else {
        return Ok((status.0 != 0).then(|| told(at.title.to_string(), status.0)));
    };
    wanted.tell("crash", &msg!("rehearsal.killed", title = after));
    let (exit, _) = start(at, Some(&run))?.wait(wanted)?;
    Ok(Some(told(after, exit)))
}

/// A child that is killed when nobody waits for it any more.
struct Runner(Child);

impl Runner {
    fn kill(&mut self) -> std::io::Result<()> {
        self.0.kill()
    }

    fn ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Its exit code, and the signal that ended it.
    fn wait(mut self, wanted: &Wanted) -> Result<(u8, Option<i32>), Fault> {
        use std::os::unix::process::ExitStatusExt;
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => {
                    let code = status.code().map_or(255, |code| code as u8);
                    return Ok((code, status.signal()));
                }
                Ok(None) => {
                    wanted.cancel.check()?;
                    std::thread::sleep(LOOK);
                }
                Err(error) => return Err(Fault::failed("internal", error.to_string())),
            }
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn start(at: &At<'_>, resume: Option<&RunId>) -> Result<Runner, Fault> {
    let failed = |error: std::io::Error| {
        Fault::failed("command-failed-to-start", msg!("rehearsal.no-runner"))
            .detail(error.to_string())
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .args(at.arguments)
        .args(["--on-copy", &at.copy.url()])
        .arg("--copy-state")
        .arg(at.state.root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(run) = resume {
        command.args(["--copy-run", &run.0]);
    }
    command.spawn().map(Runner).map_err(failed)
}

/// The run, and the title of its step of that number, once the file says that it has ended.
fn step_ended(state: &StateDir, number: usize) -> Option<(RunId, String)> {
    let run = state.runs().ok()?.into_iter().next()?;
    let title = title_of(&state.run_dir(&run), number)?;
    Some((run, title))
}

fn title_of(folder: &Path, number: usize) -> Option<String> {
    let ended = read_events(folder).ok()?.into_iter().filter_map(|event| match event.kind {
        EventKind::ItemFinished { item, outcome: ItemState::Done { .. }, .. }
            if item.kind == ItemKind::Step =>
        {
            Some(item.title)
        }
        _ => None,
    });
    ended.into_iter().nth(number - 1)
}
