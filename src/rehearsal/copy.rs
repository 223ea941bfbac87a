//! The copy: a private server with two databases, the start and the one that is worked on. The
//! start is only read, and made the template of the other as often as it is needed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::runtime::Runtime;

use super::copied::{Contents, Dump, restore};
use super::downtime::{Larger, larger, sizes};
use super::night::Wanted;
use super::roles::{CUT_OFF, Surroundings, of_source};
use super::shaped;
use crate::model::{Fault, format_bytes, quote_ident, quote_literal};
use crate::msg;
use crate::postgres::programs::Programs;
use crate::postgres::scratch::{ScratchOptions, ScratchServer};
use crate::postgres::{Change, Fingerprint, Look, Target, objects};
use crate::system::{StateDir, free_bytes};

/// The database that is only read.
const START: &str = "runsheet_start";
/// Commands of the server itself are given here.
const ADMIN: &str = "template1";
/// Copy, start and dump: so many times the size of the source.
const TIMES: u64 = 3;
/// A dump is packed: so many times its size may be needed.
const TIMES_OF_DUMP: u64 = 12;
/// The server itself.
const SERVER_BYTES: u64 = 128 << 20;

/// Where the copy comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A database.
    Server {
        /// Its address.
        target: Box<Target>,
        /// With its rows, or the schema alone.
        with_rows: bool,
    },
    /// A dump in the custom or directory format.
    Dump {
        /// Its file or folder.
        path: PathBuf,
    },
}

/// The private server with the copy. Stopped and removed when dropped.
pub struct Copy {
    server: ScratchServer,
    state: StateDir,
    surroundings: Surroundings,
    plain_locale: bool,
    pattern: Target,
    /// The name of the database.
    pub(super) database: String,
    /// Who works on it.
    pub(super) user: String,
    /// What is not as on the source.
    pub(super) left_out: Vec<String>,
    /// The schema of the source; of a dump that of the copy.
    pub(super) schema: Fingerprint,
    /// 150018.
    pub(super) source_version: u32,
    source_sizes: BTreeMap<String, u64>,
    /// Tables that are larger on the source.
    pub(super) larger: Larger,
    /// How long it took, in milliseconds.
    pub(super) took_ms: u64,
}

impl Copy {
    /// Makes the copy. The source is only read.
    ///
    /// # Errors
    /// Those of connecting, of a scratch server and of the programs; `rehearsal-no-space` with both
    /// numbers; `rehearsal-dump-failed`, `rehearsal-restore-failed`.
    pub(super) fn make(wanted: &Wanted, runtime: &Runtime) -> Result<Self, Fault> {
        let started = Instant::now();
        let state = &wanted.state;
        let programs = Programs::new(wanted.config.postgres_bin.as_deref(), Some(state.root()));
        let mut copy = match &wanted.source {
            Source::Server { target, with_rows } => {
                of_server(wanted, runtime, &programs, target, *with_rows)?
            }
            Source::Dump { path } => of_dump(wanted, &programs, path)?,
        };
        wanted.cancel.check()?;
        copy.execute(START, CUT_OFF)?;
        copy.shape(wanted, runtime)?;
        for server in &copy.surroundings.foreign {
            copy.left_out.push(msg!("rehearsal.left.foreign", server = server));
        }
        // Plans as they are on the source; a restore brings no statistics along.
        copy.execute(START, "ANALYZE")?;
        let start = copy.admin(START)?;
        let there = runtime.block_on(async {
            let look = Look::open(&start, "runsheet/rehearsal", 1).await?;
            let print = look.fingerprint(&wanted.config.ledger_schema, false).await?;
            let sizes = sizes(look.first()).await?;
            look.close().await;
            Ok::<_, Fault>((print, sizes))
        })?;
        let (there, sizes) = there;
        copy.larger = larger(&copy.source_sizes, &sizes);
        if matches!(wanted.source, Source::Server { .. }) {
            // Servers of two majors describe the same object in other words.
            let same_major = copy.source_version / 10_000 == copy.server.version().0;
            let differ = objects(&copy.schema, &there).into_iter();
            let differ = differ.filter(|one| same_major || one.change != Change::Different);
            let named: Vec<String> =
                differ.map(|one| msg!("rehearsal.left.object", what = one.what)).collect();
            copy.left_out.extend(named);
        } else {
            copy.schema = there;
        }
        copy.took_ms = started.elapsed().as_millis() as u64;
        Ok(copy)
    }

    /// Masks, samples and generates, before anything is looked at.
    fn shape(&mut self, wanted: &Wanted, runtime: &Runtime) -> Result<(), Fault> {
        let rules = &wanted.environment.rehearsal_mask;
        let ledger = &wanted.config.ledger_schema;
        if wanted.generate {
            wanted.tell("copy", &msg!("rehearsal.generating"));
            for (table, why) in shaped::generate(runtime, &self.admin(START)?, ledger)? {
                self.left_out.push(msg!("rehearsal.left.unseeded", table = table, why = why));
            }
            self.left_out.push(msg!("rehearsal.left.generated", count = shaped::GENERATED));
        }
        if !rules.is_empty() {
            wanted.tell("copy", &msg!("rehearsal.masking", count = rules.len()));
            shaped::mask(&self.server, START, rules)?;
            let columns: Vec<&str> = rules.keys().map(String::as_str).collect();
            self.left_out.push(msg!("rehearsal.left.masked", columns = columns.join(", ")));
        }
        if let Some(percent) = wanted.sample {
            wanted.tell("copy", &msg!("rehearsal.sampling", percent = percent));
            shaped::sample(&self.server, START, percent, ledger)?;
            self.left_out.push(msg!("rehearsal.left.sampled", percent = percent));
        }
        if !rules.is_empty() || wanted.sample.is_some() {
            shaped::refresh(&self.server, START)?;
        }
        Ok(())
    }

    /// The database that is worked on, as it was at the start.
    ///
    /// # Errors
    /// `scratch-sql-failed`.
    pub(super) fn fresh(&self) -> Result<(), Fault> {
        self.alone()?;
        let name = quote_ident(&self.database);
        // FORCE is younger than the oldest server that we know; nobody else is here anyway.
        let force = if self.server.version().0 >= 13 { " WITH (FORCE)" } else { "" };
        self.execute(ADMIN, &format!("DROP DATABASE IF EXISTS {name}{force}"))?;
        let how = if self.server.version().0 >= 15 { " STRATEGY FILE_COPY" } else { "" };
        let start = quote_ident(START);
        self.execute(ADMIN, &format!("CREATE DATABASE {name} TEMPLATE {start}{how}"))?;
        for sql in self.surroundings.dress(&self.database) {
            self.execute(ADMIN, &sql)?;
        }
        Ok(())
    }

    /// Ends every session on the copy, ours too, and waits until they are gone.
    ///
    /// # Errors
    /// `scratch-sql-failed`.
    pub(super) fn alone(&self) -> Result<(), Fault> {
        let names = [START, &self.database].map(quote_literal).join(", ");
        let others = format!("FROM pg_stat_activity WHERE datname IN ({names})");
        self.execute(ADMIN, &format!("SELECT pg_terminate_backend(pid) {others}"))?;
        let wait = format!(
            "DO $$ BEGIN FOR i IN 1..500 LOOP PERFORM pg_stat_clear_snapshot(); \
             EXIT WHEN NOT EXISTS (SELECT {others}); PERFORM pg_sleep(0.01); END LOOP; END $$"
        );
        self.execute(ADMIN, &wait)
    }

    /// The copy as the playbook sees it: with the role that the run will have.
    ///
    /// # Errors
    /// Those of an address.
    pub(super) fn target(&self) -> Result<Target, Fault> {
        let mut target = self.admin(&self.database)?;
        target.user.clone_from(&self.user);
        target.options.clone_from(&self.pattern.options);
        target.search_path.clone_from(&self.pattern.search_path);
        Ok(target)
    }

    /// A database of the copy, as the superuser sees it.
    ///
    /// # Errors
    /// Those of an address.
    pub(super) fn admin(&self, database: &str) -> Result<Target, Fault> {
        Target::parse(&self.server.url(database), &|_| None)
    }

    /// The database as it was at the start, as the superuser sees it.
    ///
    /// # Errors
    /// Those of an address.
    pub(super) fn start(&self) -> Result<Target, Fault> {
        self.admin(START)
    }

    /// The address of the copy, for people and for children: with the role that the run has, and
    /// the settings of its sessions.
    pub fn url(&self) -> String {
        self.server.url_as(&self.database, &self.user, &self.pattern.startup_options())
    }

    /// A folder that is removed with the copy.
    pub(super) fn folder(&self) -> PathBuf {
        self.server.data_dir().with_file_name("work")
    }

    /// Major and minor version of the copy's server.
    pub(super) fn version(&self) -> (u32, u32) {
        self.server.version()
    }

    fn execute(&self, database: &str, sql: &str) -> Result<(), Fault> {
        self.server.execute(database, sql)
    }

    fn begin(
        wanted: &Wanted,
        programs: &Programs,
        major: u32,
        surroundings: Surroundings,
    ) -> Result<Self, Fault> {
        let folder = wanted.state.folder("scratch")?;
        let mut options = ScratchOptions::new(programs.clone(), folder, "rehearsal");
        options.major = Some(major);
        options.settings.clone_from(&surroundings.settings);
        let server = ScratchServer::start(&options)?;
        wanted.tell("server", &msg!("rehearsal.server", version = shown(server.version())));
        let work = server.data_dir().with_file_name("work");
        let state = StateDir::open(&work)?;
        let pattern = match &wanted.source {
            Source::Server { target, .. } => (**target).clone(),
            Source::Dump { .. } => Target::parse(&server.url(ADMIN), &|_| None)?,
        };
        let mut copy = Self {
            server,
            state,
            surroundings,
            plain_locale: false,
            database: pattern.database.clone(),
            user: pattern.user.clone(),
            pattern,
            left_out: Vec::new(),
            schema: Fingerprint::default(),
            source_version: major * 10_000,
            source_sizes: BTreeMap::new(),
            larger: Larger::new(),
            took_ms: 0,
        };
        let (there, _) = copy.server.version();
        if there != major {
            copy.left_out.push(msg!("rehearsal.left.version", source = major, copy = there));
        }
        Ok(copy)
    }

    /// Are there enough bytes where the copy lies?
    fn room(&self, needed: u64) -> Result<(), Fault> {
        let place = self.server.data_dir();
        enough(needed.saturating_add(SERVER_BYTES), free_bytes(&place)?, &place)
    }

    fn make_roles(&mut self) {
        let roles = std::mem::take(&mut self.surroundings.roles);
        for sql in &roles {
            if let Err(fault) = self.execute(ADMIN, sql) {
                let why = fault.detail.unwrap_or(fault.message);
                // The value of a setting may be a secret of the application's.
                let setting = sql.split_once(" TO ").filter(|_| sql.starts_with("ALTER"));
                let shown = setting.map_or(sql.as_str(), |(name, _)| name);
                self.left_out.push(format!("{shown}: {why}"));
            }
        }
    }

    fn make_start(&mut self) -> Result<(), Fault> {
        let own = self.surroundings.create(START, false);
        if let Err(fault) = self.execute(ADMIN, &own) {
            // The locale of the source is not on this machine.
            let why = fault.detail.unwrap_or(fault.message);
            self.left_out.push(msg!("rehearsal.left.locale", why = why));
            self.execute(ADMIN, &self.surroundings.create(START, true))?;
            self.plain_locale = true;
        }
        Ok(())
    }

    fn fill(
        &mut self,
        wanted: &Wanted,
        programs: &Programs,
        dump: &Path,
        directory: bool,
    ) -> Result<(), Fault> {
        let tmp = self.state.folder("tmp")?;
        let (major, minor) = self.server.version();
        let to = self.admin(START)?;
        let jobs = if directory { jobs() } else { 1 };
        let missing =
            restore(programs, &tmp, (&to, major * 10_000 + minor), (dump, jobs), &wanted.cancel)?;
        self.left_out.extend(missing);
        Ok(())
    }
}

fn enough(needed: u64, free: u64, place: &Path) -> Result<(), Fault> {
    if free >= needed {
        return Ok(());
    }
    let (needed, free) = (format_bytes(needed), format_bytes(free));
    Err(Fault::failed(
        "rehearsal-no-space",
        msg!("rehearsal.no-space", needed = needed, free = free),
    )
    .detail(place.display().to_string())
    .remedy(msg!("rehearsal.no-space.remedy")))
}

fn of_server(
    wanted: &Wanted,
    runtime: &Runtime,
    programs: &Programs,
    target: &Target,
    with_rows: bool,
) -> Result<Copy, Fault> {
    let ledger = &wanted.config.ledger_schema;
    // One snapshot for everything that is asked, and for the dump.
    let seen = runtime.block_on(async {
        let work = async {
            let look = Look::open(target, "runsheet/rehearsal", 1).await?;
            let surroundings = of_source(look.first()).await?;
            let schema = look.fingerprint(ledger, false).await?;
            let sizes = sizes(look.first()).await?;
            Ok::<_, Fault>((look, surroundings, schema, sizes))
        };
        tokio::select! {
            done = work => done,
            reason = wanted.cancel.cancelled() => Err(reason.fault()),
        }
    })?;
    let (look, surroundings, schema, sizes) = seen;
    let server = look.first().server_version();
    let size = surroundings.size;
    let libraries = surroundings.libraries.clone();
    let mut copy = Copy::begin(wanted, programs, server / 10_000, surroundings)?;
    copy.source_version = server;
    copy.schema = schema;
    copy.source_sizes = sizes;
    if copy.surroundings.plain_postgres && copy.user == "postgres" {
        copy.left_out.push(msg!("rehearsal.left.superuser"));
    }
    if !libraries.is_empty() {
        copy.left_out.push(msg!("rehearsal.left.libraries", libraries = libraries));
    }
    if with_rows {
        copy.room(size.saturating_mul(TIMES))?;
    } else if !wanted.generate {
        copy.left_out.push(msg!("rehearsal.left.rows"));
    }
    copy.make_roles();
    copy.make_start()?;
    let dump_folder = copy.folder().join("dump");
    let tmp = copy.state.folder("tmp")?;
    wanted.tell("copy", &msg!("rehearsal.dumping", size = format_bytes(size)));
    let mut alone = target.clone();
    let index = look.first().host_index();
    if target.hosts.len() > 1 {
        // Two hosts of one address may be two servers, and a snapshot is known to one only.
        let password = target.password_for(index);
        alone.hosts = vec![target.hosts[index].clone()];
        alone.addresses = vec![target.addresses.get(index).copied().flatten()];
        alone.password = password.or(alone.password);
    }
    let dump = Dump {
        source: &alone,
        server,
        direct: !look.first().behind_pooler(),
        snapshot: look.snapshot(),
        with_rows,
        ledger,
        jobs: jobs(),
    };
    dump.run(programs, &tmp, &dump_folder, &wanted.cancel)?;
    runtime.block_on(look.close());
    wanted.tell("copy", &msg!("rehearsal.restoring"));
    copy.fill(wanted, programs, &dump_folder, true)?;
    let _ = std::fs::remove_dir_all(&dump_folder);
    Ok(copy)
}

fn of_dump(wanted: &Wanted, programs: &Programs, path: &Path) -> Result<Copy, Fault> {
    let contents = Contents::read(programs, path, &wanted.cancel)?;
    let surroundings = Surroundings { roles: contents.roles, ..Surroundings::default() };
    let mut copy = Copy::begin(wanted, programs, contents.major, surroundings)?;
    copy.database = contents.database;
    copy.room(bytes_of(path).saturating_mul(TIMES_OF_DUMP))?;
    copy.left_out.push(msg!("rehearsal.left.of-dump"));
    copy.make_roles();
    copy.make_start()?;
    wanted.tell("copy", &msg!("rehearsal.restoring"));
    copy.fill(wanted, programs, path, path.is_dir())?;
    Ok(copy)
}

fn bytes_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0, |meta| meta.len());
    };
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

/// As many at a time as the machine has processors, and no more than the source is asked for.
fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(4))
}

/// "15.18".
pub(super) fn shown(version: (u32, u32)) -> String {
    format!("{}.{}", version.0, version.1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn too_little_room_is_told_with_both_numbers() {
        crate::message::set_language(crate::message::Language::English);
        let fault = enough(3 << 30, 2 << 30, Path::new("/small")).unwrap_err();
        assert_eq!(fault.code, "rehearsal-no-space");
        assert!(fault.message.contains("3.0 GiB") && fault.message.contains("2.0 GiB"), "{fault}");
        assert!(fault.remedy.unwrap().contains("schema-only"));
        assert!(enough(3 << 30, 3 << 30, Path::new("/just")).is_ok());
    }
}
