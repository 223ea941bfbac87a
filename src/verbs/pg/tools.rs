//! PostgreSQL's own programs: which `pg_dump` fits the server, and what they need to get in.
//!
//! A password is never in their arguments or environment: it is in a file that only we can read,
//! for as long as the program runs.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

use crate::host::Host;
use crate::model::Fault;
use crate::msg;
use crate::postgres::Target;
use crate::postgres::programs::{Program, Programs};
use crate::system::{Command, trampoline};
use crate::verbs::app::argv::application_name;

/// No dump is stopped by us: the item's own time, Ctrl-C and the server are there for that.
const WITHOUT_LIMIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where PostgreSQL's programs are looked for.
pub(super) fn programs(host: &Host) -> Programs {
    let setup = &host.setup;
    Programs::new(setup.config.postgres_bin.as_deref(), Some(setup.state.root()))
}

/// A `pg_dump` that may dump this server (150018 for 15.18): of the same major version, else a
/// newer one. A folder that was named by hand is taken at its word and not silently passed over.
///
/// # Errors
/// `pg-dump-too-old` with both versions, `program-not-found`.
pub(super) fn pg_dump(host: &Host, server: u32) -> Result<Program, Fault> {
    let named = host.setup.config.postgres_bin.clone();
    let named = named.or_else(|| std::env::var_os("RUNSHEET_PG_BIN").map(Into::into));
    if let Some(folder) = named
        && let Ok(program) = Programs::only([folder]).find("pg_dump", None)
        && program.version.0 < server / 10_000
    {
        return Err(too_old(&program, server));
    }
    let programs = programs(host);
    programs.find("pg_dump", Some(server / 10_000)).map_err(|fault| {
        match programs.find("pg_dump", None) {
            Ok(program) => too_old(&program, server),
            Err(_) => fault,
        }
    })
}

fn too_old(program: &Program, server: u32) -> Fault {
    let (major, minor) = program.version;
    let (wanted, patch) = (server / 10_000, server % 10_000);
    Fault::failed(
        "pg-dump-too-old",
        msg!(
            "verbs.pg.too-old",
            program = format!("{major}.{minor}"),
            server = format!("{wanted}.{patch}")
        ),
    )
    .detail(program.path.display().to_string())
    .cause(msg!("verbs.pg.too-old.cause"))
    .remedy(msg!("system.program-remedy-version", major = wanted))
}

/// The `pg_restore` that belongs to dumps of a major version.
///
/// # Errors
/// `program-not-found`.
pub(super) fn pg_restore(host: &Host, major: u32) -> Result<Program, Fault> {
    programs(host).find("pg_restore", Some(major))
}

/// How a child process gets into a database; its password file is removed when this is dropped.
pub(super) struct Access {
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl Access {
    /// For a program that is to work on a target. `server` as 150018; `settings` may be handed to
    /// the server at the start (a pooler would refuse them).
    ///
    /// # Errors
    /// `passfile-write`, `write-failed`.
    pub(super) fn new(
        host: &Rc<Host>,
        target: &Target,
        server: u32,
        settings: bool,
        program: &str,
    ) -> Result<Self, Fault> {
        let parent = host.setup.state.folder("tmp")?;
        remove_the_deads(&parent);
        let folder = tempfile::Builder::new()
            .prefix(&format!("access-{}-", std::process::id()))
            .tempdir_in(&parent)
            .map_err(|error| crate::system::write_fault(&parent, &error))?;
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
        env.push(("PGAPPNAME".into(), application_name(host, program)));
        env.push(("PGPASSFILE".into(), passfile.display().to_string()));
        Ok(Self { folder, env })
    }

    /// A command with this access. The programs' own words in English: what they say about a full
    /// disk is looked for.
    pub(super) fn command(&self, program: &Program, args: &[String]) -> Command {
        let mut command = plain_command(program, args);
        command.env.extend(self.env.iter().cloned());
        command.cwd = self.folder.path().to_path_buf();
        command
    }
}

/// A command that connects to nothing.
pub(super) fn plain_command(program: &Program, args: &[String]) -> Command {
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

/// The target with nothing but the host that the run is connected to: two hosts of one target may
/// be two servers, and a snapshot is known to one only.
pub(super) fn same_host(host: &Rc<Host>) -> Result<(Target, bool), crate::host::Trouble> {
    let session = host.session()?;
    let mut target = session.target().clone();
    let index = session.host_index();
    let password = target.password_for(index);
    target.hosts = vec![target.hosts[index].clone()];
    target.addresses = vec![target.addresses.get(index).copied().flatten()];
    target.password = password.or(target.password);
    Ok((target, !session.behind_pooler()))
}
