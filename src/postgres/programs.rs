//! Where PostgreSQL's programs are, and which version each has.
//!
//! Searched in this order: the configured folder, RUNSHEET_PG_BIN, PATH, what `pg_config` says,
//! the places where packages put them, `.runsheet/postgresql/*/bin` (unpacked there by the set-up
//! scripts). Downloads nothing. Called by dumps, restores and the scratch server.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::Fault;
use crate::msg;
use crate::system::{Cancel, Command};

/// A program of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Its file, symbolic links resolved.
    pub path: PathBuf,
    /// Major and minor version: (15, 18). A beta counts as minor 0.
    pub version: (u32, u32),
}

impl Program {
    /// The folder that it lies in.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

/// Finds programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The configured folder and RUNSHEET_PG_BIN: what lies there wins where it is new enough.
    chosen: Vec<PathBuf>,
    found: Vec<PathBuf>,
}

impl Programs {
    /// Looks in the configured folder and the machine's usual places; `state` is `.runsheet`.
    pub fn new(configured: Option<&Path>, state: Option<&Path>) -> Self {
        let mut chosen: Vec<PathBuf> = configured.map(Path::to_path_buf).into_iter().collect();
        chosen.extend(std::env::var_os("RUNSHEET_PG_BIN").map(PathBuf::from));
        let mut found: Vec<PathBuf> = std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default();
        found.extend(asked_pg_config());
        for pattern in [
            "/usr/lib/postgresql/*/bin",
            "/usr/pgsql-*/bin",
            "/opt/homebrew/opt/postgresql@*/bin",
            "/usr/local/opt/postgresql@*/bin",
            "/opt/homebrew/opt/libpq/bin",
            "/usr/local/opt/libpq/bin",
            "/Applications/Postgres.app/Contents/Versions/*/bin",
        ] {
            found.extend(unfold(pattern));
        }
        if let Some(state) = state {
            found.extend(unfold(&format!("{}/postgresql/*/bin", state.display())));
        }
        Self { chosen, found }
    }

    /// Looks in these folders and nowhere else.
    pub fn only(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { chosen: Vec::new(), found: folders.into_iter().collect() }
    }

    /// A program of the wanted major version; where there is none, of the next newer one. Without
    /// a wanted version, the first in the order of the search.
    ///
    /// # Errors
    /// `program-not-found`, naming the version needed and those that were found.
    pub fn find(&self, name: &str, wanted_major: Option<u32>) -> Result<Program, Fault> {
        self.find_beside(name, &[], wanted_major)
    }

    /// As [`Programs::find`], with other programs in the same folder: `initdb` beside `postgres`.
    ///
    /// # Errors
    /// As [`Programs::find`].
    pub fn find_beside(
        &self,
        name: &str,
        beside: &[&str],
        wanted_major: Option<u32>,
    ) -> Result<Program, Fault> {
        let candidates = |folders: &[PathBuf]| -> Vec<Program> {
            folders.iter().filter_map(|folder| program_in(folder, name, beside)).collect()
        };
        let chosen = candidates(&self.chosen);
        if let Some(program) = best(&chosen, wanted_major) {
            return Ok(program);
        }
        let found = candidates(&self.found);
        best(&found, wanted_major)
            .ok_or_else(|| not_found(name, wanted_major, &[chosen, found].concat()))
    }
}

/// The same major version first, else the next newer; among equals the first found.
fn best(candidates: &[Program], wanted_major: Option<u32>) -> Option<Program> {
    let Some(wanted) = wanted_major else { return candidates.first().cloned() };
    candidates
        .iter()
        .filter(|program| program.version.0 >= wanted)
        .min_by_key(|program| program.version.0)
        .cloned()
}

fn not_found(name: &str, wanted_major: Option<u32>, found: &[Program]) -> Fault {
    let mut seen: Vec<String> = found
        .iter()
        .map(|program| {
            let (major, minor) = program.version;
            format!("{major}.{minor} ({})", program.path.display())
        })
        .collect();
    seen.dedup();
    let text = match wanted_major {
        Some(major) => msg!("system.program-missing-version", name = name, major = major),
        None => msg!("system.program-missing", name = name),
    };
    let fault = Fault::failed("program-not-found", text);
    let fault = if seen.is_empty() {
        fault.detail(msg!("system.program-none-found"))
    } else {
        fault.detail(msg!("system.programs-found", found = seen.join(", ")))
    };
    match wanted_major {
        Some(major) => fault.remedy(msg!("system.program-remedy-version", major = major)),
        None => fault.remedy(msg!("system.program-remedy")),
    }
}

fn program_in(folder: &Path, name: &str, beside: &[&str]) -> Option<Program> {
    // Resolved, so that a link farm in /usr/local/bin leads to the folder that holds them all.
    let path = folder.join(name).canonicalize().ok()?;
    // Debian's /usr/bin/psql is a Perl script that picks a version by cluster; the real programs
    // are in /usr/lib/postgresql.
    if path.file_name().is_some_and(|file| file == "pg_wrapper") || !is_executable(&path) {
        return None;
    }
    let home = path.parent()?;
    if !beside.iter().all(|other| is_executable(&home.join(other))) {
        return None;
    }
    let version = version_of(&path)?;
    Some(Program { path, version })
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

type Versions = HashMap<PathBuf, Option<(u32, u32)>>;

static VERSIONS: Mutex<Option<Versions>> = Mutex::new(None);

/// What `--version` says; asked once for each file and process. None where it cannot be run.
fn version_of(path: &Path) -> Option<(u32, u32)> {
    let mut cache = VERSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let cache = cache.get_or_insert_with(HashMap::new);
    if let Some(known) = cache.get(path) {
        return *known;
    }
    let version = said(path, "--version").and_then(|text| parse_version(&text));
    cache.insert(path.to_path_buf(), version);
    version
}

fn said(path: &Path, argument: &str) -> Option<String> {
    let mut command = Command::new([path.to_str()?, argument]);
    command.timeout = Duration::from_secs(10);
    // A folder that surely exists: the current one may have been removed.
    command.cwd = "/".into();
    let output = command.run(&Cancel::new()).ok()?;
    output.succeeded().then_some(output.stdout)
}

/// From "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "postgres (PostgreSQL) 19beta2".
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = |text: &str| -> String { text.chars().take_while(char::is_ascii_digit).collect() };
    let major = digits(version);
    let minor = version[major.len()..].strip_prefix('.').map(digits).unwrap_or_default();
    Some((major.parse().ok()?, minor.parse().unwrap_or(0)))
}

fn asked_pg_config() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let config =
        std::env::split_paths(&path).map(|dir| dir.join("pg_config")).find(|p| is_executable(p))?;
    said(&config, "--bindir").map(|text| PathBuf::from(text.trim()))
}

/// The folders that fit a path with one `*`, the highest number in its place first.
fn unfold(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![pattern.into()] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = std::fs::read_dir(format!("{parent}/")) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    let number = |name: &str| -> f64 {
        let start = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
        let digits: String =
            name[start..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        digits.parse().unwrap_or(0.0)
    };
    names.sort_by(|a, b| number(b).total_cmp(&number(a)));
    names
        .into_iter()
        .map(|name| PathBuf::from(format!("{parent}/{name}{after}")))
        .filter(|folder| folder.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A folder with a script that says it is a program of that version.
    fn stand_in(root: &Path, version: &str) -> PathBuf {
        let folder = root.join(version).join("bin");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("pg_dump");
        // Written by a child: a file that this process has open for writing, and that a test beside
        // this one passes on when it forks, cannot be executed (ETXTBSY).
        let script =
            format!("printf '#!/bin/sh\\necho pg_dump \"(PostgreSQL)\" {version}\\n' > $0");
        let written = std::process::Command::new("sh").arg("-c").arg(script).arg(&file).status();
        assert!(written.unwrap().success());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[test]
    fn versions_are_read_from_what_programs_say() {
        let debian = "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(parse_version(debian), Some((15, 18)));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta2\n"), Some((19, 0)));
        assert_eq!(parse_version("pgbouncer 1.18"), None);
    }

    #[test]
    fn the_same_major_comes_first_then_the_next_newer() {
        let root = tempfile::tempdir().unwrap();
        let folders = ["17.2", "14.9", "18.1"].map(|version| stand_in(root.path(), version));
        let programs = Programs::only(folders);
        assert_eq!(programs.find("pg_dump", Some(14)).unwrap().version, (14, 9));
        assert_eq!(programs.find("pg_dump", Some(15)).unwrap().version, (17, 2));
        assert_eq!(programs.find("pg_dump", None).unwrap().version, (17, 2));
        let fault = programs.find("pg_dump", Some(19)).unwrap_err();
        assert_eq!(fault.code, "program-not-found");
        assert!(fault.message.contains("19"), "{fault}");
        assert!(fault.detail.unwrap().contains("18.1 ("));
    }

    #[test]
    fn a_program_counts_only_with_its_companions() {
        let root = tempfile::tempdir().unwrap();
        let programs = Programs::only([stand_in(root.path(), "16.1")]);
        assert!(programs.find_beside("pg_dump", &["pg_restore"], None).is_err());
    }

    #[test]
    fn the_real_program_is_found_and_not_a_wrapper() {
        let program = Programs::new(None, None).find("postgres", None).unwrap();
        assert!(program.version.0 >= 13, "{program:?}");
        if let Ok(dump) = Programs::new(None, None).find("pg_dump", None) {
            assert!(!dump.path.ends_with("pg_wrapper"), "{dump:?}");
        }
    }

    #[test]
    fn newer_folders_come_first_by_number_not_by_letters() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "18"] {
            stand_in(root.path(), version);
        }
        let found = unfold(&format!("{}/*/bin", root.path().display()));
        let names: Vec<_> = found
            .iter()
            .map(|p| p.strip_prefix(root.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["18/bin", "15/bin", "9.6/bin"]);
    }
}
