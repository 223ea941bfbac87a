//! What only a person can say: a decision, a tick, the typed name of the database.
//!
//! Nobody is asked without a terminal, and never while a transaction is open. `--yes` answers
//! prompts of unprotected environments; it never attests anything.

pub(super) mod approved;

use std::rc::Rc;
use std::time::Instant;

use dialoguer::{Confirm, Input};
use rhai::Dynamic;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

pub use approved::Sign;

use super::gate::{Host, Mode};
use super::options::ItemOptions;
use super::scope::Frame;
use super::stop::{Stop, Trouble};
use crate::journal::{StepRow, StepState, started_by};
use crate::model::{Attestation, EventKind, Fault, FaultKind, Item, ItemKind, ItemState};
use crate::msg;

/// Whom to ask.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// Is there a person at a terminal?
    pub interactive: bool,
    /// `--yes`.
    pub yes: bool,
}

impl Terminal {
    /// Asks yes or no.
    ///
    /// # Errors
    /// `no-terminal` where nobody can be asked.
    pub fn confirm(&self, question: &str) -> Result<bool, Fault> {
        if !self.interactive {
            return Err(no_terminal(question));
        }
        Confirm::new()
            .with_prompt(question)
            .default(false)
            .interact()
            .map_err(|error| no_terminal(question).detail(error.to_string()))
    }

    /// Asks for a text to be typed.
    ///
    /// # Errors
    /// `no-terminal` where nobody can be asked.
    pub fn typed(&self, question: &str) -> Result<String, Fault> {
        if !self.interactive {
            return Err(no_terminal(question));
        }
        Input::<String>::new()
            .with_prompt(question)
            .allow_empty(true)
            .interact_text()
            .map_err(|error| no_terminal(question).detail(error.to_string()))
    }
}

fn no_terminal(question: &str) -> Fault {
    Fault::new(FaultKind::Refused, "no-terminal", msg!("host.no-terminal", question = question))
        .cause(msg!("host.no-terminal.cause"))
        .remedy(msg!("host.no-terminal.remedy"))
}

impl Host {
    /// Asks yes or no, the display put aside.
    pub(super) fn confirm(&self, question: &str) -> Result<bool, Fault> {
        self.recorder.borrow_mut().quiet();
        self.setup.terminal.confirm(question)
    }

    /// Items that ask somebody, without anybody to ask: found out before anything is done.
    ///
    /// # Errors
    /// `no-terminal` naming the first of them.
    pub(super) fn somebody_to_ask(&self) -> Result<(), Fault> {
        let setup = &self.setup;
        let nobody =
            !setup.terminal.interactive && (!setup.terminal.yes || setup.environment.protected);
        if self.mode() != Mode::Run || !nobody {
            return Ok(());
        }
        // A code is held against what runs before anything new happens.
        let code = setup.wishes.approve.is_some();
        if setup.environment.protected && !code && !self.runs_by_itself() {
            return Err(no_terminal(&msg!("host.type-name", database = self.database_name()))
                .cause(msg!("host.protected.cause", environment = self.environment_name()))
                .remedy(msg!("host.protected.remedy", name = setup.playbook.name)));
        }
        match setup.asks.first() {
            Some(title) if setup.wishes.until.is_none() && setup.wishes.resume.is_none() => {
                Err(no_terminal(title))
            }
            _ => Ok(()),
        }
    }

    /// A protected environment: the database's name has to be typed.
    ///
    /// # Errors
    /// `not-confirmed`, `no-terminal`.
    pub(super) fn confirm_protected(&self) -> Result<(), Fault> {
        // Who read the plan and gives its code has confirmed more than a name.
        let code = self.setup.wishes.approve.is_some();
        let asks =
            (self.setup.environment.protected && !self.runs_by_itself()) || self.wants_a_person();
        if self.mode() == Mode::Plan || code || !asks {
            return Ok(());
        }
        let name = self.database_name();
        self.recorder.borrow_mut().quiet();
        let typed = self.setup.terminal.typed(&msg!("host.type-name", database = name))?;
        if typed.trim() == name {
            self.typed_by_a_person();
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::Refused,
            "not-confirmed",
            msg!("host.not-confirmed", database = name),
        )
        .remedy(msg!("host.not-confirmed.remedy")))
    }

    pub(super) fn database_name(&self) -> String {
        self.setup.target.as_ref().map_or(String::new(), |target| target.database.clone())
    }

    /// `manual(title, [opts], points)`: a person ticks each point.
    ///
    /// # Errors
    /// `no-terminal`, `not-ticked`.
    pub fn manual(
        self: &Rc<Self>,
        title: &str,
        options: ItemOptions,
        points: &[String],
    ) -> Result<Dynamic, Trouble> {
        self.asked(ItemKind::Manual, title, options, points)
    }

    /// `approve(title, [opts])`: a person decides.
    ///
    /// # Errors
    /// `no-terminal`, `not-approved`.
    pub fn approve(self: &Rc<Self>, title: &str, options: ItemOptions) -> Result<Dynamic, Trouble> {
        let question = options.text.clone().unwrap_or_else(|| title.to_string());
        self.asked(ItemKind::Approve, title, options, &[question])
    }

    fn asked(
        self: &Rc<Self>,
        kind: ItemKind,
        title: &str,
        options: ItemOptions,
        points: &[String],
    ) -> Result<Dynamic, Trouble> {
        self.may_go_on()?;
        let item = self.new_item(kind, title, &options, false)?;
        if !options.applies_to(self.setup.environment.name.as_deref()) {
            let reason = msg!("host.not-here", environment = self.environment_name());
            return self.end_item(item, ItemState::Skipped { reason }, 0, None, Dynamic::UNIT);
        }
        let key = item.title.clone();
        if let Some((value, _)) = self.replayed(&item, &key, "", false)? {
            return self.end_item(item, ItemState::Replayed { value }, 0, None, Dynamic::UNIT);
        }
        match self.mode() {
            Mode::Plan => {
                self.begin_asking(&item, points)?;
                return self.end_item(item, ItemState::Planned, 0, None, Dynamic::UNIT);
            }
            Mode::Undo => return Ok(Dynamic::UNIT),
            Mode::Run => {}
        }
        self.start_recording()?;
        self.begin_asking(&item, points)?;
        let started = Instant::now();
        let mut attested = true;
        for point in points {
            match self.ask_point(kind, point) {
                Ok(done) => {
                    attested &= done;
                    self.emit(EventKind::Attested {
                        item: item.title.clone(),
                        attestation: Attestation {
                            point: point.clone(),
                            by: started_by(),
                            at: crate::system::moment(),
                            attested: done,
                        },
                    })?;
                }
                Err(fault) => {
                    let outcome = ItemState::Failed {
                        fault: Box::new(fault.clone()),
                        optional: options.optional,
                    };
                    let took = started.elapsed().as_millis() as u64;
                    let ended = self.end_item(item, outcome, took, None, Dynamic::UNIT);
                    if options.optional {
                        return ended;
                    }
                    let fault = Rc::new(fault);
                    self.fall(&fault);
                    return Err(Stop::Failed(fault).into());
                }
            }
        }
        if kind == ItemKind::Approve && attested {
            self.approved.set(true);
        }
        let value = json!({ "points": points, "attested": attested, "by": started_by() });
        self.journal_asked(&item, &key, &value, &options, started)?;
        let outcome = if attested { ItemState::Done { value } } else { ItemState::NotAttested };
        let took = started.elapsed().as_millis() as u64;
        self.end_item(item, outcome, took, None, Dynamic::UNIT)
    }

    /// The points of a manual item are known before anybody ticks them, in a plan too.
    fn begin_asking(&self, item: &Item, points: &[String]) -> Result<(), Fault> {
        self.emit(EventKind::ItemStarted { item: item.clone() })?;
        if item.kind == ItemKind::Manual {
            let points = points.to_vec();
            self.emit(EventKind::Points { item: item.title.clone(), points })?;
        }
        Ok(())
    }

    /// `Ok(false)`: passed by `--yes`, and nobody attested it.
    fn ask_point(&self, kind: ItemKind, point: &str) -> Result<bool, Fault> {
        let terminal = &self.setup.terminal;
        if terminal.yes && !self.setup.environment.protected {
            return Ok(false);
        }
        if !terminal.interactive {
            return Err(no_terminal(point));
        }
        self.emit(EventKind::Waiting { what: point.to_string() })?;
        let question = match kind {
            ItemKind::Approve => msg!("host.approve-question", point = point),
            _ => msg!("host.manual-question", point = point),
        };
        if self.confirm(&question)? {
            return Ok(true);
        }
        let (code, text) = match kind {
            ItemKind::Approve => ("not-approved", msg!("host.not-approved", point = point)),
            _ => ("not-ticked", msg!("host.not-ticked", point = point)),
        };
        Err(Fault::new(FaultKind::Refused, code, text)
            .next(format!("runsheet resume {}", self.run_id())))
    }

    fn journal_asked(
        self: &Rc<Self>,
        item: &Item,
        key: &str,
        value: &Value,
        options: &ItemOptions,
        started: Instant,
    ) -> Result<(), Trouble> {
        if !self.has_lease() {
            return Ok(());
        }
        let row = StepRow {
            key: key.into(),
            number: i64::from(item.number),
            title: item.title.nfc().collect(),
            kind: if item.kind == ItemKind::Approve { "approve" } else { "manual" }.into(),
            state: StepState::Done,
            value: value.clone(),
            before: self.before.borrow().clone(),
            inputs: json!({ "changes": false, "text": "" }),
            effects: Vec::new(),
            took_ms: started.elapsed().as_millis() as i64,
            head: self.recorder.borrow().head(),
        };
        self.frames.borrow_mut().push(Frame::new(item.clone(), key.into(), options.clone(), None));
        let committed = self.commit_step(&row, &[]);
        self.frames.borrow_mut().pop();
        if committed? {
            self.before.borrow_mut().clear();
        }
        Ok(())
    }
}
