//! The manifest beside a dump: what it is, of which server, with which checksums and counts.
//!
//! It also says which dumps belong together, so that old ones are removed as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use crate::model::Fault;
use crate::system::write_atomic;

/// How a manifest's name ends.
pub(super) const ENDING: &str = ".manifest.json";

/// One file of a dump.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Name in the manifest's folder.
    pub(super) name: String,
    /// `custom`, `directory`, `plain`.
    pub(super) format: String,
    /// Size.
    pub(super) bytes: u64,
    /// Of the file; of a folder, over names and checksums of what is in it.
    pub(super) sha256: String,
    /// Who can read it, `age1..`; the checksum is that of what lies on the disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) encrypted_to: Vec<String>,
}

/// Which server the dump shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) system_identifier: Option<String>,
    pub(super) version: String,
    /// 150018 for 15.18.
    pub(super) version_number: u32,
}

/// What stands in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Version of this form.
    pub(super) manifest: u32,
    pub(super) database: String,
    pub(super) server: Server,
    /// RFC 3339 with zone.
    pub(super) created_at: String,
    pub(super) run: String,
    /// `checksummed` where nobody could decrypt it here, `readable` or `verified`.
    pub(super) state: String,
    pub(super) files: Vec<FileEntry>,
    /// Rows by table, in the dump's snapshot.
    pub(super) tables: Counts,
    /// The sums of each table's rows in the same snapshot: equal if and only if the rows are.
    #[serde(default)]
    pub(super) sums: BTreeMap<String, String>,
    /// Names of everything in the schema, in the same snapshot; empty where only some tables were
    /// dumped.
    #[serde(default)]
    pub(super) objects: Vec<String>,
    /// True where only some tables were dumped.
    #[serde(default)]
    pub(super) partial: bool,
    /// Roles of the server.
    #[serde(default)]
    pub(super) roles: Vec<String>,
    /// Roles that a restore with owners and rights needs.
    #[serde(default)]
    pub(super) owners: Vec<String>,
    /// Where the files were carried to, read back and compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) uploaded: Vec<String>,
    /// Tables without their rows.
    #[serde(default)]
    pub(super) without_rows: Vec<String>,
}

impl Manifest {
    /// Reads a manifest; None where there is none or it is of another form.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Writes it whole or not at all, mode 0600.
    pub(super) fn write(&self, path: &Path) -> Result<(), Fault> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Fault::failed("internal", error.to_string()))?;
        write_atomic(path, &text)
    }

    /// Who can read its files; empty where they are not encrypted.
    pub(super) fn encrypted_to(&self) -> Vec<String> {
        self.files.first().map_or(Vec::new(), |file| file.encrypted_to.clone())
    }

    /// Is it a dump of the same database on the same server?
    fn is_of(&self, other: &Self) -> bool {
        let at = |manifest: &Self| {
            let server = &manifest.server;
            let address = (server.host.clone(), server.port);
            (server.system_identifier.clone(), address, manifest.database.clone())
        };
        at(self) == at(other)
    }

    /// When it was made, for comparing: times of one zone sort as text, those of two do not.
    fn made(&self) -> jiff::Timestamp {
        self.created_at.parse().unwrap_or(jiff::Timestamp::MIN)
    }
}

/// The identifier of the server that a dump of this database was made on, as the manifest beside it
/// says; None where there is none, or it is about other files.
pub fn server_of_dump(dump: &Path, database: &str) -> Option<String> {
    let manifest = Manifest::read(&beside(dump)?)?;
    let name = dump.file_name()?.to_str()?;
    let file = manifest.files.iter().find(|file| file.name == name)?;
    let whole = dump.is_dir() || dump.metadata().is_ok_and(|meta| meta.len() == file.bytes);
    (whole && manifest.database == database).then_some(manifest.server.system_identifier)?
}

/// The manifest of a dump's file: `shop_20261121_031542.dump` (also with `.age` behind it) ->
/// `shop_20261121_031542.manifest.json`.
pub(super) fn beside(dump: &Path) -> Option<PathBuf> {
    let name = dump.file_name()?.to_str()?;
    if name.ends_with(ENDING) {
        return Some(dump.to_path_buf());
    }
    let name = name.strip_suffix(".age").unwrap_or(name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    Some(dump.with_file_name(format!("{stem}{ENDING}")))
}

/// Removes older dumps of the same database, so that `keep` are left, this one included. The
/// newest dump that was restored and compared stays whatever its age. Gives what was removed.
pub(super) fn retain(folder: &Path, newest: &Manifest, keep: usize) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut known: Vec<(PathBuf, Manifest)> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_str().is_some_and(|name| name.ends_with(ENDING)))
        .filter_map(|path| Some((path.clone(), Manifest::read(&path)?)))
        .filter(|(_, manifest)| manifest.is_of(newest) && manifest.partial == newest.partial)
        .collect();
    known.sort_by_key(|(path, manifest)| std::cmp::Reverse((manifest.made(), path.clone())));
    let verified = known.iter().position(|(_, manifest)| manifest.state == "verified");
    let mut removed = Vec::new();
    for (at, (path, manifest)) in known.iter().enumerate() {
        if at < keep.max(1) || Some(at) == verified {
            continue;
        }
        for file in &manifest.files {
            // A name with a slash would leave the folder: no manifest of ours has one.
            if file.name.contains('/') || file.name.starts_with("..") {
                continue;
            }
            let file = folder.join(&file.name);
            let gone = match std::fs::symlink_metadata(&file) {
                Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(&file).is_ok(),
                Ok(_) => std::fs::remove_file(&file).is_ok(),
                Err(_) => false,
            };
            if gone {
                removed.push(file.display().to_string());
            }
        }
        let _ = std::fs::remove_file(path);
    }
    removed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn made(folder: &Path, database: &str, at: &str, state: &str) -> Manifest {
        let stem = format!("{database}_{}", at.replace([':', '-', '+'], ""));
        let manifest = Manifest {
            manifest: 1,
            database: database.into(),
            server: Server { host: "db".into(), port: 5432, ..Server::default() },
            created_at: at.into(),
            run: "r".into(),
            state: state.into(),
            files: vec![FileEntry {
                name: format!("{stem}.dump"),
                format: "custom".into(),
                bytes: 1,
                sha256: "x".into(),
                encrypted_to: Vec::new(),
            }],
            tables: Counts::new(),
            sums: BTreeMap::new(),
            objects: Vec::new(),
            partial: false,
            roles: Vec::new(),
            owners: Vec::new(),
            uploaded: Vec::new(),
            without_rows: Vec::new(),
        };
        std::fs::write(folder.join(format!("{stem}.dump")), "x").unwrap();
        manifest.write(&folder.join(format!("{stem}{ENDING}"))).unwrap();
        manifest
    }

    #[test]
    fn the_newest_and_the_last_verified_dump_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        made(dir, "shop", "2026-01-01T00:00:00+09:00", "verified");
        made(dir, "shop", "2026-01-02T00:00:00+09:00", "verified");
        made(dir, "shop", "2026-01-03T00:00:00+09:00", "readable");
        made(dir, "other", "2025-01-01T00:00:00+09:00", "readable");
        let newest = made(dir, "shop", "2026-01-04T00:00:00+09:00", "readable");
        let removed = retain(dir, &newest, 1);
        let names: Vec<_> = removed.iter().filter_map(|path| path.rsplit('/').next()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.iter().all(|n| n.contains("20260101") || n.contains("20260103")));
        let left = std::fs::read_dir(dir).unwrap().count();
        assert_eq!(left, 6, "three dumps with their manifests");
    }

    #[test]
    fn a_manifest_never_removes_files_of_other_folders() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("backups");
        std::fs::create_dir(&dir).unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "kept").unwrap();
        let mut old = made(&dir, "shop", "2026-01-01T00:00:00Z", "readable");
        old.files[0].name = "../victim".into();
        old.write(&dir.join(format!("shop_20260101T000000Z{ENDING}"))).unwrap();
        let newest = made(&dir, "shop", "2026-01-02T00:00:00Z", "readable");
        retain(&dir, &newest, 1);
        assert!(victim.exists());
    }

    #[test]
    fn a_manifest_lies_beside_its_dump() {
        let name = |dump: &str| beside(Path::new(dump)).unwrap().display().to_string();
        assert_eq!(name("b/shop_1.dump"), "b/shop_1.manifest.json");
        assert_eq!(name("b/shop_1.dump.age"), "b/shop_1.manifest.json");
        assert_eq!(name("b/shop_1.manifest.json"), "b/shop_1.manifest.json");
    }
}
