//! What tests stand on: a PostgreSQL of their own, a project folder, the real binary.

pub mod cluster;
pub mod listener;
pub mod played;
pub mod project;
pub mod stage;

pub use cluster::Cluster;
pub use listener::Listener;
pub use played::Played;
pub use project::{Project, Ran};
pub use stage::Stage;
