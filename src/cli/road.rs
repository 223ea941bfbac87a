//! plan and run: from the command line to the road.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use super::args::{FailureWay, Road};
use super::desk::{Desk, coloured};
use crate::engine::{Limits, Outline, RoadSetup, Severity, Stage, examine, walk};
use crate::host::{Ahead, HostSetup, Mode, OnFailure, Terminal, Wishes};
use crate::journal::last_run_of;
use crate::model::{Fault, FaultKind, RunId, parse_span};
use crate::msg;
use crate::playbook::Playbook;
use crate::report::{Output, for_terminal};
use crate::system::{Cancel, StateDir};

/// How long a run waits for another one, where neither flag nor file says so.
const WAIT: Duration = Duration::from_secs(60);
/// The same for a playbook that runs unattended: as long as the holder lives, which is what ends
/// the wait. A container that gave up would only be started again.
const WAIT_UNATTENDED: Duration = Duration::from_secs(24 * 3600);

/// `runsheet plan PLAYBOOK`
pub(super) fn plan(desk: &Desk, road: &Road, name: &str) -> Result<u8, Fault> {
    walk_ahead(desk, road, name, Mode::Plan, true)
}

/// `runsheet run PLAYBOOK`
///
/// After exit code 0 this process becomes the command behind `--`, where there is one.
pub(super) fn run(desk: &Desk, road: &Road, name: &str, then: &[OsString]) -> Result<u8, Fault> {
    let code = walk_ahead(desk, road, name, Mode::Run, then.is_empty())?;
    match then {
        [program, args @ ..] if code == 0 => Err(becomes(program, args)),
        _ => Ok(code),
    }
}

/// Walks the road while the connection is made; `last` as for [`RoadSetup`].
fn walk_ahead(desk: &Desk, road: &Road, name: &str, mode: Mode, last: bool) -> Result<u8, Fault> {
    let ahead = connecting(desk, road, name);
    let stage = Stage::begin()?;
    let (playbook, outline) = sound(desk, name)?;
    let mut setup = setup(desk, road, playbook, outline, mode, None)?;
    setup.host.ahead = ahead;
    setup.last = last;
    stage.walk(setup).map(|ended| ended.exit)
}

/// Connects already. Not to a protected database, since somebody may have to type its name first;
/// and not where nothing was ever done: there is time enough then. Whatever is wrong is said when
/// it is needed.
fn connecting(desk: &Desk, road: &Road, name: &str) -> Option<Ahead> {
    let state = desk.existing_state()?;
    let runs = state.runs().ok()?;
    let run = StateDir::run_after(&runs);
    let (environment, target) = desk.target(road.unprotected).ok()?;
    if environment.protected {
        return None;
    }
    Ahead::begin(target, run, &desk.config, name, || last_run_of(&state, runs, name))
}

/// Comes back only where the program cannot be started.
fn becomes(program: &OsStr, args: &[OsString]) -> Fault {
    let error = std::process::Command::new(program).args(args).exec();
    let program = program.to_string_lossy();
    Fault::failed("exec-failed", msg!("cli.exec-failed", program = program))
        .detail(error.to_string())
        .cause(msg!("cli.exec-failed.cause"))
}

/// A playbook without errors that can be seen beforehand: nobody wants to meet a misspelt option
/// at night, behind the third step.
pub(super) fn sound(desk: &Desk, name: &str) -> Result<(Playbook, Outline), Fault> {
    let playbook = crate::playbook::find(&desk.project, name)?;
    let (findings, outline) = examine(&desk.project, &playbook, &desk.config);
    let mut errors = findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.fault);
    let Some(mut first) = errors.next() else { return Ok((playbook, outline)) };
    first.kind = FaultKind::Usage;
    first.more.extend(errors);
    Err(first)
}

/// Walks the road of a playbook; `resume` is the run to go on with or to take back.
pub(super) fn go(
    desk: &Desk,
    road: &Road,
    playbook: Playbook,
    outline: Outline,
    mode: Mode,
    resume: Option<RunId>,
) -> Result<u8, Fault> {
    walk(setup(desk, road, playbook, outline, mode, resume)?).map(|ended| ended.exit)
}

/// What a walk needs, from the command line.
pub(super) fn setup(
    desk: &Desk,
    road: &Road,
    playbook: Playbook,
    outline: Outline,
    mode: Mode,
    resume: Option<RunId>,
) -> Result<RoadSetup, Fault> {
    let (environment, target) = desk.target(road.unprotected)?;
    let set = desk.set()?;
    let stranger = !environment.described && !environment.unprotected && !target.is_local();
    let mut wishes = wishes(desk, road, outline.unattended, resume)?;
    wishes.unprotected = road.unprotected && stranger;
    desk.warn_of_config();
    let output = desk.output();
    let colour = output == Output::Live && coloured();
    Ok(RoadSetup {
        sink: for_terminal(output, desk.redactor.clone(), colour, desk.common.verbose),
        limits: Limits::default(),
        last: false,
        host: HostSetup {
            mode,
            project: desk.project.clone(),
            state: desk.state()?,
            config: desk.config.clone(),
            environment,
            target: Some(target),
            catches: outline.catches,
            playbook,
            set,
            wishes,
            redactor: desk.redactor.clone(),
            terminal: Terminal { interactive: somebody_is_there(), yes: road.yes },
            cancel: Cancel::install()?,
            asks: outline.asks,
            foretold: outline.foretold,
            ahead: None,
            rehearsal: None,
        },
    })
}

fn wishes(
    desk: &Desk,
    road: &Road,
    unattended: bool,
    resume: Option<RunId>,
) -> Result<Wishes, Fault> {
    let wait = patience(road, desk.config.run.wait, unattended)?;
    let on_failure = match road.on_failure {
        Some(FailureWay::Stop) => OnFailure::Stop,
        Some(FailureWay::Rollback) => OnFailure::Rollback,
        Some(FailureWay::Ask) => OnFailure::Ask,
        None if somebody_is_there() => OnFailure::Ask,
        None if unattended => OnFailure::Rollback,
        None => OnFailure::Stop,
    };
    Ok(Wishes {
        wait,
        take_over: road.take_over.is_some(),
        take_over_run: road.take_over.clone().flatten(),
        on_failure,
        again: road.again,
        accept_changes: road.accept_changes,
        accept_database: road.accept_database,
        unprotected: false,
        approve: road.approve.clone(),
        sign: None,
        reason: road.reason.clone().filter(|reason| !reason.trim().is_empty()),
        until: road.until.clone(),
        allow_pooler: road.allow_pooler,
        resume,
    })
}

/// How long another run is waited for; `configured` is the project's word, zero for none.
fn patience(road: &Road, configured: Duration, unattended: bool) -> Result<Duration, Fault> {
    Ok(match &road.wait {
        _ if road.no_wait => Duration::ZERO,
        Some(text) => parse_span(text).map_err(|text| {
            Fault::usage("wrong-value", msg!("cli.wrong-value", argument = "--wait", value = text))
                .remedy(msg!("cli.wait.remedy"))
        })?,
        None if configured > Duration::ZERO => configured,
        None if unattended => WAIT_UNATTENDED,
        None => WAIT,
    })
}

/// Is there a person at a terminal?
fn somebody_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// G2.15: a migration may take longer than a minute.
    #[test]
    fn what_runs_unattended_waits_as_long_as_the_holder_lives_unless_somebody_says_otherwise() {
        let given = |text: &str| Road { wait: Some(text.into()), ..Road::default() };
        let none = Road::default();
        let minute = Duration::from_secs(60);
        assert_eq!(patience(&none, Duration::ZERO, false).unwrap(), minute);
        assert!(patience(&none, Duration::ZERO, true).unwrap() >= 1000 * minute);
        assert_eq!(patience(&none, minute, true).unwrap(), minute);
        assert_eq!(patience(&given("2m"), Duration::ZERO, true).unwrap(), 2 * minute);
        let not = Road { no_wait: true, ..Road::default() };
        assert_eq!(patience(&not, Duration::ZERO, true).unwrap(), Duration::ZERO);
    }
}
