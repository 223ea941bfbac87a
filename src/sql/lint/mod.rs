//! Findings in SQL files: what each statement does and what in it deserves a second look.
//!
//! Talks to no server and runs nothing. `examine` judges one statement after the other, `file` reads
//! a whole file, `include` finds what it includes, `rules` and `shape` hold our own rules, `squawk` asks squawk's own rules, `allow` reads the comments that accept a finding.
//! Called by the command `lint` and by the review.

mod allow;
mod examine;
mod file;
mod finding;
mod include;
mod rules;
mod shape;
mod squawk;

pub use examine::{Examined, Examiner};
pub use file::{lint_beside, lint_file, lint_within};
pub use finding::{Finding, Judged, Level, Linted};
pub use include::Around;
