//! Reading a file once, for its SHA-256 or for a copy of it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::model::{Fault, hex};
use crate::msg;
use crate::system::{Cancel, write_fault};

/// SHA-256 (hexadecimal) and size of a file.
///
/// # Errors
/// `read-failed`, and the fault of whoever stops it: files may be large.
pub(in crate::verbs) fn sha256_of(path: &Path, stop: &Cancel) -> Result<(String, u64), Fault> {
    copied(path, &mut std::io::sink(), path, stop)
}

/// Copies a file whole or not at all, and gives SHA-256 and size of what was written.
///
/// # Errors
/// `read-failed`, `write-failed`, `disk-full`.
pub(in crate::verbs) fn copy_whole(
    from: &Path,
    to: &Path,
    mode: u32,
    stop: &Cancel,
) -> Result<(String, u64), Fault> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| write_fault(to, &error);
    let mut temporary =
        tempfile::Builder::new().prefix(".writing-").tempfile_in(folder).map_err(failed)?;
    let done = copied(from, temporary.as_file_mut(), to, stop)?;
    temporary
        .as_file()
        .set_permissions(std::fs::Permissions::from_mode(mode))
        .and_then(|()| temporary.as_file().sync_all())
        .map_err(failed)?;
    temporary.persist(to).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(done)
}

/// Makes a folder of mode 0700 where it is missing.
///
/// # Errors
/// `write-failed`, `disk-full`.
pub(in crate::verbs) fn private_folder(path: &Path) -> Result<(), Fault> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| write_fault(path, &error))
}

fn copied(
    from: &Path,
    to: &mut dyn Write,
    to_path: &Path,
    stop: &Cancel,
) -> Result<(String, u64), Fault> {
    let mut source = File::open(from).map_err(|error| read_fault(from, &error))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        stop.check()?;
        let count = source.read(&mut buffer).map_err(|error| read_fault(from, &error))?;
        if count == 0 {
            return Ok((hex(&hash.finalize()), bytes));
        }
        hash.update(&buffer[..count]);
        to.write_all(&buffer[..count]).map_err(|error| write_fault(to_path, &error))?;
        bytes += count as u64;
    }
}

/// The fault of a file that cannot be read.
pub(in crate::verbs) fn read_fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::failed("read-failed", msg!("system.read-failed", path = path.display(), error = error))
}
