//! Other people's migrations, pair by pair, on a private server: does the up apply, does the down
//! bring the schema and the rows back, does the up apply again?
//!
//! Needs no playbook and no source: the server begins empty. `runsheet rehearse --pairs` calls
//! [`walk`]; nothing here prints.

mod chain;
mod data;
mod objects;
mod read;
mod script;
mod told;
mod walk;

pub use read::{Layout, Pair, Part, read};
pub use told::{PairTold, PairsTold, Schema, Word};
pub use walk::{Asked, walk};
