//! What the last rung needs of the run: its dump, its ledger in the restored copy, and the moment
//! in which the run stands in neither of two databases.
//!
//! The restore itself is done above, with the programs of PostgreSQL.

use std::rc::Rc;
use std::time::Duration;

use super::gate::Host;
use super::stop::Trouble;
use super::worker::no_worker;
use crate::journal::{Lease, LeaseWish, RunState, TakeOver, started_by};
use crate::model::{Action, EventKind, Fault, FaultKind, FinalState};
use crate::msg;
use crate::postgres::Session;

impl Host {
    /// The path of the dump that this run made of the whole database, the first where it made
    /// several: a later one holds changes of the run.
    ///
    /// # Errors
    /// `no-dump`.
    pub fn own_dump(&self) -> Result<String, Fault> {
        self.dump_of_run().ok_or_else(|| {
            Fault::failed("no-dump", msg!("host.no-own-dump", run = self.run_id()))
                .cause(msg!("host.no-own-dump.cause"))
                .remedy(msg!("host.no-own-dump.remedy", run = self.run_id()))
        })
    }

    /// Asks whether the names shall be exchanged; `--yes` has answered already.
    ///
    /// # Errors
    /// `no-terminal`, `not-approved`.
    pub fn agree_to(&self, question: &str) -> Result<(), Fault> {
        if self.setup.terminal.yes && !self.setup.environment.protected {
            return Ok(());
        }
        if self.confirm(question)? {
            return Ok(());
        }
        Err(Fault::new(FaultKind::Refused, "not-approved", msg!("host.restore-refused")))
    }

    /// Writes into the ledger of a restored copy that this run is taken back, before the copy has
    /// its name: whoever looks at it afterwards must not take the run for one to be resumed.
    ///
    /// # Errors
    /// The server's answer.
    pub fn settle_copy(self: &Rc<Self>, copy: &Session) -> Result<(), Trouble> {
        let (ledger, epoch) = {
            let worker = self.worker.borrow();
            let Some(worker) = worker.as_ref() else {
                return Err(no_worker().into());
            };
            (worker.ledger.clone(), worker.lease.as_ref().map_or(0, |lease| lease.epoch))
        };
        let (run, by) = (self.run_id(), started_by());
        let Some(row) = self.row_of_run(RunState::RolledBack, None) else { return Ok(()) };
        // An epoch above the old database's: a runner that still holds that one never fits here.
        let wish = LeaseWish {
            run: &run.0,
            by: &by,
            wait: Duration::ZERO,
            take_over: TakeOver::No,
            had: None,
            known_epoch: epoch,
        };
        let settled = self.wait(async {
            let lease = Lease::take(copy, &ledger, &wish, &mut |_| {}).await?;
            let opened = ledger.open_run(copy, &row, lease.epoch).await;
            opened.map_err(crate::postgres::DbError::into_fault)?;
            lease.release(copy, &ledger).await.map_err(crate::postgres::DbError::into_fault)
        })?;
        Ok(settled.map(drop)?)
    }

    /// Announces the exchange in the run's file, waits until that is on the disk, and leaves the
    /// database: what is exchanged must have no session.
    ///
    /// # Errors
    /// `journal-write`.
    pub fn leave_for(self: &Rc<Self>, action: Action) -> Result<(), Trouble> {
        self.emit(EventKind::Action { action, planned: false })?;
        self.recorder.borrow_mut().sync()?;
        self.give_lease_back()?;
        self.forget_connection();
        Ok(())
    }

    /// Ends a way back that had no script. Gives the exit code.
    pub fn finish_restore(self: &Rc<Self>, done: Result<(), Trouble>) -> u8 {
        match done.map_err(super::undo::fault_of) {
            Ok(()) => self.close(FinalState::RolledBack, None),
            Err(mut fault) => {
                self.stood_before.set(true);
                fault.done_so_far.get_or_insert_with(|| {
                    msg!("host.restore-nothing", database = self.database_name())
                });
                let again = format!("runsheet rollback {} --restore", self.run_id());
                fault.next.get_or_insert(again);
                self.close(FinalState::FailedSomeStand, Some(&fault))
            }
        }
    }
}
