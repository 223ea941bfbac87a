//! What was done, written down twice: in the run's own file and in the database itself.
//!
//! The database (`ledger`) answers "what has been applied to this data" and goes back together
//! with it; the file (`recorder`) answers "what did this run do". The lease says who may write.

mod lease;
mod ledger;
mod recorder;
mod replay;

pub use lease::{Ghost, Holder, Lease, LeaseWish};
pub use ledger::{IntentRow, IntentState, Ledger, RunRow, RunState, StepRow, StepState};
pub use recorder::{Recorder, read_events, started_by};
pub use replay::{Recorded, Replay};
