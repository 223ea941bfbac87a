//! postgres

pub mod sqlstate;
