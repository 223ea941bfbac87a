//! The files that a file includes, found as a run finds them; every branch is followed.
//!
//! Reads the files and says why one cannot be followed. What it holds is judged by `file`.

use std::path::{Path, PathBuf};

use super::finding::Level;
use crate::msg;
use crate::sql::args::arguments;
use crate::sql::files;
use crate::sql::script::DEEPEST_INCLUDE;
use crate::sql::split::Meta;
use crate::sql::variables::Variables;

/// Where the files stand.
#[derive(Clone, Debug)]
pub struct Around {
    root: PathBuf,
    working: PathBuf,
}

impl Around {
    /// Includes stay below `root`. `\i` begins at the working directory, as psql does, else at the
    /// root, as a run does; both are made canonical where they are there.
    pub fn new(root: &Path, working: &Path) -> Self {
        let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        Self { root: canonical(root), working: canonical(working) }
    }

    /// A file as people see it: from the working directory, else whole.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.working).unwrap_or(path).to_string_lossy().into_owned()
    }
}

/// A file that was read.
pub(super) struct Included {
    pub(super) path: PathBuf,
    pub(super) shown: String,
    pub(super) content: Vec<u8>,
}

/// Why one is not followed.
pub(super) struct Refused {
    pub(super) rule: &'static str,
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// The files that are open, the outermost first.
pub(super) struct Chain<'a> {
    around: &'a Around,
    /// Canonical, with the number of conditions that were open where the file was included.
    open: Vec<(PathBuf, usize)>,
    conditions: usize,
    variables: Variables,
}

impl<'a> Chain<'a> {
    pub(super) fn new(path: &Path, around: &'a Around) -> Self {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let open = vec![(path, 0)];
        Self { around, open, conditions: 0, variables: Variables::default() }
    }

    /// The end of the innermost file.
    pub(super) fn leave(&mut self) {
        if let Some((_, conditions)) = self.open.pop() {
            self.conditions = conditions;
        }
    }

    /// Does a command; what it includes is open until [`Chain::leave`].
    pub(super) fn command(&mut self, meta: &Meta) -> Result<Option<Included>, Refused> {
        match meta.name.as_str() {
            "if" => self.conditions += 1,
            "endif" => self.conditions = self.conditions.saturating_sub(1),
            "set" => self.set(meta),
            "gset" => {
                let prefix = arguments(&meta.args, &self.variables).ok();
                let prefix = prefix.and_then(|all| Some(all.first()?.text.clone()));
                self.variables.forget_prefix(&prefix.unwrap_or_default());
            }
            "i" | "include" => return self.include(meta, false).map(Some),
            "ir" | "include_relative" => return self.include(meta, true).map(Some),
            _ => {}
        }
        Ok(None)
    }

    fn set(&mut self, meta: &Meta) {
        let Ok(arguments) = arguments(&meta.args, &self.variables) else { return };
        let Some((name, values)) = arguments.split_first() else { return };
        if self.conditions > 0 || values.iter().any(|value| value.unknown) {
            return self.variables.forget(&name.text);
        }
        let value: String = values.iter().map(|value| value.text.as_str()).collect();
        self.variables.set(&name.text, &value);
    }

    fn include(&mut self, meta: &Meta, relative: bool) -> Result<Included, Refused> {
        // What a condition may never reach is no certain failure.
        let level = if self.conditions > 0 { Level::Warning } else { Level::Error };
        let refused = |rule, level, message, help| Refused { rule, level, message, help };
        let given = match arguments(&meta.args, &self.variables) {
            Ok(all) => all.into_iter().next(),
            Err(_) => None,
        };
        let Some(given) = given else {
            let message = msg!("sql.argument-missing", name = meta.name);
            return Err(refused("include-missing", level, message, None));
        };
        // A variable that only the command line sets stays in the path as it is written.
        if given.unknown || given.text.contains(':') {
            let message = msg!("lint.include-unknown", path = meta.args);
            return Err(refused("include-unknown", Level::Warning, message, None));
        }
        let (root, working) = (&self.around.root, &self.around.working);
        let own = self.open.last().map(|(path, _)| path.as_path());
        let from = |working: &Path| files::included(root, working, own, (&given.text, relative));
        let found = from(working).or_else(|fault| from(root).map_err(|_| fault));
        let found = found.map_err(|fault| {
            let outside = fault.code == "sql-path-outside";
            let rule = if outside { "include-outside" } else { "include-missing" };
            refused(rule, level, fault.message, fault.remedy)
        })?;
        let shown = self.around.shown(&found.path);
        if self.open.iter().any(|(open, _)| *open == found.path) {
            let message = msg!("lint.include-circle", path = shown);
            return Err(refused("include-circle", level, message, None));
        }
        if self.open.len() >= DEEPEST_INCLUDE {
            let message = msg!("sql.include-depth", limit = DEEPEST_INCLUDE);
            let help = Some(msg!("sql.include-depth.remedy"));
            return Err(refused("include-circle", level, message, help));
        }
        let content = std::fs::read(&found.path).map_err(|error| {
            let message = msg!("lint.read", path = shown);
            refused("include-missing", level, message, Some(error.to_string()))
        })?;
        self.open.push((found.path.clone(), self.conditions));
        Ok(Included { path: found.path, shown, content })
    }
}
