//! When a run may begin: the windows and frozen days of its environment.
//!
//! What has begun is gone on with at any hour, and taken back at any hour; a finished playbook has
//! nothing to begin. Called where the first new thing of a run is about to happen.

use super::gate::{Host, Mode};
use crate::config::{Closed, UrlSource, may_begin};
use crate::model::{Fault, FaultKind};
use crate::msg;

impl Host {
    /// # Errors
    /// `outside-window`, `frozen`: kind Refused, with the rule and the next opening.
    pub(super) fn within_hours(&self) -> Result<(), Fault> {
        let environment = &self.setup.environment;
        // A copy has no address of its own in the environment, and nobody works on it.
        let own = environment.url.is_some() || environment.source == UrlSource::PgVariables;
        if self.mode() != Mode::Run || self.setup.wishes.resume.is_some() || !own {
            return Ok(());
        }
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
