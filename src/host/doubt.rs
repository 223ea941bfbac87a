//! Effects whose end nobody saw: the connection was lost, or Ctrl-C came in the middle.
//!
//! A run must not end with "the database is as before" on hope. What can be asked is asked here,
//! within limits, before the item is reported as failed; a resumed run asks again.

use std::rc::Rc;

use serde_json::Value;

use super::effects::Repeat;
use super::gate::Host;
use super::stop::{Stop, Trouble};
use crate::journal::IntentState;

/// The host does not listen to Ctrl-C while it finds out how things stand.
struct Tidying<'a>(&'a Host, bool);

impl Drop for Tidying<'_> {
    fn drop(&mut self) {
        self.0.closing.set(self.1);
    }
}

impl Host {
    /// Does something that Ctrl-C must not tear: a look at what has happened, clearing away. What
    /// it waits for has limits of its own; the second Ctrl-C ends the process.
    pub fn tidying<T>(&self, work: impl FnOnce() -> T) -> T {
        let _until_done = Tidying(self, self.closing.replace(true));
        work()
    }

    /// Is the run at its end, or clearing away?
    pub fn is_tidying(&self) -> bool {
        self.closing.get()
    }

    /// An announced effect broke off. Finds out whether it stands, and writes down what is known.
    pub(super) fn effect_broke(
        self: &Rc<Self>,
        trouble: &Trouble,
        at: (&str, &str, u32),
        repeat: &Repeat<'_>,
        probed: &Value,
    ) -> bool {
        if !self.has_lease() {
            return matches!(trouble, Trouble::Stop(_));
        }
        let (key, title, ordinal) = at;
        let lost = self.worker.borrow().as_ref().is_none_or(|worker| worker.session.is_closed());
        if !lost && !matches!(trouble, Trouble::Stop(Stop::Failed(_))) {
            // Its failure is known: whoever mends the cause may have it done again.
            self.replay.borrow_mut().settle_intent(key, ordinal, IntentState::Redo, Value::Null);
            let _ = self.ledger_write(|ledger, run| {
                ledger.settle_sql(run, key, Some(ordinal), IntentState::Redo, &Value::Null)
            });
            return false;
        }
        self.tidying(|| {
            if lost {
                self.forget_connection();
            }
            // A new session takes the lease and thereby waits for the end of the lost one.
            let known = self.reload_intents();
            let state = self.replay.borrow().intent(key, ordinal);
            match (repeat, state) {
                _ if known.is_err() => true,
                (_, Some((IntentState::Done, _))) => true,
                (Repeat::Marked, _) => false,
                (Repeat::Probe(probe), _) => match probe() {
                    Ok(Some(true)) => {
                        let _ = self.settle(key, title, ordinal, probed);
                        true
                    }
                    Ok(Some(false)) => false,
                    Ok(None) | Err(_) => true,
                },
                (Repeat::Harmless | Repeat::Ask, _) => true,
            }
        })
    }

    /// What the ledger says now about this run's announced effects.
    ///
    /// # Errors
    /// The server's answer.
    pub(super) fn reload_intents(self: &Rc<Self>) -> Result<(), Trouble> {
        let session = self.session()?;
        let ledger = self.worker.borrow().as_ref().map(|worker| worker.ledger.clone());
        let Some(ledger) = ledger else { return Ok(()) };
        let intents = self.wait(ledger.intents(&session, &self.run_id().0))?;
        let intents = intents.map_err(|error| self.db_fault(error))?;
        let mut replay = self.replay.borrow_mut();
        for row in intents {
            replay.note_intent(&row.key, row.ordinal, row.action, row.state, row.value);
        }
        Ok(())
    }
}
