//! A backup as it is told: by the verbs that make or prove one, and in the report.

use serde::{Deserialize, Serialize};

/// A backup. A later one with the same files says more about the same backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backup {
    /// Its files; none where it is somebody else's.
    pub files: Vec<BackupFile>,
    /// `checksummed`, `readable`, `verified`, `unverified`, `external`.
    pub state: Option<String>,
    /// The command that restores it.
    pub restore: Option<String>,
    /// The database that is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Who can read it, `age1..`; empty where it is not encrypted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub encrypted_to: Vec<String>,
    /// Where it was carried to as well, each file read back from there and compared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uploaded: Vec<String>,
    /// When somebody else's backup was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// One file of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackupFile {
    /// Its path.
    pub path: String,
    /// `custom`, `directory`, `plain`.
    pub format: Option<String>,
    /// Bytes.
    pub bytes: Option<u64>,
    /// SHA-256.
    pub sha256: Option<String>,
}
