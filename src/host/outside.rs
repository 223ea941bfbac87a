//! What verbs with effects outside of the database need to know of the run: when to stop, which
//! item they stand in, where the run keeps its files.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::gate::Host;
use super::stop::Trouble;
use crate::model::ItemKind;
use crate::system::Cancel;

impl Host {
    /// What stops blocking work: Ctrl-C, and the end of the item's time. At the end of a run, where
    /// `always` bodies put things back, only that time counts.
    pub fn stop_signal(&self) -> Cancel {
        let cancel = if self.closing.get() { Cancel::new() } else { self.setup.cancel.child() };
        let deadline = self.frames.borrow().iter().filter_map(|frame| frame.deadline).min();
        match deadline {
            Some(at) => cancel.with_deadline(at.saturating_duration_since(Instant::now())),
            None => cancel,
        }
    }

    /// Waits, for as long as nothing ends the item.
    ///
    /// # Errors
    /// `interrupted`, `timeout`.
    pub fn pause(&self, time: Duration) -> Result<(), Trouble> {
        // The timer has to be made inside of the runtime.
        self.wait(async { tokio::time::sleep(time).await })
    }

    /// The kind of the item whose body runs; None outside of items.
    pub fn item_kind(&self) -> Option<ItemKind> {
        self.frames.borrow().last().map(|frame| frame.item.kind)
    }

    /// The run's folder, made where nothing has been recorded yet.
    ///
    /// # Errors
    /// What beginning to record raises: `lease-held`, `journal-write`.
    pub fn recorded_folder(self: &Rc<Self>) -> Result<PathBuf, Trouble> {
        self.start_recording()?;
        Ok(self.run_folder())
    }
}
