//! What a step did to the copy in a rehearsal, as the server counted it.

use serde::{Deserialize, Serialize};

/// Rows of one table that a step wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRows {
    /// Qualified, quoted name.
    pub table: String,
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
}

/// The strongest lock that a step held on a table which was there before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableLock {
    /// Qualified, quoted name.
    pub table: String,
    /// As the server calls it, `AccessExclusiveLock`.
    pub mode: String,
}

/// What a step did to the copy. Asked of the server just before the step's COMMIT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Bytes written to the write-ahead log.
    pub wal_bytes: u64,
    /// Rows written, by table.
    pub rows: Vec<TableRows>,
    /// Locks held until the end of the step.
    pub locks: Vec<TableLock>,
    /// Tables whose file is another one: rewritten, or emptied by TRUNCATE.
    pub rewritten: Vec<String>,
    /// Indexes that were built, on tables that were there before, or built anew.
    #[serde(default)]
    pub indexes: Vec<String>,
    /// Bytes of temporary files: sorts and joins that had no room in memory. None on servers before
    /// 15, which tell it late.
    #[serde(default)]
    pub temp_bytes: Option<u64>,
}

impl Measured {
    /// Rows written in all tables.
    pub fn rows_written(&self) -> u64 {
        self.rows.iter().map(|table| table.inserted + table.updated + table.deleted).sum()
    }
}
