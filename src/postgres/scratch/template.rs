//! The data folder that scratch servers are copied from: `initdb` takes half a second, a copy a
//! tenth. One for each version and installation, made once, by whoever comes first.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::model::Fault;
use crate::msg;
use crate::postgres::programs::Program;
use crate::system::write_fault;

use super::account::Account;

/// The template for a server program below `parent`, made where it is missing.
///
/// # Errors
/// `scratch-initdb-failed` with what initdb said; `write-failed`, `disk-full`.
pub(super) fn template(
    parent: &Path,
    initdb: &Program,
    account: Account,
) -> Result<PathBuf, Fault> {
    let (major, minor) = initdb.version;
    let mut hasher = DefaultHasher::new();
    initdb.folder().hash(&mut hasher);
    let mark = hasher.finish() & 0xffff_ffff;
    let path = parent.join(format!("template-{major}.{minor}-{mark:08x}"));
    if is_ours(&path) {
        return Ok(path);
    }
    let making = tempfile::Builder::new()
        .prefix(".template-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(|error| write_fault(parent, &error))?;
    account.own(making.path()).map_err(|error| write_fault(making.path(), &error))?;
    let data = making.path().join("data");
    init(initdb, &data, account)?;
    // As root the template becomes root's, so that no server started from it can change it; and
    // readable, so that an account without a name (initdb needs one) can start from a copy.
    open_up(&data).map_err(|error| write_fault(&data, &error))?;
    match std::fs::rename(&data, &path) {
        Ok(()) => Ok(path),
        // Somebody was faster: theirs is as good.
        Err(_) if is_ours(&path) => Ok(path),
        Err(error) => Err(write_fault(&path, &error)),
    }
}

/// A complete template of our own or of root's. Nobody else's is trusted: what is in it runs.
fn is_ours(path: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(path)
        .is_ok_and(|meta| meta.is_dir() && (meta.uid() == me || meta.uid() == 0))
}

/// Makes a data folder with `initdb`: UTF-8, no locale, superuser `postgres`, no passwords (the
/// socket's folder is closed to others).
pub(super) fn init(initdb: &Program, data: &Path, account: Account) -> Result<(), Fault> {
    let failed = |said: String| {
        Fault::failed("scratch-initdb-failed", msg!("system.initdb-failed")).detail(said)
    };
    let mut command = std::process::Command::new(&initdb.path);
    command
        .arg("-D")
        .arg(data)
        .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"])
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    account.apply(&mut command);
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
    let fault = failed(said.clone());
    Err(if said.contains("user does not exist") {
        fault.remedy(msg!("system.initdb-no-user"))
    } else {
        fault
    })
}

fn open_up(path: &Path) -> std::io::Result<()> {
    let meta = std::fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        return Ok(());
    }
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me {
        std::os::unix::fs::lchown(path, Some(me), Some(rustix::process::getegid().as_raw()))?;
    }
    let mode = if meta.is_dir() { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    if meta.is_dir() {
        for entry in std::fs::read_dir(path)? {
            open_up(&entry?.path())?;
        }
    }
    Ok(())
}

/// Copies a data folder for the account: folders 0700, files 0600, as PostgreSQL demands.
pub(super) fn copy(from: &Path, to: &Path, account: Account) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &target, account)?;
        } else if kind.is_symlink() {
            symlink(std::fs::read_link(&source)?, &target)?;
            account.own(&target)?;
        } else {
            std::fs::copy(&source, &target)?;
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600))?;
            account.own(&target)?;
        }
    }
    account.own(to)
}
