//! Kills, cut connections and crashing servers, aimed at a playbook with every kind of effect.
//!
//! A few trials of each kind run with the other tests; `examples/chaos` runs thousands.

pub mod arena;
pub mod check;
pub mod dice;
pub mod drills;
pub mod played;
pub mod proxy;
mod short;
