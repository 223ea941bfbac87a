//! Which commands a playbook may start, and how they are shown.

use serde_json::Value;

use crate::host::{Call, Host};
use crate::model::{Fault, nearest};
use crate::msg;

/// Program and arguments from an array of texts and numbers.
///
/// # Errors
/// `not-an-argv` for a text (there is no shell that would take it apart), for an empty array, and
/// for elements that are no texts.
pub(in crate::verbs) fn argv(call: &Call<'_, '_>, value: &Value) -> Result<Vec<String>, Fault> {
    let usage = || msg!("host.usage", usage = call.verb.usage());
    let wrong = |text: String| Fault::usage("not-an-argv", text);
    let parts = match value {
        Value::Array(parts) => parts,
        Value::String(text) => {
            let fault = wrong(msg!("verbs.app.text", verb = call.verb.name))
                .cause(msg!("verbs.app.text.cause"));
            return Err(match plain_words(text) {
                Some(words) => {
                    let words: Vec<String> = words.map(|word| format!("{word:?}")).collect();
                    fault.remedy(msg!("verbs.app.text.remedy", array = words.join(", ")))
                }
                None => fault.remedy(usage()),
            });
        }
        _ => return Err(wrong(msg!("verbs.app.no-argv", verb = call.verb.name)).remedy(usage())),
    };
    let argv: Option<Vec<String>> = parts
        .iter()
        .map(|part| match part {
            Value::String(text) if !text.contains('\0') => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .collect();
    argv.filter(|argv| argv.first().is_some_and(|program| !program.is_empty()))
        .ok_or_else(|| wrong(msg!("verbs.app.no-argv", verb = call.verb.name)).remedy(usage()))
}

/// The words of a command line that a shell would split at spaces and nothing else.
fn plain_words(text: &str) -> Option<impl Iterator<Item = &str>> {
    let special = |c: char| "\"'\\$`|&;<>()*?[]#~{}\n".contains(c);
    let words = text.split_whitespace();
    (!text.contains(special) && words.clone().next().is_some()).then_some(words)
}

/// May the project's playbooks start this program?
///
/// # Errors
/// `command-not-allowed` with the line for runsheet.toml.
pub(in crate::verbs) fn allowed(host: &Host, program: &str) -> Result<(), Fault> {
    let known = &host.setup.config.commands;
    if known.iter().any(|name| name == program) {
        return Ok(());
    }
    let mut list: Vec<&str> = known.iter().map(String::as_str).collect();
    list.push(program);
    let line = format!("allow = {list:?}");
    let fault =
        Fault::usage("command-not-allowed", msg!("verbs.app.not-allowed", program = program))
            .cause(msg!("verbs.app.not-allowed.cause"));
    let remedy = msg!("verbs.app.not-allowed.remedy", line = line);
    Err(match nearest(program, known.iter().map(String::as_str)) {
        Some(name) => fault.remedy(format!("{} {remedy}", msg!("host.did-you-mean", name = name))),
        None => fault.remedy(remedy),
    })
}

/// The command line as it would be typed.
pub(in crate::verbs) fn quoted<S: AsRef<str>>(argv: &[S]) -> String {
    argv.iter().map(|part| quoted_word(part.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quoted_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// What a child calls itself in `pg_stat_activity`: whoever takes the run over finds it by this.
pub(in crate::verbs) fn application_name(host: &Host, program: &str) -> String {
    let program = program.rsplit('/').next().unwrap_or(program);
    let name = format!("runsheet/{}/{program}", host.run_id());
    // The server cuts names at 63 bytes; in the middle of a letter would be wrong.
    let mut end = name.len().min(63);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_typed_as_it_is_shown() {
        assert_eq!(quoted(&["pm2", "stop", "all"]), "pm2 stop all");
        assert_eq!(quoted(&["sh", "-c", "echo 'a b'", ""]), r"sh -c 'echo '\''a b'\''' ''");
        assert_eq!(quoted(&["echo", "$HOME"]), "echo '$HOME'");
    }

    #[test]
    fn only_what_a_shell_would_merely_split_is_split_for_people() {
        let words = |text| plain_words(text).map(|words| words.collect::<Vec<_>>());
        assert_eq!(words("pm2 stop  all"), Some(vec!["pm2", "stop", "all"]));
        assert_eq!(words("echo $HOME"), None);
        assert_eq!(words("a | b"), None);
        assert_eq!(words(" "), None);
    }
}
