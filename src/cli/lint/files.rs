//! The SQL files that were named, folders looked through.

use std::path::{Path, PathBuf};

use crate::model::Fault;
use crate::msg;

/// A file, and the folder that was named for it, where it was not named itself.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    pub(super) folder: Option<PathBuf>,
}

/// The files in order, each once. A folder stands for every `.sql` below it; what is hidden is left
/// out.
///
/// # Errors
/// `lint-no-file` for a path that is not there, `lint-read` for a folder that cannot be read.
pub(super) fn named(paths: &[String]) -> Result<Vec<Named>, Fault> {
    let mut files = Vec::new();
    for path in paths {
        let path = PathBuf::from(path);
        if path.is_dir() {
            let mut found = Vec::new();
            below(&path, &mut found)?;
            let folder = Some(path);
            files.extend(found.into_iter().map(|path| Named { path, folder: folder.clone() }));
        } else if path.is_file() {
            files.push(Named { path, folder: None });
        } else {
            let message = msg!("lint.no-file", path = path.display());
            return Err(Fault::usage("lint-no-file", message));
        }
    }
    let mut known = std::collections::HashMap::new();
    let mut unique: Vec<Named> = Vec::with_capacity(files.len());
    for file in files {
        match known.get(&file.path) {
            None => {
                known.insert(file.path.clone(), unique.len());
                unique.push(file);
            }
            // Named itself as well as with its folder.
            Some(at) if file.folder.is_none() => unique[*at].folder = None,
            Some(_) => {}
        }
    }
    Ok(unique)
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let unreadable = |error: std::io::Error| {
        Fault::usage("lint-read", msg!("lint.read", path = folder.display()))
            .cause(error.to_string())
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if name.is_none_or(|name| name.starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            below(&path, files)?;
        } else if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("sql")) {
            files.push(path);
        }
    }
    Ok(())
}

/// Reads a file.
///
/// # Errors
/// `lint-read`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|error| {
        Fault::usage("lint-read", msg!("lint.read", path = path.display())).cause(error.to_string())
    })
}
