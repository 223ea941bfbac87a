//! Where the copy lies: a private server, or two new databases of a server that is given
//! (`--on`). Both are removed with it, those of a killed rehearsal by the next one.

use std::path::PathBuf;

use tokio::runtime::Runtime;

use crate::model::{Fault, quote_ident, quote_literal};
use crate::msg;
use crate::postgres::scratch::ScratchServer;
use crate::postgres::{ConnectOptions, DbError, Session, Target, connect};
use crate::system::{StateDir, apart, runtime};

/// Commands of a private server itself are given here.
const ADMIN: &str = "template1";
/// Stands in front of the token in the comment on a database, and in the name of the session that
/// says that its rehearsal is alive.
const MARK: &str = "runsheet/rehearsal/";
/// So many bytes of the source's name stay in that of the copy; the server allows 63 in all.
const NAME: usize = 40;

/// Dropped, it is gone.
pub(super) enum Home {
    /// Ours alone.
    Private(ScratchServer),
    /// Somebody's server, on which the role of the address may make databases.
    Given(Box<Given>),
}

/// A server that is given.
pub(super) struct Given {
    target: Target,
    token: String,
    folder: PathBuf,
    version: (u32, u32),
    system: Option<String>,
    /// Says by its name that this rehearsal is alive; the server tells everybody.
    alive: Session,
    runtime: Runtime,
    /// Databases that were made.
    made: std::cell::RefCell<Vec<String>>,
}

impl Given {
    /// Connects, and removes what killed rehearsals have left.
    ///
    /// # Errors
    /// Those of connecting; `rehearsal-on-refused` behind a pooler, on a standby, or where the role
    /// may make no databases.
    pub(super) fn open(target: &Target, state: &StateDir) -> Result<Self, Fault> {
        let runtime = runtime()?;
        let token = crate::system::new_run_id().0;
        let mut target = target.clone();
        target.search_path = None;
        let options = ConnectOptions {
            application_name: format!("{MARK}{token}"),
            ..ConnectOptions::default()
        };
        let (session, identity, may) = runtime.block_on(async {
            let session = connect(&target, &options).await?;
            let identity = crate::postgres::catalog::identity(&session).await?;
            let may = "SELECT (rolcreatedb OR rolsuper) AND NOT pg_is_in_recovery() FROM pg_roles \
                WHERE rolname = current_user";
            let may = session.query(may, &[]).await?;
            Ok::<_, Fault>((session, identity, may.first().and_then(|may| may.as_bool())))
        })?;
        if may != Some(true) || session.behind_pooler() {
            let text = msg!("rehearsal.on-refused", server = target.display());
            return Err(Fault::usage("rehearsal-on-refused", text)
                .remedy(msg!("rehearsal.on-refused.remedy", role = target.user)));
        }
        let number = session.server_version();
        let folder = state.folder("scratch")?.join(format!("on-{token}"));
        let given = Self {
            target,
            token,
            folder,
            version: (number / 10_000, number % 10_000),
            system: identity.system_identifier,
            alive: session,
            runtime,
            made: Vec::new().into(),
        };
        given.sweep()?;
        Ok(given)
    }

    /// Databases of rehearsals that are not alive any more.
    fn sweep(&self) -> Result<(), Fault> {
        let left = format!(
            "SELECT coalesce(json_agg(d.datname), '[]') FROM pg_database d \
             JOIN pg_shdescription c ON c.objoid = d.oid AND c.classoid = 'pg_database'::regclass \
             WHERE starts_with(c.description, {mark}) AND pg_has_role(d.datdba, 'USAGE') \
             AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.application_name = c.description)",
            mark = quote_literal(MARK)
        );
        let left = self.runtime.block_on(self.alive.query(&left, &[]))?;
        let left = left.first().cloned().unwrap_or_default();
        for name in serde_json::from_value::<Vec<String>>(left).unwrap_or_default() {
            self.remove(&name)?;
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), Fault> {
        self.on(&self.target, &removing(name, self.version.0))
    }

    fn database(&self, name: &str) -> Target {
        let mut target = self.target.clone();
        target.database = name.into();
        target
    }

    fn on(&self, target: &Target, sql: &str) -> Result<(), Fault> {
        let options =
            ConnectOptions { application_name: "runsheet/rehearsal".into(), ..Default::default() };
        apart(|| async {
            let session = connect(target, &options).await?;
            let quiet = "SET statement_timeout = 0; SET lock_timeout = '30s'";
            session.batch(quiet).await?;
            session.batch(sql).await.map_err(DbError::into_fault)
        })
        .map_err(|fault| {
            Fault::failed("rehearsal-on-failed", msg!("rehearsal.on-failed", role = target.user))
                .detail(match fault.detail {
                    Some(detail) => format!("{}\n{detail}", fault.message),
                    None => fault.message,
                })
        })
    }
}

/// FORCE is younger than the oldest server that we know; nobody else is there anyway.
fn removing(name: &str, major: u32) -> String {
    let force = if major >= 13 { " WITH (FORCE)" } else { "" };
    format!("DROP DATABASE IF EXISTS {}{force}", quote_ident(name))
}

impl Home {
    /// Everything is in it: from now on it runs as the source does.
    ///
    /// # Errors
    /// `scratch-start-failed`.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        match self {
            Self::Private(server) if server.is_at_first() => server.restart(),
            _ => Ok(()),
        }
    }

    /// The name for the database that is only read.
    pub(super) fn start_name(&self) -> String {
        match self {
            Self::Private(_) => "runsheet_start".into(),
            Self::Given(given) => format!("runsheet_start_{}", given.token.replace('-', "_")),
        }
    }

    /// The name for the database that is worked on: the source's where that can be.
    pub(super) fn work_name(&self, source: &str) -> String {
        let Self::Given(given) = self else { return source.into() };
        let end = source.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = end.take_while(|end| *end <= NAME).last().unwrap_or(0);
        format!("{}_{}", &source[..end], given.token.replace('-', "_"))
    }

    /// The database that commands of the server itself are given in.
    pub(super) fn admin_name(&self) -> &str {
        match self {
            Self::Private(_) => ADMIN,
            Self::Given(given) => &given.target.database,
        }
    }

    /// Runs SQL on a database.
    ///
    /// # Errors
    /// `scratch-sql-failed`, `rehearsal-on-failed` with what the server said.
    pub(super) fn execute(&self, database: &str, sql: &str) -> Result<(), Fault> {
        match self {
            Self::Private(server) => server.execute(database, sql),
            Self::Given(given) => given.on(&given.database(database), sql),
        }
    }

    /// Makes a database; on a given server it is marked, so that a killed rehearsal leaves nothing.
    ///
    /// # Errors
    /// As [`Home::execute`].
    pub(super) fn create(&self, name: &str, sql: &str) -> Result<(), Fault> {
        if let Self::Given(given) = self {
            given.made.borrow_mut().push(name.into());
        }
        self.execute(self.admin_name(), sql)?;
        let Self::Given(given) = self else { return Ok(()) };
        let mark = quote_literal(&format!("{MARK}{}", given.token));
        let comment = format!("COMMENT ON DATABASE {} IS {mark}", quote_ident(name));
        self.execute(self.admin_name(), &comment)
    }

    /// Makes a database of another one's files.
    ///
    /// # Errors
    /// As [`Home::execute`]; somebody is connected to the other one.
    pub(super) fn create_of(&self, name: &str, template: &str) -> Result<(), Fault> {
        let how = if self.version().0 >= 15 { " STRATEGY FILE_COPY" } else { "" };
        let (new, template) = (quote_ident(name), quote_ident(template));
        self.create(name, &format!("CREATE DATABASE {new} TEMPLATE {template}{how}"))
    }

    /// Removes a database, where it is there.
    ///
    /// # Errors
    /// As [`Home::execute`].
    pub(super) fn remove(&self, name: &str) -> Result<(), Fault> {
        self.execute(self.admin_name(), &removing(name, self.version().0))
    }

    /// A database of it, as the role that made it sees it.
    ///
    /// # Errors
    /// Those of an address.
    pub(super) fn target(&self, database: &str) -> Result<Target, Fault> {
        match self {
            Self::Private(server) => Target::parse(&server.url(database), &|_| None),
            Self::Given(given) => Ok(given.database(database)),
        }
    }

    /// Its address for people; a private server's for children, too.
    pub(super) fn url(&self, database: &str, user: &str, options: &str) -> String {
        match self {
            Self::Private(server) => server.url_as(database, user, options),
            Self::Given(given) => given.database(database).display(),
        }
    }

    /// Major and minor version.
    pub(super) fn version(&self) -> (u32, u32) {
        match self {
            Self::Private(server) => server.version(),
            Self::Given(given) => given.version,
        }
    }

    /// A folder of ours that goes with it.
    pub(super) fn work_folder(&self) -> PathBuf {
        match self {
            Self::Private(server) => server.data_dir().with_file_name("work"),
            Self::Given(given) => given.folder.join("work"),
        }
    }

    /// The role of the address, where it is not the source's that works on the copy.
    pub(super) fn role(&self) -> Option<&str> {
        match self {
            Self::Private(_) => None,
            Self::Given(given) => Some(&given.target.user),
        }
    }

    /// The server's own number, where it was given and may be asked for it.
    pub(super) fn system(&self) -> Option<&str> {
        match self {
            Self::Private(_) => None,
            Self::Given(given) => given.system.as_deref(),
        }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        for name in self.made.take() {
            // What stays behind is marked, and the next rehearsal's to remove.
            let _ = self.remove(&name);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
