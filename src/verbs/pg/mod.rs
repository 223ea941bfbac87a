//! `pg::`: backups that are proven, and the way back through them.
//!
//! `dump` writes and decodes, `verify` looks again, `restore_test` restores and compares,
//! `restore` is the last rung of the ladder.

#[cfg(feature = "object_store")]
mod bucket;
pub(super) mod counts;
pub(super) mod dump;
pub(super) mod elsewhere;
pub(super) mod external;
pub(super) mod load;
pub(super) mod manifest;
pub(super) mod produce;
pub(super) mod restore;
pub(super) mod restore_test;
pub(super) mod rung;
pub(super) mod source;
pub(super) mod tools;
pub(super) mod upload;
pub(super) mod verify;
