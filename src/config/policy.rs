//! What each risk asks for: how it may run, whether a backup and a rehearsal are wanted.

use std::collections::BTreeMap;

use super::reader::{Section, neighbours};
use crate::model::{Fault, Risk};
use crate::msg;

/// How something of a given risk may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// What one risk asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How it may run.
    pub way: Way,
    /// Whether a backup has to be there first.
    pub backup: BackupNeed,
    /// Whether it has to be rehearsed first.
    pub rehearsal: bool,
}

/// What every risk asks for; `runsheet.toml` may change each word of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    rules: BTreeMap<Risk, Rule>,
}

const RISKS: [Risk; 4] = [Risk::Low, Risk::Medium, Risk::High, Risk::VeryHigh];

impl Policy {
    /// What a risk asks for.
    pub fn rule(&self, risk: Risk) -> Rule {
        self.rules.get(&risk).copied().unwrap_or_else(|| usual(risk))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { rules: RISKS.into_iter().map(|risk| (risk, usual(risk))).collect() }
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
    Rule { way, backup, rehearsal: risk >= Risk::High }
}

/// Reads `[policy]`.
pub(super) fn read(section: &Section<'_, '_>) -> Policy {
    let mut policy = Policy::default();
    for (name, span, value, value_span) in section.entries() {
        let Some(risk) = RISKS.into_iter().find(|risk| risk.word() == name) else {
            let mut fault = Fault::usage("config-risk", msg!("config.unknown-risk", found = name));
            fault.remedy = Some(neighbours(name, RISKS.map(Risk::word)));
            section.source().complain(&span, fault);
            continue;
        };
        let Some(below) = section.section_of(name, value, value_span) else { continue };
        let mut rule = policy.rule(risk);
        let ways = [
            ("auto", Way::Auto),
            ("review", Way::Review),
            ("manual", Way::Manual),
            ("forbid", Way::Forbid),
        ];
        let needs = [
            ("optional", BackupNeed::Optional),
            ("recommended", BackupNeed::Recommended),
            ("required", BackupNeed::Required),
        ];
        rule.way = below.word("way", &ways).unwrap_or(rule.way);
        rule.backup = below.word("backup", &needs).unwrap_or(rule.backup);
        rule.rehearsal = below.flag("rehearsal").map_or(rule.rehearsal, |at| at.value);
        below.finish();
        policy.rules.insert(risk, rule);
    }
    policy
}
