//! What `import "..."` names: the project's library, the shipped one, and modules beside playbooks.

use std::path::Path;

use super::library::{Found, Library, SHIPPED};
use super::{paths, text};
use crate::model::{Fault, nearest};
use crate::msg;

/// Finds a module: its file as people see it, and its text.
///
/// `std/NAME` is the project's `stdlib/NAME.rhai`, else the shipped one. Any other name is looked
/// for beside the importing file (`from`, as people see it), then below `playbooks/`, first in the
/// project and then among the shipped files. `.rhai` may be left out.
///
/// # Errors
/// `path-refused` for absolute paths and `..`, `path-outside` for a link that leaves the project,
/// `import-unknown` with the nearest name, `unreadable`, `not-utf8`.
pub fn resolve_import(
    project_dir: &Path,
    from: &str,
    spec: &str,
) -> Result<(String, String), Fault> {
    Library::of(project_dir).resolve_import(from, spec)
}

impl Library<'_> {
    pub(super) fn resolve_import(&self, from: &str, spec: &str) -> Result<(String, String), Fault> {
        let plain = paths::plain(spec)?;
        let stem = plain.strip_suffix(".rhai").unwrap_or(&plain);
        let candidates = candidates(from, stem);
        for path in &candidates {
            if let Some(Found::Disk(path)) = self.own(path)? {
                let display = paths::display(self.project, &path);
                let text = text::read(&path, &display)?;
                return Ok((display, text));
            }
        }
        for path in &candidates {
            if let Some(Found::Shipped(path, bytes)) = self.shipped(path) {
                let display = format!("{SHIPPED}{path}");
                let text = text::decode(bytes, &display)?;
                return Ok((display, text));
            }
        }
        Err(self.unknown_import(stem, spec, &candidates))
    }

    fn unknown_import(&self, stem: &str, spec: &str, looked: &[String]) -> Fault {
        let mut known: Vec<String> = Vec::new();
        for (folder, prefix) in [("stdlib", "std/"), ("playbooks", "")] {
            let shipped = self.shipped_in(folder, ".rhai").map(|(name, ..)| name.to_string());
            let entries = std::fs::read_dir(self.project.join(folder)).into_iter().flatten();
            let own = entries.filter_map(|entry| {
                let file = paths::nfc(&entry.ok()?.file_name().to_string_lossy());
                file.strip_suffix(".rhai").map(str::to_string)
            });
            known.extend(shipped.chain(own).map(|name| format!("{prefix}{name}")));
        }
        known.sort();
        known.dedup();
        let fault = Fault::usage("import-unknown", msg!("playbook.import-unknown", spec = spec))
            .detail(msg!("playbook.looked-at", paths = looked.join(", ")));
        let library = known.iter().filter(|name| name.starts_with("std/"));
        match nearest(stem, known.iter().map(String::as_str)) {
            Some(guess) => fault.remedy(msg!("playbook.did-you-mean", guess = guess)),
            None if stem.starts_with("std/") && library.clone().next().is_some() => {
                let names = library.map(String::as_str).collect::<Vec<_>>().join(", ");
                fault.remedy(msg!("playbook.known", names = names))
            }
            None => fault,
        }
    }
}

/// Where a module may stand, strongest first.
fn candidates(from: &str, stem: &str) -> Vec<String> {
    if let Some(name) = stem.strip_prefix("std/") {
        return vec![format!("stdlib/{name}.rhai")];
    }
    let importer = from.strip_prefix(SHIPPED).unwrap_or(from);
    // An importer outside of every folder stands in the project's.
    let beside = match importer.rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() && !folder.starts_with('/') => {
            format!("{folder}/{stem}.rhai")
        }
        _ => format!("{stem}.rhai"),
    };
    let below = format!("playbooks/{stem}.rhai");
    if beside == below { vec![below] } else { vec![beside, below] }
}

#[cfg(test)]
mod tests;
