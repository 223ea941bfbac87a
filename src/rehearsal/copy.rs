//! The copy: two databases, the start and the one that is worked on, on a private server or one that
//! is given. The start is only read, and made the template of the other as often as it is needed.

mod analyze;
mod made;
mod physical;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use tokio::runtime::Runtime;

use self::analyze::analyze;
pub use self::made::on_protected;
use self::made::{of_dump, of_server};
use super::downtime::{Larger, larger, sizes, whole};
use super::home::Home;
use super::night::Wanted;
use super::roles::{CUT_OFF, Surroundings};
use super::shaped;
use crate::journal::Origin;
use crate::model::{Fault, quote_literal};
use crate::msg;
use crate::postgres::programs::Programs;
use crate::postgres::{Change, Fingerprint, Look, Target, objects};
use crate::system::StateDir;

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

/// The copy, wherever it lies. Removed when dropped.
pub struct Copy {
    home: Home,
    state: StateDir,
    /// The database that is only read.
    start: String,
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
    /// The database behind the copy.
    pub(super) origin: Option<Origin>,
    /// 150018.
    pub(super) source_version: u32,
    source_sizes: BTreeMap<String, u64>,
    /// Tables that are larger on the source.
    pub(super) larger: Larger,
    /// How many times larger a dump of the source is: 1 where all rows are here.
    pub(super) whole: f64,
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
        copy.execute(&copy.start, CUT_OFF)?;
        copy.shape(wanted, runtime)?;
        for server in &copy.surroundings.foreign {
            copy.left_out.push(msg!("rehearsal.left.foreign", server = server));
        }
        let start = copy.start()?;
        // Plans as they are on the source; a restore brings no statistics along.
        runtime.block_on(analyze(&start, &wanted.cancel))?;
        copy.home.settle()?;
        let there = runtime.block_on(async {
            let look = Look::open(&start, "runsheet/rehearsal", 1).await?;
            let print = look.fingerprint(&wanted.config.ledger_schema, false).await?;
            let sizes = sizes(look.first()).await?;
            look.close().await;
            Ok::<_, Fault>((print, sizes))
        })?;
        let (there, sizes) = there;
        copy.larger = larger(&copy.source_sizes, &sizes);
        if wanted.sample.is_some() {
            copy.whole = whole(&copy.source_sizes, &sizes);
        }
        if matches!(wanted.source, Source::Server { .. }) {
            // Servers of two majors describe the same object in other words.
            let same_major = copy.source_version / 10_000 == copy.home.version().0;
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
            for (table, why) in shaped::generate(runtime, &self.start()?, ledger)? {
                self.left_out.push(msg!("rehearsal.left.unseeded", table = table, why = why));
            }
            self.left_out.push(msg!("rehearsal.left.generated", count = shaped::GENERATED));
        }
        if !rules.is_empty() {
            wanted.tell("copy", &msg!("rehearsal.masking", count = rules.len()));
            shaped::mask(&self.home, &self.start, rules)?;
            let columns: Vec<&str> = rules.keys().map(String::as_str).collect();
            self.left_out.push(msg!("rehearsal.left.masked", columns = columns.join(", ")));
        }
        if let Some(percent) = wanted.sample {
            wanted.tell("copy", &msg!("rehearsal.sampling", percent = percent));
            shaped::sample(&self.home, &self.start, percent, ledger)?;
            self.left_out.push(msg!("rehearsal.left.sampled", percent = percent));
        }
        if !rules.is_empty() || wanted.sample.is_some() {
            shaped::refresh(&self.home, &self.start)?;
        }
        Ok(())
    }

    /// The database that is worked on, as it was at the start.
    ///
    /// # Errors
    /// `scratch-sql-failed`.
    pub(super) fn fresh(&self) -> Result<(), Fault> {
        self.alone()?;
        self.home.remove(&self.database)?;
        self.home.create_of(&self.database, &self.start)?;
        for sql in self.surroundings.dress(&self.database) {
            self.execute(self.home.admin_name(), &sql)?;
        }
        Ok(())
    }

    /// Ends every session on the copy, ours too, and waits until they are gone.
    ///
    /// # Errors
    /// `scratch-sql-failed`.
    pub(super) fn alone(&self) -> Result<(), Fault> {
        let names = [&self.start, &self.database].map(|name| quote_literal(name)).join(", ");
        let others = format!("FROM pg_stat_activity WHERE datname IN ({names})");
        let admin = self.home.admin_name();
        self.execute(admin, &format!("SELECT pg_terminate_backend(pid) {others}"))?;
        let wait = format!(
            "DO $$ BEGIN FOR i IN 1..500 LOOP PERFORM pg_stat_clear_snapshot(); \
             EXIT WHEN NOT EXISTS (SELECT {others}); PERFORM pg_sleep(0.01); END LOOP; END $$"
        );
        self.execute(admin, &wait)
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
        self.home.target(database)
    }

    /// The database as it was at the start, as the superuser sees it.
    ///
    /// # Errors
    /// Those of an address.
    pub(super) fn start(&self) -> Result<Target, Fault> {
        self.admin(&self.start)
    }

    /// The address of the copy, for people, and on a private server for children, too: with the role
    /// that the run has, and the settings of its sessions.
    pub fn url(&self) -> String {
        self.home.url(&self.database, &self.user, &self.pattern.startup_options())
    }

    /// A folder that is removed with the copy.
    pub(super) fn folder(&self) -> PathBuf {
        self.home.work_folder()
    }

    /// Major and minor version of the copy's server.
    pub(super) fn version(&self) -> (u32, u32) {
        self.home.version()
    }

    fn execute(&self, database: &str, sql: &str) -> Result<(), Fault> {
        self.home.execute(database, sql)
    }
}

/// "15.18".
pub(super) fn shown(version: (u32, u32)) -> String {
    format!("{}.{}", version.0, version.1)
}
