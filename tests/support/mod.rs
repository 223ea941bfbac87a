//! What tests stand on: a PostgreSQL of their own, a project folder, the real binary.

#[cfg(feature = "object_store")]
pub mod bucket;
pub mod cluster;
pub mod disaster;
pub mod disk;
pub mod gate;
pub mod listener;
pub mod noise;
pub mod played;
pub mod pooler;
pub mod project;
pub mod stage;
pub mod wait;
pub mod wire;

pub use cluster::Cluster;
pub use disk::SmallDisk;
pub use gate::Gate;
pub use listener::Listener;
pub use played::Played;
pub use pooler::Pooler;
pub use project::{Project, Ran};
pub use stage::Stage;
pub use wait::{AT_ONCE, comes, lives, soon};
pub use wire::Wire;
