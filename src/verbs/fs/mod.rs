//! `fs::`: files of the project, and of the folders that its configuration allows.

pub(super) mod copies;
pub(super) mod look;
pub(super) mod place;
pub(super) mod sum;
