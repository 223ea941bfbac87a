//! The whole night on a copy, the way back included: a private server, a copy of the source, then
//! forward, back and forward again, each compared with what it began with.
//!
//! Nothing here writes to the source. The command line calls [`rehearse`]; the playbook is walked
//! by the engine as in a run, with a gate that leaves alone what is not the copy.

mod copied;
mod copy;
mod crash;
mod disk;
mod downtime;
mod evidence;
mod home;
mod night;
pub mod pairs;
mod paper;
mod passes;
mod roles;
mod seed;
mod shaped;
mod told;
mod verdict;

pub use copy::{Copy, Source, on_protected};
pub use downtime::{Downtime, Estimate, LockDifference};
pub use night::{Rehearsed, Wanted, rehearse};
pub use paper::{markdown, text};
pub use passes::inner_run;
pub use told::{Outcome, PassTold, Progress, StepTold};
pub use verdict::lines;
