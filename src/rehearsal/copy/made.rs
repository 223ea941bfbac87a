//! From the source to the database that is only read: dumped and restored, or its files copied.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::runtime::Runtime;

use super::physical::original;
use super::{Copy, Source, shown};
use crate::journal::Origin;
use crate::model::{Fault, format_bytes, quote_ident, quote_literal};
use crate::msg;
use crate::postgres::catalog::identity;
use crate::postgres::programs::Programs;
use crate::postgres::scratch::{Fill, ScratchOptions, ScratchServer};
use crate::postgres::{Fingerprint, Look, Target};
use crate::rehearsal::copied::{Contents, Dump, restore};
use crate::rehearsal::downtime::{Larger, sizes};
use crate::rehearsal::home::{Given, Home};
use crate::rehearsal::night::Wanted;
use crate::rehearsal::roles::{Surroundings, of_source};
use crate::system::{StateDir, free_bytes};
use crate::verbs::{server_of_dump, sound_dump};

/// Copy, start and dump: so many times the size of the source.
const TIMES: u64 = 3;
/// A dump is packed: so many times its size may be needed.
const TIMES_OF_DUMP: u64 = 12;
/// From this size on, in bytes, a server is worth starting twice.
const LARGE: u64 = 256 << 20;
/// While it is filled nothing has to be written twice, and nobody else looks after its tables.
const FILLED_FAST: [(&str, &str); 3] =
    [("wal_level", "minimal"), ("max_wal_senders", "0"), ("autovacuum", "off")];
/// The server itself.
const SERVER_BYTES: u64 = 128 << 20;

impl Copy {
    pub(super) fn begin(
        wanted: &Wanted,
        programs: &Programs,
        major: u32,
        surroundings: Surroundings,
        fill: Option<Fill<'_>>,
    ) -> Result<Self, Fault> {
        let home = match &wanted.on {
            Some(target) => Home::Given(Box::new(Given::open(target, &wanted.state)?)),
            None => Home::Private(private(wanted, programs, major, &surroundings, fill)?),
        };
        let told = match &wanted.on {
            Some(_) => msg!("rehearsal.given-server", version = shown(home.version())),
            None => msg!("rehearsal.server", version = shown(home.version())),
        };
        wanted.tell("server", &told);
        let state = StateDir::open(&home.work_folder())?;
        let start = home.start_name();
        let pattern = match &wanted.source {
            Source::Server { target, .. } => (**target).clone(),
            Source::Dump { .. } => home.target(home.admin_name())?,
        };
        let mut copy = Self {
            state,
            start,
            surroundings,
            plain_locale: false,
            database: home.work_name(&pattern.database),
            user: home.role().unwrap_or(&pattern.user).to_string(),
            home,
            pattern,
            left_out: Vec::new(),
            schema: Fingerprint::default(),
            origin: None,
            source_version: major * 10_000,
            source_sizes: BTreeMap::new(),
            larger: Larger::new(),
            whole: 1.0,
            took_ms: 0,
        };
        if let Some(role) = copy.home.role() {
            copy.left_out.push(msg!("rehearsal.left.given", role = role));
        }
        let (there, _) = copy.home.version();
        if there != major {
            copy.left_out.push(msg!("rehearsal.left.version", source = major, copy = there));
        }
        Ok(copy)
    }

    /// Are there enough bytes where the copy lies? Of a given server's disk nobody knows.
    fn room(&self, needed: u64) -> Result<(), Fault> {
        let place = self.home.work_folder();
        enough(needed.saturating_add(SERVER_BYTES), free_bytes(&place)?, &place)
    }

    /// A given server keeps its own roles.
    fn make_roles(&mut self) {
        let roles = std::mem::take(&mut self.surroundings.roles);
        let roles = if self.home.role().is_some() { Vec::new() } else { roles };
        for sql in &roles {
            if let Err(fault) = self.execute(self.home.admin_name(), sql) {
                let why = fault.detail.unwrap_or(fault.message);
                self.left_out.push(format!("{}: {why}", harmless_part(sql)));
            }
        }
    }

    /// Owner, rights and settings that a given server does not take are left out of every round.
    fn try_dress(&mut self) {
        if self.home.role().is_none() {
            return;
        }
        let name = quote_ident(&self.start);
        for sql in std::mem::take(&mut self.surroundings.dress) {
            let here = sql.replace("{database}", &name);
            match self.execute(self.home.admin_name(), &here) {
                Ok(()) => self.surroundings.dress.push(sql),
                Err(fault) => {
                    let why = fault.detail.unwrap_or(fault.message);
                    self.left_out.push(format!("{}: {why}", harmless_part(&here)));
                }
            }
        }
    }

    /// Does the copy lie on the very server that it is made of?
    ///
    /// # Errors
    /// `rehearsal-on-protected` where it does, and the source is protected.
    fn beside_its_source(&self, wanted: &Wanted) -> Result<bool, Fault> {
        let of = self.origin.as_ref().and_then(|origin| origin.system_identifier.as_deref());
        let beside = of.is_some() && of == self.home.system();
        match &wanted.on {
            Some(on) if beside && wanted.environment.protected => Err(on_protected(&on.display())),
            _ => Ok(beside),
        }
    }

    /// The files of the source, copied by its own server; false where somebody is connected to it,
    /// or the role may not.
    fn of_template(&mut self, wanted: &Wanted, source: &Target) -> Result<bool, Fault> {
        if let Err(fault) = self.home.create_of(&self.start, &source.database) {
            let why = fault.detail.unwrap_or(fault.message);
            wanted.tell("copy", &msg!("rehearsal.no-template", why = why));
            return Ok(false);
        }
        self.drop_lease(wanted)?;
        self.try_dress();
        wanted.tell("copy", &msg!("rehearsal.of-template"));
        Ok(true)
    }

    /// A lease that came with a copy is nobody's.
    pub(super) fn drop_lease(&self, wanted: &Wanted) -> Result<(), Fault> {
        let lease = format!("{}.lease", quote_ident(&wanted.config.ledger_schema));
        let nobody = format!(
            "DO $$ BEGIN IF to_regclass({name}) IS NOT NULL THEN DELETE FROM {lease}; END IF; END $$",
            name = quote_literal(&lease)
        );
        self.execute(&self.start, &nobody)
    }

    fn make_start(&mut self) -> Result<(), Fault> {
        let own = self.surroundings.create(&self.start, false);
        if let Err(fault) = self.home.create(&self.start, &own) {
            // The locale of the source is not on this machine.
            let why = fault.detail.unwrap_or(fault.message);
            self.left_out.push(msg!("rehearsal.left.locale", why = why));
            self.home.create(&self.start, &self.surroundings.create(&self.start, true))?;
            self.plain_locale = true;
        }
        self.try_dress();
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
        let (major, minor) = self.home.version();
        let to = self.start()?;
        let jobs = if directory { jobs() } else { 1 };
        let to = (&to, major * 10_000 + minor);
        let identity = wanted.config.backup.identity_file.as_deref();
        let missing = restore(programs, &tmp, to, (dump, jobs), identity, &wanted.cancel)?;
        self.left_out.extend(missing);
        Ok(())
    }
}

/// The value of a setting may be a secret of the application's.
fn harmless_part(sql: &str) -> &str {
    let setting = sql.split_once(" TO ").filter(|_| sql.starts_with("ALTER"));
    setting.map_or(sql, |(name, _)| name)
}

/// The fault of a server on which no rehearsal may make a database.
pub fn on_protected(server: &str) -> Fault {
    let text = msg!("rehearsal.on-protected", server = server);
    Fault::usage("rehearsal-on-protected", text).remedy(msg!("rehearsal.on-protected.remedy"))
}

fn private(
    wanted: &Wanted,
    programs: &Programs,
    major: u32,
    surroundings: &Surroundings,
    fill: Option<Fill<'_>>,
) -> Result<ScratchServer, Fault> {
    let folder = wanted.state.folder("scratch")?;
    let mut options = ScratchOptions::new(programs.clone(), folder, "rehearsal");
    options.major = Some(major);
    options.settings.clone_from(&surroundings.settings);
    if surroundings.size > LARGE && fill.is_none() {
        options.at_first = FILLED_FAST.map(|(name, value)| (name.into(), value.into())).into();
    }
    ScratchServer::start_with(&options, fill)
}

pub(super) fn enough(needed: u64, free: u64, place: &Path) -> Result<(), Fault> {
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

pub(super) fn of_server(
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
            let identity = identity(look.first()).await?;
            let surroundings = of_source(look.first()).await?;
            let schema = look.fingerprint(ledger, false).await?;
            let sizes = sizes(look.first()).await?;
            let files = match with_rows {
                true => original(look.first(), wanted, &surroundings).await?,
                false => None,
            };
            Ok::<_, Fault>((look, identity, surroundings, schema, sizes, files))
        };
        tokio::select! {
            done = work => done,
            reason = wanted.cancel.cancelled() => Err(reason.fault()),
        }
    })?;
    let (mut look, identity, surroundings, schema, sizes, files) = seen;
    let server = look.first().server_version();
    let size = surroundings.size;
    let libraries = surroundings.libraries.clone();
    let told = |mut copy: Copy| {
        copy.source_version = server;
        let system_identifier = identity.system_identifier;
        copy.origin = Some(Origin { database: identity.database, system_identifier });
        (copy.schema, copy.source_sizes) = (schema, sizes);
        if copy.surroundings.plain_postgres && copy.user == "postgres" {
            copy.left_out.push(msg!("rehearsal.left.superuser"));
        }
        if !libraries.is_empty() {
            copy.left_out.push(msg!("rehearsal.left.libraries", libraries = libraries));
        }
        copy
    };
    if let Some(files) = files {
        let made = Copy::of_files(wanted, runtime, programs, look, (&files, &surroundings))?;
        if let Some(copy) = made {
            return Ok(told(copy));
        }
        look = runtime.block_on(Look::open(target, "runsheet/rehearsal", 1))?;
    }
    let mut copy = told(Copy::begin(wanted, programs, server / 10_000, surroundings, None)?);
    let beside = copy.beside_its_source(wanted)?;
    if with_rows {
        // On a given server only the dump lies here.
        let times = if copy.home.role().is_some() { 1 } else { TIMES };
        copy.room(size.saturating_mul(times))?;
    } else if !wanted.generate {
        copy.left_out.push(msg!("rehearsal.left.rows"));
    }
    if beside && with_rows {
        // A template may have no session, ours neither.
        runtime.block_on(look.close());
        if copy.of_template(wanted, target)? {
            return Ok(copy);
        }
        look = runtime.block_on(Look::open(target, "runsheet/rehearsal", 1))?;
    }
    copy.make_roles();
    copy.make_start()?;
    let dump_folder = copy.folder().join("dump");
    let tmp = copy.state.folder("tmp")?;
    wanted.tell("copy", &msg!("rehearsal.dumping", size = format_bytes(size)));
    let dump = Dump {
        source: &one_host(target, look.first().host_index()),
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

pub(super) fn of_dump(wanted: &Wanted, programs: &Programs, path: &Path) -> Result<Copy, Fault> {
    let identity = wanted.config.backup.identity_file.as_deref();
    let contents = Contents::read(programs, path, identity, &wanted.cancel)?;
    // What is damaged must not become a copy without some of its rows.
    sound_dump(programs, path, identity, &wanted.cancel)?;
    let size = bytes_of(path);
    let surroundings = Surroundings { roles: contents.roles, size, ..Surroundings::default() };
    let mut copy = Copy::begin(wanted, programs, contents.major, surroundings, None)?;
    copy.origin = Some(Origin {
        system_identifier: server_of_dump(path, &contents.database),
        database: contents.database.clone(),
    });
    copy.beside_its_source(wanted)?;
    copy.database = copy.home.work_name(&contents.database);
    copy.room(size.saturating_mul(TIMES_OF_DUMP))?;
    copy.left_out.push(msg!("rehearsal.left.of-dump"));
    copy.make_roles();
    copy.make_start()?;
    wanted.tell("copy", &msg!("rehearsal.restoring"));
    copy.fill(wanted, programs, path, path.is_dir())?;
    Ok(copy)
}

/// Two hosts of one address may be two servers, and a snapshot is known to one only.
fn one_host(target: &Target, index: usize) -> Target {
    let mut alone = target.clone();
    if target.hosts.len() > 1 {
        alone.hosts = vec![target.hosts[index].clone()];
        alone.addresses = vec![target.addresses.get(index).copied().flatten()];
        alone.password = target.password_for(index).or(alone.password);
    }
    alone
}

fn bytes_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0, |meta| meta.len());
    };
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

/// As many at a time as the machine has processors, and no more than the source is asked for.
pub(super) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(4))
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
