//! A check or verify that is looked at by every run (`every_run: true`), also where its value is
//! recorded already. Called by the item itself; nothing of it is recorded a second time.

use std::rc::Rc;
use std::time::Instant;

use rhai::{Dynamic, FnPtr};

use super::End;
use crate::host::gate::Host;
use crate::host::options::ItemOptions;
use crate::host::scope::Frame;
use crate::host::stop::Trouble;
use crate::host::verb::Call;
use crate::model::{EventKind, Item, ItemState};

impl Host {
    /// A finished check or verify whose body is asked once more: what the ledger says was true may
    /// not be true any longer. Nothing is recorded, no lease and no lock is taken.
    pub(super) fn look_again(
        self: &Rc<Self>,
        call: &Call<'_, '_>,
        item: Item,
        key: String,
        options: &ItemOptions,
        body: &FnPtr,
        text: &str,
    ) -> Result<Dynamic, Trouble> {
        self.emit(EventKind::ItemStarted { item: item.clone() })?;
        let started = Instant::now();
        let frame = Frame::new(item.clone(), key.clone(), options.clone(), None);
        self.frames.borrow_mut().push(frame);
        let end = self.run_body(call, &item, &key, body, text);
        self.frames.borrow_mut().pop();
        let took = started.elapsed().as_millis() as u64;
        match end {
            End::Done(value, given) => {
                self.end_item(item, ItemState::Done { value }, took, None, given)
            }
            End::Skipped(reason) => {
                self.end_item(item, ItemState::Skipped { reason }, took, None, Dynamic::UNIT)
            }
            End::Decided(on) => {
                let outcome = ItemState::DecidedWhenItRuns { on };
                self.end_item(item, outcome, took, None, Dynamic::UNIT)
            }
            End::Failed(fault) => self.failed_item(None, item, key, options, *fault, took),
        }
    }
}
