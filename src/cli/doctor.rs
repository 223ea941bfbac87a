//! doctor: is everything there that a run needs? Changes nothing.

use std::io::IsTerminal;

use serde_json::{Value, json};

use super::database::Database;
use super::desk::{Desk, typed};
use crate::journal::Lease;
use crate::message::language;
use crate::model::{Fault, format_bytes};
use crate::msg;
use crate::postgres::catalog::{identity, missing_privileges};
use crate::postgres::programs::Programs;
use crate::report::{pad, width_of};
use crate::system::free_bytes;

/// Less than this beside the backups is said.
const LITTLE_BYTES: u64 = 1 << 30;

/// The majors that the tests were run on: docs/servers.md.
const OLDEST: u32 = 13;
const NEWEST: u32 = 18;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Ok,
    Warn,
    Fail,
}

struct Finding {
    mark: Mark,
    what: String,
    says: String,
    remedy: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, mark: Mark, what: String, says: impl Into<String>, remedy: Option<String>) {
        self.0.push(Finding { mark, what, says: says.into(), remedy });
    }

    fn fault(&mut self, mark: Mark, what: String, fault: Fault) {
        let says = fault.to_string();
        self.add(mark, what, says, fault.remedy.or(fault.next));
    }
}

/// `runsheet doctor`: 1 where something fails.
pub(super) fn doctor(desk: &Desk) -> Result<u8, Fault> {
    let mut all = Findings::default();
    project(desk, &mut all);
    here(&mut all);
    disk(desk, &mut all);
    let server = database(desk, &mut all);
    programs(desk, server, &mut all);
    let failed = all.0.iter().any(|one| one.mark == Mark::Fail);
    if desk.common.json {
        desk.json(&Value::Array(all.0.iter().map(as_json).collect()));
    } else {
        let wide = all.0.iter().map(|one| width_of(&one.what)).max().unwrap_or(0);
        for one in &all.0 {
            let what = pad(&one.what, wide);
            desk.out(&format!("{}  {what}  {}\n", mark_word(one.mark), one.says));
            if let Some(remedy) = &one.remedy {
                desk.out(&format!("{}→ {remedy}\n", " ".repeat(wide + 8)));
            }
        }
    }
    Ok(u8::from(failed))
}

fn mark_word(mark: Mark) -> &'static str {
    match mark {
        Mark::Ok => "ok  ",
        Mark::Warn => "warn",
        Mark::Fail => "fail",
    }
}

fn as_json(one: &Finding) -> Value {
    json!({
        "state": mark_word(one.mark).trim(), "what": one.what,
        "says": one.says, "remedy": one.remedy,
    })
}

fn project(desk: &Desk, all: &mut Findings) {
    let what = msg!("cli.doctor.project");
    match &desk.config.file {
        Some(file) => all.add(Mark::Ok, what, typed(file), None),
        None => all.add(
            Mark::Ok,
            what,
            msg!("cli.doctor.no-file", folder = desk.project.display()),
            None,
        ),
    }
    for warning in &desk.config.warnings {
        all.fault(Mark::Warn, msg!("cli.doctor.project"), warning.clone());
    }
}

fn here(all: &mut Findings) {
    all.add(Mark::Ok, msg!("cli.doctor.language"), language().word(), None);
    let says = if std::io::stdout().is_terminal() {
        msg!("cli.doctor.terminal-yes")
    } else {
        msg!("cli.doctor.terminal-no")
    };
    all.add(Mark::Ok, msg!("cli.doctor.terminal"), says, None);
}

fn disk(desk: &Desk, all: &mut Findings) {
    // The nearest folder that is there: neither of the two need exist yet.
    for (what, path) in [
        (msg!("cli.doctor.state-disk"), &desk.config.state_dir),
        (msg!("cli.doctor.backup-disk"), &desk.config.backup.dir),
    ] {
        let Some(there) = path.ancestors().find(|folder| folder.is_dir()) else { continue };
        match free_bytes(there) {
            Ok(bytes) => {
                let (path, size) = (path.display(), format_bytes(bytes));
                let says = msg!("cli.doctor.free", path = path, size = size);
                let little = bytes < LITTLE_BYTES;
                let remedy = little.then(|| msg!("cli.doctor.free.remedy"));
                all.add(if little { Mark::Warn } else { Mark::Ok }, what, says, remedy);
            }
            Err(fault) => all.fault(Mark::Warn, what, fault),
        }
    }
}

/// Gives the server's major version.
fn database(desk: &Desk, all: &mut Findings) -> Option<u32> {
    let what = msg!("cli.doctor.database");
    let target = match desk.target(true) {
        Ok((_, target)) => target,
        Err(fault) => {
            all.fault(Mark::Fail, what, fault);
            return None;
        }
    };
    let database = match Database::open(desk) {
        Ok(database) => database,
        Err(fault) => {
            all.fault(Mark::Fail, what, fault);
            return None;
        }
    };
    all.add(Mark::Ok, what, target.display(), None);
    let session = &database.session;
    let what = msg!("cli.doctor.server");
    let major = match database.ask(identity(session)) {
        Ok(found) => {
            let says = format!("PostgreSQL {}, {}", found.version, found.encoding);
            let standby = found.standby.then(|| msg!("cli.doctor.standby"));
            let mark = if found.standby { Mark::Fail } else { Mark::Ok };
            all.add(mark, what, says, standby);
            let major = found.version_number / 10_000;
            let (mark, says) = supported(major);
            all.add(mark, msg!("cli.doctor.versions"), says, None);
            Some(major)
        }
        Err(fault) => {
            all.fault(Mark::Fail, what, fault);
            None
        }
    };
    if session.behind_pooler() {
        let (says, remedy) = (msg!("cli.doctor.pooler"), msg!("cli.doctor.pooler.remedy"));
        all.add(Mark::Fail, msg!("cli.doctor.connection"), says, Some(remedy));
    }
    rights(&database, all);
    major
}

/// Whether a server of this major version is one that runsheet is meant for.
fn supported(major: u32) -> (Mark, String) {
    let (oldest, newest) = (OLDEST, NEWEST);
    match major {
        ..OLDEST => (Mark::Fail, msg!("cli.doctor.server-old", oldest = oldest)),
        OLDEST..=NEWEST => {
            (Mark::Ok, msg!("cli.doctor.server-fits", oldest = oldest, newest = newest))
        }
        _ => (Mark::Warn, msg!("cli.doctor.server-new", oldest = oldest, newest = newest)),
    }
}

fn rights(database: &Database, all: &mut Findings) {
    let has_ledger = database.has_ledger().unwrap_or(false);
    let wanted: &[&str] = if has_ledger { &["TEMPORARY"] } else { &["CREATE SCHEMA"] };
    let what = msg!("cli.doctor.rights");
    match database.ask(missing_privileges(&database.session, wanted, None, &[], None)) {
        Ok(missing) if missing.is_empty() => {
            all.add(Mark::Ok, what, msg!("cli.doctor.rights-fine"), None);
        }
        Ok(missing) => {
            for one in missing {
                let says = msg!("cli.doctor.right-missing", right = one.right, object = one.object);
                all.add(Mark::Fail, what.clone(), says, Some(one.grant));
            }
        }
        Err(fault) => all.fault(Mark::Warn, what, fault),
    }
    let what = msg!("cli.doctor.ledger");
    if !has_ledger {
        all.add(Mark::Ok, what, msg!("cli.doctor.ledger-later"), None);
        return;
    }
    all.add(Mark::Ok, what, database.ledger.schema().trim_matches('"'), None);
    if let Ok(Some(holder)) = database.ask(Lease::holder(&database.session, &database.ledger)) {
        all.add(Mark::Warn, msg!("cli.doctor.lease"), holder.describe(), None);
    }
}

fn programs(desk: &Desk, server: Option<u32>, all: &mut Findings) {
    let programs = Programs::new(desk.config.postgres_bin.as_deref(), Some(&desk.config.state_dir));
    for (name, wanted) in
        [("pg_dump", server), ("pg_restore", server), ("initdb", None), ("postgres", None)]
    {
        match programs.find(name, wanted) {
            Ok(found) => {
                let (major, minor) = found.version;
                let says = format!("{major}.{minor}  {}", found.path.display());
                all.add(Mark::Ok, name.into(), says, None);
            }
            Err(fault) => all.fault(Mark::Warn, name.into(), fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_supported_versions_are_those_that_were_tried() {
        let marks = [12, 13, 18, 19].map(|major| supported(major).0);
        assert_eq!(marks, [Mark::Fail, Mark::Ok, Mark::Ok, Mark::Warn]);
        let page = include_str!("../../docs/servers.md");
        for major in OLDEST..=NEWEST {
            assert!(page.contains(&format!("\n| {major} | ")), "docs/servers.md lacks {major}");
        }
    }
}
