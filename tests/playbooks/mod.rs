//! The shipped playbooks, run whole.

mod iamvet;
