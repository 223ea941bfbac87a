//! postgres

pub mod programs;
pub mod scratch;
