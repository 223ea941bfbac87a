//! The whole pass over a script without a server, so that nothing runs of a file that will be
//! refused on its last line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::{hash_all, hash_file};
use super::script::{Follow, Kept, Script, ScriptOptions, Unit};
use crate::model::{Fault, Place, hash_bytes};
use crate::msg;

/// Statements of a file that are not cut a second time have so many bytes at most.
const READY_BYTES: usize = 64 * 1024;

/// What a script is, all of it read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many statements it will send (of branches that only the run decides: all of them).
    pub statements: u32,
    /// Bytes of all its files.
    pub bytes: u64,
    /// SHA-256 (hex) of the content, byte order marks off and line ends as LF: the file's own hash
    /// where it includes none, else the hash of all hashes in order.
    pub sha256: String,
    /// Every file that is read, `\copy` sources included, with its hash.
    pub files: Vec<(PathBuf, String)>,
    /// Remarks for the plan, with their places.
    pub notes: Vec<(Place, String)>,
    root: PathBuf,
    kept: Kept,
    /// Its units, where none hangs on what the server answers.
    ready: Option<Vec<Unit>>,
}

impl Summary {
    /// What the file itself holds, where it is not larger than 1 MiB.
    pub fn content(&self) -> Option<&[u8]> {
        let (path, _) = self.files.first()?;
        self.kept.get(path).map(|content| &content[..])
    }

    /// Opens the script that this is the summary of: small files are not read again, and what is
    /// plain in them is not cut again, so that what was looked at is what runs.
    ///
    /// # Errors
    /// As [`Script::open`].
    pub fn open(
        &self,
        vars: BTreeMap<String, String>,
        opts: ScriptOptions,
    ) -> Result<Script, Fault> {
        if let Some(units) = &self.ready {
            return Ok(Script::of_units(self.root.clone(), units.clone(), opts));
        }
        let first = self.files.first().map(|(path, _)| path.clone()).unwrap_or_default();
        Script::reopen(self.root.clone(), first, vars, opts, self.kept.clone())
    }
}

/// Reads a script as it will be run. Values that only statements can give (`\gset`) are taken as
/// unknown: every branch that hangs on one is read.
///
/// # Errors
/// Everything that [`Script::next`] refuses.
pub fn validate(
    root: &Path,
    path: &str,
    vars: BTreeMap<String, String>,
    opts: ScriptOptions,
) -> Result<Summary, Fault> {
    whole(Script::open(root, path, vars, opts)?)
}

/// As [`validate`], for a file that was found already: `root` and `file` are canonical.
///
/// # Errors
/// Everything that [`Script::next`] refuses.
pub fn validate_known(
    root: PathBuf,
    file: PathBuf,
    vars: BTreeMap<String, String>,
    opts: ScriptOptions,
) -> Result<Summary, Fault> {
    whole(Script::reopen(root, file, vars, opts, Kept::new())?)
}

fn whole(mut script: Script) -> Result<Summary, Fault> {
    let (mut statements, mut bytes) = (0, 0);
    // Outside of the step's transaction the script has to know where it stands in its own.
    let mut ready = script.options.transactional.then(Vec::new);
    walk(&mut script, |unit| {
        statements += u32::from(is_sent(&unit));
        let plain = match &unit {
            Unit::Statement { text, follow: Follow::None, .. } => {
                bytes += text.len();
                bytes <= READY_BYTES
            }
            unit => !is_sent(unit),
        };
        match &mut ready {
            Some(ready) if plain => ready.push(unit),
            ready => *ready = None,
        }
    })?;
    Ok(Summary { ready, ..summary(script, statements)? })
}

/// Is it more than a remark?
fn is_sent(unit: &Unit) -> bool {
    !matches!(unit, Unit::Echo(_) | Unit::Skipped { .. })
}

/// Walks a script without a server, giving every unit.
pub(super) fn walk(script: &mut Script, mut each: impl FnMut(Unit)) -> Result<(), Fault> {
    script.validating = true;
    while let Some(unit) = script.next()? {
        let copies = matches!(unit, Unit::CopyFrom { .. });
        each(unit);
        while copies && script.copy_chunk()?.is_some() {}
    }
    Ok(())
}

pub(super) fn summary(script: Script, statements: u32) -> Result<Summary, Fault> {
    let mut bytes = 0;
    let mut files = Vec::new();
    for file in &script.files {
        let unreadable = |error: std::io::Error| {
            Fault::failed("sql-read", msg!("sql.read", file = file.shown)).cause(error.to_string())
        };
        let (length, hash) = match script.kept.get(&file.path) {
            Some(content) => (content.len() as u64, Ok(hash_bytes(content))),
            None => (file.path.metadata().map_err(unreadable)?.len(), hash_file(&file.path)),
        };
        bytes += length;
        files.push((file.path.clone(), hash.map_err(unreadable)?));
    }
    let sha256 = hash_all(files.iter().map(|(_, hash)| hash.as_str()));
    let Script { root, notes, kept, .. } = script;
    Ok(Summary { statements, bytes, sha256, files, notes, root, kept, ready: None })
}
