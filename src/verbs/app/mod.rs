//! `app::`: the application around the database: its commands and its health.

pub(super) mod argv;
pub(super) mod health;
pub(super) mod run;
