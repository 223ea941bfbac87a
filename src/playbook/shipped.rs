//! The playbooks and modules that are compiled into the program.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::library::Tree;
use crate::model::Fault;
use crate::msg;

/// Everything below the source's `playbooks/` and `stdlib/`, sorted by path.
pub(super) static TREE: Tree = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// A shipped file by its path, `playbooks/iamvet.rhai`, `stdlib/preflight.rhai`.
pub fn shipped_file(path: &str) -> Option<&'static [u8]> {
    let at = TREE.binary_search_by_key(&path, |(path, _)| path).ok()?;
    TREE.get(at).map(|(_, bytes)| *bytes)
}

/// Writes the shipped tree below a project's state folder, for what needs real files, and gives
/// its root: `STATE/shipped/VERSION`. Folders are 0700, files 0600. What is already there is
/// compared, and replaced where it differs; several processes may do this at once.
///
/// # Errors
/// `shipped-unwritable` with the system's reason.
pub fn materialise(state_dir: &Path) -> Result<PathBuf, Fault> {
    let root = state_dir.join("shipped").join(env!("CARGO_PKG_VERSION"));
    write_tree(TREE, &root).map_err(|error| {
        let folder = root.display();
        Fault::failed("shipped-unwritable", msg!("playbook.shipped-unwritable", folder = folder))
            .detail(error.to_string())
    })?;
    Ok(root)
}

/// Writes each file under a name of its own and moves it into its place: a reader sees the old
/// file or the new one, never a part.
fn write_tree(tree: Tree, root: &Path) -> std::io::Result<()> {
    for (path, bytes) in tree {
        let target = root.join(path);
        let regular = target.symlink_metadata().is_ok_and(|found| found.is_file());
        if regular && std::fs::read(&target).is_ok_and(|found| found == *bytes) {
            continue;
        }
        let folder = target.parent().unwrap_or(root);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(&target).map_err(|error| error.error)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    static SMALL: Tree = &[("playbooks/a.rhai", b"a"), ("playbooks/a/sql/1.sql", b"SELECT 1;")];

    #[test]
    fn the_tree_is_sorted_and_every_file_is_found() {
        assert!(TREE.windows(2).all(|two| two[0].0 < two[1].0));
        for (path, bytes) in TREE {
            assert_eq!(shipped_file(path), Some(*bytes));
        }
        assert!(shipped_file("playbooks/README.md").is_some());
        assert_eq!(shipped_file("playbooks/absent.rhai"), None);
    }

    #[test]
    fn files_are_private_and_what_was_changed_is_put_right() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state/shipped/1");
        write_tree(SMALL, &root).unwrap();
        let file = root.join("playbooks/a/sql/1.sql");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap()), mode(&root)), (0o600, 0o700, 0o700));

        std::fs::write(&file, "DROP TABLE users;").unwrap();
        let link = root.join("playbooks/a.rhai");
        std::fs::remove_file(&link).unwrap();
        let outside = dir.path().join("outside");
        std::fs::write(&outside, "a").unwrap();
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        write_tree(SMALL, &root).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"SELECT 1;");
        assert!(!link.is_symlink());
        assert_eq!(
            std::fs::read_dir(root.join("playbooks")).unwrap().count(),
            2,
            "nothing is left over"
        );
    }

    #[test]
    fn the_root_carries_the_version() {
        let dir = tempfile::tempdir().unwrap();
        let root = materialise(dir.path()).unwrap();
        assert_eq!(root, dir.path().join("shipped").join(env!("CARGO_PKG_VERSION")));
        assert!(root.join("stdlib/README.md").is_file());
    }
}
