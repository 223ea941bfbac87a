//! The state folder `.runsheet/`: mode 0700, never committed, one folder for each run in `runs/`
//! and nothing else there. What the files in it mean is the journal's affair.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::model::{Fault, RunId};
use crate::msg;

use super::files::{write_atomic, write_fault};

/// An opened state folder.
#[derive(Clone, Debug)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// Opens the folder, made with mode 0700 (and a `.gitignore` in it) where it is missing.
    ///
    /// # Errors
    /// `state-dir-unsafe` where it is a symbolic link or no folder; `write-failed`, `disk-full`.
    pub fn open(root: &Path) -> Result<Self, Fault> {
        make_private(root)?;
        let runs = root.join("runs");
        make_private(&runs)?;
        let ignore = root.join(".gitignore");
        if !ignore.exists() {
            write_atomic(&ignore, b"*\n")?;
        }
        let root = root.canonicalize().map_err(|error| write_fault(root, &error))?;
        Ok(Self { root })
    }

    /// The folder itself, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder in the state folder, made with mode 0700 where it is missing.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn folder(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = self.root.join(name);
        make_private(&path)?;
        Ok(path)
    }

    /// Where a run's files are; it may not exist.
    pub fn run_dir(&self, run: &RunId) -> PathBuf {
        self.root.join("runs").join(&run.0)
    }

    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// `run-exists` where there is one of that id; `write-failed`, `disk-full`.
    pub fn create_run(&self, run: &RunId) -> Result<PathBuf, Fault> {
        let path = self.run_dir(run);
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Fault::failed("run-exists", msg!("system.run-exists", run = run)))
            }
            Err(error) => Err(write_fault(&path, &error)),
        }
    }

    /// The id of a new run: behind all that are here, also within one second and where the clock
    /// was set back.
    ///
    /// # Errors
    /// `read-failed`.
    pub fn new_run(&self) -> Result<RunId, Fault> {
        Ok(Self::run_after(&self.runs()?))
    }

    /// As [`StateDir::new_run`], behind these, the newest of which is the last.
    pub fn run_after(runs: &[RunId]) -> RunId {
        let new = new_run_id();
        match runs.last() {
            Some(last) if *last >= new => behind(last, &new),
            _ => new,
        }
    }

    /// The ids of all runs, oldest first. Folders whose name is no run id are left out.
    ///
    /// # Errors
    /// `read-failed`.
    pub fn runs(&self) -> Result<Vec<RunId>, Fault> {
        let runs = self.root.join("runs");
        let read = || -> std::io::Result<Vec<RunId>> {
            let mut ids = Vec::new();
            for entry in std::fs::read_dir(&runs)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if is_run_id(&name) && entry.file_type()?.is_dir() {
                    ids.push(RunId(name));
                }
            }
            ids.sort();
            Ok(ids)
        };
        read().map_err(|error| {
            Fault::failed(
                "read-failed",
                msg!("system.read-failed", path = runs.display(), error = error),
            )
        })
    }
}

/// Makes a folder of mode 0700, its parents too; an existing one of ours is closed to others.
fn make_private(path: &Path) -> Result<(), Fault> {
    let failed = |error: std::io::Error| write_fault(path, &error);
    match std::fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_dir() => {
            let text = if meta.is_symlink() {
                msg!("system.state-dir-link", path = path.display())
            } else {
                msg!("system.state-dir-file", path = path.display())
            };
            Err(Fault::usage("state-dir-unsafe", text)
                .cause(msg!("system.state-dir-cause"))
                .remedy(msg!("system.state-dir-remedy", path = path.display())))
        }
        Ok(meta) => {
            if meta.mode() & 0o077 != 0 && meta.uid() == rustix::process::geteuid().as_raw() {
                let closed = std::fs::Permissions::from_mode(0o700);
                std::fs::set_permissions(path, closed).map_err(failed)?;
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// A new run's id, `20261121-031542-7f3a`: UTC, so that ids sort by time also when the clocks go
/// back, and four random digits for runs that start in the same second.
pub fn new_run_id() -> RunId {
    use std::hash::{BuildHasher, Hasher};
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    // Each RandomState is seeded anew: enough to tell two runs of one second apart.
    let random = std::hash::RandomState::new().build_hasher().finish() & 0xffff;
    RunId(format!("{now}-{random:04x}"))
}

/// An id behind `last`: its second with greater digits, or the next second.
fn behind(last: &RunId, new: &RunId) -> RunId {
    let (second, digits) = last.0.rsplit_once('-').unwrap_or((&last.0, ""));
    let used = u64::from_str_radix(digits, 16).unwrap_or(0xffff);
    let random = new.0.rsplit_once('-').and_then(|(_, d)| u64::from_str_radix(d, 16).ok());
    let room = 0xffff - used;
    if room > 0 {
        return RunId(format!("{second}-{:04x}", used + 1 + random.unwrap_or(0) % room));
    }
    let next = jiff::fmt::strtime::parse("%Y%m%d-%H%M%S", second)
        .and_then(|parsed| parsed.to_datetime())
        .and_then(|at| at.checked_add(jiff::SignedDuration::from_secs(1)))
        .map_or_else(|_| second.to_string(), |at| at.strftime("%Y%m%d-%H%M%S").to_string());
    RunId(format!("{next}-{:04x}", random.unwrap_or(0)))
}

/// True for `YYYYMMDD-HHMMSS-xxxx`.
pub fn is_run_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 20
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 15 => *byte == b'-',
            16.. => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_state_folder_is_closed_to_others_and_never_committed() {
        let project = tempfile::tempdir().unwrap();
        let root = project.path().join(".runsheet");
        std::fs::create_dir(&root).unwrap();
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).unwrap();
        let state = StateDir::open(&root).unwrap();
        assert_eq!(std::fs::metadata(&root).unwrap().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_to_string(root.join(".gitignore")).unwrap(), "*\n");
        let cache = state.folder("scratch").unwrap();
        assert_eq!(std::fs::metadata(cache).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_state_folder_that_is_a_link_is_refused() {
        let project = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let root = project.path().join(".runsheet");
        std::os::unix::fs::symlink(elsewhere.path(), &root).unwrap();
        assert_eq!(StateDir::open(&root).unwrap_err().code, "state-dir-unsafe");
    }

    #[test]
    fn a_new_run_sorts_behind_all_others_also_when_the_clock_was_set_back() {
        let project = tempfile::tempdir().unwrap();
        let state = StateDir::open(&project.path().join(".runsheet")).unwrap();
        for last in ["20991231-235959-0007", "20991231-235959-ffff"] {
            state.create_run(&RunId(last.into())).unwrap();
            let new = state.new_run().unwrap();
            assert!(new.0.as_str() > last && is_run_id(&new.0), "{new}");
        }
        assert!(state.new_run().unwrap().0.starts_with("21000101-000000-"));
    }

    #[test]
    fn runs_are_listed_by_time_and_strangers_left_out() {
        let project = tempfile::tempdir().unwrap();
        let state = StateDir::open(&project.path().join(".runsheet")).unwrap();
        let (old, new) = (RunId("20200101-000000-ffff".into()), new_run_id());
        assert!(is_run_id(&new.0), "{new}");
        state.create_run(&new).unwrap();
        state.create_run(&old).unwrap();
        std::fs::create_dir(state.root().join("runs/notes")).unwrap();
        assert_eq!(state.runs().unwrap(), [old.clone(), new]);
        assert_eq!(state.create_run(&old).unwrap_err().code, "run-exists");
    }
}
