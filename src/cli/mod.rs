//! The command line: arguments in, exit code out.

mod args;
mod road;

use std::ffi::OsString;

use clap::Parser;

use crate::message::{Language, set_language};
use crate::model::{Fault, Redactor};
use args::{Arguments, Command};

/// Runs one command line and gives its exit code.
pub fn run(args: Vec<OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return error.exit_code() as u8;
        }
    };
    choose_language(arguments.common.lang.as_deref());
    let done = match &arguments.command {
        Command::Plan { playbook, road } => {
            road::walk_road(&arguments.common, road, playbook, road::Way::Plan)
        }
        Command::Run { playbook, road } => {
            road::walk_road(&arguments.common, road, playbook, road::Way::Run)
        }
        Command::Resume { run, road } => {
            road::walk_known(&arguments.common, road, run.as_deref(), road::Way::Run)
        }
        Command::Rollback { run, road } => {
            road::walk_known(&arguments.common, road, run.as_deref(), road::Way::Rollback)
        }
    };
    done.unwrap_or_else(|fault| say(&fault, &Redactor::default()))
}

fn choose_language(flag: Option<&str>) {
    let from_env = || {
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
    };
    let word = flag.map(String::from).or_else(from_env).unwrap_or_default();
    set_language(Language::from_locale(&word).unwrap_or(Language::English));
}

/// Prints a fault that no sink has shown, and gives its exit code.
fn say(fault: &Fault, redactor: &Redactor) -> u8 {
    let text = crate::report::render(fault, 100, false);
    anstream::eprintln!("{}", redactor.clean(&text));
    fault.kind.exit_code()
}
