//! A playbook by its name, its id or its path, and the list of all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::library::{Found, Library, SHIPPED};
use super::{paths, scan, text};
use crate::model::{Fault, Risk, nearest};
use crate::msg;

/// Where a playbook comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The project's `playbooks/` folder, or a file of the project.
    Project,
    /// The program itself.
    Shipped,
}

/// A playbook's text and where it stands.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// The file's name without `.rhai`, in NFC.
    pub name: String,
    /// The file as people see it: `playbooks/users.rhai`, `shipped:playbooks/iamvet.rhai`.
    pub path_display: String,
    /// Its text, without a byte order mark.
    pub text: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The folder that its relative paths start from: the project's.
    pub root: PathBuf,
}

/// A playbook as a list shows it, from its text alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The name that it is run by.
    pub name: String,
    /// Its title, where that is a literal.
    pub title: Option<String>,
    /// Its id; None where it has no header.
    pub id: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// The risk that it gives itself.
    pub risk: Option<Risk>,
    /// The first line of its opening comment.
    pub description: Option<String>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// Finds a playbook: a name (`playbooks/NAME.rhai`), an id, or a path that ends in `.rhai`. The
/// project's wins over a shipped one.
///
/// # Errors
/// `playbook-unknown` with the nearest name, `path-outside`, `unreadable`, `not-utf8`.
pub fn find(project_dir: &Path, name: &str) -> Result<Playbook, Fault> {
    Library::of(project_dir).find(name)
}

/// Every playbook by name, the project's first where both have one; cheap, nothing is compiled.
pub fn list(project_dir: &Path) -> Vec<Listed> {
    Library::of(project_dir).list()
}

/// The items of the written guide that a playbook follows, `playbooks/NAME/guide.toml`: how the file
/// is shown, and its text. The project's wins over the shipped one.
pub fn guide_of(project_dir: &Path, name: &str) -> Option<(String, String)> {
    let path = format!("playbooks/{name}/guide.toml");
    if let Ok(text) = std::fs::read_to_string(project_dir.join(&path)) {
        return Some((path, text));
    }
    let bytes = super::shipped::shipped_file(&path)?;
    Some((format!("shipped:{path}"), String::from_utf8_lossy(bytes).into_owned()))
}

impl Library<'_> {
    pub(super) fn find(&self, wanted: &str) -> Result<Playbook, Fault> {
        let wanted = paths::nfc(wanted.trim());
        if wanted.contains('/') || wanted.ends_with(".rhai") {
            return self.by_path(&wanted);
        }
        if let Some(found) = self.by_name(&wanted)? {
            return Ok(found);
        }
        let all = self.list();
        if let Some(by_id) = all.iter().find(|one| one.id.as_deref() == Some(&wanted))
            && let Some(found) = self.by_name(&by_id.name)?
        {
            return Ok(found);
        }
        Err(self.unknown(&wanted))
    }

    fn by_name(&self, name: &str) -> Result<Option<Playbook>, Fault> {
        let path = format!("playbooks/{name}.rhai");
        match self.own(&path)? {
            Some(found) => self.open(found).map(Some),
            None => self.shipped(&path).map(|found| self.open(found)).transpose(),
        }
    }

    /// A path as it was typed: from the current folder, from the project's, from its `playbooks/`.
    fn by_path(&self, given: &str) -> Result<Playbook, Fault> {
        let typed = given.strip_prefix(SHIPPED).unwrap_or(given);
        let mut outside = None;
        if typed == given {
            let folders = [PathBuf::new(), self.project.into(), self.project.join("playbooks")];
            for path in folders.map(|folder| folder.join(typed)) {
                if !path.is_file() {
                    continue;
                }
                match paths::inside(self.project, &path) {
                    Ok(path) => return self.open(Found::Disk(path)),
                    Err(fault) => outside = outside.or(Some(fault)),
                }
            }
        }
        // A name in another normal form, or a shipped file.
        let plain = typed.trim_start_matches("./");
        for path in [plain.to_string(), format!("playbooks/{plain}")] {
            if typed == given
                && !path.split('/').any(|name| name == "..")
                && let Some(found) = self.own(&path)?
            {
                return self.open(found);
            }
            if let Some(found) = self.shipped(&path) {
                return self.open(found);
            }
        }
        Err(outside.unwrap_or_else(|| self.unknown(given)))
    }

    fn open(&self, found: Found) -> Result<Playbook, Fault> {
        let (path_display, text, origin) = match found {
            Found::Disk(path) => {
                let display = paths::display(self.project, &path);
                let text = text::read(&path, &display)?;
                (display, text, Origin::Project)
            }
            Found::Shipped(path, bytes) => {
                let display = format!("{SHIPPED}{path}");
                let text = text::decode(bytes, &display)?;
                (display, text, Origin::Shipped)
            }
        };
        let file = path_display.rsplit('/').next().unwrap_or(&path_display);
        let name = file.strip_suffix(".rhai").unwrap_or(file).to_string();
        Ok(Playbook { name, path_display, text, origin, root: self.project.into() })
    }

    fn unknown(&self, wanted: &str) -> Fault {
        let all = self.list();
        let ids = all.iter().filter_map(|one| one.id.as_deref());
        let known: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        let stem = wanted.rsplit('/').next().unwrap_or(wanted);
        let stem = stem.strip_suffix(".rhai").unwrap_or(stem);
        let fault = Fault::usage("playbook-unknown", msg!("playbook.unknown", name = wanted));
        let remedy = match nearest(stem, known.iter().copied().chain(ids)) {
            Some(guess) => msg!("playbook.did-you-mean", guess = guess),
            None if known.is_empty() => msg!("playbook.none.remedy", name = stem),
            None => msg!("playbook.known", names = known.join(", ")),
        };
        fault.remedy(remedy).next("runsheet list")
    }

    pub(super) fn list(&self) -> Vec<Listed> {
        let mut all = BTreeMap::new();
        for (name, path, bytes) in self.shipped_in("playbooks", ".rhai") {
            let text = text::decode(bytes, path);
            all.insert(paths::nfc(name), listed(name, Origin::Shipped, text));
        }
        // A link that leaves the project is listed, with what is wrong with it.
        let folder = self.project.join("playbooks");
        for entry in std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            let file = paths::nfc(&entry.file_name().to_string_lossy());
            let Some(name) = file.strip_suffix(".rhai").filter(|name| !name.is_empty()) else {
                continue;
            };
            let path = entry.path();
            if path.is_dir() {
                continue;
            }
            let display = format!("playbooks/{file}");
            let text =
                paths::inside(self.project, &path).and_then(|path| text::read(&path, &display));
            all.insert(name.to_string(), listed(name, Origin::Project, text));
        }
        let mut all: Vec<Listed> = all.into_values().collect();
        all.sort_by_key(|one| (one.origin == Origin::Shipped, one.name.clone()));
        name_twins(&mut all);
        all
    }
}

fn listed(name: &str, origin: Origin, text: Result<String, Fault>) -> Listed {
    let mut listed = Listed {
        name: paths::nfc(name),
        title: None,
        id: None,
        origin,
        risk: None,
        description: None,
        problem: None,
    };
    let text = match text {
        Ok(text) => text,
        Err(fault) => {
            listed.problem = Some(fault.to_string());
            return listed;
        }
    };
    listed.description = scan::description(&text);
    let Some(header) = scan::header(&text) else {
        listed.problem = Some(msg!("playbook.no-header"));
        return listed;
    };
    if let Some(word) = &header.risk {
        listed.risk = Risk::ALL.into_iter().find(|risk| risk.word() == word);
        if listed.risk.is_none() {
            listed.problem = Some(msg!("playbook.unknown-risk", risk = word));
        }
    }
    listed.title = header.title;
    listed.id = Some(paths::nfc(&header.id));
    listed
}

/// Two playbooks of a project with one id are one playbook to the ledger.
fn name_twins(all: &mut [Listed]) {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for one in all.iter_mut().filter(|one| one.origin == Origin::Project) {
        let Some(id) = one.id.clone() else { continue };
        match first.get(&id) {
            Some(other) => one.problem = Some(msg!("playbook.same-id", id = id, other = other)),
            None => {
                first.insert(id, one.name.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
