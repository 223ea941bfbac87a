//! A data folder that came from another scratch server: it becomes this server's own, with the
//! settings of the template, so that it answers on our socket to us alone and does nothing else that
//! the other one was told to.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::model::Fault;
use crate::system::write_fault;

use super::account::Account;

/// Settings and rules of access are the template's; whoever could get in there, could here.
const OURS: [&str; 3] = ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"];
/// What was set there with ALTER SYSTEM, and what would make a standby of it.
const NOT_OURS: [&str; 3] = ["postgresql.auto.conf", "standby.signal", "recovery.signal"];

/// Makes a copied data folder the account's.
///
/// # Errors
/// `write-failed`, `disk-full`.
pub(super) fn adopt(data: &Path, template: &Path, account: Account) -> Result<(), Fault> {
    let work = || -> std::io::Result<()> {
        for name in NOT_OURS {
            let path = data.join(name);
            if path.exists() {
                std::fs::remove_file(path)?;
            }
        }
        for name in OURS {
            let to = data.join(name);
            std::fs::copy(template.join(name), &to)?;
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600))?;
        }
        std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700))?;
        hand_over(data, account)
    };
    work().map_err(|error| write_fault(data, &error))
}

fn hand_over(path: &Path, account: Account) -> std::io::Result<()> {
    account.own(path)?;
    if std::fs::symlink_metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            hand_over(&entry?.path(), account)?;
        }
    }
    Ok(())
}
