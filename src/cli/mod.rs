//! The command line: arguments in, exit code out.

mod again;
mod args;
mod check;
mod compared;
mod coverage;
mod database;
mod demo;
mod deploy;
mod desk;
mod dispatch;
mod doctor;
mod help;
mod known;
mod lint;
mod look;
mod pairs;
mod past;
mod rehearse;
mod road;
mod show;
mod signed;
mod start;
mod verbs;

pub use dispatch::run;
