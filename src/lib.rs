//! runsheet: migration playbooks that run, on PostgreSQL.
//!
//! The crate is a house of floors; an import goes down, never up, and rooms on one floor do not
//! know each other (`tests/house/floors.rs` reads the sources and fails on a climb):
//!
//! ```text
//! 8 cli
//! 7 rehearsal   the whole night on a copy
//! 6 engine
//! 5 verbs
//! 4 host        the gate that every effect passes
//! 3 journal     recorder, ledger, lease
//! 2 postgres    connect, session, catalog, sqlstate, programs, scratch
//! 1 sql · system · playbook · config · report
//! 0 model · message
//! ```
//!
//! On floor 0 `message` may use nothing and `model` may use `message`.

pub mod cli;
pub mod config;
pub mod engine;
pub mod host;
pub mod journal;
pub mod message;
pub mod model;
pub mod playbook;
pub mod postgres;
pub mod rehearsal;
pub mod report;
pub mod sql;
pub mod system;
pub mod verbs;
