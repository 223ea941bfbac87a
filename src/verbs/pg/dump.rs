//! `pg::dump`: a backup that was read back before it counts as one.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use super::counts::{Seen, lease_table, look};
use super::manifest::{ENDING, FileEntry, Manifest, Server, retain};
use super::produce::{Format, Work, Written, decode, read_to_its_end, remove_old_partials, sum_of};
use super::tools::{Access, pg_dump, pg_restore, same_host};
use super::upload::Carrier;
use crate::config::Backup as Settings;
use crate::host::{Call, External, Host, Repeat, Trouble, Verb};
use crate::model::{
    Action, Backup, BackupFile, Effect, EventKind, Fault, RungKind, format_span, quote_name,
};
use crate::msg;
use crate::postgres::fingerprint::names_and_sums;
use crate::postgres::programs::Program;
use crate::postgres::{ConnectOptions, HostSpec, Session, Target, connect};
use crate::system::{belongs, open_encrypted, write_fault};
use crate::verbs::app::argv::quoted;
use crate::verbs::fs::copies::damaged;
use crate::verbs::fs::place::inside;
use crate::verbs::fs::sum::private_folder;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct DumpOptions {
    formats: Option<Vec<Format>>,
    dir: Option<String>,
    jobs: Option<u32>,
    #[serde(default)]
    tables: Vec<String>,
}

/// `pg::dump`
pub(in crate::verbs) static DUMP: Verb = Verb {
    name: "pg::dump",
    args: "[options: map]",
    effect: Effect::External,
    page: r#"Dumps the database with pg_dump, and decodes what was written before it counts.

All formats and the fingerprint in the manifest show one snapshot. The file is
`DATABASE_YYYYMMDD_HHMMSS.dump` (`.dir`, `.sql`) in `[backup] dir`, readable by nobody else, with a
manifest beside it: checksums, server, the number and sum of the rows of every table, names of all
objects. The journal's tables are in it, the lease's row is not. Older dumps are removed as `[backup] keep` says, never the last verified one.

Roles are not in a dump: those that a restore needs are in the manifest and in the report.

A dump is *readable* when it was decoded whole. *Verified* it is after `pg::restore_test`.

With `[backup] encrypt_to` the dump is encrypted on its way to the disk (age; `.dump.age`, custom
format only) and decoded with `[backup] identity_file`; without one it is *checksummed*, since nobody
could look into it. With `[backup] upload` the files and the manifest are carried there, and read
back from there.

Options: `formats` (`["custom"]`; also "directory", "plain"), `dir`, `jobs` (for "directory"),
`tables` (only these).

Gives: `#{files: [#{path, format, bytes, sha256}], state, took, restore, database, counts, partial,
encrypted, uploaded}`.

Errors: `pg-dump-too-old` with both versions, before anything is done; `disk-full` with the sizes;
`dump-failed` with what pg_dump said; `backup-damaged`; `encrypt-custom-only`, `wrong-identity`,
both before anything is done; `upload-failed`, `upload-differs`: the dump stays where it was written.

```rhai
let dump = step("Back up", #{ takes: "5m..15m" }, || pg::dump(#{ formats: ["plain", "custom"] }));
check("It can be restored", || pg::restore_test(dump));
```"#,
    call: |host, call| {
        host.may_go_on()?;
        let options = checked(host, call)?;
        let server = host.identity()?;
        let program = pg_dump(host, server.version_number)?;
        let formats = options.formats.clone().unwrap_or_default();
        let words: Vec<String> = formats.iter().map(|f| format!("--format={}", f.word())).collect();
        let shown = format!("pg_dump {} --dbname={}", words.join(" "), server.database);
        let action =
            Action::new(call.verb.name, Effect::External, server.database.clone()).statement(shown);
        let perform = Box::new(move || perform(host, &options, &formats, &program));
        let repeat = Repeat::Harmless;
        host.pass_external(
            External { action, repeat, probed: Value::Null, perform },
            call.planned(),
        )
    },
};

fn checked(host: &Host, call: &Call<'_, '_>) -> Result<DumpOptions, Fault> {
    let mut options: DumpOptions = call.options(0)?;
    let mut formats = options.formats.take().unwrap_or_else(|| vec![Format::Custom]);
    let mut seen = std::collections::HashSet::new();
    formats.retain(|format| seen.insert(*format));
    if formats.is_empty() || options.jobs == Some(0) {
        let option = if formats.is_empty() { "formats" } else { "jobs" };
        return Err(Fault::usage(
            "wrong-option",
            msg!("host.wrong-option", verb = call.verb.name, option = option),
        )
        .remedy(msg!("host.see-verb", verb = call.verb.name)));
    }
    let backup = &host.setup.config.backup;
    if let (false, Some(other)) =
        (backup.encrypt_to.is_empty(), formats.iter().find(|format| **format != Format::Custom))
    {
        return Err(Fault::usage(
            "encrypt-custom-only",
            msg!("verbs.pg.encrypt-custom-only", format = other.word()),
        )
        .cause(msg!("verbs.pg.encrypt-custom-only.cause"))
        .remedy(msg!("verbs.pg.encrypt-custom-only.remedy")));
    }
    options.formats = Some(formats);
    Ok(options)
}

fn perform(
    host: &Rc<Host>,
    options: &DumpOptions,
    formats: &[Format],
    program: &Program,
) -> Result<Value, Trouble> {
    let started = Instant::now();
    let identity = host.identity()?;
    let backup = &host.setup.config.backup;
    if let (false, Some(key)) = (backup.encrypt_to.is_empty(), &backup.identity_file) {
        belongs(&backup.encrypt_to, key)?;
    }
    let carrier = Carrier::of(host)?;
    let decoder = pg_restore(host, program.version.0)?;
    let dir = backup_dir(host, options.dir.as_deref())?;
    let (target, direct) = same_host(host)?;
    let (session, seen) = pinned(host, &target, &options.tables)?;
    let access = Access::new(host, &target, identity.version_number, direct, "pg_dump")?;
    let lease = lease_table(&host.setup.config.ledger_schema);
    let mut args = vec![
        "--no-password".to_string(),
        "--lock-wait-timeout=300000".into(),
        format!("--snapshot={}", seen.snapshot),
        format!("--exclude-table-data={lease}"),
    ];
    args.extend(options.tables.iter().map(|table| format!("--table={}", quote_name(table))));
    if !options.tables.is_empty() {
        args.push("--strict-names".into());
    }
    let jobs = options.jobs.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, |count| count.get().min(4) as u32)
    });
    let (base, made) = free_base(&dir, &identity.database);
    let mut written: Vec<Written> = Vec::new();
    {
        let (pg_dump, size, access, args) = (program, seen.size, &access, args.as_slice());
        let encrypt_to = backup.encrypt_to.as_slice();
        let work = Work { host, pg_dump, access, args, jobs, size, encrypt_to };
        let sealed = if encrypt_to.is_empty() { "" } else { ".age" };
        for format in formats {
            let path = dir.join(format!("{base}.{}{sealed}", format.ending()));
            written.push(work.write(&path, *format)?);
        }
    }
    // In the snapshot that the dump shows: what a restored copy is compared with.
    let ledger = &host.setup.config.ledger_schema;
    let print = host.wait(names_and_sums(&session, ledger, seen.counts.keys()))?;
    let (objects, sums) = print.map_err(|error| host.db_fault(error))?;
    // The snapshot is of no more use, and an old one keeps VACUUM from its work.
    drop(session);
    let mut state = "readable";
    for file in &written {
        if !read_back(host, &decoder, file)? {
            state = "checksummed";
        }
    }
    for file in &mut written {
        file.keep()?;
    }
    File::open(&dir)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| write_fault(&dir, &error))?;
    let mut manifest = Manifest {
        manifest: 1,
        database: identity.database.clone(),
        server: Server {
            host: identity.host.clone(),
            port: identity.port,
            system_identifier: identity.system_identifier.clone(),
            version: identity.version.clone(),
            version_number: identity.version_number,
        },
        created_at: made,
        run: host.run_id().0,
        state: state.into(),
        files: written.iter().map(|file| entry(file, &backup.encrypt_to)).collect(),
        tables: seen.counts,
        sums,
        objects: if options.tables.is_empty() { objects } else { Vec::new() },
        partial: !options.tables.is_empty(),
        roles: seen.roles,
        owners: seen.owners,
        uploaded: Vec::new(),
        without_rows: vec![lease],
    };
    let at = dir.join(format!("{base}{ENDING}"));
    manifest.write(&at)?;
    if let Some(carrier) = &carrier {
        carrier.carry(host, &mut manifest, &at)?;
    }
    tell(host, &manifest, &written, &target, &dir, started)
}

/// Reads a file as it lies on the disk. False where it is encrypted and nobody can decrypt it here:
/// then it is only the same bytes that were written.
fn read_back(host: &Rc<Host>, pg_restore: &Program, file: &Written) -> Result<bool, Trouble> {
    let stop = host.stop_signal();
    let backup = &host.setup.config.backup;
    let plain = match (backup.encrypt_to.is_empty(), &backup.identity_file) {
        (true, _) => None,
        (false, Some(key)) => Some(open_encrypted(file.at(), key)?),
        (false, None) => {
            let (found, _) = sum_of(file.at(), &stop)?;
            if found != file.sha256 {
                return Err(damaged(&file.path, &file.sha256, &found).into());
            }
            let path = file.path.display();
            host.emit(EventKind::Note { text: msg!("verbs.pg.not-decrypted", path = path) })?;
            return Ok(false);
        }
    };
    match file.format {
        Format::Plain => read_to_its_end(file.at())?,
        _ => decode(pg_restore, file.at(), plain, &stop)?,
    }
    Ok(true)
}

/// Reports the backup and the way back that it is, removes older ones, and gives the value.
fn tell(
    host: &Rc<Host>,
    manifest: &Manifest,
    written: &[Written],
    target: &Target,
    dir: &Path,
    started: Instant,
) -> Result<Value, Trouble> {
    let told = |file: &Written| BackupFile {
        path: file.path.display().to_string(),
        format: Some(file.format.word().into()),
        bytes: Some(file.bytes),
        sha256: Some(file.sha256.clone()),
    };
    let files: Vec<BackupFile> = written.iter().map(told).collect();
    let restore = restore_command(written, target, &host.setup.config.backup);
    let database = &manifest.database;
    let backup = Backup {
        files: files.clone(),
        state: Some(manifest.state.clone()),
        encrypted_to: manifest.encrypted_to(),
        uploaded: manifest.uploaded.clone(),
        restore: Some(restore.clone()).filter(|command| !command.is_empty()),
        database: Some(database.clone()),
        at: None,
    };
    host.emit(EventKind::Backup { backup })?;
    if !manifest.partial {
        host.backed_up();
    }
    let what = written.first().map_or(String::new(), |file| file.path.display().to_string());
    host.emit(EventKind::WayBack {
        rung: RungKind::Restore,
        item: None,
        what,
        command: (!manifest.partial && written.iter().any(|file| file.format != Format::Plain))
            .then(|| format!("runsheet rollback {} --restore", host.run_id())),
        proven: None,
        blocked: None,
        gone: false,
    })?;
    host.emit(EventKind::Note {
        text: msg!("verbs.pg.owners", roles = manifest.owners.join(", ")),
    })?;
    if let Some(keep) = host.setup.config.backup.keep {
        for path in retain(dir, manifest, keep as usize) {
            host.emit(EventKind::Note { text: msg!("verbs.pg.removed", path = path) })?;
        }
    }
    let took = started.elapsed();
    Ok(json!({
        "files": files, "took": format_span(took), "took_ms": took.as_millis() as u64,
        "state": manifest.state, "restore": restore, "database": database,
        "counts": manifest.tables, "partial": manifest.partial,
        "encrypted": !manifest.encrypted_to().is_empty(), "uploaded": manifest.uploaded,
    }))
}

fn entry(file: &Written, encrypted_to: &[String]) -> FileEntry {
    FileEntry {
        name: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        format: file.format.word().into(),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        encrypted_to: encrypted_to.to_vec(),
    }
}

/// A session of its own, whose snapshot all formats and the counts show.
fn pinned(host: &Rc<Host>, target: &Target, tables: &[String]) -> Result<(Session, Seen), Trouble> {
    let options = ConnectOptions {
        application_name: format!("runsheet/{}/snapshot", host.run_id()),
        ..ConnectOptions::default()
    };
    let lease = lease_table(&host.setup.config.ledger_schema);
    let session = host.wait(connect(target, &options))??;
    let seen = host.wait(look(&session, tables, &lease))?.map_err(|error| host.db_fault(error))?;
    Ok((session, seen))
}

/// The folder for dumps, made with mode 0700 where it is missing, and closed to others where it is
/// the project's own.
fn backup_dir(host: &Host, given: Option<&str>) -> Result<PathBuf, Fault> {
    // A rehearsal's dumps show the copy: they lie where nobody takes them for backups.
    let dir = match given.filter(|_| host.setup.rehearsal.is_none()) {
        Some(given) => inside(host, given)?,
        None => host.setup.project.join(&host.setup.config.backup.dir),
    };
    private_folder(&dir)?;
    let dir = dir.canonicalize().map_err(|error| write_fault(&dir, &error))?;
    let project = host.setup.project.canonicalize().unwrap_or_default();
    let meta = std::fs::metadata(&dir).map_err(|error| write_fault(&dir, &error))?;
    let ours = dir != project
        && dir.starts_with(&project)
        && meta.uid() == rustix::process::geteuid().as_raw();
    if ours && meta.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700))
            .map_err(|error| write_fault(&dir, &error))?;
    }
    remove_old_partials(&dir);
    Ok(dir)
}

/// `DATABASE_YYYYMMDD_HHMMSS` that nothing in the folder has yet, and the time in full.
fn free_base(dir: &Path, database: &str) -> (String, String) {
    let now = crate::system::now();
    let safe: String = database
        .chars()
        .map(|c| if c == '/' || c.is_control() || c.is_whitespace() { '_' } else { c })
        .collect();
    let safe = match safe.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => safe,
    };
    let base = format!("{safe}_{}", now.strftime("%Y%m%d_%H%M%S"));
    let taken = |base: &str| {
        ["dump", "dump.age", "dir", "sql", &ENDING[1..]]
            .iter()
            .any(|ending| std::fs::symlink_metadata(dir.join(format!("{base}.{ending}"))).is_ok())
    };
    let mut number = 1;
    let mut free = base.clone();
    while taken(&free) {
        number += 1;
        free = format!("{base}_{number}");
    }
    (free, now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string())
}

/// What a person types to restore into a new database.
fn restore_command(written: &[Written], target: &Target, backup: &Settings) -> String {
    let best = written
        .iter()
        .find(|file| file.format == Format::Custom)
        .or_else(|| written.iter().find(|file| file.format == Format::Directory))
        .or_else(|| written.first());
    let Some(best) = best else { return String::new() };
    let (host, port) = match target.hosts.first() {
        Some((HostSpec::Tcp(name), port)) => (name.clone(), *port),
        Some((HostSpec::Unix(folder), port)) => (folder.display().to_string(), *port),
        None => (String::new(), 5432),
    };
    let server =
        [format!("--host={host}"), format!("--port={port}"), format!("--username={}", target.user)];
    let into = format!("{}_restored", target.database);
    let path = best.path.display().to_string();
    let mut create = vec!["createdb".to_string()];
    create.extend(server.clone());
    create.extend(["--template=template0".to_string(), into.clone()]);
    let mut load = match best.format {
        Format::Plain => ["psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--single-transaction"]
            .map(String::from)
            .to_vec(),
        _ => ["pg_restore", "--exit-on-error"].map(String::from).to_vec(),
    };
    load.extend(server);
    load.push(format!("--dbname={into}"));
    if !backup.encrypt_to.is_empty() {
        let key = backup.identity_file.as_ref().map(|key| key.display().to_string());
        let identity = key.unwrap_or_else(|| "IDENTITY_FILE".into());
        let open = ["age".to_string(), "--decrypt".into(), "--identity".into(), identity, path];
        return format!("{} && {} | {}", quoted(&create), quoted(&open), quoted(&load));
    }
    load.push(match best.format {
        Format::Plain => format!("--file={path}"),
        _ => path,
    });
    format!("{} && {}", quoted(&create), quoted(&load))
}
