//! How PostgreSQL's own programs get into a database, and which of them may be ended when.
//!
//! A password is never in their arguments or environment: it is in a file that only we can read,
//! for as long as the program runs.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

use super::Target;
use super::programs::Program;
use crate::model::Fault;
use crate::system::{Command, trampoline, write_fault};

/// No dump is stopped by us: the item's own time, Ctrl-C and the server are there for that.
const WITHOUT_LIMIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How a child process gets into a database; its password file is removed when this is dropped.
pub struct Access {
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl Access {
    /// For a program that is to work on a target. Its files lie below `parent`. `server` as
    /// 150018; `settings` may be handed to the server at the start (a pooler would refuse them).
    /// `name` is what it calls itself in `pg_stat_activity`.
    ///
    /// # Errors
    /// `passfile-write`, `write-failed`.
    pub fn new(
        parent: &Path,
        target: &Target,
        server: u32,
        settings: bool,
        name: &str,
    ) -> Result<Self, Fault> {
        remove_the_deads(parent);
        let folder = tempfile::Builder::new()
            .prefix(&format!("access-{}-", std::process::id()))
            .tempdir_in(parent)
            .map_err(|error| write_fault(parent, &error))?;
        let passfile = target.write_passfile(folder.path())?;
        let mut env = target.libpq_env();
        let mut options = String::new();
        env.retain(|(name, value)| {
            if name == "PGOPTIONS" {
                options.clone_from(value);
            }
            !matches!(name.as_str(), "PGOPTIONS" | "PGAPPNAME")
        });
        if server >= 140_000 && settings {
            // So that the server ends the backend soon after its client was killed.
            options = format!("{options} -c client_connection_check_interval=500ms");
        }
        if !options.trim().is_empty() {
            env.push(("PGOPTIONS".into(), options.trim().into()));
        }
        env.push(("PGAPPNAME".into(), name.into()));
        env.push(("PGPASSFILE".into(), passfile.display().to_string()));
        Ok(Self { folder, env })
    }

    /// A command with this access. The programs' own words in English: what they say about a full
    /// disk is looked for.
    pub fn command(&self, program: &Program, args: &[String]) -> Command {
        let mut command = plain_command(program, args);
        command.env.extend(self.env.iter().cloned());
        command.cwd = self.folder.path().to_path_buf();
        command
    }
}

/// A command that connects to nothing.
pub fn plain_command(program: &Program, args: &[String]) -> Command {
    let path = program.path.display().to_string();
    let mut command = Command::new(std::iter::once(&path).chain(args));
    command.cwd = "/".into();
    command.env = vec![("LC_ALL".into(), "C".into())];
    command.timeout = WITHOUT_LIMIT;
    command.trampoline = trampoline();
    command
}

/// Password files of processes that were killed before they could remove them.
fn remove_the_deads(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("access-").and_then(|rest| rest.split('-').next());
        let pid = pid.and_then(|pid| pid.parse::<i32>().ok()).and_then(Pid::from_raw);
        if pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
