//! Which files a script may open: those below the project's root, seen through symbolic links.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::{Fault, hex};
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
    let file = std::fs::File::open(path)?;
    hash_reader(file, 64 * 1024)
}

/// As [`hash_file`], of what a reader gives, so many bytes at once.
pub(super) fn hash_reader(mut file: impl Read, at_once: usize) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; at_once.clamp(4, 64 * 1024)];
    let mut normal = Vec::with_capacity(chunk.len() + 1);
    let mut held = false;
    let mut begun = false;
    loop {
        let mut filled = 0;
        // Filled whole, so that a byte order mark is never cut in two.
        while filled < chunk.len() {
            match file.read(&mut chunk[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            break;
        }
        let mut bytes = &chunk[..filled];
        if !begun {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            begun = true;
        }
        normal.clear();
        for byte in bytes {
            if held && *byte != b'\n' {
                normal.push(b'\r');
            }
            held = *byte == b'\r';
            if !held {
                normal.push(*byte);
            }
        }
        hash.update(&normal);
    }
    if held {
        hash.update(b"\r");
    }
    Ok(hex(&hash.finalize()))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn line_ends_and_byte_order_marks_do_not_change_the_hash() {
        let folder = tempfile::tempdir().unwrap();
        let hash = |bytes: &[u8]| {
            let path = folder.path().join("a.sql");
            std::fs::write(&path, bytes).unwrap();
            hash_file(&path).unwrap()
        };
        let plain = hash(b"a\nb\n");
        assert_eq!(hash(b"\xef\xbb\xbfa\r\nb\r\n"), plain);
        assert_ne!(hash(b"a\rb\n"), plain);
        assert_ne!(hash(b"a\nb\n\r"), plain);
        let long = [vec![b'x'; 64 * 1024 - 1], b"\r\ny".to_vec()].concat();
        let unix = [vec![b'x'; 64 * 1024 - 1], b"\ny".to_vec()].concat();
        assert_eq!(hash(&long), hash(&unix));
        assert_eq!(hash(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
