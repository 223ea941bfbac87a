//! PostgreSQL's own programs: which `pg_dump` fits the server, and what they need to get in.

use std::rc::Rc;

use crate::host::Host;
use crate::model::Fault;
use crate::msg;
use crate::postgres::Target;
pub(super) use crate::postgres::plain_command;
use crate::postgres::programs::{Program, Programs};
use crate::system::Command;
use crate::verbs::app::argv::application_name;

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

/// How a child process gets into a database, with the run's name in `pg_stat_activity`.
pub(super) struct Access(crate::postgres::Access);

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
        let name = application_name(host, program);
        crate::postgres::Access::new(&parent, target, server, settings, &name).map(Self)
    }

    /// A command with this access.
    pub(super) fn command(&self, program: &Program, args: &[String]) -> Command {
        self.0.command(program, args)
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
