//! Which account a scratch server runs under, and which folders that account can reach.
//!
//! PostgreSQL refuses to run as root: as root it is started as `nobody`, else as `postgres`
//! (`nobody` first, because `postgres` may own real databases on this machine).

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::model::Fault;
use crate::msg;
use crate::system::write_fault;

/// The account of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// True where we are root and the server is somebody else.
    pub(super) other: bool,
}

impl Account {
    pub(super) fn choose() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        if uid != 0 {
            return Self { uid, gid, other: false };
        }
        let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (uid, gid) = ["nobody", "postgres"]
            .iter()
            .find_map(|name| passwd_entry(&known, name))
            .filter(|(uid, _)| *uid != 0)
            .unwrap_or((65534, 65534));
        Self { uid, gid, other: true }
    }

    /// Runs a program under the account. As root, the standard library also clears the
    /// supplementary groups when it changes the user.
    pub(super) fn apply(self, command: &mut std::process::Command) {
        if self.other {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Gives a file or folder (not what is in it) to the account.
    pub(super) fn own(self, path: &Path) -> std::io::Result<()> {
        if self.other { lchown(path, Some(self.uid), Some(self.gid)) } else { Ok(()) }
    }

    /// True where the account can pass through every folder above and into this one.
    pub(super) fn can_reach(self, folder: &Path) -> bool {
        folder.ancestors().all(|folder| {
            std::fs::metadata(folder).is_ok_and(|meta| {
                let mode = meta.mode();
                mode & 0o001 != 0
                    || (meta.uid() == self.uid && mode & 0o100 != 0)
                    || (meta.gid() == self.gid && mode & 0o010 != 0)
            })
        })
    }

    /// A folder for servers that the account can reach: the wanted one, else
    /// `runsheet-scratch-UID` in the folder for temporary files.
    ///
    /// # Errors
    /// `scratch-no-folder` where none can be made.
    pub(super) fn reachable(self, wanted: &Path) -> Result<PathBuf, Fault> {
        if !wanted.exists() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(if self.other { 0o711 } else { 0o700 })
                .create(wanted)
                .map_err(|error| write_fault(wanted, &error))?;
        }
        let wanted = wanted.canonicalize().map_err(|error| write_fault(wanted, &error))?;
        if !self.other || self.can_reach(&wanted) {
            return Ok(wanted);
        }
        let me = rustix::process::geteuid().as_raw();
        let name = format!("runsheet-scratch-{me}");
        for base in [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()] {
            let Ok(base) = base.canonicalize() else { continue };
            let folder = base.join(&name);
            let _ = std::fs::DirBuilder::new().mode(0o711).create(&folder);
            // Anybody can make a folder of that name there first: only our own is used.
            let ours = std::fs::symlink_metadata(&folder)
                .is_ok_and(|meta| meta.is_dir() && meta.uid() == me);
            if ours {
                let _ = std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o711));
                if self.can_reach(&folder) {
                    return Ok(folder);
                }
            }
        }
        Err(Fault::failed("scratch-no-folder", msg!("system.scratch-no-folder", uid = self.uid))
            .remedy(msg!("system.scratch-no-folder-remedy")))
    }
}

fn passwd_entry(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_account_is_read_from_its_line() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(passwd_entry(passwd, "nobody"), Some((65534, 65533)));
        assert_eq!(passwd_entry(passwd, "postgres"), None);
    }

    #[test]
    fn a_folder_below_a_closed_home_is_out_of_reach() {
        let home = tempfile::tempdir().unwrap();
        let inside = home.path().join("project");
        std::fs::create_dir(&inside).unwrap();
        let mode = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(home.path(), permissions).unwrap();
        };
        mode(0o700);
        let stranger = Account { uid: 4242, gid: 4242, other: true };
        assert!(!stranger.can_reach(&inside.canonicalize().unwrap()));
        mode(0o711);
        assert!(stranger.can_reach(&inside.canonicalize().unwrap()));
    }
}
