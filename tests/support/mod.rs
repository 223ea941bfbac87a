//! What tests stand on: a PostgreSQL of their own, a project folder, the real binary.

pub mod cluster;
pub mod play;
pub mod project;

pub use cluster::Cluster;
pub use play::{Asked, Played, Stage};
pub use project::{Project, Ran};
