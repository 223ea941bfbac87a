//! What was approved is what runs: the code of a plan, who signed it, and whether it still holds.
//!
//! A code that `plan` prints says that somebody has read that plan; one that `runsheet approve` has
//! signed says who, and why. Neither passes once anything differs that the plan was made of.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::host::gate::{Host, Mode};
use crate::host::policy::Foretold;
use crate::host::policy::proof::{age, aged, changed_objects, shown};
use crate::host::stop::Trouble;
use crate::journal::{Approval, object_hash, started_by};
use crate::model::{EventKind, Fault, FaultKind};
use crate::msg;
use crate::postgres::fingerprint;
use crate::system::moment;

/// Who approves a plan.
#[derive(Clone, Debug)]
pub struct Sign {
    /// The name that they give.
    pub by: String,
    /// Why.
    pub because: Option<String>,
}

/// How much somebody has said to what runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::host) enum Level {
    /// Nothing.
    #[default]
    Nobody,
    /// The plan was read: its code was given.
    Read,
    /// A person approved it, or typed the database's name.
    Person,
    /// Another person than the one who runs it approved it.
    Second,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Read => "read",
            Self::Person => "person",
            Self::Second => "second",
        }
    }

    fn of(word: Option<&str>) -> Self {
        [Self::Read, Self::Person, Self::Second]
            .into_iter()
            .find(|level| Some(level.word()) == word)
            .unwrap_or_default()
    }
}

/// What the policy may count on.
#[derive(Default)]
pub(in crate::host) struct Cleared {
    pub(in crate::host) level: Cell<Level>,
    /// Who, when and why, for the run's row.
    pub(in crate::host) record: RefCell<Value>,
    /// The same of the run that is gone on with, or taken back.
    pub(in crate::host) of_run: RefCell<Value>,
    /// This run has made a backup.
    pub(in crate::host) backed_up: Cell<bool>,
    pub(in crate::host) foreseen: OnceCell<Vec<Foretold>>,
    /// Does the policy ask for anything in this environment?
    pub(in crate::host) asks: OnceCell<bool>,
    /// The schema before anything was changed.
    schema: OnceCell<BTreeMap<String, String>>,
    to_sign: RefCell<Option<Approval>>,
}

/// A plan as it is now: what it is made of, and the objects of the schema in full.
type Made = (Approval, BTreeMap<String, String>);

impl Host {
    /// In a plan: the code that stands for it.
    ///
    /// # Errors
    /// The server's answer, `journal-write`.
    pub(in crate::host) fn tell_code(self: &Rc<Self>) -> Result<(), Trouble> {
        if self.mode() != Mode::Plan || self.setup.rehearsal.is_some() {
            return Ok(());
        }
        let now = self.made_of()?.0;
        let text = msg!("host.approval-code", code = now.code(), name = self.setup.playbook.name);
        self.emit(EventKind::Note { text })?;
        if self.setup.wishes.sign.is_some() {
            *self.cleared.to_sign.borrow_mut() = Some(now);
        }
        Ok(())
    }

    /// A plan that went well is signed where somebody asked for that.
    ///
    /// # Errors
    /// `not-signed` where the database could not be asked; `write-failed`.
    pub(in crate::host) fn sign(&self) -> Result<(), Fault> {
        let Some(sign) = &self.setup.wishes.sign else { return Ok(()) };
        let plan = self.cleared.to_sign.take().filter(|_| self.worker.borrow().is_some());
        let Some(plan) = plan else {
            return Err(Fault::new(FaultKind::Refused, "not-signed", msg!("host.not-signed"))
                .cause(msg!("host.not-signed.cause")));
        };
        let code = plan.code();
        let signed = Approval {
            by: sign.by.clone(),
            account: started_by(),
            at: moment(),
            because: sign.because.clone(),
            ..plan
        };
        signed.write(&self.setup.state)?;
        let name = &self.setup.playbook.name;
        let days = aged(self.setup.environment.policy.approval_age);
        let text = msg!("host.signed", by = sign.by, code = code, name = name, age = days);
        self.emit(EventKind::Note { text })
    }

    /// Somebody typed the database's name.
    pub(in crate::host) fn typed_by_a_person(&self) {
        self.cleared.level.set(Level::Person);
        *self.cleared.record.borrow_mut() = json!({
            "level": Level::Person.word(), "by": started_by(), "at": moment(), "how": "typed",
        });
    }

    /// `--approve CODE`: what runs is what was approved. Called before the first new thing.
    ///
    /// # Errors
    /// `other-than-approved`, `approval-stale`, `approval-expired`, `approval-edited`: kind Refused.
    pub(in crate::host) fn as_approved(self: &Rc<Self>) -> Result<(), Trouble> {
        let Some(given) = self.setup.wishes.approve.clone() else { return Ok(()) };
        if self.mode() == Mode::Plan || self.cleared.level.get() > Level::Nobody {
            return Ok(());
        }
        // Forward and back are approved together, and the run itself has changed the schema.
        let of_run = self.cleared.of_run.borrow().clone();
        if of_run["code"] == given.as_str() {
            let level = Level::of(of_run["level"].as_str());
            return self.approved_at(level, of_run, &given);
        }
        let (now, schema) = self.made_of()?;
        let record = |level: Level| json!({ "code": given, "level": level.word(), "by": started_by(), "at": moment() });
        match Approval::find(&self.setup.state, &given).map_err(Self::fatal)? {
            Some(signed) => {
                self.holds(&signed, &now, &schema).map_err(Self::fatal)?;
                let other = signed.is_by_another(&started_by());
                let level = if other { Level::Second } else { Level::Person };
                let mut record = record(level);
                record["by"] = signed.by.clone().into();
                record["account"] = signed.account.clone().into();
                record["at"] = signed.at.clone().into();
                record["because"] = signed.because.clone().into();
                self.approved_at(level, record, &given)
            }
            None if now.code() == given => {
                self.approved_at(Level::Read, record(Level::Read), &given)
            }
            None => Err(Self::fatal(
                self.not_approved(
                    "other-than-approved",
                    msg!("host.other-than-approved", given = given),
                )
                .cause(msg!("host.other-than-approved.cause")),
            )),
        }
    }

    fn approved_at(&self, level: Level, record: Value, code: &str) -> Result<(), Trouble> {
        self.approved.set(true);
        self.cleared.level.set(level);
        let text = match level {
            Level::Person | Level::Second => {
                let said = |what: &str| record[what].as_str().unwrap_or("-").to_string();
                msg!(
                    "host.as-signed",
                    code = code,
                    by = said("by"),
                    account = said("account"),
                    at = said("at"),
                    because = said("because")
                )
            }
            Level::Nobody | Level::Read => msg!("host.as-approved", code = code),
        };
        *self.cleared.record.borrow_mut() = record;
        self.emit(EventKind::Note { text }).map_err(Into::into)
    }

    /// Does a signed approval hold for what the plan would be now?
    fn holds(
        &self,
        signed: &Approval,
        now: &Approval,
        schema: &BTreeMap<String, String>,
    ) -> Result<(), Fault> {
        let mut stale = Vec::new();
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let server = |approval: &Approval| approval.server.to_string();
        for (what, was, is) in [
            (msg!("host.stale.playbook"), signed.playbook.clone(), now.playbook.clone()),
            (msg!("host.stale.environment"), text(&signed.environment), text(&now.environment)),
            (msg!("host.stale.address"), text(&signed.target), text(&now.target)),
            (msg!("host.stale.database"), server(signed), server(now)),
        ] {
            if was != is {
                stale.push(msg!("host.stale.other", what = what, was = was, now = is));
            }
        }
        stale.extend(self.stale_inputs(&signed.files, &signed.params));
        stale.extend(changed_objects(&signed.schema, &[], schema));
        if !stale.is_empty() {
            let text = msg!("host.approval-stale", by = signed.by, at = signed.at);
            return Err(self.not_approved("approval-stale", text).detail(shown(&stale)));
        }
        let limit = self.setup.environment.policy.approval_age;
        let old = age(&signed.at).unwrap_or(Duration::MAX);
        if old <= limit {
            return Ok(());
        }
        let text =
            msg!("host.approval-expired", by = signed.by, at = signed.at, limit = aged(limit));
        Err(self.not_approved("approval-expired", text))
    }

    fn not_approved(&self, code: &str, text: String) -> Fault {
        Fault::new(FaultKind::Refused, code, text)
            .remedy(msg!("host.other-than-approved.remedy"))
            .next(format!("runsheet plan {}", self.setup.playbook.name))
    }

    /// The schema before this process has changed anything, read once: plan or approval, and the
    /// receipt, are held against the same one.
    ///
    /// # Errors
    /// The server's answer.
    pub(in crate::host) fn schema_before(
        self: &Rc<Self>,
    ) -> Result<&BTreeMap<String, String>, Trouble> {
        if let Some(known) = self.cleared.schema.get() {
            return Ok(known);
        }
        let session = self.session()?;
        let ledger = self.setup.config.ledger_schema.clone();
        let read = self.wait(fingerprint::schema(&session, &ledger))?;
        let read = read.map_err(|error| self.db_fault(error))?;
        Ok(self.cleared.schema.get_or_init(|| read))
    }

    /// What the plan is made of, as things are now.
    fn made_of(self: &Rc<Self>) -> Result<Made, Trouble> {
        let connected = self.worker.borrow().is_some();
        let schema = if connected { self.schema_before()?.clone() } else { BTreeMap::new() };
        let begun = self.begun.borrow();
        let (playbook, inputs) = begun
            .as_ref()
            .map_or_else(Default::default, |begun| (begun.id.clone(), begun.inputs.clone()));
        let files = inputs["files"].as_object().into_iter().flatten();
        let server = self.server_value();
        let made = Approval {
            playbook,
            environment: self.setup.environment.name.clone(),
            target: self.setup.target.as_ref().map(|target| target.display()),
            server: json!({
                "database": server["database"], "system_identifier": server["system_identifier"],
            }),
            files: files
                .filter_map(|(name, hash)| Some((name.clone(), hash.as_str()?.to_string())))
                .collect(),
            params: inputs["params"].clone(),
            schema: schema.iter().map(|(name, body)| (name.clone(), object_hash(body))).collect(),
            ..Approval::default()
        };
        Ok((made, schema))
    }
}
