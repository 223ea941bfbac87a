//! The program from the outside: arguments in, text and exit code out.

mod faults;
mod hours;
mod look;
mod road;
mod words;
