//! What verbs with effects outside of the database need to know of the run: when to stop, which
//! item they stand in, where the run keeps its files.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::diagnose::used_up;
use super::gate::Host;
use super::stop::Trouble;
use crate::model::{EventKind, Fault, ItemKind};
use crate::msg;
use crate::system::Cancel;

/// Remarks of one run, and bytes of one.
const MOST_REMARKS: u32 = 10_000;
const LONGEST_REMARK: usize = 8 * 1024;

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

    /// The script is over, whatever it makes of the error.
    pub fn fall(&self, fault: &Rc<Fault>) {
        self.fallen.borrow_mut().get_or_insert_with(|| fault.clone());
    }

    /// How many verbs were called so far.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// `note(..)` and `print(..)`: a long text is cut, and there is an end to them.
    ///
    /// # Errors
    /// `limit`, `journal-write`.
    pub fn remark(&self, text: &str) -> Result<(), Fault> {
        let count = self.remarks.get() + 1;
        self.remarks.set(count);
        if count > MOST_REMARKS {
            let fault = used_up(msg!("host.limit.remarks", count = MOST_REMARKS));
            self.fall(&Rc::new(fault.clone()));
            return Err(fault);
        }
        let mut text = text.to_string();
        if text.len() > LONGEST_REMARK {
            let end = (0..=LONGEST_REMARK).rev().find(|at| text.is_char_boundary(*at));
            text.truncate(end.unwrap_or(0));
            text.push_str(" ..");
        }
        self.emit(EventKind::Note { text })
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
