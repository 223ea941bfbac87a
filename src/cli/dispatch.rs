//! Reads the arguments and calls the command's own file.

use std::ffi::OsString;

use clap::FromArgMatches;

use super::args::{Arguments, Command};
use super::desk::{self, Desk};
use super::{
    again, check, compared, coverage, demo, deploy, doctor, help, lint, look, past, rehearse, road,
    show, signed, start, verbs,
};
use crate::model::{Fault, Redactor};

/// Runs one command line and gives its exit code.
pub fn run(args: Vec<OsString>) -> u8 {
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let redactor = Redactor::default();
    words.iter().for_each(|word| desk::learn(word, &redactor));
    desk::choose_language(flag(&words, "--lang"));
    let json = words.iter().any(|word| word == "--json");
    if let Some(fault) = help::psql_variable(&words) {
        return desk::say(&fault, &redactor, json);
    }
    let arguments = match Arguments::read(&args) {
        Ok(arguments) => arguments,
        Err(error) => match help::fault_of(&error, &words) {
            Some(fault) => return desk::say(&fault, &redactor, json),
            None => return explain(args),
        },
    };
    let done = dispatch(&arguments, &redactor);
    done.unwrap_or_else(|fault| desk::say(&fault, &redactor, arguments.common.json))
}

/// Help and version, in the reader's language.
fn explain(args: Vec<OsString>) -> u8 {
    let told = help::told().try_get_matches_from(args);
    match told.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(_) => 0,
        Err(error) => {
            let _ = error.print();
            error.exit_code() as u8
        }
    }
}

/// The value of a flag in words that nobody has parsed yet.
fn flag<'w>(words: &'w [String], name: &str) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(name)? {
        "" => words.get(at + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

fn dispatch(arguments: &Arguments, redactor: &Redactor) -> Result<u8, Fault> {
    let common = &arguments.common;
    match &arguments.command {
        Command::Init => return start::init(common),
        Command::Completions { shell } => return start::completions(*shell),
        Command::Verbs { name, markdown } => {
            return verbs::verbs(common, name.as_deref(), *markdown);
        }
        _ => {}
    }
    let desk = Desk::open(common, redactor)?;
    match &arguments.command {
        Command::New { name, from } => start::new(&desk, name, from.as_deref()),
        Command::List => look::list(&desk),
        Command::Show { playbook } => show::show(&desk, playbook),
        Command::Check { playbooks } => check::check(&desk, playbooks),
        Command::Lint { paths, against, max_risk, format } => {
            lint::lint(&desk, paths, against.as_deref(), (*max_risk, *format))
        }
        Command::Plan { playbook, road } => road::plan(&desk, road, playbook),
        Command::Approve { playbook, by, because } => {
            signed::approve(&desk, playbook, by, because.as_deref())
        }
        Command::Run { playbook, road, then } => road::run(&desk, road, playbook, then),
        Command::Deploy { playbook, migration, road } => {
            deploy::deploy(&desk, road, playbook, migration)
        }
        Command::Coverage { playbooks } => coverage::coverage(&desk, playbooks),
        command @ Command::Rehearse { .. } => rehearse::rehearse(&desk, command),
        Command::Fingerprint { place, jobs } => {
            compared::fingerprint(&desk, place.as_deref(), *jobs)
        }
        Command::Diff { left, right, jobs, samples } => {
            compared::diff(&desk, left, right, *jobs, *samples)
        }
        Command::Resume { run, road } => again::resume(&desk, road, run.as_deref()),
        Command::Rollback { run, restore, road } => {
            again::rollback(&desk, road, run.as_deref(), restore.as_ref())
        }
        Command::Resolve { step, done, .. } => again::resolve(&desk, step, *done),
        Command::Tick { item, by, because } => signed::tick(&desk, item, by, because.as_deref()),
        Command::Report { run, format } => past::report(&desk, run.as_deref(), *format),
        Command::History { playbook } => past::history(&desk, playbook.as_deref()),
        Command::Status { exit_code } => past::status(&desk, *exit_code),
        Command::Lock => past::lock(&desk),
        Command::Doctor => doctor::doctor(&desk),
        Command::Demo { rows, keep } => demo::demo(&desk, *rows, *keep),
        Command::Init | Command::Completions { .. } | Command::Verbs { .. } => Ok(0),
    }
}
