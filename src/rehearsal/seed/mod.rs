//! Rows for tables that have none: values of the right types, foreign keys that hit, enums, CHECKs
//! and unique keys respected. What no row could be made for is named, with the server's reason.
//!
//! Works inside of a transaction that the caller has opened. Rehearsals of migrations and
//! generated copies call [`fill`].

mod check;
mod insert;
mod shape;
mod value;

pub(super) use insert::fill;
