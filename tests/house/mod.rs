//! The house checks itself: floors, messages, playbooks, style. Each check is tried on a planted violation.

mod floors;
mod messages;
mod playbooks;
mod source;
mod style;
