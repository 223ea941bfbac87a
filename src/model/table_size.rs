//! How large a table is.

use serde::{Deserialize, Serialize};

/// The server's estimate of a table's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// Rows as of the last ANALYZE; None where nobody has counted yet.
    pub rows: Option<u64>,
    /// Bytes with indexes and out-of-line values; those of all partitions for a partitioned table.
    pub bytes: u64,
}

/// Below both, work on every row is over before anybody notices.
const SMALL: TableSize = TableSize { rows: Some(10_000), bytes: 10 << 20 };
/// From one of both on, work on every row takes minutes.
const LARGE: TableSize = TableSize { rows: Some(10_000_000), bytes: 1 << 30 };

impl TableSize {
    /// Fewer than 10,000 rows and less than 10 MiB.
    pub fn is_small(&self) -> bool {
        self.bytes < SMALL.bytes && self.rows.is_none_or(|rows| Some(rows) < SMALL.rows)
    }

    /// 10,000,000 rows or 1 GiB at least.
    pub fn is_large(&self) -> bool {
        self.bytes >= LARGE.bytes || self.rows >= LARGE.rows
    }
}
