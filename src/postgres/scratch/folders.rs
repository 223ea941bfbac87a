//! The folders of a scratch server: closed to everybody but its account, and one for its socket
//! whose path is short enough.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::model::Fault;
use crate::system::write_fault;

use super::account::Account;

/// A Unix socket's path may have 107 bytes on Linux and 103 on macOS, the terminating NUL not
/// counted; `.s.PGSQL.12345` and its slash are 15 of them.
pub(super) const LONGEST_SOCKET_DIR: usize = 84;
/// Socket folders outside of the server's folder begin with this.
pub(super) const SOCKETS_PREFIX: &str = "rs-";

/// A new closed folder of the account's, that stays.
///
/// # Errors
/// `write-failed`, `disk-full`.
pub(super) fn make_folder(parent: &Path, prefix: &str, account: Account) -> Result<PathBuf, Fault> {
    let folder = tempfile::Builder::new()
        .prefix(prefix)
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(|error| write_fault(parent, &error))?
        .keep();
    account.own(&folder).map_err(|error| write_fault(&folder, &error))?;
    Ok(folder)
}

/// In the server's folder where the socket's path stays short enough, else below /tmp.
pub(super) fn socket_dir(folder: &Path, account: Account) -> Result<PathBuf, Fault> {
    let inside = folder.join("s");
    if inside.as_os_str().len() > LONGEST_SOCKET_DIR {
        return make_folder(Path::new("/tmp"), SOCKETS_PREFIX, account);
    }
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&inside)
        .and_then(|()| account.own(&inside))
        .map_err(|error| write_fault(&inside, &error))?;
    Ok(inside)
}
