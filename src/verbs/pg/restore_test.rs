//! `pg::restore_test`: a backup is verified when it was restored and compared.

use std::rc::Rc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::json;

use super::elsewhere::{Elsewhere, SCRATCH};
use super::load::{Load, roles_sql};
use super::manifest::FileEntry;
use super::source::{Source, shown, source};
use super::tools::programs;
use super::verify::look_through;
use crate::host::{Host, Planned, Trouble, Verb};
use crate::model::{Action, Backup, BackupFile, Effect, EventKind, Fault, format_span};
use crate::msg;
use crate::postgres::Target;
use crate::postgres::scratch::{ScratchOptions, ScratchServer};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct TestOptions {
    into: Option<String>,
}

/// `pg::restore_test`
pub(in crate::verbs) static RESTORE_TEST: Verb = Verb {
    name: "pg::restore_test",
    args: "dump: map|text, [options: map]",
    effect: Effect::Read,
    page: r#"Restores a dump and compares it with the fingerprint that was taken in the dump's own snapshot.

The rows of every table by number and sum, and every object of the schema by name (where the private
server has the major version of the dumped one). Only then a dump is called *verified*.

Into a private server that is started for it and thrown away; or, with `into`, into a new database
of this server, which is dropped afterwards. Needs the custom or directory file of the dump. The
run's own database is never touched; a plan does not restore anything.

Options: `into` (the name of a database that does not exist yet).

Gives: `#{state: "verified", tables, rows, took}`.

Errors: `backup-damaged`, `manifest-damaged`, `backup-of-another`, `restore-failed`,
`restore-differs` with the tables and objects, `plain-only`, `no-manifest`, `database-exists`.

```rhai
let dump = step("Back up", || pg::dump());
check("The backup can be restored", #{ takes: "10m" }, || pg::restore_test(dump));
```"#,
    call: |host, call| {
        let options: TestOptions = call.options(1)?;
        let action = Action::new(call.verb.name, Effect::Read, shown(call, 0));
        // A restore is no look: no plan does it.
        let later = call.planned().unwrap_or_else(|| Planned::new(shown(call, 0)));
        host.pass(action, Some(later), || {
            let started = Instant::now();
            let source = source(host, &call.json(0)?)?;
            let part = source.restorable()?;
            source.known()?;
            source.of_this_database(host)?;
            look_through(host, &source, std::slice::from_ref(part))?;
            let (tables, rows) = match &options.into {
                Some(name) => beside(host, &source, name)?,
                None => apart(host, &source)?,
            };
            proven(host, &source)?;
            let took = started.elapsed();
            Ok(json!({
                "state": "verified", "tables": tables, "rows": rows,
                "took": format_span(took), "took_ms": took.as_millis() as u64,
            }))
        })
    },
};

/// In a server of its own.
fn apart(host: &Rc<Host>, source: &Source) -> Result<(usize, u64), Trouble> {
    let manifest = source.known()?;
    let folder = host.setup.state.folder("scratch")?;
    let mut options = ScratchOptions::new(programs(host), folder, "restore-test");
    options.major = Some(manifest.server.version_number / 10_000);
    let server = ScratchServer::start(&options).map_err(|fault| match fault.code.as_str() {
        "program-not-found" => {
            let known = fault.remedy.clone().unwrap_or_default();
            fault.remedy(format!("{known} {}", msg!("verbs.pg.into-instead")).trim().to_string())
        }
        _ => fault,
    })?;
    let database = &manifest.database;
    if database != "postgres" {
        server.create_database(database)?;
    }
    for role in &manifest.roles {
        server.execute("postgres", &roles_sql(std::slice::from_ref(role)))?;
    }
    let nothing = |_: &str| None;
    let target = Target::parse(&server.url(database), &nothing)?;
    let version = server.version();
    let server_version = version.0 * 10_000 + version.1;
    Load { host, source, target, server: server_version, direct: true, with_owners: false }.run()
}

/// In another database of the same server.
fn beside(host: &Rc<Host>, source: &Source, name: &str) -> Result<(usize, u64), Trouble> {
    let server = Elsewhere::open(host)?;
    if let Some(found) = server.find(name)? {
        if !found.comment.starts_with(SCRATCH) {
            return Err(Fault::failed("database-exists", msg!("verbs.pg.exists", name = name))
                .cause(msg!("verbs.pg.exists.cause"))
                .remedy(msg!("verbs.pg.exists.remedy", name = name))
                .into());
        }
        // Ours, of a run that was killed.
        server.drop_database(name)?;
    }
    server.create(name)?;
    let load = Load {
        host,
        source,
        target: server.target.with_database(name),
        server: server.server,
        direct: server.direct,
        with_owners: false,
    };
    let done = load.run();
    let dropped = server.drop_database(name);
    let done = done?;
    dropped?;
    Ok(done)
}

/// Says so in the manifest, where the retention of older dumps looks, and in the report.
fn proven(host: &Rc<Host>, source: &Source) -> Result<(), Trouble> {
    let Some((path, manifest)) = &source.manifest else { return Ok(()) };
    let mut manifest = manifest.clone();
    manifest.state = "verified".into();
    manifest.write(path)?;
    let told = |file: FileEntry| BackupFile {
        path: path.with_file_name(&file.name).display().to_string(),
        format: Some(file.format),
        bytes: Some(file.bytes),
        sha256: Some(file.sha256),
    };
    let backup = Backup {
        encrypted_to: manifest.encrypted_to(),
        uploaded: manifest.uploaded,
        files: manifest.files.into_iter().map(told).collect(),
        state: Some("verified".into()),
        database: Some(manifest.database),
        ..Backup::default()
    };
    host.emit(EventKind::Backup { backup }).map_err(Into::into)
}
