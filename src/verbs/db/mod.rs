//! `db::`: the database of the run.

pub(super) mod query;
