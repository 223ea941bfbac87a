//! Effects outside of the run's transaction: commands, dumps, files, statements that cannot run
//! in a transaction block.
//!
//! Nobody can make these exactly-once. Each is announced in ledger and file before it happens and
//! settled after it; where a run died in between, a probe decides, or the effect is harmless to
//! repeat, or the run stops and a person decides.

use std::rc::Rc;

use serde_json::Value;

use super::failpoint::{failpoint, sent};
use super::gate::Host;
use super::scope::Transaction;
use super::stop::Trouble;
use super::transaction::StatementTrouble;
use super::worker::no_worker;
use crate::journal::IntentState;
use crate::model::{Action, Effect, EventKind, Fault, FaultKind};
use crate::msg;

/// May an announced effect, of which nobody knows whether it happened, be performed again?
pub enum Repeat<'a> {
    /// Yes: a dump, a verification.
    Harmless,
    /// It is settled in the transaction that performs it: while it is open, it did not happen.
    Marked,
    /// Ask this: `Some(true)` it happened, `Some(false)` it did not, `None` nobody can tell.
    Probe(&'a dyn Fn() -> Result<Option<bool>, Trouble>),
    /// A person has to say.
    Ask,
}

/// An effect outside of the run's transaction.
pub struct External<'a> {
    /// What it is.
    pub action: Action,
    /// Whether it may be repeated.
    pub repeat: Repeat<'a>,
    /// Its value where the probe says that it had happened.
    pub probed: Value,
    /// Performs it.
    pub perform: Box<dyn FnOnce() -> Result<Value, Trouble> + 'a>,
}

impl Host {
    /// May the script write here?
    ///
    /// # Errors
    /// `write-outside-step`, `write-in-check`, `mixed-effects`.
    pub(super) fn write_may_happen(&self, action: &Action) -> Result<(), Fault> {
        let frames = self.frames.borrow();
        let Some(frame) = frames.last() else {
            return Err(Fault::usage(
                "write-outside-step",
                msg!("host.write-outside-step", verb = action.verb),
            )
            .cause(msg!("host.write-outside-step.cause"))
            .remedy(msg!("host.write-outside-step.remedy", verb = action.verb)));
        };
        if !frame.may_write() {
            return Err(Fault::usage(
                "write-in-check",
                msg!("host.write-in-check", verb = action.verb),
            )
            .remedy(msg!("host.write-in-check.remedy")));
        }
        let mixed = match action.effect {
            Effect::Write => frame.external && frame.transactional(),
            Effect::External => frame.wrote,
            Effect::None | Effect::Read => false,
        };
        if mixed {
            return Err(Fault::usage(
                "mixed-effects",
                msg!("host.mixed-effects", verb = action.verb),
            )
            .cause(msg!("host.mixed-effects.cause"))
            .remedy(msg!("host.mixed-effects.remedy")));
        }
        Ok(())
    }

    /// Remembers in the step what it did.
    pub(super) fn note_effect(&self, action: &Action) -> Result<(), Fault> {
        let shown = format!("{} {}", action.statement.as_deref().unwrap_or(""), action.target);
        let used = self.parameters_in(&shown);
        let mut frames = self.frames.borrow_mut();
        let Some(frame) = frames.last_mut() else { return Ok(()) };
        if frame.effects.last() != Some(&action.verb) {
            frame.effects.push(action.verb.clone());
        }
        frame.changes |= changes_database(action);
        match action.effect {
            Effect::Write => frame.wrote = true,
            Effect::External => frame.external = true,
            Effect::None | Effect::Read => {}
        }
        for (name, value) in used {
            frame.inputs.insert(format!("param:{name}"), value);
        }
        Ok(())
    }

    /// Announces, performs and settles; or takes what an earlier process of this run had done.
    pub(super) fn announce_and_perform(
        self: &Rc<Self>,
        external: External<'_>,
        changes: bool,
    ) -> Result<Value, Trouble> {
        let (key, title, ordinal) = {
            let mut frames = self.frames.borrow_mut();
            let Some(frame) = frames.last_mut() else {
                return Err(Fault::failed("internal", "effect outside of an item").into());
            };
            frame.ordinal += 1;
            (frame.key.clone(), frame.item.title.clone(), frame.ordinal)
        };
        // Reads of this step opened its transaction; it must not stay open around a command.
        let open =
            self.frames.borrow().last().is_some_and(|frame| frame.transaction != Transaction::None);
        if open {
            self.abort_step();
        }
        let known = self.replay.borrow().intent(&key, ordinal);
        match known {
            Some((IntentState::Done, value)) => {
                self.took_effect(changes);
                return Ok(value);
            }
            Some((IntentState::Open, _)) => {
                let happened = match &external.repeat {
                    Repeat::Harmless | Repeat::Marked => Some(false),
                    Repeat::Probe(probe) => probe()?,
                    Repeat::Ask => None,
                };
                match happened {
                    Some(true) => {
                        self.took_effect(changes);
                        self.settle(&key, &title, ordinal, &external.probed)?;
                        return Ok(external.probed);
                    }
                    Some(false) => {}
                    None => {
                        self.took_effect(changes);
                        return Err(Self::fatal(self.open_intent(&title, &external.action)));
                    }
                }
            }
            Some((IntentState::Redo, _)) | None => {}
        }
        failpoint!("before-intent");
        let action = serde_json::to_value(&external.action).unwrap_or(Value::Null);
        let action = self.setup.redactor.clean_value(&action);
        if self.has_lease() {
            self.ledger_write(|ledger, run| ledger.intent_sql(run, &key, ordinal, &action))?;
        }
        self.emit(EventKind::Intent {
            item: title.clone(),
            key: key.clone(),
            ordinal,
            action: external.action.clone(),
        })?;
        self.recorder.borrow_mut().sync()?;
        self.replay.borrow_mut().note_intent(&key, ordinal, action, IntentState::Open, Value::Null);
        failpoint!("after-intent");
        let value = match (external.perform)() {
            Ok(value) => value,
            Err(trouble) => {
                let at = (key.as_str(), title.as_str(), ordinal);
                let stands = self.effect_broke(&trouble, at, &external.repeat, &external.probed);
                self.took_effect(changes && stands);
                return Err(trouble);
            }
        };
        failpoint!("after-effect");
        self.took_effect(changes);
        self.replay.borrow_mut().settle_intent(&key, ordinal, IntentState::Done, value.clone());
        self.settle(&key, &title, ordinal, &value)?;
        Ok(value)
    }

    /// Something stands that no rollback of the step's transaction takes back.
    fn took_effect(&self, changes: bool) {
        if let Some(frame) = self.frames.borrow_mut().last_mut() {
            frame.took_effect |= changes;
        }
    }

    pub(super) fn settle(
        self: &Rc<Self>,
        key: &str,
        title: &str,
        ordinal: u32,
        value: &Value,
    ) -> Result<(), Trouble> {
        let clean = self.setup.redactor.clean_value(value);
        if self.has_lease() {
            self.ledger_write(|ledger, run| {
                ledger.settle_sql(run, key, Some(ordinal), IntentState::Done, &clean)
            })?;
        }
        self.emit(EventKind::IntentDone { item: title.into(), ordinal, value: clean })?;
        Ok(())
    }

    fn open_intent(&self, title: &str, action: &Action) -> Fault {
        let run = self.run_id();
        Fault::new(FaultKind::Failed, "intent-open", msg!("host.intent-open", item = title))
            .detail(action.statement.clone().unwrap_or_else(|| action.target.clone()))
            .cause(msg!("host.intent-open.cause"))
            .remedy(msg!("host.intent-open.remedy"))
            .next(format!("runsheet resolve {run} {} --done|--redo", shell_word(title)))
    }

    /// One of the ledger's statements, fenced, in a transaction of its own.
    pub(super) fn ledger_write(
        self: &Rc<Self>,
        sql: impl Fn(&crate::journal::Ledger, &str) -> String,
    ) -> Result<(), Trouble> {
        let session = self.session()?;
        let text = {
            let worker = self.worker.borrow();
            let Some(worker) = worker.as_ref() else { return Ok(()) };
            let epoch = worker.lease.as_ref().map_or(0, |lease| lease.epoch);
            let run = self.run_id();
            format!(
                "BEGIN; {}; {}; COMMIT",
                worker.ledger.fence_sql(epoch),
                sql(&worker.ledger, &run.0)
            )
        };
        let answer = self.decisive("mark-sent", &session, &text, None);
        if let Err(error) = answer {
            if !error.connection_lost {
                let _ = self.wait_out(session.batch("ROLLBACK"));
            }
            return Err(self.db_fault(error).into());
        }
        Ok(())
    }

    pub(super) fn has_lease(&self) -> bool {
        self.worker.borrow().as_ref().is_some_and(|worker| worker.lease.is_some())
    }

    /// A statement that cannot run in a transaction block, alone on the run's session, without
    /// lock_timeout (which would leave an INVALID index) and under our own deadline.
    ///
    /// # Errors
    /// The server's answer.
    pub fn run_alone(self: &Rc<Self>, sql: &str) -> Result<u64, Trouble> {
        self.run_alone_raw(sql).map_err(|trouble| match trouble {
            StatementTrouble::Server(error) => self.db_fault(*error).into(),
            StatementTrouble::Other(trouble) => trouble,
        })
    }

    /// As [`Host::run_alone`], with the server's own error, whose position counts from `sql`.
    ///
    /// # Errors
    /// The server's answer.
    pub fn run_alone_raw(self: &Rc<Self>, sql: &str) -> Result<u64, StatementTrouble> {
        let session = self.own_session()?;
        let pin = self.worker.borrow().as_ref().map(|worker| worker.pin.clone());
        let free = match self.is_tidying() {
            false => "SET lock_timeout = 0; SET statement_timeout = 0",
            // Nobody can stop it any more: it must stop by itself.
            true => "SET lock_timeout = '3s'; SET statement_timeout = '3s'",
        };
        let answer = self.wait(async {
            session.batch(free).await?;
            sent("alone-sent", session.simple(sql)).await
        });
        if let Some(pin) = pin {
            let _ = self.wait_out(session.simple(&pin));
        }
        self.notices(&session)?;
        match answer? {
            Ok(results) => Ok(results.iter().filter_map(|result| result.rows).sum()),
            Err(error) => Err(StatementTrouble::Server(Box::new(error))),
        }
    }

    /// Statements in a fenced transaction of their own, which also settles the effect that was
    /// announced last: they happen exactly once although the step has no transaction.
    ///
    /// # Errors
    /// The server's answer; positions count from `sql`.
    pub fn run_marked(self: &Rc<Self>, sql: &str) -> Result<u64, StatementTrouble> {
        let session = self.own_session()?;
        let (key, ordinal) = match self.frames.borrow().last() {
            Some(frame) => (frame.key.clone(), frame.ordinal),
            None => return Err(Fault::failed("internal", "no item").into()),
        };
        let (lead, tail, pins) = {
            let worker = self.worker.borrow();
            let Some(worker) = worker.as_ref() else {
                return Err(no_worker().into());
            };
            let epoch = worker.lease.as_ref().map_or(0, |lease| lease.epoch);
            let settled = worker.ledger.mark_sql(&self.run_id().0, &key, ordinal);
            let lead = format!(
                "BEGIN; {}; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; ",
                worker.ledger.fence_sql(epoch),
                self.lock_timeout_ms(),
                self.statement_timeout_ms()
            );
            let pins = worker.pin.matches("; ").count() + 1;
            (lead, format!("\n; RESET ROLE; {settled}; COMMIT; {}", worker.pin), pins)
        };
        let body = sql.trim_end().trim_end_matches(';');
        // The line break ends a comment that the mark and the COMMIT would be lost in.
        let text = format!("{lead}{body}\n{tail}");
        let answer = self.wait_for_whole(&session, sent("commit-sent", session.simple(&text)));
        failpoint!("commit-answered");
        self.notices(&session)?;
        match answer? {
            Ok(results) => {
                // BEGIN, the fence and two settings lead; role, mark, COMMIT and the pin follow.
                let own = results.len().saturating_sub(4 + 3 + pins);
                Ok(results.iter().skip(4).take(own).filter_map(|result| result.rows).sum())
            }
            Err(error) => {
                Err(StatementTrouble::Server(Box::new(self.own_error(&lead, sql, error))))
            }
        }
    }

    /// Do the statements of the step that runs share one transaction? True outside of steps.
    pub fn step_is_transactional(&self) -> bool {
        self.frames.borrow().last().is_none_or(|frame| frame.transactional())
    }

    /// Is this a plan? Only for verbs that show a whole differently from its parts.
    pub fn is_planning(&self) -> bool {
        self.mode() == super::gate::Mode::Plan
    }
}

/// Does an action count as a change that has to be taken back?
pub(super) fn changes_database(action: &Action) -> bool {
    let changes = match action.effect {
        Effect::Write => true,
        Effect::External => !action.touches.is_empty(),
        Effect::None | Effect::Read => false,
    };
    changes || action.opaque
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
