//! What the host makes and keeps for a script: items with their names, bodies for later, locks.

use std::rc::{Rc, Weak};
use std::time::Instant;

use rhai::{Dynamic, FnPtr};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::gate::{Host, Mode};
use super::options::ItemOptions;
use super::scope::{Deferred, snapshot};
use super::stop::Trouble;
use super::verb::Call;
use crate::journal::Recorded;
use crate::model::{EventKind, Fault, FaultKind, Item, ItemKind};
use crate::msg;
use crate::postgres::Session;

/// Bytes of a title; it stands in every report, and in the ledger's key.
const LONGEST_TITLE: usize = 1000;

/// Takes a named lock, or says who has it.
type Take = dyn Fn(&Rc<Host>, Instant) -> Result<Value, Trouble>;

/// A lock that the playbook wants for the rest of the run.
#[derive(Clone)]
pub(super) struct NamedLock {
    name: String,
    take: Rc<Take>,
    held: Held,
}

/// Who has it: an advisory lock ends with its session.
#[derive(Clone)]
enum Held {
    /// Nobody has tried yet.
    NotYet,
    /// This session, where it lives.
    By(Weak<Session>),
    /// The session's own SQL let it go.
    Dropped,
}

impl Host {
    /// The step ran a file that says how it is taken back.
    pub fn has_rollback_file(&self) {
        if let Some(frame) = self.frames.borrow_mut().last_mut() {
            frame.rollback_file = true;
        }
    }

    /// A new item with its number; its title must be its own.
    ///
    /// # Errors
    /// `duplicate-title`, `nested-item`.
    pub(super) fn new_item(
        &self,
        kind: ItemKind,
        title: &str,
        options: &ItemOptions,
        has_undo: bool,
    ) -> Result<Item, Fault> {
        if title.len() > LONGEST_TITLE {
            let text = msg!("host.title-too-long", limit = LONGEST_TITLE);
            return Err(Fault::usage("title-too-long", text));
        }
        let title: String = title.nfc().collect();
        if let Some(outer) = self.frames.borrow().last() {
            return Err(Fault::usage(
                "nested-item",
                msg!("host.nested-item", item = title, outer = outer.item.title),
            )
            .remedy(msg!("host.nested-item.remedy")));
        }
        let own = matches!(kind, ItemKind::Undo | ItemKind::Always | ItemKind::OnFailure);
        if !own && !self.known_titles.borrow_mut().insert(title.clone()) {
            return Err(Fault::usage(
                "duplicate-title",
                msg!("host.duplicate-title", title = title),
            )
            .cause(msg!("host.duplicate-title.cause"))
            .remedy(msg!("host.duplicate-title.remedy")));
        }
        if !own {
            self.titles.borrow_mut().push(title.clone());
        }
        self.number.set(self.number.get() + 1);
        Ok(Item {
            kind,
            id: options.item.clone().or_else(|| leading_id(&title)),
            title,
            number: self.number.get(),
            takes: options.takes.clone(),
            risk: options.risk,
            has_undo,
            // Undo steps have a heading of their own.
            section: self.section.borrow().clone().filter(|_| kind != ItemKind::Undo),
        })
    }

    /// Keeps a body for later: with copies of what it captured, and the context it was written in.
    pub fn defer(&self, call: &Call<'_, '_>, title: &str, body: &FnPtr) -> Deferred {
        #[allow(deprecated)] // "volatile", not deprecated: the crate's way to call a body later
        let context = call.context.store_data();
        Deferred { title: title.into(), body: snapshot(body), context }
    }

    /// Keeps a body for the end of the run.
    ///
    /// # Errors
    /// `journal-write`.
    pub fn keep_for_the_end(
        self: &Rc<Self>,
        deferred: Deferred,
        always: bool,
    ) -> Result<(), Trouble> {
        if self.mode() == Mode::Plan {
            let text = if always {
                msg!("host.plan-always", title = deferred.title)
            } else {
                msg!("host.plan-on-failure", title = deferred.title)
            };
            self.emit(EventKind::Note { text })?;
            return Ok(());
        }
        let cell = if always { &self.always } else { &self.on_failure };
        cell.borrow_mut().push(deferred);
        Ok(())
    }

    /// Sets the heading of the items that follow.
    pub fn set_section(&self, title: &str) {
        *self.section.borrow_mut() = Some(title.to_string());
    }

    /// What an earlier process of this run recorded for an item: its value, and whether it changed
    /// anything.
    pub(super) fn replayed(
        self: &Rc<Self>,
        item: &Item,
        key: &str,
        text: &str,
        _has_undo: bool,
    ) -> Result<Option<(Value, bool)>, Trouble> {
        let in_tail = self.replay.borrow().in_tail();
        let recorded = match self.replay.borrow_mut().item(key) {
            Ok(recorded) => recorded,
            Err(fault) => return Err(Self::fatal(fault)),
        };
        match recorded {
            Some(Recorded::Step { value, inputs, undone, .. }) => {
                let changes = inputs.get("changes").and_then(Value::as_bool).unwrap_or(true);
                let changes = changes && !undone;
                if undone && self.mode() != Mode::Undo {
                    return Err(self.rollback_begun(&self.run_id().0));
                }
                if let Err(fault) = self.same_inputs(&item.title, &inputs, text) {
                    return Err(Self::fatal(fault));
                }
                Ok(Some((value, changes)))
            }
            Some(Recorded::Item { key, value }) => {
                // A step that was appended since is recorded behind it.
                if in_tail && self.mode() == Mode::Run {
                    let value = value.clone();
                    self.before.borrow_mut().push(Recorded::Item { key, value });
                }
                Ok(Some((value, false)))
            }
            Some(Recorded::Read { .. }) | None => Ok(None),
        }
    }

    /// A lock for the rest of the run: taken again by each process of it, and on each new connection,
    /// never journaled. Where nothing is done yet (a rollback that meets its finished steps, a
    /// finished run that is compared), it is taken before the first thing that is.
    ///
    /// # Errors
    /// What `take` raises; it ends the run.
    pub fn take_lock(
        self: &Rc<Self>,
        action: crate::model::Action,
        name: &str,
        take: impl Fn(&Rc<Self>, Instant) -> Result<Value, Trouble> + 'static,
    ) -> Result<Dynamic, Trouble> {
        self.may_go_on()?;
        if self.mode() == Mode::Plan {
            self.emit(EventKind::Action { action, planned: true })?;
            return Ok(Dynamic::UNIT);
        }
        let wanted = NamedLock { name: name.into(), take: Rc::new(take), held: Held::NotYet };
        self.locks.borrow_mut().push(wanted);
        if self.mode() != Mode::Run || self.comparing() {
            self.emit(EventKind::Action { action, planned: true })?;
            return Ok(Dynamic::UNIT);
        }
        match self.keep_locks() {
            Ok(()) => Ok(Dynamic::UNIT),
            Err(Trouble::Fault(fault)) => Err(Self::fatal(*fault)),
            Err(other) => Err(other),
        }
    }

    /// Before an item's body: takes the named locks that the present session has not, because
    /// the connection is another one than that which took them. No transaction is open here.
    ///
    /// # Errors
    /// `lock-held` (kind Busy) where somebody else has one by now; as [`Host::session`].
    pub(super) fn keep_locks(self: &Rc<Self>) -> Result<(), Trouble> {
        let wanted = self.locks.borrow().len();
        for at in 0..wanted {
            // First the session, which tells what the step before has let go.
            let session = self.session()?;
            let Some(lock) = self.locks.borrow().get(at).cloned() else { break };
            let again = match &lock.held {
                Held::By(holder) if holder.ptr_eq(&Rc::downgrade(&session)) => continue,
                Held::By(_) | Held::Dropped => true,
                Held::NotYet => false,
            };
            match (lock.take)(self, Instant::now()) {
                Ok(_) => {}
                Err(Trouble::Fault(fault)) if again && fault.kind == FaultKind::Busy => {
                    return Err(fault.cause(msg!("host.lock-lost.cause")).into());
                }
                Err(trouble) => return Err(trouble),
            }
            if let Some(lock) = self.locks.borrow_mut().get_mut(at) {
                lock.held = Held::By(Rc::downgrade(&session));
            }
            let text = match again {
                true => msg!("host.lock-taken-again", name = lock.name),
                false => msg!("host.lock-taken", name = lock.name),
            };
            self.emit(EventKind::Note { text })?;
        }
        Ok(())
    }

    /// The session let all of its advisory locks go.
    pub(super) fn forget_locks(&self) {
        for lock in self.locks.borrow_mut().iter_mut() {
            lock.held = Held::Dropped;
        }
    }

    pub(super) fn comparing(&self) -> bool {
        self.begun.borrow().as_ref().is_some_and(|begun| begun.comparing.is_some())
    }

    pub(super) fn environment_name(&self) -> String {
        self.setup.environment.name.clone().unwrap_or_else(|| "-".into())
    }
}

/// "G1.07" of "G1.07 정규화 SQL": a first word of a letter, digits, dots and dashes with a digit.
fn leading_id(title: &str) -> Option<String> {
    let word = title.split_whitespace().next()?;
    let shaped = word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.contains(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
    shaped.then(|| word.to_string())
}

/// Is this the item that a person names: by title, id, number or a prefix of the title?
pub(super) fn names(word: &str, item: &Item) -> bool {
    let word: String = word.nfc().collect();
    item.title == word
        || item.id.as_deref() == Some(word.as_str())
        || item.number.to_string() == word
        || (word.chars().count() >= 3 && item.title.starts_with(&word))
}

/// The word of an item's kind in the ledger.
pub(super) fn kind_word(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Check => "check",
        ItemKind::Step => "step",
        ItemKind::Verify => "verify",
        ItemKind::Manual => "manual",
        ItemKind::Approve => "approve",
        ItemKind::Always => "always",
        ItemKind::OnFailure => "on_failure",
        ItemKind::Undo => "undo",
    }
}
