//! What is known of the risks before anything runs, forward and back, and of the backups.
//!
//! The lint walk says what stands in the texts; here the SQL files are judged and commands get the
//! risk that the project's file gives them. Asked by the policy and the plan.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::host::gate::{Host, Mode};
use crate::host::inputs::texts_in;
use crate::model::{EventKind, Fault, Risk};
use crate::msg;

/// Verbs that make a backup of the whole database, or have seen to one.
const BACKUPS: [&str; 2] = ["pg::dump", "pg::external_backup"];

/// Does this verb make a backup, or see to one?
pub fn makes_backup(verb: &str) -> bool {
    BACKUPS.contains(&verb)
}

/// A risk, and what has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foretold {
    /// The risk.
    pub risk: Risk,
    /// Who says so: a file, a line, a statement.
    pub what: String,
}

/// A command that a step starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeseenCommand {
    /// Its program; None where it is put together when it runs.
    pub program: Option<String>,
    /// Where it stands: `playbooks/it.rhai:7`.
    pub place: String,
}

/// What a playbook's text shows of its risks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foresight {
    /// Its own SQL, and what its items declare.
    pub forward: Vec<Foretold>,
    /// Commands that change something, in items that declare no risk.
    pub commands: Vec<ForeseenCommand>,
    /// The SQL of its ways back: `undo`, `on_failure`.
    pub back: Vec<Foretold>,
    /// SQL files that only ways back name.
    pub back_files: Vec<String>,
    /// Does it make a backup of the whole database on the way forward?
    pub backs_up: bool,
}

impl Host {
    /// Everything that is known of the risks before anything runs: what the playbook and its steps
    /// declare, the SQL that it holds itself, and the SQL files that it names. Ways back are not
    /// counted.
    pub(in crate::host) fn foreseen(&self) -> &[Foretold] {
        self.cleared.foreseen.get_or_init(|| {
            let setup = &self.setup;
            let (named, given) =
                self.begun.borrow().as_ref().map_or_else(Default::default, |begun| {
                    let files = begun.inputs["files"].as_object();
                    let named: Vec<String> =
                        files.into_iter().flatten().map(|(name, _)| name.clone()).collect();
                    let values = begun.parameters.iter().flat_map(|one| texts_in(&one.value));
                    (named, values.collect::<Vec<String>>())
                });
            // Who hands a file over as a parameter may use it anywhere.
            let back =
                |name: &String| setup.foretold.back_files.contains(name) && !given.contains(name);
            let reviewed = named.iter().filter(|name| !back(name));
            let reviewed = reviewed.filter_map(|name| self.reviewed(name));
            let file = &setup.playbook.path_display;
            let declared = self
                .risk
                .get()
                .map(|risk| Foretold { risk, what: msg!("host.declared-risk", file = file) });
            let commands = setup.foretold.commands.iter().map(|one| Foretold {
                risk: self.risk_of_command(one.program.as_deref().unwrap_or_default()),
                what: msg!(
                    "host.command-risk",
                    place = one.place,
                    program = one.program.as_deref().unwrap_or("..")
                ),
            });
            let own = setup.foretold.forward.iter().cloned();
            declared.into_iter().chain(reviewed).chain(own).chain(commands).collect()
        })
    }

    /// The most dangerous statement of an SQL file; None where the file cannot be read, which is
    /// refused where it is used.
    fn reviewed(&self, name: &str) -> Option<Foretold> {
        if !name.ends_with(".sql") {
            return None;
        }
        let setup = &self.setup;
        let found = crate::playbook::resolve_sql(&setup.project, &setup.playbook, name);
        let path = found.ok()?.on_disk(setup.state.root()).ok()?;
        let (folder, file) = (path.parent()?, path.file_name()?.to_str()?);
        let review = crate::sql::review(folder, file, BTreeMap::new()).ok()?;
        let worst = review.statements.iter().max_by_key(|one| one.risk);
        let what = worst.map_or_else(
            || name.to_string(),
            |one| format!("{name}:{} {}: {}", one.line, one.kind, one.reason),
        );
        Some(Foretold { risk: review.risk, what })
    }

    /// The highest risk that is foreseen; the first that has it.
    pub(in crate::host) fn worst_foreseen(&self) -> Option<&Foretold> {
        worst(self.foreseen())
    }

    /// In a plan: the risk of the way back, which does not decide about the way forward.
    ///
    /// # Errors
    /// `journal-write`.
    pub(in crate::host) fn tell_risk_back(&self) -> Result<(), Fault> {
        if self.mode() != Mode::Plan || self.setup.rehearsal.is_some() {
            return Ok(());
        }
        let foretold = &self.setup.foretold;
        let files = foretold.back_files.iter().filter_map(|name| self.reviewed(name));
        let all: Vec<Foretold> = files.chain(foretold.back.iter().cloned()).collect();
        let Some(worst) = worst(&all) else { return Ok(()) };
        let text = msg!("host.risk-back", risk = worst.risk.word(), what = worst.what);
        self.emit(EventKind::Note { text })
    }

    /// The risk of a command that changes something: what `[commands] risk` says, else that of the
    /// step's own word (None here), else medium, since nobody judges a program.
    pub fn command_risk(&self, program: &str) -> Option<Risk> {
        let declared = self.frames.borrow().last().is_some_and(|frame| frame.item.risk.is_some());
        let told = self.setup.config.command_risks.contains_key(program);
        (told || !declared).then(|| self.risk_of_command(program))
    }

    fn risk_of_command(&self, program: &str) -> Risk {
        self.setup.config.command_risks.get(program).copied().unwrap_or(Risk::Medium)
    }

    /// Does the playbook, or what it imports, make a backup? Whether it was made is asked again at
    /// the gate.
    pub(in crate::host) fn will_back_up(&self) -> bool {
        self.cleared.backed_up.get() || self.setup.foretold.backs_up
    }

    /// A backup of the whole database was made and proven readable, or somebody else's was seen.
    pub fn backed_up(&self) {
        self.cleared.backed_up.set(true);
    }

    /// A step that an earlier process of this run has ended: did it make a backup? One of some
    /// tables is none.
    pub(in crate::host) fn note_backup(&self, effects: &[String], value: &Value) {
        let partial = value["partial"] == true;
        if !partial && effects.iter().any(|verb| makes_backup(verb)) {
            self.backed_up();
        }
    }
}

fn worst(all: &[Foretold]) -> Option<&Foretold> {
    let highest = all.iter().map(|one| one.risk).max()?;
    all.iter().find(|one| one.risk == highest)
}
