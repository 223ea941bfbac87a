//! A project's file, `runsheet.toml`, and everything that is settled before a run: which
//! environment, which address, which parameters.
//!
//! Raw text becomes a checked [`Config`]; all complaints are gathered and shown together, each with
//! its line underlined. Nothing here connects to anything: an address is picked, not parsed.
//! The command line calls it first; every floor above reads the result.

mod backup;
mod environment;
mod load;
mod parameters;
mod policy;
mod reader;
mod settings;
mod window;

pub use backup::{Backup, Upload};
pub use environment::{Environment, UrlSource};
pub use load::{FILE_NAME, find_project};
pub use parameters::{Declared, Layers, ParamSource, Resolved, missing, parse_assignment, resolve};
pub use policy::{BackupNeed, Demand, Origin, Policy, Rule, Way};
pub use settings::{Config, EnvironmentSettings, Expect, RehearsalCommand, RunDefaults, Values};
pub use window::{Closed, Freeze, Window, may_begin};
