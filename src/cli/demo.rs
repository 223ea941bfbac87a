//! demo: a private PostgreSQL, a database that needs a migration, and the shipped playbook for it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::Road;
use super::desk::{Desk, typed};
use crate::config::FILE_NAME;
use crate::model::{Fault, FaultKind, format_span};
use crate::msg;
use crate::postgres::programs::Programs;
use crate::postgres::scratch::{ScratchOptions, ScratchServer};
use crate::postgres::{ConnectOptions, Session, Target, connect};
use crate::sql::{Follow, Script, ScriptOptions, Unit};
use crate::system::{Cancel, StateDir, runtime, write_atomic, write_fault};

/// The shipped playbook that is shown.
const PLAYBOOK: &str = "iamvet";
const DATABASE: &str = "iamvet_db";

/// `runsheet demo [--rows N] [--keep]`
pub(super) fn demo(desk: &Desk, rows: u32, keep: bool) -> Result<u8, Fault> {
    let cancel = Cancel::install()?;
    let state = desk.state()?;
    let project = own_folder(&state)?;
    let shipped = crate::playbook::materialise(state.root())?;
    let programs = Programs::new(desk.config.postgres_bin.as_deref(), Some(state.root()));
    desk.talk(&msg!("cli.demo.starting"));
    let options = ScratchOptions::new(programs, state.folder("scratch")?, "demo");
    let server = ScratchServer::start(&options)?;
    server.create_database(DATABASE)?;
    let started = Instant::now();
    load(&server.url(DATABASE), &shipped, rows, &cancel)?;
    desk.talk(&msg!(
        "cli.demo.loaded",
        rows = rows,
        database = DATABASE,
        took = format_span(started.elapsed())
    ));
    write_atomic(&project.join(FILE_NAME), file(&server.url(DATABASE)).as_bytes())?;
    let exit = show(desk, &project)?;
    cancel.check()?;
    if keep {
        desk.talk(&msg!("cli.demo.kept", url = server.url(DATABASE)));
        desk.talk(&msg!("cli.demo.kept-until"));
        while !cancel.is_cancelled() {
            let _ = cancel.sleep(std::time::Duration::from_secs(3600));
        }
    }
    Ok(exit)
}

/// A project of this demo's own: another one may be at work at the same time. Those of earlier
/// demos are kept with their reports.
fn own_folder(state: &StateDir) -> Result<PathBuf, Fault> {
    let all = state.folder("demo")?;
    tempfile::Builder::new()
        .prefix(&jiff::Zoned::now().strftime("%Y%m%d-%H%M%S-").to_string())
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(&all)
        .map(tempfile::TempDir::keep)
        .map_err(|error| write_fault(&all, &error))
}

/// Check, plan and run, each announced as the command that a user would type.
fn show(desk: &Desk, project: &Path) -> Result<u8, Fault> {
    let mut common = desk.common.clone();
    (common.project, common.state, common.env, common.url) =
        (Some(project.into()), None, None, None);
    let inner = Desk::open(&common, &desk.redactor)?;
    let announce = |command: &str| inner.talk(&format!("\n$ runsheet {command} {PLAYBOOK}"));
    announce("check");
    let mut exit = super::check::check(&inner, &[PLAYBOOK.into()])?;
    let road = Road { yes: true, ..Road::default() };
    if exit == 0 {
        announce("plan");
        exit = super::road::plan(&inner, &road, PLAYBOOK)?;
    }
    if exit == 0 {
        announce("run --yes");
        exit = super::road::run(&inner, &road, PLAYBOOK, &[])?;
        let newest = inner.state()?.runs()?.pop();
        if let Some(run) = newest {
            let path = inner.state()?.run_dir(&run).join("report.md");
            inner.talk(&msg!("cli.demo.report", path = typed(&path)));
        }
    }
    Ok(exit)
}

fn file(url: &str) -> String {
    format!("[project]\nname = \"demo\"\n\n[environments.demo]\nurl = \"{url}\"\n")
}

/// Schema and data of the playbook's folder.
fn load(url: &str, shipped: &Path, rows: u32, cancel: &Cancel) -> Result<(), Fault> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let target = Target::parse(url, &|_| None)?;
        let session = connect(&target, &ConnectOptions::default()).await?;
        let work = async {
            for file in ["schema.sql", "data.sql"] {
                let path = format!("playbooks/{PLAYBOOK}/sql/{file}");
                let vars = BTreeMap::from([("rows".to_string(), rows.to_string())]);
                send(&session, &mut Script::open(shipped, &path, vars, options())?).await?;
            }
            Ok(())
        };
        tokio::select! {
            done = work => done,
            reason = cancel.cancelled() => Err(reason.fault()),
        }
    })
}

fn options() -> ScriptOptions {
    ScriptOptions { transactional: false }
}

/// The shipped files are plain statements; anything else in them is a mistake of ours.
async fn send(session: &Session, script: &mut Script) -> Result<(), Fault> {
    while let Some(unit) = script.next()? {
        match unit {
            Unit::Statement { text, follow: Follow::None, .. } => {
                session.batch(&text).await.map_err(crate::postgres::DbError::into_fault)?;
            }
            Unit::Echo(_) | Unit::Skipped { .. } => {}
            other => {
                return Err(Fault::new(FaultKind::Failed, "internal", msg!("cli.demo.unexpected"))
                    .detail(format!("{other:?}")));
            }
        }
    }
    Ok(())
}
