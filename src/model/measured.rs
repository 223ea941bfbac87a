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
    /// How long the step waited for locks of this table, in milliseconds, at least; 0 where no wait
    /// was seen.
    #[serde(default)]
    pub waited_ms: u64,
}

/// What a step changed of the disk that one table needs, its indexes included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSpace {
    /// Qualified, quoted name; of an index that was dropped its own.
    pub table: String,
    /// Bytes that are more behind the step; fewer where it is below zero.
    pub grown_bytes: i64,
    /// Bytes of old files, of a rewritten or dropped table or index: they stay until the COMMIT,
    /// beside the new ones.
    pub replaced_bytes: u64,
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
    /// Tables that need more or less of the disk, and those whose files are other ones.
    #[serde(default)]
    pub space: Vec<TableSpace>,
}

/// One figure, measured and scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Measured on the copy.
    pub on_copy: u64,
    /// Times how much larger the tables are on the source.
    pub on_source: u64,
}

/// The free disk that a run needs, as a rehearsal measured it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskNeed {
    /// The most that tables and indexes had grown by just before a step's COMMIT, old and new files
    /// of a rewrite included. What came and went inside of a step is not seen: at least.
    pub tables: Bytes,
    /// All write-ahead log. It goes again once it is archived and replayed everywhere: at most.
    pub wal: Bytes,
    /// Temporary files of the step that wrote most of them: at most. None where the server does not
    /// tell (before 15).
    pub temporary: Option<Bytes>,
    /// Files of the dumps that the run makes; None where it makes none.
    pub backup: Option<Bytes>,
    /// How long the steps that make them took, in milliseconds.
    pub backup_ms: Option<u64>,
}

impl DiskNeed {
    /// What is needed on the source beside its data, the backup not counted.
    pub fn on_source(&self) -> u64 {
        let temporary = self.temporary.map_or(0, |bytes| bytes.on_source);
        self.tables.on_source.saturating_add(self.wal.on_source).saturating_add(temporary)
    }
}

impl Measured {
    /// Rows written in all tables.
    pub fn rows_written(&self) -> u64 {
        self.rows.iter().map(|table| table.inserted + table.updated + table.deleted).sum()
    }
}
