//! PostgreSQL's own programs at work on a copy: the dump of the source and its restore.

use std::path::Path;

use crate::model::{Fault, quote_ident};
use crate::msg;
use crate::postgres::programs::Programs;
use crate::postgres::{Access, Target, plain_command};
use crate::system::{Cancel, Output, plain_of};

/// A dump waits so long for a table that somebody changes, and then says so.
const LOCK_WAIT: &str = "--lock-wait-timeout=30s";

/// What is to be dumped.
pub(super) struct Dump<'a> {
    pub(super) source: &'a Target,
    pub(super) server: u32,
    pub(super) direct: bool,
    pub(super) snapshot: Option<&'a str>,
    pub(super) with_rows: bool,
    pub(super) ledger: &'a str,
    pub(super) jobs: usize,
}

impl Dump<'_> {
    /// Writes a directory dump.
    ///
    /// # Errors
    /// `program-not-found`, `rehearsal-dump-failed` with what `pg_dump` said.
    pub(super) fn run(
        &self,
        programs: &Programs,
        tmp: &Path,
        to: &Path,
        cancel: &Cancel,
    ) -> Result<(), Fault> {
        let program = programs.find("pg_dump", Some(self.server / 10_000))?;
        let access = Access::new(tmp, self.source, self.server, self.direct, "runsheet/rehearsal")?;
        let mut args: Vec<String> = vec![
            "--no-password".into(),
            "--format=directory".into(),
            // It is read once and goes again: what packing saves of the disk it costs in time.
            "--compress=0".into(),
            "--no-sync".into(),
            LOCK_WAIT.into(),
            // The copy must not take part in anybody's replication.
            "--no-subscriptions".into(),
            // A lease that came with a copy is nobody's.
            format!("--exclude-table-data={}.lease", pattern(self.ledger)),
            format!("--file={}", to.display()),
        ];
        if let Some(snapshot) = self.snapshot {
            args.push(format!("--snapshot={snapshot}"));
            args.push(format!("--jobs={}", self.jobs));
        }
        if !self.with_rows {
            args.push("--schema-only".into());
        }
        let mut command = access.command(&program, &args);
        command.output_limit = 1 << 20;
        let output = command.run(cancel)?;
        if output.succeeded() {
            return Ok(());
        }
        let fault = Fault::failed("rehearsal-dump-failed", msg!("rehearsal.dump-failed"))
            .detail(output.last_lines(10));
        Err(match output.stderr.contains("permission denied") {
            true => fault.remedy(msg!("rehearsal.dump-failed.remedy", role = self.source.user)),
            false => fault,
        })
    }
}

/// A name as a pattern of `pg_dump`: in double quotes it is taken as it is.
fn pattern(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Restores into an empty database. Gives what could not be restored, one line each.
///
/// # Errors
/// `program-not-found`; `rehearsal-restore-failed` where rows of a table are not there, or nothing
/// could be read.
pub(super) fn restore(
    programs: &Programs,
    tmp: &Path,
    to: (&Target, u32),
    dump: (&Path, usize),
    identity: Option<&Path>,
    cancel: &Cancel,
) -> Result<Vec<String>, Fault> {
    let (target, server) = to;
    let program = programs.find("pg_restore", Some(server / 10_000))?;
    let access = Access::new(tmp, target, server, true, "runsheet/rehearsal")?;
    let mut args = vec![
        "--no-password".to_string(),
        "--no-tablespaces".into(),
        "--no-subscriptions".into(),
        format!("--dbname={}", target.database),
    ];
    if dump.1 > 1 {
        args.push(format!("--jobs={}", dump.1));
    }
    let plain = plain_of(dump.0, identity)?;
    let mut command = access.command(&program, &args);
    command.output_limit = 4 << 20;
    let output = command.run_on(dump.0, plain, cancel)?;
    if output.succeeded() {
        return Ok(Vec::new());
    }
    let errors = errors(&output);
    let rows_are_missing = errors.is_empty()
        || output.cut
        || errors
            .iter()
            .any(|line| line.contains("COPY failed") || line.contains("could not read"));
    if rows_are_missing {
        return Err(Fault::failed("rehearsal-restore-failed", msg!("rehearsal.restore-failed"))
            .detail(output.last_lines(10)));
    }
    Ok(errors)
}

/// What `pg_restore` says could not be done. The one setting that older servers do not know is none
/// of it.
fn errors(output: &Output) -> Vec<String> {
    let said = output.stderr.lines().filter_map(|line| line.strip_prefix("pg_restore: error: "));
    said.filter(|line| !line.contains("\"transaction_timeout\"")).map(String::from).collect()
}

/// What a dump says of itself, in its table of contents.
pub(super) struct Contents {
    /// The major version of its server.
    pub(super) major: u32,
    /// The database that it was made of.
    pub(super) database: String,
    /// Statements that make the owners of what is in it.
    pub(super) roles: Vec<String>,
}

impl Contents {
    /// Reads them.
    ///
    /// # Errors
    /// `program-not-found`, `rehearsal-not-a-dump`, and those of an encrypted dump.
    pub(super) fn read(
        programs: &Programs,
        dump: &Path,
        identity: Option<&Path>,
        cancel: &Cancel,
    ) -> Result<Self, Fault> {
        let program = programs.find("pg_restore", None)?;
        let plain = plain_of(dump, identity)?;
        let mut command = plain_command(&program, &["--list".to_string()]);
        command.output_limit = 64 << 20;
        let output = command.run_on(dump, plain, cancel)?;
        if !output.succeeded() {
            return Err(not_a_dump(dump, &output.stderr));
        }
        Self::of(&output.stdout).ok_or_else(|| not_a_dump(dump, &output.stdout))
    }

    fn of(text: &str) -> Option<Self> {
        let after =
            |name: &str| text.lines().find_map(|line| Some(line.split_once(name)?.1.trim()));
        let version = after("Dumped from database version: ")?;
        let major: String = version.chars().take_while(char::is_ascii_digit).collect();
        // "218; 1259 16390 TABLE public users shop": the owner stands at the end.
        let entries = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        let mut owners: Vec<&str> = entries.filter_map(|line| line.rsplit(' ').next()).collect();
        owners.retain(|name| !matches!(*name, "" | "-" | "postgres"));
        owners.sort_unstable();
        owners.dedup();
        let role = |name: &str| format!("CREATE ROLE {} LOGIN", quote_ident(name));
        Some(Self {
            major: major.parse().ok()?,
            database: after("dbname: ")?.to_string(),
            roles: owners.into_iter().map(role).collect(),
        })
    }
}

fn not_a_dump(dump: &Path, said: &str) -> Fault {
    let text = msg!("rehearsal.not-a-dump", path = dump.display());
    Fault::usage("rehearsal-not-a-dump", text)
        .detail(said.lines().last().unwrap_or_default())
        .remedy(msg!("rehearsal.not-a-dump.remedy"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_could_not_be_restored_is_named_and_an_unknown_setting_is_not() {
        let stderr = "pg_restore: error: could not execute query: ERROR:  extension \"hll\" is not \
            available\nCommand was: CREATE EXTENSION hll;\npg_restore: error: could not execute \
            query: ERROR:  unrecognized configuration parameter \"transaction_timeout\"\n";
        let output = Output {
            status: 1,
            stdout: String::new(),
            stderr: stderr.into(),
            cut: false,
            took: Duration::ZERO,
        };
        let found = errors(&output);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("hll"), "{found:?}");
        let contents = ";     dbname: shop\n;     Dumped from database version: 15.18 (Debian)\n;\n\
            218; 1259 16390 TABLE public users me\n3; 0 16390 TABLE DATA public users me\n";
        let contents = Contents::of(contents).unwrap();
        assert_eq!((contents.major, contents.database.as_str()), (15, "shop"));
        assert_eq!(contents.roles, ["CREATE ROLE \"me\" LOGIN"]);
        assert_eq!(pattern("Run \"x"), "\"Run \"\"x\"");
    }
}
