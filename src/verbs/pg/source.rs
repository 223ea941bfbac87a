//! Which dump a verb is given: the value of `pg::dump`, or a path.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use super::manifest::{Manifest, beside};
use super::produce::Format;
use crate::host::{Call, Host, Trouble};
use crate::model::Fault;
use crate::msg;
use crate::system::{Input, is_encrypted, plain_of};
use crate::verbs::fs::place::inside;

/// One file of a dump.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    /// The checksum that it should have, where one is known.
    pub(super) sha256: Option<String>,
    /// Only its recipients can read it.
    pub(super) encrypted: bool,
}

impl Part {
    pub(super) fn at(path: PathBuf, sha256: Option<String>) -> Result<Self, Fault> {
        let encrypted = is_encrypted(&path)
            .map_err(|error| crate::verbs::fs::sum::read_fault(&path, &error))?;
        let format = if encrypted { Format::Custom } else { format_of(&path)? };
        Ok(Self { path, format, sha256, encrypted })
    }

    /// What is in it, where it is encrypted; None where programs can read the file itself.
    ///
    /// # Errors
    /// `identity-missing`, `no-encryption`, and those of opening it.
    pub(super) fn plain(&self, host: &Host) -> Result<Option<Input>, Fault> {
        plain_of(&self.path, host.setup.config.backup.identity_file.as_deref())
    }
}

/// A dump.
pub(super) struct Source {
    pub(super) parts: Vec<Part>,
    pub(super) manifest: Option<(PathBuf, Manifest)>,
}

/// What an argument names, for plan and report.
pub(super) fn shown(call: &Call<'_, '_>, index: usize) -> String {
    let Ok(value) = call.json(index) else { return String::new() };
    let first = value.get("files").and_then(|files| files.get(0)).unwrap_or(&value);
    let path = first.get("path").unwrap_or(first);
    path.as_str().unwrap_or_default().to_string()
}

/// The dump that an argument names. Its files exist.
///
/// # Errors
/// `not-a-dump`, `backup-missing`, `path-outside`.
pub(super) fn source(host: &Host, value: &Value) -> Result<Source, Fault> {
    match value {
        Value::String(path) => by_path(host, path),
        Value::Object(map) => {
            let one = std::slice::from_ref(value);
            let files = map.get("files").and_then(Value::as_array).map_or(one, Vec::as_slice);
            by_files(host, files)
        }
        _ => Err(not_a_dump()),
    }
}

fn not_a_dump() -> Fault {
    Fault::usage("not-a-dump", msg!("verbs.pg.not-a-dump"))
        .remedy(msg!("verbs.pg.not-a-dump.remedy"))
}

fn by_files(host: &Host, files: &[Value]) -> Result<Source, Fault> {
    let text = |file: &Value, name: &str| file.get(name).and_then(Value::as_str).map(String::from);
    let mut parts = Vec::new();
    for file in files {
        let path = there(host, &text(file, "path").ok_or_else(not_a_dump)?)?;
        parts.push(Part::at(path, text(file, "sha256"))?);
    }
    let first = parts.first().ok_or_else(not_a_dump)?;
    let manifest = manifest_of(&first.path)?;
    for part in parts.iter_mut().filter(|part| part.sha256.is_none()) {
        part.sha256 = recorded(&manifest, &part.path);
    }
    Ok(Source { parts, manifest })
}

fn by_path(host: &Host, given: &str) -> Result<Source, Fault> {
    let path = there(host, given)?;
    let manifest = manifest_of(&path)?;
    let paths = match &manifest {
        // A manifest stands for all of its files.
        Some((at, manifest)) if *at == path => manifest
            .files
            .iter()
            .filter(|file| !file.name.contains('/'))
            .map(|file| there(host, &at.with_file_name(&file.name).display().to_string()))
            .collect::<Result<Vec<_>, _>>()?,
        _ => vec![path],
    };
    let parts = paths
        .into_iter()
        .map(|path| {
            let sha256 = recorded(&manifest, &path);
            Part::at(path, sha256)
        })
        .collect::<Result<_, Fault>>()?;
    Ok(Source { parts, manifest })
}

fn there(host: &Host, given: &str) -> Result<PathBuf, Fault> {
    let path = inside(host, given)?;
    if path.exists() {
        return Ok(path);
    }
    Err(Fault::failed("backup-missing", msg!("verbs.pg.missing", path = path.display())))
}

/// The manifest beside a dump. One that is there and cannot be read is damage, not absence: with
/// it the checksums are gone.
pub(super) fn manifest_of(dump: &Path) -> Result<Option<(PathBuf, Manifest)>, Fault> {
    let Some(path) = beside(dump).filter(|path| path.exists()) else { return Ok(None) };
    match Manifest::read(&path) {
        Some(manifest) => Ok(Some((path, manifest))),
        None => Err(Fault::failed(
            "manifest-damaged",
            msg!("verbs.pg.manifest-damaged", path = path.display()),
        )
        .remedy(msg!("verbs.pg.damaged.remedy"))),
    }
}

pub(super) fn recorded(manifest: &Option<(PathBuf, Manifest)>, path: &Path) -> Option<String> {
    let (_, manifest) = manifest.as_ref()?;
    let name = path.file_name()?.to_str()?;
    manifest.files.iter().find(|file| file.name == name).map(|file| file.sha256.clone())
}

/// By what is in it, not by its name.
fn format_of(path: &Path) -> Result<Format, Fault> {
    use std::io::Read;
    if path.is_dir() {
        return Ok(Format::Directory);
    }
    let failed = |error: std::io::Error| crate::verbs::fs::sum::read_fault(path, &error);
    let mut start = [0; 5];
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut read = 0;
    while read < start.len() {
        match file.read(&mut start[read..]).map_err(failed)? {
            0 => break,
            count => read += count,
        }
    }
    let named_custom = path.extension().is_some_and(|ending| ending == "dump");
    Ok(if &start == b"PGDMP" || named_custom { Format::Custom } else { Format::Plain })
}

impl Source {
    /// The part that `pg_restore` takes.
    ///
    /// # Errors
    /// `plain-only`: SQL text would have to go through a program that runs commands out of it.
    pub(super) fn restorable(&self) -> Result<&Part, Fault> {
        let with = |format: Format| self.parts.iter().find(|part| part.format == format);
        with(Format::Custom).or_else(|| with(Format::Directory)).ok_or_else(|| {
            Fault::failed("plain-only", msg!("verbs.pg.plain-only"))
                .cause(msg!("verbs.pg.plain-only.cause"))
                .remedy(msg!("verbs.pg.plain-only.remedy"))
        })
    }

    /// Is it a dump of the run's own database? On a copy nothing is of it.
    ///
    /// # Errors
    /// `backup-of-another` with both.
    pub(super) fn of_this_database(&self, host: &Rc<Host>) -> Result<(), Trouble> {
        let Some((_, manifest)) = &self.manifest else { return Ok(()) };
        if host.setup.rehearsal.is_some() {
            return Ok(());
        }
        let here = host.identity()?;
        let ids = (&manifest.server.system_identifier, &here.system_identifier);
        let same_server = !matches!(ids, (Some(dumped), Some(own)) if dumped != own);
        if same_server && manifest.database == here.database {
            return Ok(());
        }
        let named = |database: &str, id: &Option<String>| {
            format!("{database} ({})", id.as_deref().unwrap_or("-"))
        };
        let dump = named(&manifest.database, ids.0);
        let own = named(&here.database, ids.1);
        Err(Fault::failed("backup-of-another", msg!("verbs.pg.rung.other-database"))
            .detail(msg!("verbs.pg.rung.both", dump = dump, here = own))
            .remedy(msg!("verbs.pg.of-another.remedy"))
            .into())
    }

    /// Its manifest.
    ///
    /// # Errors
    /// `no-manifest`.
    pub(super) fn known(&self) -> Result<&Manifest, Fault> {
        self.manifest.as_ref().map(|(_, manifest)| manifest).ok_or_else(|| {
            let path = self.parts.first().map_or(String::new(), |p| p.path.display().to_string());
            Fault::failed("no-manifest", msg!("verbs.pg.no-manifest", path = path))
                .cause(msg!("verbs.pg.no-manifest.cause"))
                .remedy(msg!("verbs.pg.no-manifest.remedy"))
        })
    }
}
