//! The items of the checklist, and what steers their flow.

pub(super) mod asked;
pub(super) mod endings;
pub(super) mod expect;
pub(super) mod flow;
pub(super) mod lock;
pub(super) mod playbook;
pub(super) mod scopes;
