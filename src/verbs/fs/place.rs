//! Which files a playbook may touch: those of the project, of `[files] allow`, and backups.
//!
//! Decided on the path that the system would really open: a symbolic link that leads out is
//! outside, and `..` is refused before anything is looked at.

use std::path::{Component, Path, PathBuf};

use crate::host::Host;
use crate::model::Fault;
use crate::msg;

/// The real path of a file that a playbook names; the file itself may be missing.
///
/// # Errors
/// `path-outside`.
pub(in crate::verbs) fn inside(host: &Host, given: &str) -> Result<PathBuf, Fault> {
    let config = &host.setup.config;
    let project = &host.setup.project;
    let roots = std::iter::once(project).chain(&config.files).chain([&config.backup.dir]);
    let roots: Vec<PathBuf> = roots.filter_map(|root| real(&project.join(root))).collect();
    within(project, &roots, given)
}

/// The real path of a file to be read: the project's, else one that is shipped with the playbook.
///
/// # Errors
/// `path-outside`.
pub(in crate::verbs) fn readable(host: &Host, given: &str) -> Result<PathBuf, Fault> {
    let path = inside(host, given)?;
    if path.exists() {
        return Ok(path);
    }
    let setup = &host.setup;
    match crate::playbook::resolve_sql(&setup.project, &setup.playbook, given) {
        Ok(source) => source.on_disk(setup.state.root()),
        Err(_) => Ok(path),
    }
}

fn within(project: &Path, roots: &[PathBuf], given: &str) -> Result<PathBuf, Fault> {
    let outside = |cause: String| {
        Fault::usage("path-outside", msg!("verbs.fs.path-outside", path = given))
            .cause(cause)
            .remedy(msg!("verbs.fs.path-outside.remedy"))
    };
    if given.is_empty() || given.contains('\0') {
        return Err(Fault::usage("path-empty", msg!("verbs.fs.path-empty")));
    }
    let path = Path::new(given);
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(outside(msg!("verbs.fs.path-outside.dots")));
    }
    let Some(found) = real(&project.join(path)) else {
        return Err(outside(msg!("verbs.fs.path-outside.dangling")));
    };
    if roots.iter().any(|root| found.starts_with(root)) {
        return Ok(found);
    }
    Err(outside(msg!("verbs.fs.path-outside.leads", path = found.display())))
}

/// The path without symbolic links, as far as it exists. None for a link that leads nowhere:
/// writing through it would make a file where nobody looked.
fn real(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let mut missing = Vec::new();
    let mut there = path.as_path();
    loop {
        if std::fs::symlink_metadata(there).is_ok() {
            let mut found = there.canonicalize().ok()?;
            found.extend(missing.iter().rev());
            return Some(found);
        }
        missing.push(there.file_name()?);
        there = there.parent()?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_stays_inside_whichever_way_it_is_written() {
        let project = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let (root, other) =
            (project.path().canonicalize().unwrap(), elsewhere.path().canonicalize().unwrap());
        symlink(&other, root.join("out")).unwrap();
        symlink(other.join("nothing"), root.join("dangling")).unwrap();
        std::fs::create_dir(root.join("in")).unwrap();
        symlink(root.join("in"), root.join("also-in")).unwrap();
        let roots = [root.clone()];
        let tried = |given: &str| within(&root, &roots, given);
        assert_eq!(tried("in/new/file").unwrap(), root.join("in/new/file"));
        assert_eq!(tried("also-in/x").unwrap(), root.join("in/x"));
        assert_eq!(tried(".").unwrap(), root);
        for bad in ["../x", "in/../../x", "in/../in", "out/x", "out", "/etc/passwd", "dangling"] {
            assert_eq!(tried(bad).unwrap_err().code, "path-outside", "{bad}");
        }
        let more = [root.clone(), other.clone()];
        assert_eq!(within(&root, &more, "out/x").unwrap(), other.join("x"));
    }

    #[test]
    fn a_folder_that_only_begins_alike_is_outside() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().canonicalize().unwrap().join("shop");
        std::fs::create_dir_all(&root).unwrap();
        let twin = format!("{}-secrets/x", root.display());
        assert!(within(&root, std::slice::from_ref(&root), &twin).is_err());
    }
}
