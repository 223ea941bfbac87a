//! The SQL files that playbooks name: the project's, else those shipped with the playbook.

use std::path::{Path, PathBuf};

use super::library::{Found, Library, SHIPPED};
use super::{Playbook, materialise, paths};
use crate::model::{Fault, nearest};
use crate::msg;

/// Where a file's content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSource {
    /// A file of the project: its canonical path.
    Disk(PathBuf),
    /// A file that is compiled in.
    Shipped {
        /// Its path in the shipped tree.
        path: &'static str,
        /// Its content.
        bytes: &'static [u8],
    },
}

impl FileSource {
    /// The content.
    ///
    /// # Errors
    /// The system's, for a file of the project.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Disk(path) => std::fs::read(path),
            Self::Shipped { bytes, .. } => Ok(bytes.to_vec()),
        }
    }

    /// Its hash, line ends and byte order mark not counted, however large it is.
    ///
    /// # Errors
    /// The system's, for a file of the project.
    pub fn hash(&self) -> std::io::Result<String> {
        match self {
            Self::Disk(path) => crate::model::hash_reader(std::fs::File::open(path)?),
            Self::Shipped { bytes, .. } => Ok(crate::model::hash_bytes(bytes)),
        }
    }

    /// A real file with the content; a shipped one is written below the state folder first, with
    /// everything that it may include.
    ///
    /// # Errors
    /// `shipped-unwritable`.
    pub fn on_disk(&self, state_dir: &Path) -> Result<PathBuf, Fault> {
        match self {
            Self::Disk(path) => Ok(path.clone()),
            Self::Shipped { path, .. } => Ok(materialise(state_dir)?.join(path)),
        }
    }

    /// The file as people see it.
    pub fn display(&self, project_dir: &Path) -> String {
        match self {
            Self::Disk(path) => paths::display(project_dir, path),
            Self::Shipped { path, .. } => format!("{SHIPPED}{path}"),
        }
    }
}

/// Finds a file that a playbook names: below the project, below its `playbooks/`, beside the
/// playbook, and then in the same places of the shipped tree. A full path is taken where it lies
/// inside the project.
///
/// # Errors
/// `path-refused`, `path-outside`, `file-unknown` with the nearest `.sql` file.
pub fn resolve_sql(
    project_dir: &Path,
    playbook: &Playbook,
    path: &str,
) -> Result<FileSource, Fault> {
    Library::of(project_dir).resolve_sql(playbook, path)
}

/// How deep, and how many entries, the search for a neighbour looks: it only helps a message.
const DEEPEST: usize = 4;
const MOST_ENTRIES: usize = 5_000;

impl Library<'_> {
    pub(super) fn resolve_sql(&self, playbook: &Playbook, path: &str) -> Result<FileSource, Fault> {
        let given = Path::new(path);
        if given.is_absolute() && given.is_file() {
            return paths::inside(self.project, given).map(FileSource::Disk);
        }
        let plain = paths::plain(path)?;
        let shown = playbook.path_display.strip_prefix(SHIPPED).unwrap_or(&playbook.path_display);
        let beside = shown.rsplit_once('/').map(|(folder, _)| format!("{folder}/{plain}"));
        let mut candidates = vec![plain.clone(), format!("playbooks/{plain}")];
        candidates
            .extend(beside.filter(|path| !path.starts_with('/') && !candidates.contains(path)));
        for path in &candidates {
            if let Some(Found::Disk(path)) = self.own(path)? {
                return Ok(FileSource::Disk(path));
            }
        }
        for path in &candidates {
            if let Some(Found::Shipped(path, bytes)) = self.shipped(path) {
                return Ok(FileSource::Shipped { path, bytes });
            }
        }
        Err(self.unknown_file(&plain, path, &candidates))
    }

    fn unknown_file(&self, plain: &str, given: &str, looked: &[String]) -> Fault {
        let mut known = Vec::new();
        let mut left = MOST_ENTRIES;
        sql_below(self.project, "", DEEPEST, &mut left, &mut known);
        let shipped = self.tree.iter().map(|(path, _)| path.to_string());
        known.extend(shipped.filter(|path| path.ends_with(".sql")));
        let fault = Fault::usage("file-unknown", msg!("playbook.file-unknown", path = given))
            .detail(msg!("playbook.looked-at", paths = looked.join(", ")));
        match neighbour(plain, &known) {
            Some(guess) => fault.remedy(msg!("playbook.did-you-mean", guess = guess)),
            None => fault,
        }
    }
}

/// The file of the same name in another folder, else the nearest path, else the nearest name.
fn neighbour<'k>(plain: &str, known: &'k [String]) -> Option<&'k str> {
    fn name_of(path: &str) -> &str {
        path.rsplit('/').next().unwrap_or(path)
    }
    let all = || known.iter().map(String::as_str);
    all().find(|path| name_of(path) == name_of(plain)).or_else(|| {
        let near = nearest(name_of(plain), all().map(name_of))?;
        // Of several files with the near name, the one in the nearest folder.
        all()
            .filter(|path| name_of(path) == near)
            .min_by_key(|path| strsim::damerau_levenshtein(plain, path))
    })
}

fn sql_below(folder: &Path, prefix: &str, depth: usize, left: &mut usize, found: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut folders = Vec::new();
    for entry in entries {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let name = paths::nfc(&entry.file_name().to_string_lossy());
        let path = format!("{prefix}{name}");
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && !name.starts_with('.') && name != "node_modules" && depth > 0 {
            folders.push((entry.path(), format!("{path}/")));
        } else if kind.is_file() && name.ends_with(".sql") {
            found.push(path);
        }
    }
    folders.sort();
    for (folder, prefix) in folders {
        sql_below(&folder, &prefix, depth - 1, left, found);
    }
    found.sort();
}

#[cfg(test)]
mod tests;
