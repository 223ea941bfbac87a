//! How dangerous a statement is, in the four words of the risk table that teams use.

use serde::{Deserialize, Serialize};

/// Low < medium < high < very high.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Additive: a new table, a nullable column.
    Low,
    /// An index, a constraint not yet validated.
    Medium,
    /// A type change, a rewrite.
    High,
    /// Something is lost or transformed: DROP, UPDATE, DELETE, dynamic SQL.
    VeryHigh,
}

impl Risk {
    /// All four, the lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::VeryHigh];

    /// The stable word: `low`, `medium`, `high`, `very_high`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::VeryHigh => "very_high",
        }
    }
}
