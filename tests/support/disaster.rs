//! One run of six steps, a disaster behind a random one of them, and what goes on from there:
//! refused with the database untouched, or reconciled; never a step twice in the same data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runsheet::config::Config;
use runsheet::engine::{Limits, RoadSetup, walk};
use runsheet::host::{HostSetup, Mode, OnFailure, Terminal, Wishes};
use runsheet::model::{EventKind, Redactor, RunEvent, RunId};
use runsheet::playbook::{Origin, Playbook};
use runsheet::postgres::Target;
use runsheet::postgres::scratch::ScratchServer;
use runsheet::report::Sink;
use runsheet::system::{Cancel, StateDir};

const STEPS: u64 = 6;
const PLAYBOOK: &str = r#"playbook("it");
for n in 1..=6 { step(`step ${n}`, || db::exec(`INSERT INTO log VALUES (${n})`)); }
"#;

/// What happens to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disaster {
    /// The state folder is deleted.
    FileDeleted,
    /// The database is restored from a backup made after an earlier step.
    Restored,
    /// Both at once.
    RestoredAndDeleted,
    /// The database is restored from a backup made before the run.
    RestoredToBefore,
    /// Lines are cut off the file's end.
    FileCut,
    /// One byte of the file is changed.
    FileEdited,
    /// A row of the ledger is deleted.
    RowDeleted,
    /// The ledger's schema is dropped.
    LedgerDropped,
}

/// All of them.
pub const ALL: [Disaster; 8] = [
    Disaster::FileDeleted,
    Disaster::Restored,
    Disaster::RestoredAndDeleted,
    Disaster::RestoredToBefore,
    Disaster::FileCut,
    Disaster::FileEdited,
    Disaster::RowDeleted,
    Disaster::LedgerDropped,
];

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The run went on from what the database knows.
    Reconciled,
    /// It was refused, nothing was executed, and went on after what the message asked for.
    Refused,
}

/// Small numbers that a seed gives again (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}

/// Plays one trial on a database of its own; `Err` says what went wrong.
pub fn trial(server: &ScratchServer, number: u64, seed: u64) -> Result<(Disaster, Ending), String> {
    let mut chance = Chance(seed.wrapping_mul(1_000_003).wrapping_add(number));
    let disaster = ALL[(number % ALL.len() as u64) as usize];
    let folder = tempfile::Builder::new().prefix("trial-").tempdir().map_err(text)?;
    let desk = Desk { server, folder: folder.path().to_path_buf(), database: format!("t{number}") };
    desk.admin(&format!("CREATE DATABASE {}", desk.database))?;
    desk.sql("CREATE TABLE log (step int)")?;
    let kept = chance.below(STEPS - 2) + 1;
    let reached = kept + 1 + chance.below(STEPS - kept);
    // A copy costs a checkpoint: only those that this disaster needs are made.
    let needs = |name: &str, when: &[Disaster]| match when.contains(&disaster) {
        true => desk.copy(name),
        false => Ok(()),
    };
    needs("before", &[Disaster::RestoredToBefore])?;
    desk.walk(Some(kept), None, false)?.well()?;
    needs("kept", &[Disaster::Restored, Disaster::RestoredAndDeleted])?;
    let until = Some(reached).filter(|reached| *reached < STEPS);
    let run = desk.walk(until, None, false)?.well()?;
    needs("whole", &[Disaster::RowDeleted, Disaster::LedgerDropped])?;
    let events = desk.folder.join(".runsheet/runs").join(&run.0).join("events.jsonl");
    let stands = match disaster {
        Disaster::Restored | Disaster::RestoredAndDeleted => kept,
        Disaster::RestoredToBefore => 0,
        _ => reached,
    };
    let state = desk.folder.join(".runsheet");
    match disaster {
        Disaster::FileDeleted => std::fs::remove_dir_all(&state).map_err(text)?,
        Disaster::Restored => desk.restore("kept")?,
        Disaster::RestoredAndDeleted => {
            desk.restore("kept")?;
            std::fs::remove_dir_all(&state).map_err(text)?;
        }
        Disaster::RestoredToBefore => desk.restore("before")?,
        Disaster::FileCut => {
            let whole = std::fs::read_to_string(&events).map_err(text)?;
            let lines = whole.lines().count() as u64;
            // At least the last line that the ledger knows is lost.
            let left = 1 + chance.below(lines - 1);
            let cut: String =
                whole.lines().take(left as usize).map(|line| format!("{line}\n")).collect();
            std::fs::write(&events, cut).map_err(text)?;
        }
        Disaster::FileEdited => {
            let mut bytes = std::fs::read(&events).map_err(text)?;
            let at = chance.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << chance.below(7);
            std::fs::write(&events, bytes).map_err(text)?;
        }
        Disaster::RowDeleted => {
            let key = format!("step {}", 1 + chance.below(reached));
            desk.sql(&format!("DELETE FROM runsheet.step WHERE key = '{key}'"))?;
        }
        Disaster::LedgerDropped => desk.sql("DROP SCHEMA runsheet CASCADE")?,
    }
    desk.is_at(stands)?;
    // Both ways in: the run again, or that very run resumed.
    let resume = (chance.below(2) == 0).then(|| run.clone());
    let resume = resume.filter(|_| {
        // A run that neither file nor ledger knows cannot be named.
        !matches!(disaster, Disaster::RestoredToBefore | Disaster::LedgerDropped)
    });
    let first = desk.walk(None, resume.clone(), false)?;
    let ending = if first.exit == 0 {
        Ending::Reconciled
    } else {
        let known = ["ledger-behind", "journal-broken", "journal-short", "journal-differs"];
        if !known.contains(&first.code.as_str()) {
            return Err(format!("refused with {} ({:?})", first.code, disaster));
        }
        desk.is_at(stands)?;
        match disaster {
            Disaster::FileCut | Disaster::FileEdited => {
                let own = events.parent().map(Path::to_path_buf).unwrap_or_default();
                std::fs::rename(&own, own.with_extension("broken")).map_err(text)?;
                desk.walk(None, resume, false)?.well()?;
            }
            Disaster::RowDeleted | Disaster::LedgerDropped => {
                // The effects are there: the rows are put back, not the steps repeated.
                desk.restore("whole")?;
                desk.walk(None, resume, false)?.well()?;
            }
            _ => {
                desk.walk(None, resume, true)?.well()?;
            }
        }
        Ending::Refused
    };
    desk.is_at(STEPS)?;
    desk.walk(None, None, false)?.well()?;
    desk.is_at(STEPS)?;
    for name in ["before", "kept", "whole"] {
        desk.admin(&format!("DROP DATABASE IF EXISTS {}_{name}", desk.database))?;
    }
    desk.admin(&format!("DROP DATABASE {} WITH (FORCE)", desk.database))?;
    Ok((disaster, ending))
}

struct Desk<'a> {
    server: &'a ScratchServer,
    folder: PathBuf,
    database: String,
}

struct Walked {
    exit: u8,
    code: String,
    run: RunId,
}

impl Walked {
    fn well(self) -> Result<RunId, String> {
        match self.exit {
            0 => Ok(self.run),
            exit => Err(format!("exit code {exit}, {}", self.code)),
        }
    }
}

impl Desk<'_> {
    fn sql(&self, text: &str) -> Result<(), String> {
        self.server.execute(&self.database, text).map_err(|fault| format!("{fault}: {text}"))
    }

    fn admin(&self, text: &str) -> Result<(), String> {
        self.server.execute("postgres", text).map_err(|fault| format!("{fault}: {text}"))
    }

    fn copy(&self, name: &str) -> Result<(), String> {
        self.ended()?;
        self.admin(&format!("CREATE DATABASE {0}_{name} TEMPLATE {0}", self.database))
    }

    fn restore(&self, name: &str) -> Result<(), String> {
        self.admin(&format!("DROP DATABASE {} WITH (FORCE)", self.database))?;
        self.admin(&format!("ALTER DATABASE {0}_{name} RENAME TO {0}", self.database))
    }

    /// Waits until the server has seen that the last runner's session is over.
    fn ended(&self) -> Result<(), String> {
        let name = &self.database;
        self.admin(&format!(
            "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_stat_activity WHERE datname = '{name}')
             LOOP PERFORM pg_sleep(0.002); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$"
        ))
    }

    /// Each of the first `steps` steps took effect once, and no other one.
    fn is_at(&self, steps: u64) -> Result<(), String> {
        self.sql(&format!(
            "DO $$ DECLARE found text; BEGIN
                SELECT coalesce(string_agg(step::text, ' ' ORDER BY step), '') INTO found FROM log;
                IF found <> (SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '')
                        FROM generate_series(1, {steps}) n) THEN
                    RAISE 'steps in the data: %, {steps} were expected', found;
                END IF; END $$"
        ))
    }

    fn walk(
        &self,
        until: Option<u64>,
        resume: Option<RunId>,
        accept: bool,
    ) -> Result<Walked, String> {
        let url = self.server.url(&self.database);
        let config = Config::default_for(&self.folder);
        let nothing = |_: &str| None;
        let environment = config.environment(None, Some(&url), &nothing).map_err(text)?;
        let state = StateDir::open(&self.folder.join(".runsheet")).map_err(text)?;
        let host = HostSetup {
            mode: Mode::Run,
            project: self.folder.clone(),
            state,
            config,
            environment,
            target: Some(Target::parse(&url, &nothing).map_err(text)?),
            playbook: Playbook {
                name: "it".into(),
                path_display: "playbooks/it.rhai".into(),
                text: PLAYBOOK.into(),
                root: self.folder.clone(),
                origin: Origin::Project,
            },
            set: Vec::new(),
            wishes: Wishes {
                wait: Duration::from_secs(5),
                take_over: false,
                take_over_run: None,
                on_failure: OnFailure::Stop,
                again: false,
                accept_changes: false,
                accept_database: accept,
                unprotected: false,
                approve: None,
                sign: None,
                reason: accept.then(|| "restored".into()),
                until: until.map(|step| format!("step {step}")),
                allow_pooler: false,
                resume,
            },
            redactor: Redactor::default(),
            terminal: Terminal { interactive: false, yes: true },
            cancel: Cancel::new(),
            asks: Vec::new(),
            foretold: Default::default(),
            ahead: None,
            rehearsal: None,
            catches: false,
        };
        let codes = Codes::default();
        let sink = Box::new(codes.clone());
        match walk(RoadSetup { host, sink, limits: Limits::default(), last: false }) {
            Ok(ended) => {
                let code = codes.0.lock().map_err(text)?.clone();
                Ok(Walked { exit: ended.exit, code, run: ended.run })
            }
            Err(fault) => Err(fault.to_string()),
        }
    }
}

/// Keeps the code of the fault with which a run ended.
#[derive(Clone, Default)]
struct Codes(std::sync::Arc<std::sync::Mutex<String>>);

impl Sink for Codes {
    fn event(&mut self, event: &RunEvent) {
        if let (EventKind::RunFinished { fault: Some(fault), .. }, Ok(mut code)) =
            (&event.kind, self.0.lock())
        {
            code.clone_from(&fault.code);
        }
    }

    fn finish(&mut self) {}
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
