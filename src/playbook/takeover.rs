//! Taking a shipped playbook over into a project, with everything that lies beside it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::library::{Found, Library};
use super::{paths, scan, text};
use crate::model::{Fault, nearest};
use crate::msg;

/// Copies the shipped playbook `from` to `playbooks/NAME.rhai`, and its folder (`playbooks/FROM/`,
/// SQL and data) under the same path, so that the script finds it. The id in `playbook(..)`
/// becomes the new name where the names differ: two playbooks with one id are one to the ledger.
/// Gives the files written, relative to the project; those of the folder that are already there
/// with the same content are left as they are.
///
/// # Errors
/// `playbook-name` for a name that cannot be a file's, `playbook-unknown` for `from`,
/// `file-exists` with every file that is in the way (nothing has been written then),
/// `unwritable`, `path-outside`.
pub fn new_from(project_dir: &Path, name: &str, from: &str) -> Result<Vec<PathBuf>, Fault> {
    Library::of(project_dir).new_from(name, from)
}

impl Library<'_> {
    pub(super) fn new_from(&self, name: &str, from: &str) -> Result<Vec<PathBuf>, Fault> {
        let name = usable_name(name)?;
        let from = paths::nfc(from.trim());
        let from = from.strip_suffix(".rhai").unwrap_or(&from);
        let Some(Found::Shipped(path, bytes)) = self.shipped(&format!("playbooks/{from}.rhai"))
        else {
            return Err(self.not_shipped(from));
        };
        let script = renamed(text::decode(bytes, path)?, from, &name);
        let folder = format!("playbooks/{from}/");
        let beside = self.tree.iter().filter(|(path, _)| path.starts_with(&folder));
        let mut files = vec![(format!("playbooks/{name}.rhai"), script.as_bytes())];
        files.extend(beside.map(|(path, bytes)| (path.to_string(), *bytes)));

        let script_path = files[0].0.clone();
        let there = |path: &str| {
            paths::existing(self.project, path).or_else(|| {
                let path = self.project.join(path);
                path.symlink_metadata().is_ok().then_some(path)
            })
        };
        // Data that another taken-over playbook brought along is shared, not in the way.
        files.retain(|(path, bytes)| {
            *path == script_path
                || there(path).is_none_or(|path| fs::read(path).ok().as_deref() != Some(*bytes))
        });
        let in_the_way: Vec<&str> = files
            .iter()
            .map(|(path, _)| path.as_str())
            .filter(|path| there(path).is_some())
            .collect();
        if !in_the_way.is_empty() {
            return Err(Fault::usage("file-exists", msg!("playbook.file-exists"))
                .detail(in_the_way.join(", "))
                .remedy(msg!("playbook.file-exists.remedy")));
        }
        files.into_iter().map(|(path, bytes)| self.write_new(path, bytes)).collect()
    }

    fn not_shipped(&self, from: &str) -> Fault {
        let names: Vec<&str> =
            self.shipped_in("playbooks", ".rhai").map(|(name, ..)| name).collect();
        let fault = Fault::usage("playbook-unknown", msg!("playbook.not-shipped", name = from));
        match nearest(from, names.iter().copied()) {
            Some(guess) => fault.remedy(msg!("playbook.did-you-mean", guess = guess)),
            None if names.is_empty() => fault,
            None => fault.remedy(msg!("playbook.known", names = names.join(", "))),
        }
    }

    fn write_new(&self, relative: String, bytes: &[u8]) -> Result<PathBuf, Fault> {
        let path = self.project.join(&relative);
        let unwritable = |error: std::io::Error| {
            Fault::failed("unwritable", msg!("playbook.unwritable", file = relative))
                .detail(error.to_string())
        };
        let folder = path.parent().unwrap_or(self.project);
        // The nearest folder that exists is looked at before anything is made below it.
        if let Some(existing) = folder.ancestors().find(|folder| folder.exists()) {
            paths::inside(self.project, existing)?;
        }
        fs::create_dir_all(folder).map_err(unwritable)?;
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&path);
        file.and_then(|mut file| file.write_all(bytes)).map_err(unwritable)?;
        Ok(PathBuf::from(&relative))
    }
}

/// The script with its id changed to the new name.
fn renamed(text: String, from: &str, name: &str) -> String {
    match scan::header(&text) {
        Some(header) if from != name => {
            let literal = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
            let mut text = text;
            text.replace_range(header.id_span, &literal);
            text
        }
        _ => text,
    }
}

/// A playbook's name: a file's name without its ending, not hidden, not too long for a file.
fn usable_name(given: &str) -> Result<String, Fault> {
    let name = paths::nfc(given.trim());
    let name = name.strip_suffix(".rhai").unwrap_or(&name);
    let odd = |c: char| c.is_control() || c.is_whitespace() || "/\\\"'`$*?<>|:;&".contains(c);
    if name.is_empty() || name.starts_with(['.', '-']) || name.len() > 200 || name.contains(odd) {
        return Err(Fault::usage("playbook-name", msg!("playbook.bad-name", name = given))
            .remedy(msg!("playbook.bad-name.remedy")));
    }
    Ok(name.to_string())
}

#[cfg(test)]
mod tests;
