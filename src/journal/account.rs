//! What a run's file tells, to be held against what the database tells.
//!
//! The file may know less than the database: a runner that dies between COMMIT and its next line
//! leaves it so, and a resume heals it. It may never know more: then the database was restored,
//! failed over to a server that had not received everything, or somebody deleted rows. And it may
//! not be shorter than the last line that the database knows. Nothing is decided here.

use std::path::Path;

use serde_json::Value;

use super::recorder::{first_event, load_folder, put_aside};
use super::{IntentRow, StepRow};
use crate::model::{Action, EventKind, Fault, FinalState, Item, ItemKind, ItemState};
use crate::msg;

/// An effect that the file says was announced.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The key of its step.
    pub key: String,
    /// Its number within the step.
    pub ordinal: u32,
    /// What it is.
    pub action: Action,
}

/// A run's file, read as a witness.
#[derive(Debug, Default)]
pub struct Account {
    chains: Vec<String>,
    /// The playbook's id.
    pub playbook: String,
    /// The server of the last process, where the file names one.
    pub server: Option<Value>,
    /// The start of the machine that the last process ran after.
    pub boot: Option<String>,
    /// The address of the last process, without a password.
    pub url: Option<String>,
    /// Did its last process end with everything done?
    pub finished: bool,
    /// Titles of steps that it says are done, in the order in which they were.
    pub done: Vec<String>,
    /// Effects that it says were announced.
    pub announced: Vec<Announced>,
}

impl Account {
    /// Reads the file in a run's folder; an account of nothing where there is none.
    ///
    /// # Errors
    /// `journal-broken` where a line was changed.
    pub fn read(folder: &Path) -> Result<Self, Fault> {
        let loaded = load_folder(folder)?;
        let mut account = Self { chains: loaded.chains, ..Self::default() };
        for event in loaded.events {
            match event.kind {
                EventKind::RunStarted { playbook, target, .. } => {
                    account.playbook = playbook;
                    account.url = target["url"].as_str().map(String::from);
                    account.finished = false;
                }
                EventKind::RunFinished { state, .. } => {
                    account.finished = matches!(state, FinalState::Done | FinalState::NothingToDo);
                }
                EventKind::Server { server, accepted, boot, .. } => {
                    account.boot = boot;
                    if accepted {
                        account.done.clear();
                        account.announced.clear();
                    }
                    account.server = Some(server);
                }
                EventKind::ItemFinished { item, outcome, .. } => {
                    account.item(item, &outcome);
                }
                EventKind::Intent { key, ordinal, action, .. } => {
                    account.announced.push(Announced { key, ordinal, action });
                }
                _ => {}
            }
        }
        Ok(account)
    }

    /// Is the file in this folder about that playbook? Looks at its first line only.
    pub fn is_of(folder: &Path, playbook: &str) -> bool {
        first_event(folder).is_some_and(|event| match event.kind {
            EventKind::RunStarted { playbook: own, .. } => own == playbook,
            _ => false,
        })
    }

    /// Puts a run's file beside itself under another name, which is given.
    ///
    /// # Errors
    /// `journal-write`.
    pub fn put_aside(folder: &Path) -> Result<String, Fault> {
        put_aside(folder)
    }

    fn item(&mut self, item: Item, outcome: &ItemState) {
        let journaled = matches!(
            item.kind,
            ItemKind::Step | ItemKind::Manual | ItemKind::Approve | ItemKind::Undo
        );
        let done = matches!(
            outcome,
            ItemState::Done { .. } | ItemState::Replayed { .. } | ItemState::NotAttested
        );
        if journaled && done && !self.done.contains(&item.title) {
            self.done.push(item.title);
        }
    }

    /// What stands, as far as the file knows: done and not taken back.
    pub fn standing(&self) -> Vec<&str> {
        let undone =
            |title: &str| self.done.iter().any(|d| d.strip_prefix("undo: ") == Some(title));
        let own = self.done.iter().map(String::as_str);
        own.filter(|title| !title.starts_with("undo: ") && !undone(title)).collect()
    }

    /// Does the file hold every line that the database knows of it? Lines of a file that another
    /// machine wrote for the same run are not looked for here.
    ///
    /// # Errors
    /// `journal-short`, `journal-differs`.
    pub fn holds(&self, heads: &[String]) -> Result<(), Fault> {
        let Some(origin) = self.chains.first() else { return Ok(()) };
        for head in heads {
            let mut parts = head.split(':');
            let line: Option<usize> = parts.next().and_then(|number| number.parse().ok());
            let (Some(line), Some(chain), Some(from)) = (line, parts.next(), parts.next()) else {
                continue;
            };
            if from != origin || line == 0 {
                continue;
            }
            let short = msg!("journal.short", lines = self.chains.len(), known = line);
            let fault = match self.chains.get(line - 1) {
                Some(own) if own == chain => continue,
                Some(_) => Fault::failed("journal-differs", msg!("journal.differs", line = line)),
                None => Fault::failed("journal-short", short),
            };
            return Err(fault.cause(msg!("journal.short.cause")));
        }
        Ok(())
    }

    /// Steps that the file calls done and that have no row. `clean` blanks secrets, as the file
    /// does.
    pub fn unknown_steps(&self, rows: &[StepRow], clean: impl Fn(&str) -> String) -> Vec<String> {
        let known: Vec<String> = rows.iter().map(|row| clean(&row.title)).collect();
        self.done.iter().filter(|title| !known.contains(title)).cloned().collect()
    }

    /// Effects that the file calls announced and that have no row.
    pub fn unknown_effects(
        &self,
        rows: &[IntentRow],
        clean: impl Fn(&str) -> String,
    ) -> Vec<&Announced> {
        let known = |it: &Announced| {
            rows.iter().any(|row| row.ordinal == it.ordinal && clean(&row.key) == it.key)
        };
        self.announced.iter().filter(|announced| !known(announced)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(chains: &[&str]) -> Account {
        Account { chains: chains.iter().map(ToString::to_string).collect(), ..Account::default() }
    }

    fn code(file: &Account, head: &str) -> Option<String> {
        file.holds(&[head.to_string()]).err().map(|fault| fault.code)
    }

    /// F69: also a file whose hashes were all computed anew.
    #[test]
    fn a_line_that_the_database_knows_must_be_there_and_the_same() {
        let own = file(&["a", "b", "c"]);
        assert_eq!(code(&own, "3:c:a"), None);
        assert_eq!(code(&own, "4:d:a").as_deref(), Some("journal-short"));
        assert_eq!(code(&own, "2:x:a").as_deref(), Some("journal-differs"));
    }

    #[test]
    fn lines_of_another_machines_file_and_no_file_at_all_are_no_contradiction() {
        assert_eq!(code(&file(&["a", "b"]), "9:z:other"), None);
        assert_eq!(code(&file(&[]), "9:z:other"), None);
        assert_eq!(code(&file(&["a"]), ""), None);
    }
}
