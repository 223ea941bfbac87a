//! Scratch servers: a private PostgreSQL started from the programs on this machine, and thrown
//! away. For rehearsals, restore tests, the demo and the project's own tests.
//!
//! Never touches a server that it did not start. Data is not safe in it: fsync is off.

mod account;
mod folders;
mod owner;
mod physical;
mod server;
mod template;

pub use owner::{clean_up_the_dead, is_scratch};
pub use server::{Fill, ScratchOptions, ScratchServer, StopMode};
