//! rehearse: from the command line to the copy, and what came out of it.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::Command;
use super::desk::{Desk, say, write_out};
use super::road::sound;
use crate::config::{Environment, parse_assignment};
use crate::model::{Fault, RunId};
use crate::msg;
use crate::postgres::Target;
use crate::rehearsal::{self, Outcome, Progress, Source, Wanted};
use crate::report::harmless;
use crate::system::{Cancel, StateDir};

/// `runsheet rehearse PLAYBOOK [--from ..] [--keep] [--crash] [--again]`, `--pairs DIR`
pub(super) fn rehearse(desk: &Desk, command: &Command) -> Result<u8, Fault> {
    let Command::Rehearse {
        playbook,
        pairs,
        from,
        on,
        keep,
        crash,
        sample,
        again,
        on_copy,
        copy_state,
        copy_run,
    } = command
    else {
        return Ok(2);
    };
    if let Some(folder) = pairs {
        return super::pairs::pairs(desk, folder);
    }
    let Some(playbook) = playbook else { return Ok(2) };
    if let (Some(url), Some(state)) = (on_copy, copy_state) {
        let run = copy_run.clone().map(RunId);
        return on_a_copy(desk, playbook, url, state, *again, run);
    }
    let (environment, source) = source(desk, from.as_deref())?;
    desk.warn_of_config();
    let mut wanted = wanted(desk, playbook, environment, source, *again)?;
    wanted.on = on.as_deref().map(|place| given(desk, place).map(Box::new)).transpose()?;
    wanted.sample = *sample;
    wanted.generate = from.as_deref() == Some("generated");
    wanted.crash = crash.then(|| arguments(desk, playbook, *again));
    let ended = rehearsal::rehearse(&wanted)?;
    show(desk, &ended.outcome);
    if *keep {
        let url = ended.copy.url();
        desk.talk(&msg!("cli.rehearse.kept", url = url));
        while !wanted.cancel.is_cancelled() {
            let _ = wanted.cancel.sleep(std::time::Duration::from_secs(3600));
        }
    }
    Ok(ended.outcome.exit)
}

fn wanted(
    desk: &Desk,
    name: &str,
    environment: Environment,
    source: Source,
    again: bool,
) -> Result<Wanted, Fault> {
    let (playbook, outline) = sound(desk, name)?;
    let id = outline.id.clone().unwrap_or_else(|| playbook.name.clone());
    let (json, redactor) = (desk.common.json, desk.redactor.clone());
    let tell = move |progress: &Progress| {
        if json {
            let line = json!({
                "event": "rehearsal", "phase": progress.phase, "text": progress.text.trim(),
            });
            write_out(&redactor.clean(&format!("{line}\n")));
        } else {
            use std::io::Write;
            let line = format!("{}\n", harmless(&progress.text));
            let _ = std::io::stderr().write_all(redactor.clean(&line).as_bytes());
        }
    };
    Ok(Wanted {
        project: desk.project.clone(),
        state: desk.state()?,
        config: desk.config.clone(),
        environment,
        title: outline.title.unwrap_or_else(|| id.clone()),
        id,
        catches: outline.catches,
        playbook,
        set: desk.common.set.iter().map(|text| parse_assignment(text)).collect::<Result<_, _>>()?,
        redactor: desk.redactor.clone(),
        cancel: Cancel::install()?,
        source,
        on: None,
        sample: None,
        generate: false,
        again,
        crash: None,
        tell: Arc::new(tell),
    })
}

/// `--from`: the environment's database, another one, a dump, the schema alone, or with made rows.
fn source(desk: &Desk, from: Option<&str>) -> Result<(Environment, Source), Fault> {
    let word = from.unwrap_or("env");
    let here = |desk: &Desk, with_rows: bool| {
        // The source is only read: no address is too foreign for that.
        let (environment, target) = desk.target(true)?;
        Ok((environment, Source::Server { target: Box::new(target), with_rows }))
    };
    match word {
        "env" => here(desk, true),
        "schema-only" | "generated" => here(desk, false),
        _ if word.contains("://") || (word.contains('=') && !PathBuf::from(word).exists()) => {
            here(&with_url(desk, word)?, true)
        }
        path => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
            if !path.exists() {
                let text = msg!("cli.rehearse.no-source", from = word);
                return Err(
                    Fault::usage("no-source", text).remedy(msg!("cli.rehearse.no-source.remedy"))
                );
            }
            Ok((environment_alone(desk, "postgresql:///dump")?, Source::Dump { path }))
        }
    }
}

/// `--on`: the server that two databases are made on. Never a protected one.
fn given(desk: &Desk, place: &str) -> Result<Target, Fault> {
    let protected = desk.config.environments.get(place).is_some_and(|found| found.protected);
    if protected {
        return Err(rehearsal::on_protected(place));
    }
    super::compared::target(desk, Some(place))
}

fn with_url(desk: &Desk, url: &str) -> Result<Desk, Fault> {
    let mut common = desk.common.clone();
    common.url = Some(url.into());
    Desk::open(&common, &desk.redactor)
}

fn environment_alone(desk: &Desk, url: &str) -> Result<Environment, Fault> {
    let read = |name: &str| std::env::var(name).ok();
    desk.config.environment(desk.common.env.as_deref(), Some(url), &read)
}

/// A runner that a rehearsal has started to kill it.
fn on_a_copy(
    desk: &Desk,
    playbook: &str,
    url: &str,
    state: &std::path::Path,
    again: bool,
    run: Option<RunId>,
) -> Result<u8, Fault> {
    let environment = environment_alone(desk, url)?;
    let target = Target::parse(url, &|_| None)?;
    let source = Source::Server { target: Box::new(target.clone()), with_rows: true };
    let wanted = wanted(desk, playbook, environment, source, again)?;
    rehearsal::inner_run(&wanted, target, &StateDir::open(state)?, run)
}

/// This very command line, for a runner on a copy.
fn arguments(desk: &Desk, playbook: &str, again: bool) -> Vec<String> {
    let common = &desk.common;
    let mut words = vec!["rehearse".to_string(), playbook.into(), "--json".into()];
    words.push(format!("--project={}", desk.project.display()));
    words.push(format!("--state={}", desk.config.state_dir.display()));
    words.extend(common.env.iter().map(|name| format!("--env={name}")));
    words.extend(common.lang.iter().map(|lang| format!("--lang={lang}")));
    words.extend(common.set.iter().map(|set| format!("--set={set}")));
    if again {
        words.push("--again".into());
    }
    words
}

fn show(desk: &Desk, outcome: &Outcome) {
    let run = format!("runsheet run {}", outcome.name);
    let next = if outcome.exit == 0 { run } else { format!("runsheet rehearse {}", outcome.name) };
    if desk.common.json {
        let mut value = serde_json::to_value(outcome).unwrap_or_default();
        if let Value::Object(fields) = &mut value {
            fields.shift_insert(0, "event".into(), "rehearsed".into());
            let state = if outcome.exit == 0 { "done" } else { "failed" };
            fields.insert("state".into(), state.into());
            // The source is as it was, whatever happened on the copy.
            fields.insert("changed".into(), false.into());
            fields.insert("next".into(), next.into());
        }
        write_out(&desk.redactor.clean(&format!("{value}\n")));
        return;
    }
    if let Some(fault) = &outcome.fault {
        let mut fault = fault.clone();
        // What a run would be told to do is not what a rehearsal needs.
        (fault.next, fault.done_so_far) = (None, None);
        say(&fault, &desk.redactor, false);
    }
    desk.out(&rehearsal::text(outcome, desk.width()));
    desk.talk(&msg!("cli.next", command = next));
}
