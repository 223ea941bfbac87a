//! The host stands between a script and the world: its gate lets every action pass, or not. It is
//! synchronous, on the script's own thread; only leaf I/O is awaited, in [`Host::wait`].

#![allow(deprecated)] // Rhai marks its stored call contexts as volatile with this attribute.

mod apart;
mod approval;
mod aside;
mod begin;
mod blockers;
mod decisive;
mod diagnose;
mod doubt;
mod effects;
mod failpoint;
mod finish;
mod flight;
mod gate;
mod inputs;
mod item;
mod keep;
mod lead;
mod look;
mod loss;
mod measure;
mod options;
mod outside;
mod planned;
mod policy;
mod reconcile;
mod record;
mod rehearsed;
mod scope;
mod stop;
mod tidy;
mod transaction;
mod undo;
mod value;
mod verb;
mod waiting;
mod worker;

pub use approval::{Sign, Terminal};
pub use begin::declared;
pub use diagnose::{Sources, diagnose, used_up};
pub use effects::{External, Repeat};
pub use failpoint::POINTS;
#[cfg(feature = "failpoints")]
pub use failpoint::reach;
pub use flight::{Flight, GUARD, Landed};
pub use gate::{Ahead, Host, HostSetup, Mode, OnFailure, Wishes};
pub use inputs::call_text;
pub use options::{ItemOptions, bad_span, options, wrong_option};
pub use planned::{Planned, register_planned};
pub use policy::{ForeseenCommand, Foresight, Foretold, makes_backup};
pub use rehearsed::Rehearsal;
pub use stop::{FaultValue, Stop, Trouble};
pub use transaction::StatementTrouble;
pub use value::{from_json, to_json};
pub use verb::{Argument, Call, Verb, register};
