//! The highest epoch that this machine has seen of a database.
//!
//! A restored backup brings an old lease back, epoch included; a stalled runner of then would find
//! its own number again. One small file per database in the state folder keeps the number from
//! going down. Written by whoever holds the lease, so two writers of one file never meet.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::{Fault, hex};
use crate::postgres::Identity;
use crate::system::write_atomic;

/// The file that keeps the number.
pub struct KnownEpoch(PathBuf);

impl KnownEpoch {
    /// For a database, in `epochs/` of the state folder. A server that does not show its identifier
    /// is told apart by host and port.
    pub fn of(state: &Path, identity: &Identity) -> Self {
        let place = format!("{}:{}", identity.host, identity.port);
        let server = identity.system_identifier.as_deref().unwrap_or(&place);
        Self::named(state, server, &identity.database)
    }

    fn named(state: &Path, server: &str, database: &str) -> Self {
        let name = Sha256::digest(format!("{server}\n{database}").as_bytes());
        Self(state.join("epochs").join(hex(&name[..8])))
    }

    /// The number; 0 where nothing is known.
    pub fn get(&self) -> i64 {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    /// Keeps a higher number.
    ///
    /// # Errors
    /// `write-failed`, `disk-full`.
    pub fn raise(&self, epoch: i64) -> Result<(), Fault> {
        if epoch <= self.get() {
            return Ok(());
        }
        write_atomic(&self.0, format!("{epoch}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_number_never_goes_down_and_each_database_has_its_own() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join("epochs")).unwrap();
        let shop = KnownEpoch::named(state.path(), "7301", "shop");
        shop.raise(8).unwrap();
        shop.raise(7).unwrap();
        assert_eq!(shop.get(), 8);
        assert_eq!(KnownEpoch::named(state.path(), "7301", "shop2").get(), 0);
        assert_eq!(KnownEpoch::named(state.path(), "7302", "shop").get(), 0);
    }
}
