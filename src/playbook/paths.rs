//! Paths that scripts and people give: below the project, in NFC, and nowhere else.

use std::path::{Component, Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use crate::model::Fault;
use crate::msg;

/// A name in NFC: the same Korean file name, whichever machine wrote it.
pub(super) fn nfc(name: &str) -> String {
    name.nfc().collect()
}

/// A relative path in its plain form (`./` taken off, one `/` between names).
///
/// # Errors
/// `path-refused` for what is empty, absolute, climbs with `..`, or is written with `\`.
pub(super) fn plain(given: &str) -> Result<String, Fault> {
    let refused = |reason: String| {
        Err(Fault::usage("path-refused", msg!("playbook.path-refused", path = given))
            .cause(reason)
            .remedy(msg!("playbook.path-refused.remedy")))
    };
    if given.contains('\\') || given.contains('\0') {
        return refused(msg!("playbook.path-backslash"));
    }
    // `C:` is a relative name to this system, and a drive to the next.
    let drive = given.as_bytes().get(1) == Some(&b':');
    let mut names = Vec::new();
    for part in Path::new(given).components() {
        match part {
            Component::Normal(name) => names.push(nfc(&name.to_string_lossy())),
            Component::CurDir => {}
            Component::ParentDir => return refused(msg!("playbook.path-climbs")),
            Component::RootDir | Component::Prefix(_) => {
                return refused(msg!("playbook.path-absolute"));
            }
        }
    }
    if drive {
        return refused(msg!("playbook.path-absolute"));
    }
    if names.is_empty() {
        return refused(msg!("playbook.path-empty"));
    }
    Ok(names.join("/"))
}

/// The file at a plain relative path below a folder, names compared in NFC; None where there is
/// no such regular file.
pub(super) fn existing(root: &Path, relative: &str) -> Option<PathBuf> {
    let exact = root.join(relative);
    if exact.is_file() {
        return Some(exact);
    }
    let mut path = root.to_path_buf();
    for name in relative.split('/') {
        let exact = path.join(name);
        path = if exact.symlink_metadata().is_ok() { exact } else { same_in_nfc(&path, name)? };
    }
    path.is_file().then_some(path)
}

fn same_in_nfc(folder: &Path, name: &str) -> Option<PathBuf> {
    let wanted = nfc(name);
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .filter_map(Result::ok)
        .find(|entry| nfc(&entry.file_name().to_string_lossy()) == wanted)
        .map(|entry| entry.path())
}

/// The canonical form of a path that must lie inside the project.
///
/// # Errors
/// `path-outside` where it does not, or a symbolic link leads out.
pub(super) fn inside(project: &Path, path: &Path) -> Result<PathBuf, Fault> {
    let found = path.canonicalize().ok().filter(|path| below(project, path));
    found.ok_or_else(|| {
        let shown = path.display();
        Fault::usage("path-outside", msg!("playbook.path-outside", path = shown))
            .remedy(msg!("playbook.path-refused.remedy"))
    })
}

/// Does a canonical path lie in a folder? The folder is resolved only where it has to be: a
/// canonical path begins with it only where it is canonical too.
fn below(folder: &Path, path: &Path) -> bool {
    path.starts_with(folder) || folder.canonicalize().is_ok_and(|folder| path.starts_with(folder))
}

/// A file as the user would type it from the project's folder.
pub(super) fn display(project: &Path, path: &Path) -> String {
    let root = project.canonicalize().unwrap_or_else(|_| project.to_path_buf());
    let shown = path.strip_prefix(&root).or_else(|_| path.strip_prefix(project)).unwrap_or(path);
    nfc(&shown.to_string_lossy())
}
