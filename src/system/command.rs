//! Runs a child process: argv and no shell, an environment of its own, a process group that is
//! ended as a whole, a time limit, the tail of its output.
//!
//! Blocking, and to be called on the script thread (see `child` for why the thread matters).
//! Whether a command may run at all is decided above.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::model::{Fault, format_span};
use crate::msg;

use super::cipher::broken;
use super::drain::{Heard, Tail, Wanted, drain};
use super::files::write_fault;
use super::{CHILD_WORD, Cancel};

/// How long a group gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// How long output is awaited after the child has ended: a daemon that it left behind keeps the
/// pipe open for as long as it lives.
const LATE_OUTPUT: Duration = Duration::from_millis(500);
/// How often the child is looked at while it is silent.
const LOOK: Duration = Duration::from_millis(10);

/// One of a child's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a child reads: a file that is decrypted on the way.
pub type Input = Box<dyn Read + Send>;

/// The thread that hands an input on; gives it back with how reading it ended.
type Feeding = JoinHandle<(Input, std::io::Result<()>)>;

/// Is told each line of a child's output as it comes.
pub type OnLine = Box<dyn FnMut(Stream, &str) + Send>;

/// A child process to be run.
pub struct Command {
    /// Program and arguments. A program without a slash is looked up in PATH, one with a slash is
    /// taken from `cwd`.
    pub argv: Vec<String>,
    /// The child's working folder.
    pub cwd: PathBuf,
    /// Set in the child's environment, which otherwise holds only PATH, HOME, LANG, TZ, TMPDIR,
    /// USER and LC_* of this process.
    pub env: Vec<(String, String)>,
    /// Written to its standard input; None gives it an empty one.
    pub stdin: Option<Vec<u8>>,
    /// After this the group is ended.
    pub timeout: Duration,
    /// How many bytes are kept of the end of each output.
    pub output_limit: usize,
    /// Sees each line as it comes, on the calling thread.
    pub on_line: Option<OnLine>,
    /// This very program (`std::env::current_exe`), to be started as the trampoline that ties the
    /// child's life to the calling thread. None: the child survives a killed runner.
    pub trampoline: Option<PathBuf>,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; 128+n where signal n ended it.
    pub status: i32,
    /// The tail of standard output; empty where that went to a sink.
    pub stdout: String,
    /// The tail of standard error.
    pub stderr: String,
    /// True where one of them was longer than the limit.
    pub cut: bool,
    /// How long it ran.
    pub took: Duration,
}

impl Output {
    /// Exit code 0.
    pub fn succeeded(&self) -> bool {
        self.status == 0
    }

    /// The last lines of standard error, or of standard output where that is empty.
    pub fn last_lines(&self, count: usize) -> String {
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        last_lines(text, count)
    }
}

impl Command {
    /// A command in the current folder with an hour's limit and 64 KiB of each output.
    pub fn new(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: PathBuf::from("."),
            env: Vec::new(),
            stdin: None,
            timeout: Duration::from_secs(3600),
            output_limit: 64 * 1024,
            on_line: None,
            trampoline: None,
        }
    }

    /// Runs it to its end. Any exit code is an `Output`; the caller says which is a failure.
    ///
    /// # Errors
    /// `command-not-found` (with the PATH that was searched), `command-not-executable`,
    /// `command-failed-to-start`, `command-timeout` (with its last lines), and the fault of the
    /// reason where `stop` was cancelled. No process of the group is left then.
    pub fn run(self, stop: &Cancel) -> Result<Output, Fault> {
        self.run_with(None, None, stop)
    }

    /// Runs it on a file: the path is its last argument, behind `--`, or `plain`, what is in the
    /// file, is its standard input.
    ///
    /// # Errors
    /// As [`Command::run`]; `backup-damaged` where `plain` cannot be read to its end.
    pub fn run_on(
        mut self,
        file: &Path,
        plain: Option<Input>,
        stop: &Cancel,
    ) -> Result<Output, Fault> {
        let Some(plain) = plain else {
            self.argv.extend(["--".into(), file.display().to_string()]);
            return self.run(stop);
        };
        let (output, read) = self.run_from(plain, stop)?;
        read.map_err(|error| broken(file, &error))?;
        Ok(output)
    }

    /// With standard input coming from a source, read on a thread of its own. Where the child ends
    /// well before the source does, the rest is read as well: a file counts as sound only to its
    /// last byte. Beside the output stands how reading went.
    fn run_from(self, input: Input, stop: &Cancel) -> Result<(Output, std::io::Result<()>), Fault> {
        let mut feeding = None;
        let output = self.run_with(None, Some((input, &mut feeding)), stop)?;
        let Some(Ok((mut input, mut read))) = feeding.map(Feeding::join) else {
            return Ok((output, Err(std::io::ErrorKind::BrokenPipe.into())));
        };
        let mut buffer = vec![0; 64 * 1024];
        while output.succeeded() && read.is_ok() {
            stop.check()?;
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => read = Err(error),
            }
        }
        Ok((output, read))
    }

    /// Runs it with standard output going to a sink, on the calling thread: a dump through a hash
    /// into a file. `file` is named where writing fails.
    ///
    /// # Errors
    /// As [`Command::run`], and `disk-full` (with the bytes left) or `write-failed`.
    pub fn run_to(self, sink: &mut dyn Write, file: &Path, stop: &Cancel) -> Result<Output, Fault> {
        self.run_with(Some((sink, file)), None, stop)
    }

    fn run_with(
        mut self,
        mut sink: Option<(&mut dyn Write, &Path)>,
        input: Option<(Input, &mut Option<Feeding>)>,
        stop: &Cancel,
    ) -> Result<Output, Fault> {
        stop.check()?;
        let program = self.program()?;
        let started = Instant::now();
        let mut group = Group::spawn(self.prepared(&program, input.is_some()), &program)?;
        let pieces = if sink.is_some() { Wanted::Pieces } else { Wanted::Nothing };
        let lines = if self.on_line.is_some() { Wanted::Lines } else { Wanted::Nothing };
        let out_wanted = if pieces == Wanted::Pieces { pieces } else { lines };
        let (listener, heard) = sync_channel(16);
        let failed = |error| start_fault(&program, &error);
        let out = group.child.stdout.take().map(|source| {
            drain(Stream::Out, source, out_wanted, self.output_limit, listener.clone())
        });
        let err = group
            .child
            .stderr
            .take()
            .map(|source| drain(Stream::Err, source, lines, self.output_limit, listener));
        let tails = [out.transpose().map_err(failed)?, err.transpose().map_err(failed)?];
        match (group.child.stdin.take(), input) {
            (Some(pipe), Some((input, feeding))) => {
                *feeding = Some(feed(input, pipe).map_err(failed)?);
            }
            (Some(mut pipe), None) => {
                let input = self.stdin.take().unwrap_or_default();
                // A child that does not read its input is its own affair: a broken pipe is no fault.
                let _ = std::thread::Builder::new().name("input".into()).spawn(move || {
                    let _ = pipe.write_all(&input);
                });
            }
            (None, _) => {}
        }

        let mut listening = Listening { heard, open: 2 };
        let ended = loop {
            match listening.next(LOOK) {
                Some(Heard::Line(stream, line)) => {
                    if let Some(on_line) = &mut self.on_line {
                        on_line(stream, &line);
                    }
                }
                Some(Heard::Piece(piece)) => {
                    if let Some((sink, file)) = &mut sink
                        && let Err(error) = sink.write_all(&piece)
                    {
                        group.end(GRACE);
                        return Err(write_fault(file, &error));
                    }
                }
                Some(Heard::End) | None => {}
            }
            if let Some(reason) = stop.reason() {
                group.end(GRACE);
                return Err(reason.fault().detail(self.shown()));
            }
            if started.elapsed() >= self.timeout {
                group.end(GRACE);
                return Err(self.timeout_fault(&tails));
            }
            if group.has_ended() {
                break Instant::now();
            }
        };
        // A dump is whole only when its pipe is at the end; for a mere tail half a second is enough.
        let patience = if sink.is_some() { self.timeout } else { LATE_OUTPUT };
        while listening.open > 0 && ended.elapsed() < patience {
            match listening.next(LOOK) {
                Some(Heard::Line(stream, line)) => {
                    if let Some(on_line) = &mut self.on_line {
                        on_line(stream, &line);
                    }
                }
                Some(Heard::Piece(piece)) => {
                    if let Some((sink, file)) = &mut sink {
                        sink.write_all(&piece).map_err(|error| write_fault(file, &error))?;
                    }
                }
                Some(Heard::End) | None => {}
            }
            stop.check()?;
        }
        if sink.is_some() && listening.open > 0 {
            return Err(self.timeout_fault(&tails));
        }
        if let Some((sink, file)) = &mut sink {
            sink.flush().map_err(|error| write_fault(file, &error))?;
        }
        let status = group.reap().map_err(failed)?;
        let [(stdout, out_cut), (stderr, err_cut)] = tails.map(|tail| text_of(&tail));
        Ok(Output {
            status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout,
            stderr,
            cut: out_cut || err_cut,
            took: ended.duration_since(started),
        })
    }

    /// The command line for people. Secrets are blanked by whoever shows it.
    fn shown(&self) -> String {
        self.argv.join(" ")
    }

    fn timeout_fault(&self, tails: &[Option<Arc<Mutex<Tail>>>; 2]) -> Fault {
        let [out, err] = tails.each_ref().map(|tail| text_of(tail).0);
        let said = if err.trim().is_empty() { out } else { err };
        let fault = Fault::failed(
            "command-timeout",
            msg!("system.timeout", command = self.shown(), limit = format_span(self.timeout)),
        );
        match last_lines(&said, 5) {
            lines if lines.is_empty() => fault.detail(msg!("system.timeout-silent")),
            lines => fault.detail(msg!("system.timeout-said", lines = lines)),
        }
    }

    fn search_path(&self) -> String {
        self.env
            .iter()
            .rev()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| value.clone())
            .or_else(|| std::env::var("PATH").ok())
            .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
    }

    /// The program's file.
    fn program(&self) -> Result<PathBuf, Fault> {
        let Some(name) = self.argv.first().filter(|name| !name.is_empty()) else {
            return Err(Fault::usage("command-empty", msg!("system.command-empty")));
        };
        let path = self.search_path();
        let candidates: Vec<PathBuf> = if name.contains('/') {
            vec![self.cwd.join(name)]
        } else {
            std::env::split_paths(&path).map(|dir| self.cwd.join(dir).join(name)).collect()
        };
        let files: Vec<&PathBuf> = candidates.iter().filter(|file| file.is_file()).collect();
        if let Some(file) = files.iter().find(|file| is_executable(file)) {
            return Ok(std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()));
        }
        if let Some(file) = files.first() {
            return Err(Fault::failed(
                "command-not-executable",
                msg!("system.not-executable", file = file.display()),
            )
            .remedy(msg!("system.not-executable-remedy", file = file.display())));
        }
        let fault = Fault::failed("command-not-found", msg!("system.not-found", program = name));
        Err(if name.contains('/') {
            fault.detail(msg!("system.not-found-file", file = candidates[0].display()))
        } else {
            fault.detail(msg!("system.not-found-path", path = path))
        })
    }

    fn prepared(&self, program: &Path, fed: bool) -> std::process::Command {
        let mut command = match &self.trampoline {
            Some(trampoline) => {
                let mut command = std::process::Command::new(trampoline);
                command.args([CHILD_WORD, &std::process::id().to_string(), "--"]).arg(program);
                command
            }
            None => std::process::Command::new(program),
        };
        command
            .args(self.argv.get(1..).unwrap_or_default())
            .current_dir(&self.cwd)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(&name.to_string_lossy())))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(if fed || self.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group: Ctrl-C reaches us alone, and we end all of it.
            .process_group(0);
        command
    }
}

/// Hands a source on to a child, until either of them ends.
fn feed(mut input: Input, mut pipe: ChildStdin) -> std::io::Result<Feeding> {
    std::thread::Builder::new().name("input".into()).spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return (input, Ok(())),
                Ok(count) if pipe.write_all(&buffer[..count]).is_err() => return (input, Ok(())),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return (input, Err(error)),
            }
        }
    })
}

fn is_passed_on(name: &str) -> bool {
    matches!(name, "PATH" | "HOME" | "LANG" | "TZ" | "TMPDIR" | "USER") || name.starts_with("LC_")
}

fn is_executable(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0)
}

fn start_fault(program: &Path, error: &std::io::Error) -> Fault {
    let fault = Fault::failed(
        "command-failed-to-start",
        msg!("system.start-failed", program = program.display(), error = error),
    );
    // The file was there a moment ago: the system misses the program of its `#!` line, or the
    // loader, or the working folder.
    if error.kind() == std::io::ErrorKind::NotFound {
        fault.cause(msg!("system.start-failed-interpreter"))
    } else {
        fault
    }
}

fn text_of(tail: &Option<Arc<Mutex<Tail>>>) -> (String, bool) {
    tail.as_ref().map_or((String::new(), false), |tail| {
        let tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        (tail.text(), tail.cut)
    })
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

struct Listening {
    heard: Receiver<Heard>,
    open: usize,
}

impl Listening {
    fn next(&mut self, patience: Duration) -> Option<Heard> {
        match self.heard.recv_timeout(patience) {
            Ok(Heard::End) => {
                self.open = self.open.saturating_sub(1);
                Some(Heard::End)
            }
            Ok(heard) => Some(heard),
            Err(RecvTimeoutError::Timeout) => None,
            // Both threads are gone: what is left is to wait for the child.
            Err(RecvTimeoutError::Disconnected) => {
                self.open = 0;
                std::thread::sleep(patience.min(LOOK));
                None
            }
        }
    }
}

/// A child and its process group. Dropped before it was reaped (a panic in a callback), it is
/// ended at once.
struct Group {
    child: Child,
    pid: Option<Pid>,
    reaped: bool,
}

impl Group {
    fn spawn(mut command: std::process::Command, program: &Path) -> Result<Self, Fault> {
        let child = command.spawn().map_err(|error| start_fault(program, &error))?;
        let pid = Pid::from_raw(child.id().cast_signed());
        Ok(Self { child, pid, reaped: false })
    }

    /// True once the child is a zombie. It is not reaped yet: as long as it is a zombie, nobody
    /// else can get its id, and signals to its group reach nobody else.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.pid.is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Ends the whole group: SIGTERM, after the grace SIGKILL, and the child is reaped. Members
    /// that outlive the child get SIGKILL as soon as it is gone.
    fn end(&mut self, grace: Duration) {
        let asked = Instant::now();
        if !grace.is_zero() {
            self.signal(Signal::TERM);
        }
        while !self.has_ended() && asked.elapsed() < grace {
            std::thread::sleep(LOOK);
        }
        self.signal(Signal::KILL);
        let _ = self.reap();
    }

    fn reap(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait();
        self.reaped = true;
        status
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.end(Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests;
