//! All integration tests in one binary. Each room of tests is one line here.

#![allow(missing_docs, unreachable_pub, dead_code, unused_imports)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "failpoints")]
mod chaos;
mod cli;
mod engine;
mod faults;
mod house;
mod playbooks;
mod postgres;
mod promises;
mod rehearsal;
mod risk;
mod support;
mod system;
mod verbs;
