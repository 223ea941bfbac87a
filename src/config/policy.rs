//! What each risk asks for: how it may run, whether a backup, a rehearsal and a second person are
//! wanted. An environment's own table stands over `[policy]`, and both over the built-in one; which
//! line said what is kept, so that every decision can name it. Nothing is enforced here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::load::FILE_NAME;
use super::reader::{Section, neighbours};
use crate::model::{Fault, Risk};
use crate::msg;

/// How something of a given risk may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// By itself.
    Auto,
    /// By itself after somebody has read the plan.
    Review,
    /// Only with a person's approval.
    Manual,
    /// Not at all.
    Forbid,
}

impl Way {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Review => "review",
            Self::Manual => "manual",
            Self::Forbid => "forbid",
        }
    }
}

/// Whether a backup has to be there first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupNeed {
    /// Nobody asks.
    Optional,
    /// Its absence is said.
    Recommended,
    /// Its absence stops the run.
    Required,
}

impl BackupNeed {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Recommended => "recommended",
            Self::Required => "required",
        }
    }
}

/// What one risk asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How it may run.
    pub way: Way,
    /// Whether a backup has to be there first.
    pub backup: BackupNeed,
    /// Whether it has to be rehearsed first.
    pub rehearsal: bool,
    /// Whether the one who approves must be another person than the one who runs.
    pub two_person: bool,
}

/// One word of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// [`Rule::way`].
    Way,
    /// [`Rule::backup`].
    Backup,
    /// [`Rule::rehearsal`].
    Rehearsal,
    /// [`Rule::two_person`].
    TwoPerson,
}

/// Where a word of a rule comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The line in `runsheet.toml`; None for the built-in default.
    pub line: Option<u32>,
    /// It stands in the environment's own table.
    pub own: bool,
}

impl Origin {
    /// `runsheet.toml:12`, or the words for the built-in default.
    pub fn shown(&self) -> String {
        match self.line {
            Some(line) => format!("{FILE_NAME}:{line}"),
            None => msg!("config.built-in"),
        }
    }
}

/// What every risk asks for; `runsheet.toml` may change each word of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    rules: BTreeMap<Risk, Rule>,
    origins: BTreeMap<(Risk, Demand), Origin>,
    /// How old a receipt may be.
    pub receipt_age: Duration,
    /// How old an approval may be.
    pub approval_age: Duration,
}

/// A receipt or an approval older than this says little about the data of today.
const FRESH: Duration = Duration::from_secs(7 * 24 * 3600);

impl Policy {
    /// What a risk asks for.
    pub fn rule(&self, risk: Risk) -> Rule {
        self.rules.get(&risk).copied().unwrap_or_else(|| usual(risk))
    }

    /// Which line says so.
    pub fn origin(&self, risk: Risk, demand: Demand) -> Origin {
        self.origins.get(&(risk, demand)).copied().unwrap_or_default()
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            rules: Risk::ALL.into_iter().map(|risk| (risk, usual(risk))).collect(),
            origins: BTreeMap::new(),
            receipt_age: FRESH,
            approval_age: FRESH,
        }
    }
}

/// The table that teams use: additive runs by itself, indexes are reviewed, type changes and
/// whatever loses data are done by hand, with a backup, after a rehearsal.
fn usual(risk: Risk) -> Rule {
    let (way, backup) = match risk {
        Risk::Low => (Way::Auto, BackupNeed::Optional),
        Risk::Medium => (Way::Review, BackupNeed::Recommended),
        Risk::High | Risk::VeryHigh => (Way::Manual, BackupNeed::Required),
    };
    Rule { way, backup, rehearsal: risk >= Risk::High, two_person: false }
}

/// Reads `[policy]`, or an environment's own table (`own`) over what `[policy]` has said.
pub(super) fn read(section: &Section<'_, '_>, below: &Policy, own: bool) -> Policy {
    let mut policy = below.clone();
    policy.receipt_age = section.duration("receipt_age").unwrap_or(policy.receipt_age);
    policy.approval_age = section.duration("approval_age").unwrap_or(policy.approval_age);
    let risks = Risk::ALL.map(Risk::word);
    for (name, span, value, value_span) in section.entries() {
        if matches!(name, "receipt_age" | "approval_age") {
            continue;
        }
        let Some(risk) = Risk::ALL.into_iter().find(|risk| risk.word() == name) else {
            let mut fault = Fault::usage("config-risk", msg!("config.unknown-risk", found = name));
            let known = risks.into_iter().chain(["receipt_age", "approval_age"]);
            fault.remedy = Some(neighbours(name, known.collect::<Vec<_>>()));
            section.source().complain(&span, fault);
            continue;
        };
        if let Some(table) = section.section_of(name, value, value_span) {
            policy.read_rule(risk, &table, own);
            table.finish();
        }
    }
    policy.warn_where_it_falls(section);
    policy
}

impl Policy {
    fn read_rule(&mut self, risk: Risk, table: &Section<'_, '_>, own: bool) {
        let ways = [Way::Auto, Way::Review, Way::Manual, Way::Forbid].map(|way| (way.word(), way));
        let needs = [BackupNeed::Optional, BackupNeed::Recommended, BackupNeed::Required]
            .map(|need| (need.word(), need));
        let mut rule = self.rule(risk);
        let mut said = Vec::new();
        if let Some(at) = table.word_at("way", &ways) {
            rule.way = at.value;
            said.push((Demand::Way, at.span));
        }
        if let Some(at) = table.word_at("backup", &needs) {
            rule.backup = at.value;
            said.push((Demand::Backup, at.span));
        }
        if let Some(at) = table.flag("rehearsal") {
            rule.rehearsal = at.value;
            said.push((Demand::Rehearsal, at.span));
        }
        if let Some(at) = table.flag("two_person") {
            rule.two_person = at.value;
            if rule.two_person && rule.way < Way::Manual {
                let fault = Fault::usage("config-policy", msg!("config.two-person-way"));
                let fault = fault.remedy(msg!("config.two-person-way.remedy"));
                table.source().complain(&at.span, fault);
            }
            said.push((Demand::TwoPerson, at.span));
        }
        for (demand, span) in said {
            let line = Some(table.source().line_of(&span));
            self.origins.insert((risk, demand), Origin { line, own });
        }
        self.rules.insert(risk, rule);
    }

    /// A higher risk that may do what a lower one may not is a slip of the pen more often than not.
    fn warn_where_it_falls(&self, section: &Section<'_, '_>) {
        for pair in Risk::ALL.windows(2) {
            let (low, high) = (pair[0], pair[1]);
            if self.rule(high).way >= self.rule(low).way {
                continue;
            }
            let text = msg!("config.policy-falls", low = low.word(), high = high.word());
            let at = section
                .entries()
                .find(|(name, ..)| *name == high.word() || *name == low.word())
                .map(|(_, span, ..)| span);
            if let Some(span) = at {
                section.source().warn(&span, Fault::usage("config-policy", text));
            }
        }
    }
}
