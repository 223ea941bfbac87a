//! Finds an SQL file, and reads all of it before anything of it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use crate::host::{Host, wrong_option};
use crate::model::Fault;
use crate::playbook::{FileSource, resolve_sql};
use crate::sql::{Script, ScriptOptions, Summary, validate_known};

/// Bytes of a file that is not read in the blink of an eye.
const LARGE: u64 = 1 << 20;

/// An SQL file that was read whole and refused nowhere.
pub(super) struct Found {
    /// Includes stay below this folder.
    pub root: PathBuf,
    /// The file, below the root.
    pub path: String,
    /// As the playbook names it.
    pub shown: String,
    /// Its psql variables.
    pub vars: BTreeMap<String, String>,
    /// How it is read.
    pub options: ScriptOptions,
    /// What is in it.
    pub summary: Summary,
}

/// Finds and reads.
///
/// # Errors
/// `sql-file-missing` with the nearest names, and everything that the file is refused for.
pub(super) fn find(
    host: &Rc<Host>,
    shown: &str,
    vars: BTreeMap<String, String>,
    transactional: bool,
) -> Result<Found, Fault> {
    let (root, path) = file_of(host, shown)?;
    let file = root.join(&path);
    if file.metadata().is_ok_and(|file| file.len() > LARGE) {
        host.tell()?;
    }
    let options = ScriptOptions { transactional };
    let summary = validate_known(root.clone(), file, vars.clone(), options)?;
    Ok(Found { root, path, shown: shown.into(), vars, options, summary })
}

/// Root and path below it of an SQL file that the playbook names.
///
/// # Errors
/// `sql-file-missing` with the nearest names.
pub(super) fn file_of(host: &Host, shown: &str) -> Result<(PathBuf, String), Fault> {
    let setup = &host.setup;
    let source = resolve_sql(&setup.project, &setup.playbook, shown)?;
    let file = source.on_disk(setup.state.root())?;
    let root = match &source {
        FileSource::Disk(_) if file.starts_with(&setup.project) => setup.project.clone(),
        FileSource::Disk(_) => setup.project.canonicalize().unwrap_or(setup.project.clone()),
        FileSource::Shipped { path, .. } => file
            .to_str()
            .and_then(|text| text.strip_suffix(path))
            .map_or(file.clone(), PathBuf::from),
    };
    let path = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().into_owned();
    Ok((root, path))
}

impl Found {
    /// Opens it for running.
    ///
    /// # Errors
    /// As [`Script::open`].
    pub fn open(&self) -> Result<Script, Fault> {
        self.summary.open(self.vars.clone(), self.options)
    }

    /// Binds its content, includes and all, to the step that uses it.
    ///
    /// # Errors
    /// As [`Host::note_file`].
    pub fn note(&self, host: &Host) -> Result<(), Fault> {
        for (index, (path, hash)) in self.summary.files.iter().enumerate() {
            let inside = path.strip_prefix(&self.root).unwrap_or(path);
            let name = if index == 0 { self.shown.clone() } else { inside.display().to_string() };
            host.note_file(&name, hash)?;
        }
        Ok(())
    }
}

/// psql variables of the options, as texts.
///
/// # Errors
/// `wrong-option` for values that have no text.
pub(super) fn variables(
    given: serde_json::Map<String, serde_json::Value>,
) -> Result<BTreeMap<String, String>, Fault> {
    use serde_json::Value;
    given
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Bool(flag) => Ok((name, flag.to_string())),
            Value::Number(number) => Ok((name, number.to_string())),
            _ => Err(wrong_option("sql::run_file", &format!("vars.{name}"))),
        })
        .collect()
}
