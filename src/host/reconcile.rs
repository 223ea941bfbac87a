//! File, ledger and server must tell one story before a run goes on.
//!
//! A file that knows less than the ledger is healed by the replay; one that is not there is done
//! without. What stops here: a file that was changed or cut, a ledger that has lost what the file
//! knows (a restored backup, a failover, deleted rows), and another server behind the same URL.
//! Nothing was executed when any of these is said; `--accept-database` is the way on.

use std::rc::Rc;

use serde_json::{Value, json};

use super::gate::{Host, Mode};
use super::stop::Trouble;
use crate::journal::{Account, KnownEpoch, Ledger, RunRow, RunState};
use crate::model::{EventKind, Fault, FaultKind, RunId};
use crate::msg;
use crate::postgres::Identity;

/// What of an identity tells one database from another.
const TELLING: [&str; 3] = ["database", "system_identifier", "timeline"];

impl Host {
    /// Looks whether what is known of the present run agrees. `row` is its row in the ledger;
    /// `elsewhere` says that a finished run may have moved to another server.
    ///
    /// # Errors
    /// `journal-broken`, `journal-short`, `journal-differs`, `ledger-behind`, `other-server`.
    pub(super) fn reconcile(
        self: &Rc<Self>,
        row: Option<&RunRow>,
        elsewhere: bool,
    ) -> Result<(), Trouble> {
        if self.restoring.get() {
            // After the exchange the file knows more, and rightly so.
            return Ok(());
        }
        let done = row.filter(|row| row.state == RunState::Done);
        if let Some(row) = done
            && elsewhere
            && self.agrees(row)?
        {
            return Ok(());
        }
        self.stood_before.set(done.is_some() || row.is_some_and(|row| row.steps > 0));
        let agreed = self.compare_accounts(row, elsewhere);
        if agreed.is_ok() {
            self.stood_before.set(false);
        }
        agreed
    }

    /// Do file and ledger say the same of a finished run? What was read of the ledger is kept for
    /// the replay. No says nothing yet: somebody may be adding to the run at this moment.
    fn agrees(self: &Rc<Self>, row: &RunRow) -> Result<bool, Trouble> {
        let rows = self.rows_of(row)?;
        let heads = rows.0.iter().map(|step| &step.head).chain([&row.head]);
        let heads: Vec<String> = heads.filter(|head| !head.is_empty()).cloned().collect();
        let run = self.run_id();
        let file = match self.foreseen.take().filter(|(read, _)| *read == run) {
            // Read before the rows: it may know less than they, and is read again then.
            Some((_, account)) => account,
            None => self.account(&run)?,
        };
        let clean = |text: &str| self.setup.redactor.clean(text);
        let agrees = row.rows_at_end() == Some(rows.0.len())
            && file.holds(&heads).is_ok()
            && file.unknown_steps(&rows.0, clean).is_empty()
            && file.unknown_effects(&rows.1, clean).is_empty();
        *self.known_rows.borrow_mut() = agrees.then_some(rows);
        Ok(agrees)
    }

    fn compare_accounts(
        self: &Rc<Self>,
        row: Option<&RunRow>,
        elsewhere: bool,
    ) -> Result<(), Trouble> {
        let run = self.run_id();
        let session = self.session()?;
        let Some(ledger) = self.ledger() else { return Ok(()) };
        // Heads first, rows last, the file between them: a runner at work writes a line before the
        // row that names it, and the row before the line that calls the step done.
        let heads = self.wait(async {
            if row.is_some() || ledger.exists(&session).await? {
                ledger.heads(&session, &run.0).await.map(Some)
            } else {
                Ok(None)
            }
        })?;
        let heads = heads.map_err(|error| self.db_fault(error))?;
        let mut file = self.account(&run)?;
        match file.holds(heads.as_deref().unwrap_or_default()) {
            Ok(()) => {}
            // Lines reach the disk a little after the file: a machine that lost its power in
            // between has lost them, and nobody cut anything.
            Err(fault) if fault.code == "journal-short" && restarted(&file) => {
                self.lose_file(&run, &fault)?;
                file = Account::default();
            }
            Err(fault) => return Err(self.set_aside(fault, &run)),
        }
        if !elsewhere {
            let of_row = row.map(|row| row.inputs["server"].clone());
            for recorded in file.server.iter().chain(of_row.iter()) {
                self.same_server(recorded, &run, &self.resume_command())?;
            }
        }
        let mut lost = Vec::new();
        let clean = |text: &str| self.setup.redactor.clean(text);
        let mut effects = Vec::new();
        if heads.is_some() {
            let rows = self.wait(futures_util::future::try_join3(
                ledger.steps(&session, &run.0),
                ledger.intents(&session, &run.0),
                ledger.missing_steps(&session, &run.0),
            ))?;
            let (steps, intents, missing) = rows.map_err(|error| self.db_fault(error))?;
            lost.extend(file.unknown_steps(&steps, clean));
            lost.extend(missing);
            effects.extend(file.unknown_effects(&intents, clean).into_iter().cloned());
        } else {
            lost.extend(file.done.iter().cloned());
            effects.extend(file.announced.iter().cloned());
        }
        lost.extend(effects.iter().map(|effect| effect.key.clone()));
        let mut seen = std::collections::BTreeSet::new();
        lost.retain(|title| seen.insert(title.clone()));
        if lost.is_empty() {
            return Ok(());
        }
        self.behind(&run, &lost, file.server.as_ref(), &self.resume_command())?;
        *self.lost_effects.borrow_mut() = effects;
        Ok(())
    }

    /// A file that lost its last lines with the machine's power makes room for a new one.
    fn lose_file(&self, run: &RunId, fault: &Fault) -> Result<(), Trouble> {
        let kept = Account::put_aside(&self.setup.state.run_dir(run))?;
        let text = msg!("host.journal-lost", run = run, what = fault.message, file = kept);
        self.emit(EventKind::Warning { text }).map_err(Trouble::from)
    }

    /// A new run, where files of this machine know runs of this playbook that the ledger does not.
    ///
    /// # Errors
    /// `ledger-behind`, `other-server`.
    pub(super) fn known_elsewhere(self: &Rc<Self>, known: &[RunRow]) -> Result<(), Trouble> {
        /// Older runs than these are not asked: the question is what happened just now.
        const ASKED: usize = 30;
        let id = self.begun.borrow().as_ref().map(|begun| begun.id.clone()).unwrap_or_default();
        let state = &self.setup.state;
        let next = format!("runsheet run {}", self.setup.playbook.name);
        let files = state
            .runs()?
            .into_iter()
            .rev()
            .filter(|run| *run != self.run_id() && !known.iter().any(|row| row.run == run.0));
        let files = files.filter(|run| Account::is_of(&state.run_dir(run), &id));
        for run in files.take(ASKED).collect::<Vec<_>>() {
            // A file that nobody can read is no witness for a run that is not asked to go on.
            let Ok(file) = Account::read(&state.run_dir(&run)) else { continue };
            let standing = file.standing().iter().map(ToString::to_string).collect::<Vec<_>>();
            let Some(server) = file.server.clone().filter(|_| !standing.is_empty()) else {
                continue;
            };
            let now = self.server_value();
            let differs = |what: &str| differs(&server, &now, what);
            if !differs("database") && !differs("system_identifier") {
                if differs("oid") && !self.ledger_was_there.get() {
                    // Dropped and made anew: what was done here is gone with it.
                    let text = msg!("host.database-anew", run = run);
                    self.emit(EventKind::Warning { text })?;
                } else {
                    self.behind(&run, &standing, Some(&server), &next)?;
                }
                return Ok(());
            }
            let same_url = file.url.is_some()
                && file.url == self.setup.target.as_ref().map(|target| target.display());
            if same_url && !differs("database") && !file.finished {
                return self.same_server(&server, &run, &next);
            }
        }
        Ok(())
    }

    /// What the ledger has lost: said, or accepted with a reason.
    fn behind(
        &self,
        run: &RunId,
        lost: &[String],
        server: Option<&Value>,
        next: &str,
    ) -> Result<(), Trouble> {
        let names = lost.join(", ");
        if self.setup.wishes.accept_database {
            let text = msg!("host.database-accepted", run = run, steps = names);
            self.override_guard("--accept-database", &text)?;
            self.accepted.set(true);
            return Ok(());
        }
        let moved = server.filter(|server| differs(server, &self.server_value(), "timeline"));
        let cause = match moved {
            Some(server) => msg!(
                "host.ledger-behind.failover",
                was = server["timeline"],
                now = self.server_value()["timeline"]
            ),
            None => msg!("host.ledger-behind.cause"),
        };
        Err(Self::fatal(
            Fault::failed("ledger-behind", msg!("host.ledger-behind", run = run))
                .detail(names)
                .cause(cause)
                .remedy(msg!("host.ledger-behind.remedy"))
                .next(format!("{next} --accept-database --reason \"...\"")),
        ))
    }

    /// Is this the server that was recorded?
    fn same_server(&self, recorded: &Value, run: &RunId, next: &str) -> Result<(), Trouble> {
        let now = self.server_value();
        let wrong = differences(recorded, &now);
        if wrong.is_empty() {
            return Ok(());
        }
        if self.setup.wishes.accept_database {
            let text = msg!("host.server-accepted", run = run, what = wrong.join("; "));
            if !self.accepted.get() {
                self.override_guard("--accept-database", &text)?;
                self.accepted.set(true);
            }
            return Ok(());
        }
        Err(Self::fatal(
            Fault::new(FaultKind::Refused, "other-server", msg!("host.other-server", run = run))
                .detail(wrong.join("; "))
                .cause(msg!("host.other-server.cause"))
                .remedy(msg!("host.other-server.remedy"))
                .next(format!("{next} --accept-database --reason \"...\"")),
        ))
    }

    /// A new connection in the middle of a run must lead to the server that the run began on.
    ///
    /// # Errors
    /// `other-server`.
    pub(super) fn same_as_before(&self, found: &Identity) -> Result<(), Trouble> {
        let Some(before) = self.server.borrow().clone() else { return Ok(()) };
        let now = value_of(found);
        let wrong = differences(&before, &now);
        let standby = found.standby.then(|| msg!("host.standby"));
        let wrong: Vec<String> = wrong.into_iter().chain(standby).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let text = msg!("host.other-server", run = self.run_id());
        Err(Self::fatal(
            Fault::failed("other-server", text)
                .detail(wrong.join("; "))
                .cause(msg!("host.other-server.cause"))
                .remedy(msg!("host.other-server.remedy"))
                .next(format!("{} --accept-database --reason \"...\"", self.resume_command())),
        ))
    }

    /// Remembers the server that the run is on.
    pub(super) fn remember_server(&self, found: &Identity) {
        if self.server.borrow().is_some() {
            return;
        }
        let mut server = value_of(found);
        server["oid"] = Value::from(found.oid);
        *self.server.borrow_mut() = Some(server);
    }

    /// The server that the run is on, as file and ledger keep it.
    pub(super) fn server_value(&self) -> Value {
        self.server.borrow().clone().unwrap_or(Value::Null)
    }

    /// Where this machine keeps the highest epoch of this database.
    pub(super) fn known_epoch(&self) -> Result<Option<KnownEpoch>, Fault> {
        let state = &self.setup.state;
        let worker = self.worker.borrow();
        let Some(identity) = worker.as_ref().map(|worker| &worker.identity) else {
            return Ok(None);
        };
        state.folder("epochs")?;
        Ok(Some(KnownEpoch::of(state.root(), identity)))
    }

    /// Guards that the command line switched off: recorded, and in a protected environment, or on
    /// a server that counts as one, only with a reason.
    ///
    /// # Errors
    /// `reason-missing`.
    pub(super) fn overrides(&self) -> Result<(), Trouble> {
        let wishes = &self.setup.wishes;
        if self.mode() == Mode::Plan {
            return Ok(());
        }
        let strict = self.setup.environment.protected || wishes.unprotected;
        let used = [
            ("--unprotected", wishes.unprotected),
            ("--accept-changes", wishes.accept_changes),
            ("--allow-pooler", wishes.allow_pooler),
            ("--take-over", wishes.take_over),
        ];
        for (flag, _) in used.iter().filter(|(_, used)| *used) {
            if strict || wishes.reason.is_some() {
                self.override_guard(flag, &msg!("host.guard-off", flag = flag))?;
            } else {
                self.emit(EventKind::Note { text: msg!("host.guard-off", flag = flag) })?;
            }
        }
        Ok(())
    }

    /// A guard that was overridden is part of the run's record, with who and why.
    ///
    /// # Errors
    /// `reason-missing` where nobody said why.
    pub(super) fn override_guard(&self, flag: &str, what: &str) -> Result<(), Trouble> {
        let Some(reason) = self.setup.wishes.reason.clone() else {
            return Err(Self::fatal(
                Fault::usage("reason-missing", msg!("host.reason-missing", flag = flag))
                    .cause(msg!("host.reason-missing.cause"))
                    .remedy(msg!("host.reason-missing.remedy")),
            ));
        };
        let by = crate::journal::started_by();
        let text = msg!("host.overridden", what = what, by = by, reason = reason);
        self.emit(EventKind::Warning { text }).map_err(Into::into)
    }

    fn account(&self, run: &RunId) -> Result<Account, Trouble> {
        Account::read(&self.setup.state.run_dir(run)).map_err(|fault| self.set_aside(fault, run))
    }

    /// A file that cannot be trusted is put aside; the ledger suffices.
    fn set_aside(&self, fault: Fault, run: &RunId) -> Trouble {
        let folder = super::finish::as_typed(&self.setup.state.run_dir(run));
        let fault = match fault.remedy {
            Some(_) => fault,
            None => fault.remedy(msg!("journal.broken.remedy")),
        };
        Self::fatal(fault.next(format!("mv {folder} {folder}.broken")))
    }

    fn resume_command(&self) -> String {
        match self.setup.wishes.resume {
            Some(_) => format!("runsheet resume {}", self.run_id()),
            None => format!("runsheet run {}", self.setup.playbook.name),
        }
    }

    pub(super) fn ledger(&self) -> Option<Ledger> {
        self.worker.borrow().as_ref().map(|worker| worker.ledger.clone())
    }
}

fn value_of(identity: &Identity) -> Value {
    json!({
        "database": identity.database,
        "system_identifier": identity.system_identifier,
        "timeline": identity.timeline,
    })
}

/// What tells that this is not the recorded database.
fn differences(recorded: &Value, now: &Value) -> Vec<String> {
    TELLING
        .iter()
        .filter(|what| differs(recorded, now, what))
        .map(|what| {
            let (wanted, found) = (plain(&recorded[*what]), plain(&now[*what]));
            msg!("host.expected", what = what, wanted = wanted, found = found)
        })
        .collect()
}

/// Do two servers differ in something that is known of both?
fn differs(one: &Value, other: &Value, what: &str) -> bool {
    let (one, other) = (&one[what], &other[what]);
    !one.is_null() && !other.is_null() && one != other
}

fn plain(value: &Value) -> String {
    value.as_str().map_or(value.to_string(), String::from)
}

/// Was this machine started anew since the file was written?
fn restarted(file: &Account) -> bool {
    let now = crate::system::boot();
    file.boot.is_some() && now.is_some() && file.boot != now
}
