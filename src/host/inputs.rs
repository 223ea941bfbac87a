//! What a step used: its own text in the playbook, SQL files, parameters. A finished step whose
//! inputs have changed is not the step that was done.

use std::rc::Rc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::gate::Host;
use crate::config::Resolved;
use crate::model::{EventKind, Fault, FaultKind};
use crate::msg;

/// Shortest parameter value that is looked for in a statement: "a" would be found everywhere.
const SHORTEST: usize = 2;

impl Host {
    /// Remembers that the item uses a file with this content hash. A file that the playbook names
    /// must be what it was when the run began.
    ///
    /// # Errors
    /// `not-approved-file` where somebody approved the run and the file changed afterwards.
    pub fn note_file(&self, path: &str, sha256: &str) -> Result<(), Fault> {
        let began = self
            .begun
            .borrow()
            .as_ref()
            .and_then(|begun| begun.inputs["files"][path].as_str().map(|was| was != sha256));
        if began == Some(true) && !self.setup.wishes.accept_changes {
            if self.approved.get() {
                return Err(Fault::new(
                    FaultKind::Refused,
                    "not-approved-file",
                    msg!("host.not-approved-file", path = path),
                )
                .cause(msg!("host.not-approved-file.cause"))
                .remedy(msg!("host.not-approved-file.remedy")));
            }
            let text = msg!("host.changed-meanwhile", path = path);
            self.emit(EventKind::Warning { text })?;
        }
        if let Some(frame) = self.frames.borrow_mut().last_mut() {
            frame.inputs.insert(format!("file:{path}"), Value::String(sha256.into()));
        }
        Ok(())
    }

    /// Hashes of the SQL files whose names stand as texts in the playbook and its imports, or are
    /// the value of a parameter.
    pub(super) fn named_sql(&self, parameters: &[Resolved]) -> Map<String, Value> {
        let texts = self.sources.files().into_iter().filter(|(name, _)| is_own(name));
        let named: Vec<String> = texts
            .flat_map(|(_, text)| {
                text.split(['"', '`', '\'']).map(String::from).collect::<Vec<_>>()
            })
            .chain(parameters.iter().flat_map(|p| texts_in(&p.value)))
            .filter(|name| name.ends_with(".sql") && !name.contains(['\n', '{']))
            .collect();
        named
            .into_iter()
            .filter_map(|name| Some((name.clone(), Value::String(self.file_hash(&name)?))))
            .collect()
    }

    /// The parameters whose values stand in a statement or command line.
    pub(super) fn parameters_in(&self, shown: &str) -> Vec<(String, Value)> {
        let begun = self.begun.borrow();
        let Some(begun) = begun.as_ref() else { return Vec::new() };
        begun
            .parameters
            .iter()
            .filter(|parameter| !parameter.secret)
            .filter(|parameter| match &parameter.value {
                Value::String(text) => text.len() >= SHORTEST && shown.contains(text.as_str()),
                _ => false,
            })
            .map(|parameter| (parameter.name.clone(), parameter.value.clone()))
            .collect()
    }

    /// Do the inputs recorded with a finished step still hold?
    ///
    /// # Errors
    /// `inputs-changed` with what changed.
    pub(super) fn same_inputs(
        self: &Rc<Self>,
        title: &str,
        recorded: &Value,
        text: &str,
    ) -> Result<(), Fault> {
        let Value::Object(recorded) = recorded else { return Ok(()) };
        let mut changed = Vec::new();
        for (name, value) in recorded {
            if let Some(path) = name.strip_prefix("file:") {
                match self.file_hash(path) {
                    Some(now) if value.as_str() == Some(now.as_str()) => {}
                    Some(_) => changed.push(msg!("host.changed-file", path = path)),
                    None => changed.push(msg!("host.missing-file", path = path)),
                }
            } else if let Some(parameter) = name.strip_prefix("param:") {
                let begun = self.begun.borrow();
                let now = begun.as_ref().and_then(|begun| {
                    begun.parameters.iter().find(|p| p.name == parameter).map(|p| p.value.clone())
                });
                if now.as_ref() != Some(value) {
                    let now = now.map_or("()".to_string(), |now| now.to_string());
                    changed.push(msg!(
                        "host.changed-parameter",
                        name = parameter,
                        was = value,
                        now = now
                    ));
                }
            } else if name == "text" && value.as_str() != Some(text) {
                changed.push(msg!("host.changed-text"));
            }
        }
        if changed.is_empty() || self.setup.wishes.accept_changes {
            return Ok(());
        }
        Err(Fault::usage("inputs-changed", msg!("host.inputs-changed", item = title))
            .detail(changed.join("; "))
            .cause(msg!("host.inputs-changed.cause"))
            .remedy(msg!("host.inputs-changed.remedy")))
    }

    pub(super) fn file_hash(&self, path: &str) -> Option<String> {
        let found =
            crate::playbook::resolve_sql(&self.setup.project, &self.setup.playbook, path).ok()?;
        found.hash().ok()
    }

    /// The inputs of an item that just ended, its own text included.
    pub(super) fn taken_inputs(inputs: Map<String, Value>, text: &str, changes: bool) -> Value {
        let mut inputs = inputs;
        inputs.insert("text".into(), Value::String(text.into()));
        inputs.insert("changes".into(), Value::Bool(changes));
        Value::Object(inputs)
    }
}

/// Is this a file of the playbook's own, and not of the library?
pub(super) fn is_own(name: &str) -> bool {
    !name.starts_with("std/") && !name.starts_with("stdlib/")
}

/// A hash of the text of a call, from its name to the closing parenthesis: comments and white
/// space do not count. `offset` is the byte where the name begins.
pub fn call_text(source: &str, offset: usize) -> String {
    let mut hash = Sha256::new();
    let mut depth = 0usize;
    let mut chars = source.get(offset..).unwrap_or("").chars().peekable();
    let mut quote: Option<char> = None;
    while let Some(c) = chars.next() {
        if let Some(open) = quote {
            hash.update(c.to_string());
            if c == '\\' && open != '`' {
                if let Some(next) = chars.next() {
                    hash.update(next.to_string());
                }
            } else if c == open {
                quote = None;
            }
            continue;
        }
        match c {
            '"' | '`' | '\'' => quote = Some(c),
            '/' if chars.peek() == Some(&'/') => {
                for c in chars.by_ref() {
                    if c == '\n' {
                        break;
                    }
                }
                continue;
            }
            '/' if chars.peek() == Some(&'*') => {
                let mut last = ' ';
                chars.next();
                for c in chars.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
                continue;
            }
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == ')' {
                    hash.update(")");
                    break;
                }
            }
            c if c.is_whitespace() => continue,
            _ => {}
        }
        hash.update(c.to_string());
    }
    crate::model::hex(&hash.finalize()[..16])
}

/// The texts of a value, those inside of lists and maps too.
pub(super) fn texts_in(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(texts_in).collect(),
        Value::Object(map) => map.values().flat_map(texts_in).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::call_text;

    #[test]
    fn comments_and_spaces_do_not_change_a_steps_text_and_sql_does() {
        let one = "step(\"a\", || { db::exec(`SELECT ')'`) }); more();";
        let two = "step( \"a\", || { // why\n  db::exec(`SELECT ')'`) /* x */ });";
        let three = "step(\"a\", || { db::exec(`SELECT 2`) });";
        assert_eq!(call_text(one, 0), call_text(two, 0));
        assert_ne!(call_text(one, 0), call_text(three, 0));
    }
}
