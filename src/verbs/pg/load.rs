//! Loads a dump into an empty database with `pg_restore`, and compares the rows of every table.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::counts::{Counts, differences, lease_table, of_copy};
use super::manifest::Manifest;
use super::produce::Format;
use super::source::{Part, Source};
use super::tools::{Access, pg_restore};
use crate::host::{Host, Trouble};
use crate::model::{Fault, quote_ident};
use crate::msg;
use crate::postgres::fingerprint::names_and_sums;
use crate::postgres::{ConnectOptions, Session, Target, connect};
use crate::system::Output;

/// Where a dump is loaded, and how much of it.
pub(super) struct Load<'a> {
    pub(super) host: &'a Rc<Host>,
    pub(super) source: &'a Source,
    /// The empty database.
    pub(super) target: Target,
    /// The server's version, 150018.
    pub(super) server: u32,
    /// False behind a pooler.
    pub(super) direct: bool,
    /// Owners and rights too; else everything belongs to who restores.
    pub(super) with_owners: bool,
}

impl Load<'_> {
    /// Restores and compares. Gives the number of tables and rows.
    ///
    /// # Errors
    /// `restore-failed` with what `pg_restore` said, `restore-differs` with the tables.
    pub(super) fn run(&self) -> Result<(usize, u64), Trouble> {
        let manifest = self.source.known()?;
        let part = self.source.restorable()?;
        if manifest.partial {
            self.make_schemas(&manifest.tables)?;
        }
        self.restore(part)?;
        let session = self.connect()?;
        let lease = lease_table(&self.host.setup.config.ledger_schema);
        let found = self.host.wait(of_copy(&session, &lease))?;
        let mut found = found.map_err(|error| self.host.db_fault(error))?;
        for table in &manifest.without_rows {
            found.remove(table);
        }
        let mut differ = differences(&manifest.tables, &found);
        if differ.is_empty() {
            differ = self.fingerprint(&session, manifest)?;
        }
        if !differ.is_empty() {
            return Err(Fault::failed("restore-differs", msg!("verbs.pg.differs"))
                .detail(differ.join("\n"))
                .cause(msg!("verbs.pg.differs.cause"))
                .into());
        }
        Ok((found.len(), found.values().sum()))
    }

    /// What is not as in the dump's snapshot, one line each.
    fn fingerprint(&self, session: &Session, manifest: &Manifest) -> Result<Vec<String>, Trouble> {
        if manifest.sums.is_empty() {
            return Ok(Vec::new());
        }
        let ledger = &self.host.setup.config.ledger_schema;
        let seen = self.host.wait(async {
            session.batch("BEGIN READ ONLY").await?;
            names_and_sums(session, ledger, manifest.sums.keys()).await
        })?;
        let (objects, sums) = seen.map_err(|error| self.host.db_fault(error))?;
        let other = |(table, sum): (&String, &String)| {
            (sums.get(table) != Some(sum)).then(|| msg!("verbs.pg.sum-differs", table = table))
        };
        let mut differ: Vec<String> = manifest.sums.iter().filter_map(other).collect();
        // Another major version has other objects of its own.
        if !manifest.partial && manifest.server.version_number / 10_000 == self.server / 10_000 {
            let (wanted, found): (BTreeSet<&String>, BTreeSet<&String>) =
                (manifest.objects.iter().collect(), objects.iter().collect());
            let gone = wanted.difference(&found);
            differ.extend(gone.map(|one| msg!("verbs.pg.object-missing", what = one)));
            let extra = found.difference(&wanted);
            differ.extend(extra.map(|one| msg!("verbs.pg.object-extra", what = one)));
        }
        differ.truncate(10);
        Ok(differ)
    }

    fn connect(&self) -> Result<Session, Trouble> {
        let options = ConnectOptions {
            application_name: format!("runsheet/{}/restore", self.host.run_id()),
            ..ConnectOptions::default()
        };
        Ok(self.host.wait(connect(&self.target, &options))??)
    }

    /// A dump of single tables does not hold their schemas.
    fn make_schemas(&self, tables: &Counts) -> Result<(), Trouble> {
        let schemas: BTreeSet<&str> = tables.keys().filter_map(|table| schema_of(table)).collect();
        let sql: String =
            schemas.iter().map(|schema| format!("CREATE SCHEMA IF NOT EXISTS {schema};")).collect();
        let session = self.connect()?;
        self.host.wait(session.batch(&sql))?.map_err(|error| self.host.db_fault(error).into())
    }

    fn restore(&self, part: &Part) -> Result<(), Trouble> {
        let manifest = self.source.known()?;
        let wanted = (manifest.server.version_number / 10_000).max(self.server / 10_000);
        let program = pg_restore(self.host, wanted)?;
        let access = Access::new(self.host, &self.target, self.server, self.direct, "pg_restore")?;
        let mut args = vec!["--no-password".to_string(), "--no-tablespaces".into()];
        args.push(format!("--dbname={}", connection_word(&self.target.database)));
        if !self.with_owners {
            args.extend(["--no-owner".to_string(), "--no-privileges".into()]);
        }
        // A newer pg_restore begins with a setting that older servers do not know; it has to go on
        // after that one error, and what it says is judged below.
        let newer = program.version.0 >= 17 && self.server < 170_000;
        if !newer {
            args.push("--exit-on-error".into());
        }
        if part.format == Format::Directory {
            let jobs = std::thread::available_parallelism().map_or(1, |count| count.get().min(4));
            args.push(format!("--jobs={jobs}"));
        }
        let plain = part.plain(self.host)?;
        let mut command = access.command(&program, &args);
        command.output_limit = 1 << 20;
        let output = command.run_on(&part.path, plain, &self.host.stop_signal())?;
        if output.succeeded() || (newer && only_the_unknown_setting(&output)) {
            return Ok(());
        }
        Err(Fault::failed("restore-failed", msg!("verbs.pg.restore-failed"))
            .detail(output.last_lines(10))
            .into())
    }
}

/// `pg_restore --dbname` takes a name with `=` in it, or one that looks like a URL, for a
/// connection string.
fn connection_word(database: &str) -> String {
    if database.contains('=') || database.contains("://") {
        format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
    } else {
        database.to_string()
    }
}

/// Was the one error that `SET transaction_timeout` raises on servers before 17?
fn only_the_unknown_setting(output: &Output) -> bool {
    if output.cut {
        return false;
    }
    let errors: Vec<&str> =
        output.stderr.lines().filter(|line| line.contains("pg_restore: error:")).collect();
    let set = output.stderr.contains("Command was: SET transaction_timeout = 0;");
    errors.len() == 1 && errors[0].contains("\"transaction_timeout\"") && set
}

/// The quoted schema of a quoted, qualified name.
fn schema_of(table: &str) -> Option<&str> {
    let mut quoted = false;
    let dot = table.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '.' && !quoted
    });
    dot.map(|(at, _)| &table[..at])
}

/// The statements that make the roles which a dump's policies name, where they are missing.
pub(super) fn roles_sql(roles: &[String]) -> String {
    roles
        .iter()
        .filter(|role| *role != "postgres")
        .map(|role| format!("CREATE ROLE {} NOLOGIN;", quote_ident(role)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn said(stderr: &str) -> Output {
        let stderr = stderr.to_string();
        Output { status: 1, stdout: String::new(), stderr, cut: false, took: Duration::ZERO }
    }

    const UNKNOWN: &str = "pg_restore: error: could not execute query: ERROR:  unrecognized \
        configuration parameter \"transaction_timeout\"\nCommand was: SET transaction_timeout = 0;\n";

    #[test]
    fn one_unknown_setting_is_tolerated_and_nothing_beside_it() {
        let after = "pg_restore: warning: errors ignored on restore: 1\n";
        assert!(only_the_unknown_setting(&said(&format!("{UNKNOWN}{after}"))));
        let more = format!("{UNKNOWN}pg_restore: error: could not execute query: ERROR: x\n");
        assert!(!only_the_unknown_setting(&said(&more)));
        assert!(!only_the_unknown_setting(&said("pg_restore: error: out of memory\n")));
        let cut = Output { cut: true, ..said(UNKNOWN) };
        assert!(!only_the_unknown_setting(&cut));
    }

    #[test]
    fn a_schema_is_told_from_its_table() {
        assert_eq!(schema_of("public.users"), Some("public"));
        assert_eq!(schema_of("\"a.b\".\"Order\"\"s\""), Some("\"a.b\""));
    }

    #[test]
    fn a_database_name_is_never_taken_for_a_connection_string() {
        assert_eq!(connection_word("shop"), "shop");
        assert_eq!(connection_word("a=b'c"), "dbname='a=b\\'c'");
    }
}
