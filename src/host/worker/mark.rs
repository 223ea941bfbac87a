//! The mark that a database carries: which environment it was on first use, and on which server.
//!
//! It stands as the comment of the ledger's schema, so that every role can read it in one question
//! that never fails. An address that leads to production under the name of staging is stopped by
//! it before any statement. A mark that came with a dump names another server and says nothing.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::host::gate::{Host, Mode};
use crate::host::stop::Trouble;
use crate::journal::started_by;
use crate::model::{Action, EventKind, Fault, FaultKind, Risk, quote_literal};
use crate::msg;
use crate::postgres::{Identity, catalog};

/// What stands before the mark in the comment.
const HEAD: &str = "runsheet: ";

/// The mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct Mark {
    environment: Option<String>,
    protected: bool,
    database: String,
    system_identifier: Option<String>,
    timeline: Option<u32>,
    role: String,
    at: String,
    by: String,
}

impl Mark {
    /// From the comment of the ledger's schema; None where there is none in it.
    pub(super) fn of(comment: &str) -> Option<Self> {
        serde_json::from_str(comment.strip_prefix(HEAD)?).ok()
    }

    /// Was it made on this server and database? What a role may not see is taken for the same.
    fn is_of(&self, found: &Identity) -> bool {
        let server = match (&self.system_identifier, &found.system_identifier) {
            (Some(marked), Some(now)) => marked == now,
            _ => true,
        };
        server && self.database == found.database
    }
}

impl Host {
    /// Is this the environment that the database is marked as, on the server that it was?
    ///
    /// # Errors
    /// `other-environment`, kind Refused.
    pub(super) fn as_marked(
        &self,
        mark: Option<&Mark>,
        found: &Identity,
        first: bool,
    ) -> Result<(), Trouble> {
        let Some(mark) = mark.filter(|_| self.setup.rehearsal.is_none()) else { return Ok(()) };
        if !mark.is_of(found) {
            if first {
                let text = msg!("host.mark-elsewhere", environment = named(&mark.environment));
                self.emit(EventKind::Note { text })?;
            }
            return Ok(());
        }
        let environment = &self.setup.environment;
        let other = match (&mark.environment, &environment.name) {
            (Some(marked), Some(name)) => marked != name,
            // A project without environments, and a database that somebody protects.
            _ => mark.protected && !environment.protected,
        };
        let earlier =
            matches!((mark.timeline, found.timeline), (Some(was), Some(now)) if now < was);
        if other || earlier {
            let (marked, name) = (named(&mark.environment), named(&environment.name));
            let text = match other {
                true => msg!("host.other-environment", marked = marked, name = name),
                false => msg!(
                    "host.earlier-timeline",
                    was = mark.timeline.unwrap_or(0),
                    now = found.timeline.unwrap_or(0)
                ),
            };
            if self.setup.wishes.accept_database && self.mode() != Mode::Plan {
                return if first {
                    self.override_guard("--accept-database", &text)
                } else {
                    Ok(())
                };
            }
            return Err(Self::fatal(
                Fault::new(FaultKind::Refused, "other-environment", text)
                    .cause(msg!("host.other-environment.cause", at = mark.at, by = mark.by))
                    .remedy(msg!("host.other-environment.remedy")),
            ));
        }
        if first && mark.role != found.user {
            let text = msg!("host.other-role", was = mark.role, now = found.user);
            self.emit(EventKind::Warning { text })?;
        }
        Ok(())
    }

    /// Marks the database where it is not, or no longer, marked so: on first use, behind a failover,
    /// and where a mark came with a dump.
    ///
    /// # Errors
    /// The server's; a role that may not, leaves it and says so.
    pub(in crate::host) fn mark_it(self: &Rc<Self>) -> Result<(), Trouble> {
        let environment = &self.setup.environment;
        let (session, sql) = {
            let worker = self.worker.borrow();
            let Some(worker) = worker.as_ref().filter(|_| self.setup.rehearsal.is_none()) else {
                return Ok(());
            };
            let found = &worker.identity;
            let old = worker.mark.as_ref().filter(|mark| mark.is_of(found));
            let kept = old.filter(|_| environment.name.is_none());
            let mark = Mark {
                environment: match kept {
                    Some(mark) => mark.environment.clone(),
                    None => environment.name.clone(),
                },
                protected: environment.protected || kept.is_some_and(|mark| mark.protected),
                database: found.database.clone(),
                system_identifier: found.system_identifier.clone(),
                timeline: found.timeline,
                role: found.user.clone(),
                at: crate::system::moment(),
                by: started_by(),
            };
            let same = old.is_some_and(|old| {
                Mark { at: old.at.clone(), by: old.by.clone(), ..mark.clone() } == *old
            });
            if same {
                return Ok(());
            }
            let text = serde_json::to_string(&mark).unwrap_or_default();
            let sql = format!(
                "COMMENT ON SCHEMA {} IS {}",
                worker.ledger.schema(),
                quote_literal(&format!("{HEAD}{text}"))
            );
            (worker.session.clone(), sql)
        };
        match self.wait(session.batch(&sql))? {
            Ok(()) => Ok(()),
            Err(error) if error.is("42501") => {
                let text = msg!("host.not-marked");
                self.emit(EventKind::Note { text }).map_err(Into::into)
            }
            Err(error) => Err(self.db_fault(error).into()),
        }
    }

    /// Before something dangerous: is it still the server, database, timeline and role that the run
    /// began on? Behind a pooler each transaction may land elsewhere, so there every write asks.
    ///
    /// # Errors
    /// `other-server`.
    pub(in crate::host) fn still_the_same(self: &Rc<Self>, action: &Action) -> Result<(), Trouble> {
        let dangerous = action.risk >= Some(Risk::High) && self.policy_counts();
        let pooled =
            || self.worker.borrow().as_ref().is_some_and(|worker| worker.session.behind_pooler());
        if self.mode() != Mode::Run || !(dangerous || pooled()) {
            return Ok(());
        }
        let (role, visible) = match &*self.worker.borrow() {
            Some(worker) => {
                let identity = &worker.identity;
                (identity.user.clone(), identity.system_identifier.is_some())
            }
            None => return Ok(()),
        };
        let own = self.frames.borrow().last().is_none_or(|frame| frame.options.role.is_none());
        // What this role may see was found out at the start; another one has to be asked.
        let found = match own {
            true => {
                self.catalog(async |session| catalog::identity_as_known(session, visible).await)?
            }
            false => self.catalog(async |session| catalog::identity(session).await)?,
        };
        self.same_as_before(&found)?;
        if own && found.user != role {
            let text = msg!("host.expected", what = "user", wanted = role, found = found.user);
            return Err(Self::fatal(
                Fault::failed("other-server", msg!("host.other-server", run = self.run_id()))
                    .detail(text)
                    .cause(msg!("host.other-server.cause")),
            ));
        }
        Ok(())
    }
}

fn named(environment: &Option<String>) -> String {
    environment.clone().unwrap_or_else(|| "-".into())
}
