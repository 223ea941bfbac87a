//! The shipped playbooks, run whole.

pub mod iamvet;
