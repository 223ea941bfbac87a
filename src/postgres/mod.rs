//! The room that knows PostgreSQL: where the database is, how to get in, what to say to it.
//!
//! Everything above speaks to a server through [`Session`]. Nothing here knows playbooks, runs or
//! journals.

mod access;
mod decode;
mod difference;
mod look;
mod passfile;
mod refusal;
mod service;
mod share;
mod statement;
mod tls;
mod wire;
mod wrap;

pub mod catalog;
pub mod connect;
pub mod conninfo;
pub mod error;
pub mod fingerprint;
pub mod programs;
pub mod scratch;
pub mod session;
pub mod sqlstate;
pub mod value;

pub use access::{Access, plain_command};
pub use catalog::Identity;
pub use connect::{ConnectOptions, connect, wait_ready};
pub use conninfo::{HostSpec, SslMode, Target};
pub use difference::{
    Change, ColumnLoss, Difference, ObjectChange, RowSample, TableChange, compare, objects,
};
pub use error::DbError;
pub use fingerprint::{Fingerprint, TableSum};
pub use look::Look;
pub use session::{Canceller, Notice, Session};
pub use share::share;
pub use sqlstate::{decorate, team_remedy};
pub use statement::{CopySink, Rows, SimpleResult};
