//! The runs that ledger and state folder know, as one list, newest first.
//!
//! The ledger says what this database has seen; a run that the ledger does not know (its process
//! died early, or the database was restored) is known from its own file alone.

use super::database::Database;
use super::desk::Desk;
use crate::journal::{RunRow, RunState, read_events};
use crate::model::{EventKind, Fault, FinalState, Redactor, nearest};
use crate::msg;
use crate::report::Report;

/// A run that something is known of.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) run: String,
    pub(super) playbook: String,
    pub(super) title: String,
    /// Names of the playbook's file, the surest first.
    pub(super) files: Vec<String>,
    pub(super) state: RunState,
    /// Steps that stand.
    pub(super) steps: i64,
    pub(super) by: String,
    pub(super) environment: Option<String>,
    /// As the server or the journal wrote it.
    pub(super) started: String,
    pub(super) ended: Option<String>,
    /// True where the database knows nothing of it.
    pub(super) local_only: bool,
    /// Its parameters but the secret ones, as the ledger has them.
    pub(super) params: serde_json::Map<String, serde_json::Value>,
}

impl Known {
    fn from_row(row: RunRow) -> Self {
        let params = row.inputs["params"].as_object().cloned().unwrap_or_default();
        Self {
            params: params.into_iter().filter(|(_, value)| *value != Redactor::BLANK).collect(),
            run: row.run,
            files: vec![row.file, row.playbook.clone()],
            playbook: row.playbook,
            title: row.title,
            state: row.state,
            steps: row.steps,
            by: row.started_by,
            environment: row.environment,
            started: row.started_at,
            ended: row.finished_at,
            local_only: false,
        }
    }

    /// Has it begun something that it did not end?
    pub(super) fn is_open(&self) -> bool {
        match self.state {
            RunState::Running | RunState::VerifyFailed | RunState::RollingBack => true,
            RunState::Failed => self.steps > 0,
            RunState::Done | RunState::RolledBack => false,
        }
    }
}

/// Everything that is known, and why the ledger could not be asked, where it could not.
pub(super) struct Runs {
    pub(super) all: Vec<Known>,
    pub(super) unasked: Option<Fault>,
}

impl Runs {
    /// Asks the ledger, then the state folder.
    pub(super) fn of(desk: &Desk) -> Self {
        let (rows, unasked) = match asked(desk) {
            Ok(rows) => (rows, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        let mut all: Vec<Known> = rows.into_iter().map(Known::from_row).collect();
        for local in local_runs(desk) {
            match all.iter_mut().find(|known| known.run == local.run) {
                Some(known) => known.files.splice(0..0, local.files).for_each(drop),
                None => {
                    // The ledger's order is its own: ids hold the time of a clock.
                    let at = all.iter().position(|known| known.run < local.run);
                    all.insert(at.unwrap_or(all.len()), local);
                }
            }
        }
        Self { all, unasked }
    }

    /// Of each playbook the run that counts: the newest that was not taken back.
    pub(super) fn latest(&self) -> Vec<&Known> {
        let mut latest: Vec<&Known> = Vec::new();
        for known in self.all.iter().filter(|known| known.state != RunState::RolledBack) {
            if !latest.iter().any(|other| other.playbook == known.playbook) {
                latest.push(known);
            }
        }
        latest
    }

    /// The runs that began something and did not end it.
    pub(super) fn open(&self) -> Vec<&Known> {
        self.latest().into_iter().filter(|known| known.is_open()).collect()
    }

    /// The run of that id; a part of it is enough where only one has it.
    ///
    /// # Errors
    /// `run-unknown`; what kept the ledger from being asked, where it could not be.
    pub(super) fn named(&self, id: &str) -> Result<&Known, Fault> {
        if let Some(known) = self.all.iter().find(|known| known.run == id) {
            return Ok(known);
        }
        let parts: Vec<&Known> = self.all.iter().filter(|known| known.run.contains(id)).collect();
        if let [only] = parts.as_slice()
            && id.len() >= 4
        {
            return Ok(only);
        }
        if let Some(fault) = &self.unasked {
            return Err(fault.clone());
        }
        let fault =
            Fault::usage("run-unknown", msg!("cli.run-unknown", run = id)).next("runsheet history");
        Err(match nearest(id, self.all.iter().map(|known| known.run.as_str())) {
            Some(guess) => fault.remedy(msg!("cli.did-you-mean", guess = guess)),
            None => fault,
        })
    }
}

/// The ledger's runs; none where there is no ledger.
fn asked(desk: &Desk) -> Result<Vec<RunRow>, Fault> {
    let database = Database::open(desk)?;
    if !database.has_ledger()? {
        return Ok(Vec::new());
    }
    database.ask(database.ledger.runs(&database.session, None))
}

fn local_runs(desk: &Desk) -> Vec<Known> {
    let Some(state) = desk.existing_state() else { return Vec::new() };
    let runs = state.runs().unwrap_or_default();
    runs.into_iter()
        .filter_map(|run| {
            let events = read_events(&state.run_dir(&run)).ok()?;
            let report = Report::from_events(&events);
            let started = events.iter().any(|e| matches!(e.kind, EventKind::RunStarted { .. }));
            started.then(|| Known {
                run: run.0,
                playbook: report.playbook,
                title: report.title,
                files: vec![report.file],
                state: match report.state {
                    None => RunState::Running,
                    Some(FinalState::Done | FinalState::NothingToDo) => RunState::Done,
                    Some(FinalState::VerifyFailed) => RunState::VerifyFailed,
                    Some(FinalState::RolledBack) => RunState::RolledBack,
                    Some(_) => RunState::Failed,
                },
                steps: i64::from(report.changed == Some(true)),
                by: report.by,
                environment: report.environment,
                started: report.started,
                ended: Some(report.ended).filter(|_| report.state.is_some()),
                local_only: true,
                params: serde_json::Map::new(),
            })
        })
        .collect()
}
