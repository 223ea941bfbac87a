//! Where a command sits: the project, its configuration, the language, and how it speaks.
//!
//! Data goes to standard output, talk to standard error; everything passes the redactor.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use secrecy::ExposeSecret;
use serde_json::Value;

use super::args::Common;
use crate::config::{Config, Environment, find_project, parse_assignment};
use crate::message::{Language, set_language};
use crate::model::{Fault, Redactor};
use crate::msg;
use crate::postgres::Target;
use crate::report::{Output, render};
use crate::system::StateDir;

/// Width of what is written into a pipe or a file.
const WIDTH: usize = 100;

/// What every command works with.
pub(super) struct Desk {
    pub(super) common: Common,
    pub(super) project: PathBuf,
    pub(super) config: Config,
    pub(super) redactor: Redactor,
}

impl Desk {
    /// Finds the project and reads its file.
    ///
    /// # Errors
    /// What is wrong with the file, all of it; `no-folder`.
    pub(super) fn open(common: &Common, redactor: &Redactor) -> Result<Self, Fault> {
        let project = match &common.project {
            Some(folder) if folder.is_dir() => folder.clone(),
            Some(folder) => {
                return Err(Fault::usage(
                    "no-folder",
                    msg!("cli.no-folder", folder = folder.display()),
                ));
            }
            None => find_project(&here()?),
        };
        let config = Config::load(&project)?;
        if let (None, Some(language)) = (&common.lang, config.language) {
            set_language(language);
        }
        for environment in config.environments.values() {
            environment.url.iter().for_each(|url| learn(url, redactor));
        }
        Ok(Self { common: common.clone(), project, config, redactor: redactor.clone() })
    }

    /// The environment and the address of its database.
    ///
    /// # Errors
    /// As [`Config::environment`] and [`Target::parse`].
    pub(super) fn target(&self, unprotected: bool) -> Result<(Environment, Target), Fault> {
        let read = |name: &str| std::env::var(name).ok();
        let common = &self.common;
        let mut environment =
            self.config.environment(common.env.as_deref(), common.url.as_deref(), &read)?;
        let mut target = match &environment.url {
            Some(url) => {
                learn(url, &self.redactor);
                Target::parse(url, &read)?
            }
            None => Target::from_environment(&read)?,
        };
        target.teach(&self.redactor);
        if let Some(password) = &target.password {
            self.redactor.add(password.expose_secret());
        }
        let stranger = !environment.described && !environment.unprotected && !target.is_local();
        if stranger && unprotected {
            target.notes.push(msg!("cli.unprotected", target = target.display()));
        } else if stranger {
            environment.protected = true;
            target.notes.push(msg!("cli.counts-as-protected", target = target.display()));
        }
        Ok((environment, target))
    }

    /// The state folder, made where it is missing.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub(super) fn state(&self) -> Result<StateDir, Fault> {
        StateDir::open(&self.state_path())
    }

    /// The state folder where it is there: a command that only looks makes none.
    pub(super) fn existing_state(&self) -> Option<StateDir> {
        let path = self.state_path();
        if path.is_dir() { StateDir::open(&path).ok() } else { None }
    }

    fn state_path(&self) -> PathBuf {
        self.common.state.clone().unwrap_or_else(|| self.config.state_dir.clone())
    }

    /// `--set`, taken apart.
    ///
    /// # Errors
    /// `set-syntax`.
    pub(super) fn set(&self) -> Result<Vec<(String, String)>, Fault> {
        self.common.set.iter().map(|text| parse_assignment(text)).collect()
    }

    /// How a run is shown.
    pub(super) fn output(&self) -> Output {
        if self.common.json {
            Output::Json
        } else if self.common.plain || !std::io::stdout().is_terminal() {
            Output::Plain
        } else {
            Output::Live
        }
    }

    /// Writes text to standard output.
    pub(super) fn out(&self, text: &str) {
        write_out(&self.redactor.clean(text));
    }

    /// Writes one JSON document and a line end to standard output.
    pub(super) fn json(&self, value: &Value) {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.out(&format!("{text}\n"));
    }

    /// Writes a line to standard error.
    pub(super) fn talk(&self, text: &str) {
        let _ = std::io::stderr().write_all(format!("{}\n", self.redactor.clean(text)).as_bytes());
    }

    /// What the project's file says that a reader should know.
    pub(super) fn warn_of_config(&self) {
        for warning in &self.config.warnings {
            let line = warning.places.first().map_or(0, |place| place.line);
            let file = crate::config::FILE_NAME;
            self.talk(&msg!("cli.config-warning", file = file, line = line, what = warning));
        }
    }

    /// The width that tables may take.
    pub(super) fn width(&self) -> usize {
        width(&std::io::stdout())
    }
}

/// Writes text without secrets to standard output; a reader that went away stops nothing.
pub(super) fn write_out(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// The current folder.
///
/// # Errors
/// `no-folder` where it is gone.
pub(super) fn here() -> Result<PathBuf, Fault> {
    std::env::current_dir().map_err(|error| {
        Fault::usage("no-folder", msg!("cli.no-current-folder")).detail(error.to_string())
    })
}

/// A path as the user would type it from the current folder.
pub(super) fn typed(path: &std::path::Path) -> String {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let full = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    match here.ok().and_then(|here| full.strip_prefix(here).ok().map(PathBuf::from)) {
        Some(below) if !below.as_os_str().is_empty() => below.display().to_string(),
        _ => full.display().to_string(),
    }
}

/// Prints a fault that no sink has shown, and gives its exit code.
pub(super) fn say(fault: &Fault, redactor: &Redactor, json: bool) -> u8 {
    if json {
        let mut value = serde_json::to_value(fault).unwrap_or_default();
        if let Value::Object(fields) = &mut value {
            fields.shift_insert(0, "event".into(), "fault".into());
            fields.insert("exit".into(), fault.kind.exit_code().into());
        }
        let line = format!("{}\n", redactor.clean(&value.to_string()));
        write_out(&line);
        return fault.kind.exit_code();
    }
    let stderr = std::io::stderr();
    let colour = stderr.is_terminal() && coloured();
    let width = width(&stderr);
    // Blanked before it is laid out: a line break would cut a secret into pieces.
    let clean = serde_json::to_string(fault)
        .ok()
        .and_then(|text| serde_json::from_str::<Fault>(&redactor.clean(&text)).ok());
    let text = render(clean.as_ref().unwrap_or(fault), width, colour);
    let _ = stderr.lock().write_all(redactor.clean(&text).as_bytes());
    fault.kind.exit_code()
}

fn width<T: std::os::fd::AsFd + IsTerminal>(stream: &T) -> usize {
    if !stream.is_terminal() {
        return WIDTH;
    }
    match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => WIDTH,
    }
}

/// May colours be used at all?
pub(super) fn coloured() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var("TERM").as_deref() != Ok("dumb")
}

/// Teaches the redactor what looks like a password in a text: `scheme://user:PASSWORD@host`,
/// `password=PASSWORD`. Also used on words that nobody could parse.
pub(super) fn learn(text: &str, redactor: &Redactor) {
    if let Some((_, rest)) = text.split_once("://")
        && let Some((user, _)) = rest.rsplit_once('@')
        && let Some((_, password)) = user.split_once(':')
    {
        teach(password, redactor);
    }
    for part in text.split(['&', '?', ' ', '\t', '\n']) {
        if let Some((name, value)) = part.split_once('=')
            && name.trim().ends_with("password")
        {
            teach(value.trim_matches('\''), redactor);
        }
    }
}

fn teach(password: &str, redactor: &Redactor) {
    redactor.add(password);
    redactor.add(&percent_encoding::percent_decode_str(password).decode_utf8_lossy());
}

/// The language of the command line, else of the machine.
pub(super) fn choose_language(flag: Option<&str>) {
    let from_env = || {
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
    };
    let word = flag.map(String::from).or_else(from_env).unwrap_or_default();
    set_language(Language::from_locale(&word).unwrap_or(Language::English));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_recognised_in_any_spelling_of_an_address() {
        for (text, secret) in [
            ("postgres://u:geheim%21@h/d", "geheim!"),
            ("--url=postgres://u:ge@heim@h/d", "ge@heim"),
            ("host=h password='geheim' user=u", "geheim"),
            ("postgres://h/d?user=u&password=geheim", "geheim"),
        ] {
            let redactor = Redactor::default();
            learn(text, &redactor);
            assert_eq!(redactor.clean(&format!("<{secret}>")), "<******>", "{text}");
        }
    }
}
