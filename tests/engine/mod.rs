//! The script engine: what is found without running, and what it consists of.

mod lint;
mod outline;
mod pages;
