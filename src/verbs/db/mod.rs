//! `db::`: the database of the run.

mod about;
mod alone;
mod restore;
mod words;

pub(super) mod compare;
pub(super) mod counts;
pub(super) mod exec;
pub(super) mod fingerprint;
pub(super) mod index;
pub(super) mod orphans;
pub(super) mod probe;
pub(super) mod query;
pub(super) mod read_only;
pub(super) mod required;
pub(super) mod rights;
pub(super) mod same_count;
pub(super) mod schema;
pub(super) mod server;
pub(super) mod sessions;
pub(super) mod snapshot;
pub(super) mod structure;
