//! The room that knows PostgreSQL: where the database is, how to get in, what to say to it.
//!
//! Everything above speaks to a server through [`Session`]. Nothing here knows playbooks, runs or
//! journals.

mod decode;
mod passfile;
mod refusal;
mod service;
mod statement;
mod tls;
mod wire;
mod wrap;

pub mod catalog;
pub mod connect;
pub mod conninfo;
pub mod error;
pub mod programs;
pub mod scratch;
pub mod session;
pub mod sqlstate;
pub mod value;

pub use catalog::Identity;
pub use connect::{ConnectOptions, connect, wait_ready};
pub use conninfo::{HostSpec, SslMode, Target};
pub use error::DbError;
pub use session::{Canceller, Notice, Session};
pub use sqlstate::{decorate, team_remedy};
pub use statement::{CopySink, Rows, SimpleResult};
