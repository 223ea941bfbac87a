//! A project folder and the real program run in it, with a clean environment and a time limit.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::wait::{SOON, soon, state_of};

/// No single call of the program takes longer in a test.
pub const LIMIT: Duration = SOON;

/// The real program. The chaos harness is no test and has none beside it: it is the program itself.
pub fn program() -> PathBuf {
    option_env!("CARGO_BIN_EXE_runsheet")
        .map_or_else(|| std::env::current_exe().expect("this program"), PathBuf::from)
}

/// A temporary project.
pub struct Project {
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}

impl Project {
    /// An empty folder with a home of its own.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("project-").tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("home")).expect("a home");
        Self { folder, env: Vec::new() }
    }

    /// The project's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, its folders too.
    pub fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.folder.path().join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("its folder");
        }
        std::fs::write(&path, text).expect("the file");
        self
    }

    /// Writes `playbooks/NAME.rhai`.
    pub fn playbook(&self, name: &str, text: &str) -> &Self {
        self.file(&format!("playbooks/{name}.rhai"), text)
    }

    /// Reads a file; panics where it is missing.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Sets a variable for every run of the program.
    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A program of the project's own, `bin/NAME`, found before all others.
    pub fn program(&mut self, name: &str, script: &str) -> &mut Self {
        let bin = self.path().join("bin");
        self.file(&format!("bin/{name}"), script);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(bin.join(name), mode).expect("its mode");
        // psql is not on every PATH that the tests run with.
        let psql = runsheet::postgres::programs::Programs::new(None, None).find("psql", None);
        let psql = psql.expect("psql").path;
        let others = std::env::var("PATH").unwrap_or_default();
        let folder = psql.parent().expect("its folder").display();
        let path = format!("{}:{folder}:{others}", bin.display());
        self.env("PATH", &path)
    }

    /// The id of the newest run.
    pub fn newest_run(&self) -> String {
        let runs = std::fs::read_dir(self.path().join(".runsheet/runs")).expect("runs");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        runs.map(name).max().expect("a run").into_string().unwrap()
    }

    /// The one dump below `backups`.
    #[track_caller]
    pub fn dump(&self) -> PathBuf {
        let mut dumps = self.dumps();
        assert_eq!(dumps.len(), 1, "{dumps:?}");
        dumps.remove(0)
    }

    /// The dumps below `backups`, by name.
    pub fn dumps(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path().join("backups"));
        let paths = entries.into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut dumps: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "dump")).collect();
        dumps.sort();
        dumps
    }

    /// The code of `runsheet approve WORDS.. --by kim`.
    #[track_caller]
    pub fn approved(&self, words: &[&str]) -> String {
        let ran = self.run(&[&["approve"], words, &["--by", "kim"]].concat());
        ran.exits(0).approval_code()
    }

    /// The program with its arguments, ready to be changed and started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path().join("home"))
            .env("LANG", "C.UTF-8")
            // What the tests need of the machine, not of the user.
            .envs(
                ["RUNSHEET_PG_BIN", "TMPDIR", "LLVM_PROFILE_FILE"]
                    .into_iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.spawn(args).wait()
    }

    /// Runs the program at a terminal of its own, at which nobody types; None where util-linux's
    /// `script`, which makes one, is not here.
    pub fn run_at_a_terminal(&self, args: &[&str]) -> Option<Ran> {
        let there = Command::new("script").arg("--version").output();
        if !there.is_ok_and(|ran| ran.status.success()) {
            eprintln!("skipped: there is no util-linux script, which makes a terminal");
            return None;
        }
        let own = self.command(&[]);
        let mut command = Command::new("script");
        let line = format!("{} {}", program().display(), args.join(" "));
        command.args(["-qec", &line, "/dev/null"]).current_dir(self.path()).env_clear();
        command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Some(Running::start(command, self.path().to_path_buf()).wait())
    }

    /// Starts the program, to be killed or awaited.
    pub fn spawn(&self, args: &[&str]) -> Running {
        Running::start(self.command(args), self.folder.path().to_path_buf())
    }
}

/// A started program; killed when dropped.
pub struct Running {
    child: Child,
    outputs: Option<[JoinHandle<String>; 2]>,
    shown: String,
    project: PathBuf,
}

impl Running {
    /// Starts a command whose outputs are piped.
    pub fn start(mut command: Command, project: PathBuf) -> Self {
        let shown: Vec<_> =
            command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let mut child = command.spawn().expect("the program starts");
        let out = reader(child.stdout.take().expect("piped"));
        let err = reader(child.stderr.take().expect("piped"));
        let shown = format!("runsheet {}", shown.join(" "));
        Self { child, outputs: Some([out, err]), shown, project }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, `INT`, `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -s {name}");
        if name == "STOP" {
            self.wait_until_it_stands_still();
        }
    }

    /// Waits until it is stopped, by others or by itself. One thread takes the signal and stops the
    /// others: on a busy machine they go on meanwhile.
    #[track_caller]
    pub fn wait_until_it_stands_still(&self) {
        let folder = format!("/proc/{}/task", self.id());
        soon("every thread is stopped", || {
            let threads = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let mut states = threads.filter_map(|one| {
                // A thread that is gone has none.
                state_of(one.path().join("stat").to_str()?)
            });
            states.all(|state| matches!(state, 'T' | 't'))
        });
    }

    /// Kills it as nothing can prevent.
    #[track_caller]
    pub fn kill(self) {
        self.signal("KILL");
        self.wait().exits(137);
    }

    /// The same for a program that may have ended already.
    pub fn try_signal(&self, name: &str) {
        let _ = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .stderr(Stdio::null())
            .status();
    }

    /// Waits for its end; panics after the limit that everything has.
    pub fn wait(self) -> Ran {
        self.wait_for(LIMIT)
    }

    /// The same with a limit of its own.
    pub fn wait_for(mut self, limit: Duration) -> Ran {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                break status;
            }
            if started.elapsed() > limit {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let [out, err] = self.texts();
                panic!("{} did not end within {limit:?}\n{out}\n{err}", self.shown);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let [stdout, stderr] = self.texts();
        Ran {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout,
            stderr,
            shown: self.shown.clone(),
            project: self.project.clone(),
        }
    }

    fn texts(&mut self) -> [String; 2] {
        self.outputs
            .take()
            .map(|outputs| outputs.map(|thread| thread.join().unwrap_or_default()))
            .unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn reader(mut source: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = source.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// How the program ended. Every assertion prints all of it when it fails.
pub struct Ran {
    /// Exit code; 128+n where signal n ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    shown: String,
    project: PathBuf,
}

impl Ran {
    /// The exit code is this one.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        self.demand(self.code == code, &format!("exit code {code} was expected"))
    }

    /// Standard output holds the text.
    #[track_caller]
    pub fn stdout_shows(&self, text: &str) -> &Self {
        self.demand(self.stdout.contains(text), &format!("stdout should show {text:?}"))
    }

    /// Standard error holds the text.
    #[track_caller]
    pub fn stderr_shows(&self, text: &str) -> &Self {
        self.demand(self.stderr.contains(text), &format!("stderr should show {text:?}"))
    }

    /// One of the outputs holds the text.
    #[track_caller]
    pub fn shows(&self, text: &str) -> &Self {
        let shown = self.stdout.contains(text) || self.stderr.contains(text);
        self.demand(shown, &format!("some output should show {text:?}"))
    }

    /// Neither the outputs nor any file that the program left in the state folder or below
    /// `backups` and `reports` holds the text: for canary secrets.
    #[track_caller]
    pub fn shows_nowhere(&self, canary: &str) -> &Self {
        self.demand(!self.stdout.contains(canary), &format!("stdout gives away {canary:?}"));
        self.demand(!self.stderr.contains(canary), &format!("stderr gives away {canary:?}"));
        for folder in [".runsheet", "backups", "reports"] {
            if let Some(file) = holds(&self.project.join(folder), canary.as_bytes()) {
                self.demand(false, &format!("{} gives away {canary:?}", file.display()));
            }
        }
        self
    }

    /// The approval code that was shown.
    #[track_caller]
    pub fn approval_code(&self) -> String {
        let code = self.stdout.split("approval code: ").nth(1);
        self.demand(code.is_some(), "stdout should show an approval code");
        code.unwrap()[..12].to_string()
    }

    #[track_caller]
    fn demand(&self, holds: bool, wanted: &str) -> &Self {
        assert!(
            holds,
            "{wanted}\n$ {}\nexit code {}\n--- stdout\n{}\n--- stderr\n{}",
            self.shown, self.code, self.stdout, self.stderr
        );
        self
    }
}

/// The file in a folder, or below it, that holds the text.
pub fn holds(folder: &Path, canary: &[u8]) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            if let Some(file) = holds(&path, canary) {
                return Some(file);
            }
        } else if let Ok(bytes) = std::fs::read(&path)
            && memchr::memmem::find(&bytes, canary).is_some()
        {
            return Some(path);
        }
    }
    None
}
