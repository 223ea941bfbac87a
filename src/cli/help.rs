//! Help in the reader's language, and faults instead of clap's own errors.
//!
//! A text's key is `cli.help.COMMAND` or `cli.help.COMMAND.ARGUMENT`; arguments that several
//! commands share are `cli.help.ARGUMENT` with a `-` in front.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};

use super::args::Arguments;
use crate::message::find;
use crate::model::{Fault, nearest};
use crate::msg;

/// The command line with every help text in place.
pub(super) fn told() -> Command {
    let mut root = Arguments::command();
    // Global arguments reach the commands now, so that they get their texts too.
    root.build();
    let options = msg!("cli.heading.options");
    let root = with_texts(root, "cli.help", &options).about(msg!("cli.help"));
    root.subcommand_help_heading(msg!("cli.heading.commands")).override_usage(format!(
        "runsheet <{}> [{}]",
        msg!("cli.heading.command"),
        options
    ))
}

fn with_texts(command: Command, key: &str, options: &str) -> Command {
    let template = format!(
        "{{about-with-newline}}\n{}: {{usage}}\n\n{{all-args}}{{after-help}}",
        msg!("cli.heading.usage")
    );
    let name = command.get_name().to_string();
    let command = if key == "cli.help" && name == "runsheet" {
        command
    } else {
        command.about(find(key, &[]).unwrap_or_default())
    };
    let positionals = msg!("cli.heading.arguments");
    let command = command.help_template(template).mut_args(|arg| {
        let id = arg.get_id().as_str().to_string();
        let own = find(&format!("{key}.{id}"), &[]);
        let text = own.or_else(|| find(&format!("cli.help.-{id}"), &[])).unwrap_or_default();
        let heading = if arg.is_positional() { positionals.clone() } else { options.to_string() };
        arg.help(text).help_heading(heading).hide_possible_values(true).hide_default_value(true)
    });
    command.mut_subcommands(|below| {
        let key = format!("cli.help.{}", below.get_name());
        with_texts(below, &key, options)
    })
}

/// What clap says, as a fault of ours; None where it is help or the version.
pub(super) fn fault_of(error: &clap::Error, words: &[String]) -> Option<Fault> {
    let text = |kind: ContextKind| error.get(kind).map(shown).unwrap_or_default();
    let argument = text(ContextKind::InvalidArg);
    let fault = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return None,
        ErrorKind::InvalidSubcommand => unknown_command(&text(ContextKind::InvalidSubcommand)),
        ErrorKind::UnknownArgument => {
            let fault =
                Fault::usage("unknown-argument", msg!("cli.unknown-argument", argument = argument));
            match error.get(ContextKind::SuggestedArg).map(shown) {
                Some(guess) => fault.remedy(msg!("cli.did-you-mean", guess = guess)),
                None => fault,
            }
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = text(ContextKind::InvalidValue);
            let known = text(ContextKind::ValidValue);
            let fault = if value.is_empty() {
                Fault::usage("missing-value", msg!("cli.missing-value", argument = argument))
            } else {
                Fault::usage(
                    "wrong-value",
                    msg!("cli.wrong-value", argument = argument, value = value),
                )
            };
            if known.is_empty() { fault } else { fault.remedy(msg!("cli.one-of", known = known)) }
        }
        ErrorKind::MissingRequiredArgument => {
            Fault::usage("missing-argument", msg!("cli.missing-argument", argument = argument))
        }
        ErrorKind::ArgumentConflict => {
            let other = text(ContextKind::PriorArg);
            Fault::usage(
                "arguments-conflict",
                msg!("cli.conflict", argument = argument, other = other),
            )
        }
        _ => Fault::usage("usage", error.kind().to_string()),
    };
    let command = words.get(1..).unwrap_or_default().iter().find(|word| is_command(word));
    let page = match command {
        Some(command) => format!("runsheet {command} --help"),
        None => "runsheet --help".to_string(),
    };
    Some(if fault.next.is_none() { fault.next(page) } else { fault })
}

fn is_command(word: &str) -> bool {
    Arguments::command().get_subcommands().any(|command| command.get_name() == word)
}

fn shown(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        other => other.to_string(),
    }
}

fn unknown_command(word: &str) -> Fault {
    if let Some((says, command)) = elsewhere(word) {
        return Fault::usage("unknown-command", msg!("cli.unknown-command", word = word))
            .remedy(says)
            .next(command);
    }
    let known = Arguments::command();
    let names = known.get_subcommands().map(Command::get_name);
    let fault = Fault::usage("unknown-command", msg!("cli.unknown-command", word = word));
    match nearest(word, names) {
        Some(guess) => fault.remedy(msg!("cli.did-you-mean", guess = guess)),
        None => fault,
    }
}

/// The words of other tools: what ours is called.
fn elsewhere(word: &str) -> Option<(String, &'static str)> {
    Some(match word {
        "migrate" | "up" | "apply" | "deploy" | "upgrade" => {
            (msg!("cli.elsewhere.migrate"), "runsheet run PLAYBOOK")
        }
        "info" | "log" => (msg!("cli.elsewhere.info"), "runsheet status"),
        "validate" | "verify" => (msg!("cli.elsewhere.validate"), "runsheet check"),
        "repair" | "force" => (msg!("cli.elsewhere.repair"), "runsheet status"),
        "undo" | "down" | "downgrade" | "revert" => {
            (msg!("cli.elsewhere.undo"), "runsheet rollback RUN")
        }
        "dry-run" | "preview" => (msg!("cli.elsewhere.dry-run"), "runsheet plan PLAYBOOK"),
        "create" | "generate" | "add" => (msg!("cli.elsewhere.create"), "runsheet new NAME"),
        "help" => (msg!("cli.elsewhere.help"), "runsheet --help"),
        _ => return None,
    })
}

/// `-v NAME=VALUE`, as psql takes it. The value may be a secret and is not repeated.
pub(super) fn psql_variable(words: &[String]) -> Option<Fault> {
    let name = words.windows(2).find_map(|two| {
        (two[0] == "-v").then(|| two[1].split_once('=')).flatten().map(|(name, _)| name)
    })?;
    Some(
        Fault::usage("psql-variable", msg!("cli.psql-variable"))
            .remedy(msg!("cli.psql-variable.remedy", name = name)),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::message::{Language, in_language};

    #[test]
    fn every_command_and_argument_is_told_in_both_languages() {
        for language in [Language::English, Language::Korean] {
            let told = in_language(language, told);
            for command in told.get_subcommands() {
                let name = command.get_name();
                assert!(
                    command.get_about().is_some_and(|about| !about.to_string().is_empty()),
                    "{name}"
                );
                for arg in command.get_arguments() {
                    let id = arg.get_id();
                    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                    assert!(!help.is_empty(), "{language:?}: {name} {id} has no help");
                }
            }
        }
    }

    #[test]
    fn the_words_of_other_tools_are_answered_with_ours() {
        for (word, ours) in [("migrate", "run"), ("down", "rollback"), ("validate", "check")] {
            let fault = unknown_command(word);
            assert!(fault.next.unwrap().contains(ours), "{word}");
        }
        assert!(unknown_command("stauts").remedy.unwrap().contains("status"));
        assert!(unknown_command("xyzzy").remedy.is_none());
    }

    #[test]
    fn a_psql_variable_is_answered_without_its_value() {
        let words: Vec<String> =
            ["runsheet", "run", "x", "-v", "pw=geheim"].map(String::from).into();
        let fault = psql_variable(&words).unwrap();
        assert!(fault.remedy.as_ref().unwrap().contains("--set pw="));
        assert!(!format!("{fault:?}").contains("geheim"));
        assert!(psql_variable(&words[..4]).is_none());
    }
}
