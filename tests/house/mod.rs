//! The house checks itself: floors, messages, style. Each check is tried on a planted violation.

mod floors;
mod messages;
mod source;
mod style;
