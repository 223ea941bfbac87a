//! The way back: the undo bodies of finished steps in reverse, each a journaled step of its own.

use std::rc::Rc;

use rhai::Engine;

use super::gate::Host;
use super::scope::UndoEntry;
use super::stop::{Stop, Trouble};
use crate::model::{EventKind, Fault, FinalState, ItemKind};
use crate::msg;

/// How a rollback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every step was undone.
    Undone,
    /// Nothing stood.
    Nothing,
}

impl Host {
    /// Undoes what stands, newest first.
    ///
    /// # Errors
    /// `no-undo` before anything is undone where a step has no way back; the fault of the step
    /// whose undo failed, with what is left.
    pub fn roll_back(self: &Rc<Self>, engine: &Engine) -> Result<(), Fault> {
        let missing: Vec<String> = self
            .undos
            .borrow()
            .iter()
            .filter(|entry| entry.changes && entry.undo.is_none())
            .map(|entry| entry.item.title.clone())
            .collect();
        if !missing.is_empty() {
            return Err(Fault::failed("no-undo", msg!("host.no-undo"))
                .detail(missing.join(", "))
                .cause(msg!("host.no-undo.cause"))
                .remedy(msg!("host.no-undo.remedy")));
        }
        let entries: Vec<UndoEntry> = std::mem::take(&mut *self.undos.borrow_mut());
        let mut left: Vec<UndoEntry> = entries;
        while let Some(entry) = left.pop() {
            let Some(undo) = entry.undo else { continue };
            let key = format!("undo: {}", entry.key);
            let title = format!("undo: {}", entry.item.title);
            let result = self.perform_deferred(engine, ItemKind::Undo, &title, undo, Some(key));
            if let Err(trouble) = result {
                let fault = match trouble {
                    Trouble::Fault(fault) => *fault,
                    Trouble::Stop(Stop::Failed(fault)) => (*fault).clone(),
                    other => Fault::failed("undo-failed", format!("{other:?}")),
                };
                let names: Vec<String> = left
                    .iter()
                    .filter(|entry| entry.changes)
                    .map(|entry| entry.item.title.clone())
                    .chain([entry.item.title.clone()])
                    .collect();
                left.push(UndoEntry { undo: None, ..entry });
                *self.undos.borrow_mut() = left;
                return Err(fault
                    .next(format!("runsheet rollback {}", self.run_id()))
                    .remedy(msg!("host.undo-failed.remedy", left = names.join(", "))));
            }
        }
        self.emit(EventKind::Note { text: msg!("host.rolled-back-all") })?;
        Ok(())
    }

    /// `runsheet rollback RUN`, after the script was replayed: shows what will be undone, asks,
    /// undoes, and says how it ended. Gives the exit code.
    pub fn finish_rollback(self: &Rc<Self>, engine: &Engine, script: Option<Fault>) -> u8 {
        if let Some(fault) = script {
            return self.leave(FinalState::FailedSomeStand, Some(&fault));
        }
        let titles: Vec<String> = self
            .undos
            .borrow()
            .iter()
            .rev()
            .filter(|e| e.changes)
            .map(|e| e.item.title.clone())
            .collect();
        if titles.is_empty() {
            let _ = self.emit(EventKind::Note { text: msg!("host.nothing-to-roll-back") });
            return self.close(FinalState::RolledBack, None);
        }
        for title in &titles {
            let _ = self.emit(EventKind::Note { text: msg!("host.will-undo", title = title) });
        }
        let terminal = &self.setup.terminal;
        let protected = self.setup.environment.protected;
        let agreed = if terminal.yes && !protected {
            Ok(true)
        } else {
            self.confirm(&msg!("host.rollback-question", steps = titles.len()))
        };
        match agreed {
            Ok(true) => {}
            Ok(false) => {
                let fault = Fault::new(
                    crate::model::FaultKind::Refused,
                    "not-approved",
                    msg!("host.rollback-refused"),
                );
                return self.leave(FinalState::FailedSomeStand, Some(&fault));
            }
            Err(fault) => return self.leave(FinalState::FailedSomeStand, Some(&fault)),
        }
        self.replaying_is_over();
        match self.roll_back(engine) {
            Ok(()) => self.close(FinalState::RolledBack, None),
            Err(fault) if fault.code == "no-undo" => {
                self.leave(FinalState::FailedSomeStand, Some(&fault))
            }
            Err(fault) => {
                self.stood.set(None);
                self.close(FinalState::FailedSomeStand, Some(&fault))
            }
        }
    }

    /// Nothing was undone: the run stands as it stood, in the ledger and in its report.
    fn leave(self: &Rc<Self>, state: FinalState, fault: Option<&Fault>) -> u8 {
        self.left.set(true);
        self.close(state, fault)
    }
}
