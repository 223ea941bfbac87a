//! `db::`: the database of the run.

pub(super) mod probe;
pub(super) mod query;
