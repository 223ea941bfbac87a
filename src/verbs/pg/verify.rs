//! `pg::verify`: is a dump still what was written, and can it be read to its end?

use std::path::Path;
use std::rc::Rc;

use serde_json::json;

use super::produce::{Format, decode, read_to_its_end, sum_of};
use super::source::{Part, Source, manifest_of, recorded, shown, source};
use super::tools::{pg_restore, programs};
use crate::host::{Host, Trouble, Verb};
use crate::model::{Action, Backup, BackupFile, Effect, EventKind, Fault};
use crate::msg;
use crate::postgres::programs::Programs;
use crate::system::{Cancel, plain_of};
use crate::verbs::fs::copies::damaged;

/// `pg::verify`
pub(in crate::verbs) static VERIFY: Verb = Verb {
    name: "pg::verify",
    args: "dump: map|text",
    effect: Effect::Read,
    page: r#"Compares a dump with its checksum and decodes it whole.

Takes the value of `pg::dump`, or the path of a dump or of its manifest. It proves that the files
can be read; that they can be restored, `pg::restore_test` proves. An encrypted dump is decrypted on its
way to pg_restore with `[backup] identity_file`; without one only its checksum is proven, which
state and report say.

Gives: `#{state: "readable", files, bytes}`; state "checksummed" where it could not be decrypted.

A dump whose manifest names another database or server is refused; one without a manifest is decoded
and stays *unverified*, which the report says.

Errors: `backup-damaged` with the file and both sums, or with what pg_restore said;
`manifest-damaged`, `backup-of-another`, `backup-missing`, `not-a-dump`, `path-outside`,
`wrong-identity`; `identity-missing` where there is no checksum either.

```rhai
check("The backup is sound", || pg::verify("backups/shop_20261121_031542.dump"));
```"#,
    call: |host, call| {
        let action = Action::new(call.verb.name, Effect::Read, shown(call, 0));
        host.pass(action, call.planned(), || {
            let source = source(host, &call.json(0)?)?;
            source.of_this_database(host)?;
            // Where nobody can decrypt it here, the checksum is all that can be proven.
            let no_identity = host.setup.config.backup.identity_file.is_none();
            let hidden = |part: &Part| part.encrypted && part.sha256.is_some() && no_identity;
            let (sealed, open): (Vec<Part>, Vec<Part>) =
                source.parts.iter().cloned().partition(hidden);
            let mut bytes = look_through(host, &source, &open)?;
            for part in &sealed {
                bytes += summed(host, part)?;
                let path = part.path.display();
                host.emit(EventKind::Warning {
                    text: msg!("verbs.pg.not-decrypted", path = path),
                })?;
            }
            unknown(host, &source)?;
            let state = if sealed.is_empty() { "readable" } else { "checksummed" };
            Ok(json!({ "state": state, "files": source.parts.len(), "bytes": bytes }))
        })
    },
};

/// Says in the report which files nobody knows a checksum of: that they can be read proves little.
fn unknown(host: &Rc<Host>, source: &Source) -> Result<(), Trouble> {
    let parts = source.parts.iter().filter(|part| part.sha256.is_none());
    let files: Vec<BackupFile> = parts
        .map(|part| BackupFile {
            path: part.path.display().to_string(),
            format: Some(part.format.word().into()),
            bytes: None,
            sha256: None,
        })
        .collect();
    if files.is_empty() {
        return Ok(());
    }
    let backup = Backup { files, state: Some("unverified".into()), ..Backup::default() };
    host.emit(EventKind::Backup { backup }).map_err(Into::into)
}

/// Compares checksums and decodes these parts of a dump; gives their bytes.
///
/// # Errors
/// `backup-damaged`, `program-not-found`, `identity-missing`.
pub(super) fn look_through(
    host: &Rc<Host>,
    source: &Source,
    parts: &[Part],
) -> Result<u64, Trouble> {
    let stop = host.stop_signal();
    let mut all = 0;
    for part in parts {
        all += summed(host, part)?;
        if part.format == Format::Plain {
            read_to_its_end(&part.path)?;
            continue;
        }
        let program = match &source.manifest {
            Some((_, manifest)) => pg_restore(host, manifest.server.version_number / 10_000)?,
            None => programs(host).find("pg_restore", None)?,
        };
        decode(&program, &part.path, part.plain(host)?, &stop)?;
    }
    Ok(all)
}

/// Is the dump at a path what its manifest says, where one lies beside it, and can it be read to its
/// end? For those who have no run: a rehearsal that takes it for its copy.
///
/// # Errors
/// `backup-damaged`, `manifest-damaged`, `program-not-found`, and those of an encrypted dump.
pub fn sound_dump(
    programs: &Programs,
    path: &Path,
    identity: Option<&Path>,
    stop: &Cancel,
) -> Result<(), Fault> {
    let wanted = recorded(&manifest_of(path)?, path);
    if let Some(wanted) = wanted {
        let (found, _) = sum_of(path, stop)?;
        if wanted != found {
            return Err(damaged(path, &wanted, &found));
        }
    }
    let program = programs.find("pg_restore", None)?;
    decode(&program, path, plain_of(path, identity)?, stop)
}

/// Compares a part's checksum, or says that none is known; gives its bytes.
fn summed(host: &Rc<Host>, part: &Part) -> Result<u64, Trouble> {
    let (found, bytes) = sum_of(&part.path, &host.stop_signal())?;
    match &part.sha256 {
        Some(wanted) if *wanted != found => {
            return Err(damaged(&part.path, wanted, &found).into());
        }
        Some(_) => {}
        None => host
            .emit(EventKind::Note { text: msg!("verbs.pg.no-sum", path = part.path.display()) })?,
    }
    Ok(bytes)
}
