//! The policy held against what a playbook does: forbidden, approved by whom, behind a backup.
//!
//! Asked twice: before a run begins, of everything that can be foretold, and at the gate, of each
//! statement with its own risk. What `[policy]` and the built-in table ask for holds in protected
//! environments; an environment's own table, and `forbid`, hold wherever they are written. Copies
//! are nobody's, and ways back are always open.

mod foreseen;
mod hours;
pub(super) mod proof;

use std::rc::Rc;

pub use foreseen::{ForeseenCommand, Foresight, Foretold, makes_backup};

use super::approval::approved::Level;
use super::gate::{Host, Mode};
use super::stop::Trouble;
use crate::config::{BackupNeed, Demand, Way};
use crate::model::{Action, EventKind, Fault, FaultKind, ItemKind, Risk};
use crate::msg;

/// How much of a statement is shown.
const SHOWN: usize = 80;

impl Host {
    /// Does the policy ask for anything where this run is?
    pub fn policy_counts(&self) -> bool {
        self.mode() == Mode::Run
            && self.setup.rehearsal.is_none()
            && !self.is_way_back()
            && *self.cleared.asks.get_or_init(|| {
                self.any_in_force(&[Demand::Way, Demand::Backup, Demand::TwoPerson])
            })
    }

    /// Does any of these words hold here, for whatever risk?
    fn any_in_force(&self, demands: &[Demand]) -> bool {
        let any = |risk: Risk| demands.iter().any(|demand| self.in_force(risk, *demand));
        Risk::ALL.into_iter().any(any)
    }

    /// Does this word of the policy hold here?
    pub(super) fn in_force(&self, risk: Risk, demand: Demand) -> bool {
        let environment = &self.setup.environment;
        if environment.protected {
            return true;
        }
        let origin = environment.policy.origin(risk, demand);
        let forbids = demand == Demand::Way && environment.policy.rule(risk).way == Way::Forbid;
        origin.own || (forbids && origin.line.is_some())
    }

    /// A protected environment in which the file lets this run by itself: nobody is asked. What
    /// turns out to be more dangerous than foreseen is stopped at the gate.
    pub(super) fn runs_by_itself(&self) -> bool {
        let policy = &self.setup.environment.policy;
        let risk = self.worst_foreseen().map_or(Risk::Low, |worst| worst.risk);
        self.mode() == Mode::Run
            && policy.rule(risk).way == Way::Auto
            && policy.origin(risk, Demand::Way).line.is_some()
    }

    /// Does the policy want a person here, although the environment is not protected?
    pub(super) fn wants_a_person(&self) -> bool {
        let wants = |risk: Risk| {
            let way = self.setup.environment.policy.rule(risk).way;
            matches!(way, Way::Review | Way::Manual) && self.in_force(risk, Demand::Way)
        };
        self.policy_counts()
            && !self.setup.environment.protected
            && self.foreseen().iter().any(|one| wants(one.risk))
    }

    /// Before a run begins: all that the policy refuses, at once.
    ///
    /// # Errors
    /// `policy-forbids`, `policy-manual`, `policy-review`, `policy-two-person`, `policy-backup`: kind
    /// Refused, with the rule and its line.
    pub(super) fn demand_policy(self: &Rc<Self>) -> Result<(), Trouble> {
        if !self.policy_counts() || self.setup.wishes.resume.is_some() {
            return Ok(());
        }
        let mut found: Vec<Fault> = Vec::new();
        for risk in Risk::ALL.into_iter().rev() {
            let Some(one) = self.foreseen().iter().find(|one| one.risk == risk) else { continue };
            for fault in self.refusals(risk, &|| one.what.clone(), self.will_back_up()) {
                if !found.iter().any(|known| known.code == fault.code) {
                    found.push(fault);
                }
            }
        }
        if found.is_empty() {
            return self.tell_policy().map_err(Into::into);
        }
        let mut fault = found.remove(0);
        fault.more = found;
        Err(Self::fatal(fault))
    }

    /// At the gate: may this action pass? Its own risk counts, or that of its step.
    ///
    /// # Errors
    /// As [`Host::demand_policy`].
    pub fn within_policy(&self, action: &Action) -> Result<(), Fault> {
        if !self.policy_counts() {
            return Ok(());
        }
        let declared = match self.frames.borrow().last() {
            Some(frame) => match frame.item.kind {
                ItemKind::Undo | ItemKind::OnFailure | ItemKind::Always => return Ok(()),
                _ => frame.item.risk,
            },
            None => None,
        };
        let Some(risk) = action.risk.max(declared) else { return Ok(()) };
        let what = || {
            let shown = action.statement.as_deref().unwrap_or(&action.target);
            let shown: String = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            let shown: String = shown.chars().take(SHOWN).collect();
            format!("{} {shown}", action.verb)
        };
        // What makes the backup cannot wait for it.
        let backup = self.cleared.backed_up.get() || makes_backup(&action.verb);
        let mut found = self.refusals(risk, &what, backup).into_iter();
        let Some(mut fault) = found.next() else { return Ok(()) };
        fault.more.extend(found);
        Err(fault)
    }

    /// What stands in the way of a risk.
    fn refusals(&self, risk: Risk, what: &dyn Fn() -> String, backup: bool) -> Vec<Fault> {
        let policy = &self.setup.environment.policy;
        let (rule, level) = (policy.rule(risk), self.cleared.level.get());
        let (name, mut found) = (&self.setup.playbook.name, Vec::new());
        let mut refuse = |demand: Demand, code: &str, says: &str, text: String, remedy: String| {
            let line = policy.origin(risk, demand).shown();
            let cause = msg!(
                "host.policy.cause",
                risk = risk.word(),
                what = what(),
                says = says,
                rule = line
            );
            let fault = Fault::new(FaultKind::Refused, code, text).cause(cause).remedy(remedy);
            let signs = matches!(code, "policy-manual" | "policy-two-person");
            let next = if signs { "approve" } else { "plan" };
            let by = if signs { " --by NAME" } else { "" };
            found.push(match code {
                "policy-forbids" | "policy-backup" => fault,
                _ => fault.next(format!("runsheet {next} {name}{by}")),
            });
        };
        let environment = self.environment_name();
        let two =
            rule.two_person && self.in_force(risk, Demand::TwoPerson) && level < Level::Second;
        if self.in_force(risk, Demand::Way) {
            let says = format!("way = \"{}\"", rule.way.word());
            match rule.way {
                Way::Forbid => refuse(
                    Demand::Way,
                    "policy-forbids",
                    &says,
                    msg!("host.policy.forbids", risk = risk.word(), environment = environment),
                    msg!("host.policy.forbids.remedy"),
                ),
                Way::Manual if level < Level::Person && !two => refuse(
                    Demand::Way,
                    "policy-manual",
                    &says,
                    msg!("host.policy.manual", risk = risk.word()),
                    msg!("host.policy.manual.remedy", name = name),
                ),
                Way::Review if level < Level::Read => refuse(
                    Demand::Way,
                    "policy-review",
                    &says,
                    msg!("host.policy.review", risk = risk.word()),
                    msg!("host.policy.review.remedy", name = name),
                ),
                Way::Auto | Way::Review | Way::Manual => {}
            }
        }
        if two {
            refuse(
                Demand::TwoPerson,
                "policy-two-person",
                "two_person = true",
                msg!("host.policy.two-person", risk = risk.word()),
                msg!("host.policy.manual.remedy", name = name),
            );
        }
        if rule.backup == BackupNeed::Required && self.in_force(risk, Demand::Backup) && !backup {
            refuse(
                Demand::Backup,
                "policy-backup",
                &format!("backup = \"{}\"", rule.backup.word()),
                msg!("host.policy.backup", risk = risk.word()),
                msg!("host.policy.backup.remedy"),
            );
        }
        found
    }

    /// Says what the policy asks for and which line says so, in a plan and where a run begins.
    ///
    /// # Errors
    /// `journal-write`.
    pub(super) fn tell_policy(&self) -> Result<(), Fault> {
        let demands = [Demand::Way, Demand::Backup, Demand::Rehearsal, Demand::TwoPerson];
        let nobody = self.setup.rehearsal.is_some() || self.mode() == Mode::Undo;
        if nobody || !self.any_in_force(&demands) {
            return Ok(());
        }
        let Some(worst) = self.worst_foreseen() else { return Ok(()) };
        let risk = worst.risk;
        if !demands.iter().any(|demand| self.in_force(risk, *demand)) {
            return Ok(());
        }
        let policy = &self.setup.environment.policy;
        let rule = policy.rule(risk);
        let words = [
            (Demand::Way, format!("way = \"{}\"", rule.way.word())),
            (Demand::Backup, format!("backup = \"{}\"", rule.backup.word())),
            (Demand::Rehearsal, format!("rehearsal = {}", rule.rehearsal)),
            (Demand::TwoPerson, format!("two_person = {}", rule.two_person)),
        ];
        let asked: Vec<String> = words
            .iter()
            .filter(|(demand, _)| self.in_force(risk, *demand))
            .filter(|(demand, _)| *demand != Demand::TwoPerson || rule.two_person)
            .map(|(demand, word)| format!("{word} ({})", policy.origin(risk, *demand).shown()))
            .collect();
        let text = msg!(
            "host.policy.asks",
            risk = risk.word(),
            what = worst.what,
            asked = asked.join(", ")
        );
        self.emit(EventKind::Note { text })?;
        let recommended = rule.backup == BackupNeed::Recommended;
        if recommended && self.in_force(risk, Demand::Backup) && !self.will_back_up() {
            let rule = policy.origin(risk, Demand::Backup).shown();
            let text = msg!("host.policy.no-backup", risk = risk.word(), rule = rule);
            self.emit(EventKind::Warning { text })?;
        }
        Ok(())
    }
}
