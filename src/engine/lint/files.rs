//! The SQL files that a playbook names: are they there, and what stands in them.

use rhai::{Expr, Position};

use super::Severity;
use super::finding::Finding;
use super::forms::Forms;
use super::scope::Holds;
use super::tree;
use crate::playbook::FileSource;

/// The verbs whose first argument is an SQL file.
pub(super) const SQL_VERBS: &[&str] =
    &["sql::run_file", "sql::review", "sql::run_rollback_section"];

/// What is wrong in an SQL file.
pub(super) fn sql_findings(path: &str, file: impl std::io::Read) -> Vec<Finding> {
    let mut splitter = crate::sql::Splitter::new(path, file);
    while let Some(piece) = splitter.next() {
        let read = piece.and_then(|piece| match piece {
            crate::sql::Piece::Copy { .. } => {
                while splitter.copy_chunk()?.is_some() {}
                Ok(())
            }
            _ => Ok(()),
        });
        if let Err(fault) = read {
            return vec![Finding { severity: Severity::Error, fault }];
        }
    }
    Vec::new()
}

impl Forms<'_> {
    /// Looks at the SQL file that an argument names: a literal, or a parameter's value.
    pub(super) fn sql_file(&mut self, expr: &Expr) {
        let Some((path, at, length)) = self.path_of(expr) else { return };
        match crate::playbook::resolve_sql(self.project, self.playbook, &path) {
            Err(fault) => {
                let mut place = self.unit().place(at);
                place.length = length.unwrap_or(place.length);
                self.findings.error(fault.place(place));
            }
            Ok(file) if !self.sql_files.contains(&path) => {
                let shown = file.display(self.project);
                self.sql_files.push(path);
                // Streamed: a file may be larger than the memory that a check may take.
                let found = match &file {
                    FileSource::Disk(disk) => {
                        std::fs::File::open(disk).map(|file| sql_findings(&shown, file))
                    }
                    FileSource::Shipped { bytes, .. } => Ok(sql_findings(&shown, *bytes)),
                };
                self.findings.extend(found.unwrap_or_default());
            }
            Ok(_) => {}
        }
    }

    /// The path, where it stands, and how long that is where it is not a text.
    fn path_of(&self, expr: &Expr) -> Option<(String, Position, Option<u32>)> {
        match expr {
            Expr::StringConstant(path, at) => Some((path.to_string(), *at, None)),
            Expr::Dot(pair, ..) => {
                let (variable, at) = tree::root(expr)?;
                let Expr::Property(property, _) = &pair.rhs else { return None };
                if self.scope.find(variable) != Some(Holds::Parameters) {
                    return None;
                }
                let name = property.2.as_str();
                let of_playbook = self.config.playbook_params.get(&self.playbook.name);
                let value = of_playbook
                    .and_then(|params| params.get(name))
                    .or_else(|| self.config.params.get(name))
                    .or_else(|| self.declared.default_of(name))?;
                // An empty default waits for a layer that gives the path.
                let path = value.as_str().filter(|path| !path.is_empty())?;
                let length = variable.chars().count() + 1 + name.chars().count();
                Some((path.into(), at, Some(length as u32)))
            }
            _ => None,
        }
    }
}
