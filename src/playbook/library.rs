//! The two places that files come from: the project's folder and the shipped tree.

use std::path::Path;

use super::paths;
use super::shipped;
use crate::model::Fault;

/// How shipped files are shown: `shipped:playbooks/iamvet.rhai`.
pub(super) const SHIPPED: &str = "shipped:";

/// Paths and contents, sorted by path.
pub(super) type Tree = &'static [(&'static str, &'static [u8])];

/// A project's folder, and the tree that stands behind it.
#[derive(Clone, Copy)]
pub(super) struct Library<'p> {
    pub(super) project: &'p Path,
    pub(super) tree: Tree,
}

/// A file that was found.
pub(super) enum Found {
    /// In the project: its canonical path.
    Disk(std::path::PathBuf),
    /// In the shipped tree.
    Shipped(&'static str, &'static [u8]),
}

impl<'p> Library<'p> {
    /// The project with the tree that is compiled in.
    pub(super) fn of(project: &'p Path) -> Self {
        Self { project, tree: shipped::TREE }
    }

    /// A shipped file by its path; names are compared in NFC.
    pub(super) fn shipped(&self, path: &str) -> Option<Found> {
        let wanted = paths::nfc(path);
        let entry = self.tree.iter().find(|(path, _)| paths::nfc(path) == wanted)?;
        Some(Found::Shipped(entry.0, entry.1))
    }

    /// A file of the project by its relative path.
    ///
    /// # Errors
    /// `path-outside` where a symbolic link leads out of the project.
    pub(super) fn own(&self, relative: &str) -> Result<Option<Found>, Fault> {
        match paths::existing(self.project, relative) {
            Some(path) => paths::inside(self.project, &path).map(|path| Some(Found::Disk(path))),
            None => Ok(None),
        }
    }

    /// The shipped files directly in a folder with an ending: name without it, path, content.
    pub(super) fn shipped_in(
        &self,
        folder: &str,
        ending: &str,
    ) -> impl Iterator<Item = (&'static str, &'static str, &'static [u8])> {
        self.tree.iter().filter_map(move |(path, bytes)| {
            let name = path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(ending)?;
            (!name.contains('/')).then_some((name, *path, *bytes))
        })
    }
}
