//! plan, run, resume, rollback: from the command line to the road.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use super::args::{Common, Road};
use crate::config::{Config, find_project, parse_assignment};
use crate::engine::{Limits, RoadSetup, walk};
use crate::host::{HostSetup, Mode, OnFailure, Terminal, Wishes};
use crate::model::{EventKind, Fault, Redactor, RunId, parse_span};
use crate::playbook::Playbook;
use crate::postgres::Target;
use crate::report::{Output, for_terminal};
use crate::system::{Cancel, StateDir};

/// Where the road leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Reads only.
    Plan,
    /// Forward.
    Run,
    /// Back.
    Rollback,
}

/// Walks a playbook's road.
pub(super) fn walk_road(common: &Common, road: &Road, name: &str, way: Way) -> Result<u8, Fault> {
    let project = project_of(common)?;
    let config = Config::load(&project)?;
    go(common, road, project, config, name, way, None)
}

/// Walks the road of a run that is known already.
pub(super) fn walk_known(
    common: &Common,
    road: &Road,
    run: Option<&str>,
    way: Way,
) -> Result<u8, Fault> {
    let project = project_of(common)?;
    let config = Config::load(&project)?;
    let state = StateDir::open(common.state.as_deref().unwrap_or(&config.state_dir))?;
    let run = match run {
        Some(run) => RunId(run.into()),
        None => state.runs()?.pop().ok_or_else(|| Fault::usage("no-run", "no run"))?,
    };
    let events = crate::journal::read_events(&state.run_dir(&run))?;
    let file = events.iter().find_map(|event| match &event.kind {
        EventKind::RunStarted { file, .. } => Some(file.clone()),
        _ => None,
    });
    let file = file.ok_or_else(|| Fault::usage("no-run", "no run"))?;
    go(common, road, project, config, &file, way, Some(run))
}

fn project_of(common: &Common) -> Result<PathBuf, Fault> {
    let here =
        std::env::current_dir().map_err(|error| Fault::failed("no-folder", error.to_string()))?;
    Ok(common.project.clone().unwrap_or_else(|| find_project(&here)))
}

fn go(
    common: &Common,
    road: &Road,
    project: PathBuf,
    config: Config,
    name: &str,
    way: Way,
    resume: Option<RunId>,
) -> Result<u8, Fault> {
    let read = |name: &str| std::env::var(name).ok();
    let mut environment =
        config.environment(common.env.as_deref(), common.url.as_deref(), &read)?;
    let redactor = Redactor::default();
    let target = match &environment.url {
        Some(url) => Target::parse(url, &read)?,
        None => Target::from_environment(&read)?,
    };
    if let Some(password) = &target.password {
        use secrecy::ExposeSecret;
        redactor.add(password.expose_secret());
    }
    if !environment.described && !target.is_local() && !road.unprotected {
        environment.protected = true;
    }
    let playbook: Playbook = crate::playbook::find(&project, name)?;
    let interactive = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let set = common.set.iter().map(|text| parse_assignment(text)).collect::<Result<_, _>>()?;
    let wait = match (&road.wait, road.no_wait) {
        (_, true) => Duration::ZERO,
        (Some(text), _) => parse_span(text).map_err(|text| Fault::usage("wrong-option", text))?,
        (None, _) => Duration::from_secs(60),
    };
    let on_failure = match road.on_failure.as_deref() {
        Some("rollback") => OnFailure::Rollback,
        Some("stop") => OnFailure::Stop,
        Some("ask") => OnFailure::Ask,
        None if interactive => OnFailure::Ask,
        _ => OnFailure::Stop,
    };
    let output = if common.json {
        Output::Json
    } else if common.plain || !std::io::stdout().is_terminal() {
        Output::Plain
    } else {
        Output::Live
    };
    let state = StateDir::open(common.state.as_deref().unwrap_or(&config.state_dir))?;
    let setup = RoadSetup {
        sink: for_terminal(output, redactor.clone(), output == Output::Live, common.verbose),
        limits: Limits::default(),
        host: HostSetup {
            mode: match way {
                Way::Plan => Mode::Plan,
                Way::Run => Mode::Run,
                Way::Rollback => Mode::Undo,
            },
            project,
            state,
            config,
            environment,
            target: Some(target),
            playbook,
            set,
            wishes: Wishes {
                wait,
                take_over: road.take_over,
                on_failure,
                again: road.again,
                accept_changes: road.accept_changes,
                until: road.until.clone(),
                allow_pooler: road.allow_pooler,
                resume,
            },
            redactor,
            terminal: Terminal { interactive, yes: road.yes },
            cancel: Cancel::install()?,
            asks: Vec::new(),
            catches: false,
        },
    };
    walk(setup).map(|ended| ended.exit)
}
