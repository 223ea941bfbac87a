//! `http::`: asking an address.

pub(super) mod fetch;
pub(super) mod get;
