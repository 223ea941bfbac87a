//! Which files a script may open: those below the project's root, seen through symbolic links.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::{Fault, hash_reader, hex};
use crate::msg;

/// A file below the root.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// Relative to the root, as users read it.
    pub(crate) shown: String,
}

/// Finds a file that must exist. Relative paths begin at `base`, and the result must lie below
/// `root`, both of them canonical.
pub(crate) fn existing(root: &Path, base: &Path, given: &str) -> Result<Found, Fault> {
    let joined = base.join(given);
    let path = joined.canonicalize().map_err(|error| missing(given, &error))?;
    let found = inside(root, path, given)?;
    if !found.path.is_file() {
        return Err(Fault::usage("sql-file-missing", msg!("sql.not-a-file", path = given)));
    }
    Ok(found)
}

/// Finds the file that `\i` or, `relative`, `\ir` names in the file `own`: below `working` or
/// beside `own`, as psql does, and inside of `root`. All of them canonical.
pub(crate) fn included(
    root: &Path,
    working: &Path,
    own: Option<&Path>,
    (given, relative): (&str, bool),
) -> Result<Found, Fault> {
    let given = given.trim_matches('"');
    let beside = own.and_then(Path::parent);
    let base = if relative { beside.unwrap_or(working) } else { working };
    existing(root, base, given).map_err(|fault| {
        let there = beside.is_some_and(|folder| folder.join(given).is_file());
        if !relative && there && fault.code == "sql-file-missing" {
            fault.remedy(msg!("sql.include-beside", path = given))
        } else {
            fault
        }
    })
}

/// Finds the place of a file that may not exist yet, in a folder that does.
pub(crate) fn writable(root: &Path, base: &Path, given: &str) -> Result<Found, Fault> {
    let joined = base.join(given);
    if joined.exists() {
        return existing(root, base, given);
    }
    // A dangling link would be written through: its target is what has to lie inside.
    let link = joined.symlink_metadata().is_ok();
    let (Some(folder), Some(name), false) = (joined.parent(), joined.file_name(), link) else {
        return Err(outside(given));
    };
    let folder = folder.canonicalize().map_err(|error| missing(given, &error))?;
    inside(root, folder.join(name), given)
}

fn inside(root: &Path, path: PathBuf, given: &str) -> Result<Found, Fault> {
    let Ok(relative) = path.strip_prefix(root) else { return Err(outside(given)) };
    let shown = relative.to_string_lossy().into_owned();
    Ok(Found { path, shown })
}

fn outside(given: &str) -> Fault {
    Fault::usage("sql-path-outside", msg!("sql.path-outside", path = given))
        .remedy(msg!("sql.path-outside.remedy"))
}

fn missing(given: &str, error: &io::Error) -> Fault {
    let text = match error.kind() {
        io::ErrorKind::NotFound => msg!("sql.file-missing", path = given),
        _ => msg!("sql.read", file = given),
    };
    let fault = Fault::usage("sql-file-missing", text);
    if error.kind() == io::ErrorKind::NotFound { fault } else { fault.cause(error.to_string()) }
}

/// SHA-256 (hex) of a file's content without its byte order mark, line ends as LF: the same
/// migration checked out on Windows has the same hash.
///
/// # Errors
/// What reading the file gives.
pub fn hash_file(path: &Path) -> io::Result<String> {
    hash_reader(std::fs::File::open(path)?)
}

/// The hash of several files: that of the only one, else of all hashes in order.
pub(crate) fn hash_all<'a>(mut hashes: impl ExactSizeIterator<Item = &'a str>) -> String {
    if hashes.len() == 1 {
        return hashes.next().unwrap_or("").to_string();
    }
    let mut all = Sha256::new();
    for hash in hashes {
        all.update(hash.as_bytes());
        all.update(b"\n");
    }
    hex(&all.finalize())
}
