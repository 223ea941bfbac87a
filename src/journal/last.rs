//! Which run of a playbook was the last one here. A guess: the database knows of runs that were made
//! elsewhere. Called before there is a connection.

use super::recorder::first_event;
use crate::model::{EventKind, RunId};
use crate::system::StateDir;

/// So many folders are looked into.
const MOST: usize = 16;

/// The last run of a playbook among these of a folder, oldest first.
pub fn last_run_of(state: &StateDir, runs: Vec<RunId>, playbook: &str) -> Option<RunId> {
    runs.into_iter().rev().take(MOST).find(|run| {
        let first = first_event(&state.run_dir(run)).map(|event| event.kind);
        matches!(first, Some(EventKind::RunStarted { mode, playbook: of, .. })
            if mode == "run" && of == playbook)
    })
}
