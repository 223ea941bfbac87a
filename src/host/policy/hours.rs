//! When a run may begin: the windows and frozen days of its environment.
//!
//! What has begun is gone on with at any hour, and taken back at any hour; a finished playbook has
//! nothing to begin. Called where the first new thing of a run is about to happen.

use crate::config::{Closed, may_begin};
use crate::host::gate::{Host, Mode};
use crate::model::{EventKind, Fault, FaultKind};
use crate::msg;

impl Host {
    /// # Errors
    /// `outside-window`, `frozen`: kind Refused, with the rule and the next opening.
    pub(in crate::host) fn within_hours(&self) -> Result<(), Fault> {
        // Nobody works on a copy.
        let copy = self.setup.rehearsal.is_some();
        if self.mode() != Mode::Run || self.setup.wishes.resume.is_some() || copy {
            return Ok(());
        }
        self.open_now()
    }

    /// Says in a plan that a run could not begin now, and when it could.
    ///
    /// # Errors
    /// `journal-write`.
    pub(in crate::host) fn tell_hours(&self) -> Result<(), Fault> {
        let Err(closed) = self.open_now() else { return Ok(()) };
        let words = [Some(closed.message), closed.cause, closed.remedy];
        let text = words.into_iter().flatten().collect::<Vec<_>>().join("\n");
        self.emit(EventKind::Note { text })
    }

    fn open_now(&self) -> Result<(), Fault> {
        let environment = &self.setup.environment;
        let now = crate::system::now().timestamp();
        may_begin(&environment.windows, &environment.freeze, now)
            .map_err(|closed| self.refused(&closed))
    }

    fn refused(&self, closed: &Closed) -> Fault {
        let environment = self.environment_name();
        let (code, text) = if closed.frozen {
            ("frozen", msg!("host.frozen", environment = environment))
        } else {
            ("outside-window", msg!("host.outside-window", environment = environment))
        };
        let fault = Fault::new(FaultKind::Refused, code, text)
            .cause(msg!("host.hours-rule", rule = closed.rule));
        match &closed.opens {
            Some(opens) => {
                let opens = opens.strftime("%Y-%m-%d %H:%M %Z").to_string();
                fault.remedy(msg!("host.opens", opens = opens))
            }
            None => fault.remedy(msg!("host.never-opens")),
        }
    }
}
