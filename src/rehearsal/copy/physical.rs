//! A physical copy: the files of a scratch server's whole cluster, by `pg_basebackup`, where that
//! leads to the same copy as dump and restore. The demo, a kept rehearsal and tests are such servers;
//! nobody else's is taken, because what else lies in a cluster is not known there.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::runtime::Runtime;

use super::Copy;
use super::made::enough;
use crate::model::{Fault, format_bytes, quote_ident, quote_literal};
use crate::msg;
use crate::postgres::programs::Programs;
use crate::postgres::scratch::is_scratch;
use crate::postgres::{Access, HostSpec, Look, Session, Target};
use crate::rehearsal::night::Wanted;
use crate::rehearsal::roles::Surroundings;
use crate::system::free_bytes;

/// Below this size a dump is as fast.
const WORTH: u64 = 32 << 20;
/// What a cluster has beside its databases, and may have beside the one that is wanted.
const BESIDE: u64 = 64 << 20;

/// What has to be known of a server before its files are copied.
#[derive(Deserialize)]
struct Cluster {
    /// None where the role may not see it.
    data: Option<PathBuf>,
    may: bool,
    wal_level: String,
    senders: u32,
    recovering: bool,
    first_role: String,
    tablespaces: u32,
    subscriptions: u32,
    prepared: u32,
    unlogged: u32,
    /// Bytes of all databases; None where one of them may not be looked at.
    bytes: Option<u64>,
    /// The databases that are neither the wanted one nor every server's.
    others: Vec<String>,
}

/// Asked by whoever rehearses: a question that this role may not ask gives NULL.
const QUESTION: &str = "SELECT json_build_object( \
    'data', (SELECT setting FROM pg_settings WHERE name = 'data_directory'), \
    'may', (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = session_user), \
    'wal_level', current_setting('wal_level'), \
    'senders', current_setting('max_wal_senders')::int, \
    'recovering', pg_is_in_recovery(), \
    'first_role', (SELECT rolname FROM pg_roles WHERE oid = 10), \
    'tablespaces', (SELECT count(*) FROM pg_tablespace \
        WHERE spcname NOT IN ('pg_default', 'pg_global')), \
    'subscriptions', (SELECT count(subname) FROM pg_subscription), \
    'prepared', (SELECT count(*) FROM pg_prepared_xacts), \
    'unlogged', (SELECT count(*) FROM pg_class WHERE relpersistence = 'u'), \
    'bytes', (SELECT CASE WHEN bool_and(has_database_privilege(oid, 'CONNECT')) THEN \
        sum(CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) END) END \
        FROM pg_database)::bigint, \
    'others', (SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database \
        WHERE datname NOT IN ('template0', 'template1', 'postgres', current_database())))";

/// A cluster whose files can be copied.
pub(super) struct Original {
    bytes: u64,
    others: Vec<String>,
}

/// Can the source's files be copied? Says why not where somebody may want to change that.
///
/// # Errors
/// The server's.
pub(super) async fn original(
    session: &Session,
    wanted: &Wanted,
    surroundings: &Surroundings,
) -> Result<Option<Original>, Fault> {
    let target = session.target();
    let HostSpec::Unix(sockets) = &target.hosts[session.host_index()].0 else { return Ok(None) };
    // Masked values would stay in files that nobody reads any more, and a sample is less than all.
    let shaped = wanted.sample.is_some() || !wanted.environment.rehearsal_mask.is_empty();
    let small = surroundings.size < WORTH;
    if wanted.on.is_some() || shaped || small || session.behind_pooler() {
        return Ok(None);
    }
    let found = session.query(QUESTION, &[]).await?.first().cloned().unwrap_or_default();
    let Ok(cluster) = serde_json::from_value::<Cluster>(found) else { return Ok(None) };
    if !cluster.data.as_deref().is_some_and(|data| is_scratch(data, sockets)) {
        return Ok(None);
    }
    let obstacle = cluster.obstacle(surroundings.size, &target.database);
    if let Some(why) = obstacle {
        wanted.tell("copy", &msg!("rehearsal.no-physical", why = why));
        return Ok(None);
    }
    Ok(Some(Original { bytes: cluster.bytes.unwrap_or(0), others: cluster.others }))
}

impl Cluster {
    /// Why its files cannot be copied, or would be another copy than a dump's.
    fn obstacle(&self, size: u64, database: &str) -> Option<String> {
        let large = self.bytes.is_none_or(|bytes| bytes > size + size / 2 + BESIDE);
        if !self.may {
            Some(msg!("rehearsal.physical.role"))
        } else if self.wal_level == "minimal" || self.senders < 2 || self.recovering {
            Some(msg!("rehearsal.physical.wal"))
        } else if self.unlogged > 0 {
            Some(msg!("rehearsal.physical.unlogged"))
        } else if self.subscriptions + self.prepared + self.tablespaces > 0 {
            Some(msg!("rehearsal.physical.more"))
        } else if large {
            Some(msg!("rehearsal.physical.large"))
        } else if self.first_role != "postgres" || database.starts_with("template") {
            Some(msg!("rehearsal.physical.names"))
        } else {
            None
        }
    }
}

impl Copy {
    /// The start, made of the files of the source's cluster; None where that does not succeed, which
    /// is said: then it is dumped.
    ///
    /// # Errors
    /// Ctrl-C.
    pub(super) fn of_files(
        wanted: &Wanted,
        runtime: &Runtime,
        programs: &Programs,
        look: Look,
        (original, surroundings): (&Original, &Surroundings),
    ) -> Result<Option<Self>, Fault> {
        let (source, server) = (look.first().target().clone(), look.first().server_version());
        runtime.block_on(look.close());
        match Self::from_files(wanted, programs, (&source, server), original, surroundings) {
            Ok(copy) => Ok(Some(copy)),
            Err(fault) => {
                wanted.cancel.check()?;
                let why = fault.detail.unwrap_or(fault.message);
                wanted.tell("copy", &msg!("rehearsal.no-physical", why = why));
                Ok(None)
            }
        }
    }

    fn from_files(
        wanted: &Wanted,
        programs: &Programs,
        (source, server): (&Target, u32),
        original: &Original,
        surroundings: &Surroundings,
    ) -> Result<Self, Fault> {
        let major = server / 10_000;
        // Files are read by their own major version only; a newer pg_basebackup knows older servers.
        if programs.find_beside("initdb", &["postgres"], Some(major))?.version.0 != major {
            let text = msg!("system.program-missing-version", name = "postgres", major = major);
            return Err(Fault::failed("program-not-found", text));
        }
        let program = programs.find("pg_basebackup", Some(major))?;
        let place = wanted.state.folder("scratch")?;
        enough(original.bytes.saturating_add(surroundings.size), free_bytes(&place)?, &place)?;
        let tmp = wanted.state.folder("tmp")?;
        let mut fill = |data: &Path| {
            let size = format_bytes(original.bytes);
            wanted.tell("copy", &msg!("rehearsal.physical", size = size));
            let access = Access::new(&tmp, source, server, false, "runsheet/rehearsal")?;
            let args = [
                "--no-password".to_string(),
                format!("--pgdata={}", data.display()),
                "--checkpoint=fast".into(),
                "--wal-method=stream".into(),
                "--no-sync".into(),
                "--no-manifest".into(),
            ];
            let output = access.command(&program, &args).run(&wanted.cancel)?;
            match output.succeeded() {
                true => Ok(()),
                false => Err(Fault::failed("rehearsal-dump-failed", msg!("rehearsal.dump-failed"))
                    .detail(output.last_lines(3))),
            }
        };
        let mut copy = Self::begin(wanted, programs, major, surroundings.clone(), Some(&mut fill))?;
        copy.surroundings.roles.clear();
        copy.undress(wanted, &source.database, &original.others)?;
        Ok(copy)
    }

    /// Takes away what a dump would not have brought: other databases, passwords, the settings and
    /// the name of the database, the lease.
    fn undress(&self, wanted: &Wanted, source: &str, others: &[String]) -> Result<(), Fault> {
        let admin = self.home.admin_name();
        let mut dropped = Vec::new();
        for name in others {
            let ident = quote_ident(name);
            self.execute(admin, &format!("ALTER DATABASE {ident} IS_TEMPLATE false"))?;
            self.home.remove(name)?;
            dropped.push(name.as_str());
        }
        if source != self.start {
            let (from, to) = (quote_ident(source), quote_ident(&self.start));
            self.execute(admin, &format!("ALTER DATABASE {from} RENAME TO {to}"))?;
        }
        let start = quote_literal(&self.start);
        self.execute(
            admin,
            &format!(
                "DO $$ DECLARE r record; BEGIN \
                 FOR r IN SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL LOOP \
                    EXECUTE format('ALTER ROLE %I PASSWORD NULL', r.rolname); END LOOP; \
                 FOR r IN SELECT s.setrole FROM pg_db_role_setting s \
                    JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = {start} LOOP \
                    EXECUTE format(CASE r.setrole WHEN 0 THEN 'ALTER DATABASE %2$I RESET ALL' \
                        ELSE 'ALTER ROLE %1$I IN DATABASE %2$I RESET ALL' END, \
                        pg_get_userbyid(r.setrole), {start}); END LOOP; \
                 EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT -1 IS_TEMPLATE false', {start}); \
                 END $$"
            ),
        )?;
        self.drop_lease(wanted)?;
        if !dropped.is_empty() {
            wanted.tell("copy", &msg!("rehearsal.physical.dropped", names = dropped.join(", ")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        Cluster {
            data: None,
            may: true,
            wal_level: "replica".into(),
            senders: 10,
            recovering: false,
            first_role: "postgres".into(),
            tablespaces: 0,
            subscriptions: 0,
            prepared: 0,
            unlogged: 0,
            bytes: Some(130 << 20),
            others: Vec::new(),
        }
    }

    #[test]
    fn a_cluster_is_copied_whole_only_where_a_dump_would_bring_the_same() {
        let size = 100 << 20;
        let why = |change: fn(&mut Cluster)| {
            let mut one = cluster();
            change(&mut one);
            one.obstacle(size, "shop")
        };
        assert_eq!(why(|_| ()), None);
        let spoilt: [fn(&mut Cluster); 9] = [
            |one| one.may = false,
            |one| one.wal_level = "minimal".into(),
            |one| one.senders = 1,
            |one| one.recovering = true,
            |one| one.unlogged = 1,
            |one| one.prepared = 1,
            |one| one.tablespaces = 1,
            |one| one.bytes = Some(300 << 20),
            |one| one.bytes = None,
        ];
        for (at, change) in spoilt.into_iter().enumerate() {
            assert!(why(change).is_some(), "{at}");
        }
        assert!(cluster().obstacle(size, "template1").is_some());
        assert!(why(|one| one.first_role = "admin".into()).is_some());
    }
}
