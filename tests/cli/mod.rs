//! The program from the outside: arguments in, text and exit code out.

mod approve;
mod faults;
mod hours;
mod look;
pub mod policy;
mod road;
mod words;
