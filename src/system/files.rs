//! Files that hold state or backups: mode 0600, never through a symbolic link, written whole or
//! not at all. Called by `state_dir`, the journal, dumps and reports.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::model::{Fault, Place, format_bytes};
use crate::msg;

/// Never follow a link at the last component.
fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits() as i32
}

/// Makes a new file of mode 0600 for writing. Fails where anything of that name exists.
///
/// # Errors
/// `write-failed`, `disk-full`.
pub fn create_new(path: &Path) -> Result<File, Fault> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(no_follow())
        .open(path)
        .map_err(|error| write_fault(path, &error))
}

/// Opens a file of ours for appending, made with mode 0600 where it is missing.
///
/// # Errors
/// `write-failed`, also where the name is a symbolic link, or a file with several names.
pub fn append_to(path: &Path) -> Result<File, Fault> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(no_follow())
        .open(path)
        .map_err(|error| write_fault(path, &error))?;
    let meta = file.metadata().map_err(|error| write_fault(path, &error))?;
    if !meta.is_file() || meta.nlink() > 1 {
        return Err(Fault::failed(
            "write-failed",
            msg!("system.not-a-plain-file", path = path.display()),
        ));
    }
    Ok(file)
}

/// Writes a file whole or not at all: a temporary file beside it (0600), fsync, rename, fsync of
/// the folder. A symbolic link of that name is replaced, not followed.
///
/// # Errors
/// `write-failed`, `disk-full`; the old content stays.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        // tempfile opens with O_EXCL and mode 0600.
        let mut temporary = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder)?;
        temporary.write_all(content)?;
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| write_fault(path, &error))
}

/// Bytes that an unprivileged user can still write where the path lies (or where its nearest
/// existing parent folder does). This is the client's disk; the server's may be another.
///
/// # Errors
/// `free-space-unknown`.
pub fn free_bytes(path: &Path) -> Result<u64, Fault> {
    let mut place = if path.is_absolute() { path.to_path_buf() } else { Path::new(".").join(path) };
    while !place.exists() && place.pop() {}
    let stat = rustix::fs::statvfs(&place).map_err(|error| {
        Fault::failed(
            "free-space-unknown",
            msg!("system.free-space-unknown", path = place.display()),
        )
        .detail(std::io::Error::from(error).to_string())
    })?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The fault of a failed write: `disk-full` with the free bytes for ENOSPC and EDQUOT,
/// `write-failed` for the rest. The place is the file.
pub fn write_fault(path: &Path, error: &std::io::Error) -> Fault {
    let place = Place {
        file: path.display().to_string(),
        line: 0,
        column: 0,
        length: 0,
        label: String::new(),
        source: String::new(),
    };
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    if !full {
        return Fault::failed(
            "write-failed",
            msg!("system.write-failed", path = path.display(), error = error),
        )
        .place(place);
    }
    let free = free_bytes(path).map_or_else(|_| "?".to_string(), format_bytes);
    Fault::failed("disk-full", msg!("system.disk-full", path = path.display(), free = free))
        .detail(error.to_string())
        .remedy(msg!("system.disk-full-remedy"))
        .place(place)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_written_file_is_whole_private_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_planted_link_is_never_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "kept").unwrap();
        let link = folder.path().join("events.jsonl");
        symlink(&victim, &link).unwrap();
        assert!(create_new(&link).is_err());
        assert!(append_to(&link).is_err());
        write_atomic(&link, b"ours").unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"kept");
        assert_eq!(std::fs::read(&link).unwrap(), b"ours");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named_with_what_is_left() {
        let path = Path::new("/dev/full");
        let error = OpenOptions::new().write(true).open(path).unwrap().write_all(b"x").unwrap_err();
        let fault = write_fault(path, &error);
        assert_eq!(fault.code, "disk-full");
        assert_eq!(fault.places[0].file, "/dev/full");
        assert!(fault.remedy.is_some());
    }

    #[test]
    fn free_space_is_found_for_files_that_do_not_exist_yet() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(&folder.path().join("not/yet/there")).unwrap() > 0);
    }
}
