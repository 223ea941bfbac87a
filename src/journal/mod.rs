//! What was done, written down twice: in the run's own file and in the database itself.
//!
//! The database (`ledger`) answers "what has been applied to this data" and goes back together
//! with it; the file (`recorder`) answers "what did this run do". The lease says who may write.

mod account;
mod approval;
mod epoch;
mod last;
mod lease;
mod ledger;
mod receipt;
mod recorder;
mod replay;
mod traces;
mod turn;

pub use account::{Account, Announced};
pub use approval::Approval;
pub use epoch::KnownEpoch;
pub use last::last_run_of;
pub use lease::{Holder, Lease, LeaseWish, TakeOver, fenced};
pub use ledger::{IntentRow, IntentState, Known, Ledger, RunRow, RunState, StepRow, StepState};
pub use receipt::{Origin, ProvenStep, Receipt, WayBackWord, object_hash};
pub use recorder::{Recorder, read_events, started_by};
pub use replay::{Recorded, Replay};
pub use traces::{Trace, Traces};
