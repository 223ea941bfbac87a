//! `runsheet.toml` into a [`Config`], all complaints at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::backup;
use super::policy::{self, Policy};
use super::reader::{At, Section, Source, neighbours, password_in};
use super::settings::{Config, EnvironmentSettings, Expect, RehearsalCommand, RunDefaults, nfc};
use super::window::{Freeze, Window, WindowError};
use crate::message::Language;
use crate::model::{Fault, Place, Risk};
use crate::msg;

/// The name of a project's file.
pub const FILE_NAME: &str = "runsheet.toml";

/// The nearest folder above (or at) `start` that holds a `runsheet.toml`; `start` where none does.
pub fn find_project(start: &Path) -> PathBuf {
    let start = std::path::absolute(start).unwrap_or_else(|_| start.to_path_buf());
    let found = start.ancestors().find(|folder| folder.join(FILE_NAME).is_file());
    found.unwrap_or(&start).to_path_buf()
}

impl Config {
    /// Reads and checks the `runsheet.toml` of a folder; a folder without one has the defaults.
    ///
    /// # Errors
    /// `config` (usage), with one fault for each complaint in `more`, in the order of the file.
    pub fn load(project_dir: &Path) -> Result<Self, Fault> {
        let path = project_dir.join(FILE_NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default_for(project_dir));
            }
            Err(error) => {
                return Err(Fault::usage("config", msg!("config.unreadable", file = FILE_NAME))
                    .detail(error.to_string()));
            }
        };
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
            let complaint = Fault::usage("config-encoding", msg!("config.not-utf8"))
                .place(Place::at_offset(FILE_NAME, &text, good, 1));
            gathered(vec![complaint])
        })?;
        let mut config = Self::parse(project_dir, &text)?;
        config.file = Some(path);
        Ok(config)
    }

    /// Checks the text of a `runsheet.toml` that stands in a folder.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(project_dir: &Path, text: &str) -> Result<Self, Fault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = Source::new(FILE_NAME, text);
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            for error in errors {
                let span = error.span().unwrap_or(0..0);
                let reason = error.message().replace('\n', ", ");
                let fault = Fault::usage("config-syntax", msg!("config.syntax", reason = reason));
                source.complain(&span, fault);
            }
            return Err(gathered(source.into_findings().0));
        }
        let mut config = Self::default_for(project_dir);
        fill(&mut config, Section::new(&source, "", root.get_ref()));
        let (complaints, warnings) = source.into_findings();
        config.warnings = warnings;
        if complaints.is_empty() { Ok(config) } else { Err(gathered(complaints)) }
    }
}

fn gathered(complaints: Vec<Fault>) -> Fault {
    let message = match complaints.len() {
        1 => msg!("config.one-complaint", file = FILE_NAME),
        count => msg!("config.complaints", file = FILE_NAME, count = count),
    };
    let mut fault = Fault::usage("config", message);
    fault.more = complaints;
    fault
}

fn fill(config: &mut Config, root: Section<'_, '_>) {
    let dir = config.dir.clone();
    if let Some(project) = root.section("project") {
        if let Some(name) = project.text("name") {
            config.name = nfc(&name.value);
        }
        config.language =
            project.word("language", &[("ko", Language::Korean), ("en", Language::English)]);
        project.finish();
    }
    if let Some(section) = root.section("policy") {
        config.policy = policy::read(&section, &config.policy, false);
    }
    config.environments = root
        .sections("environments")
        .into_iter()
        .map(|(name, at)| (name, environment(at, &config.policy)))
        .collect();
    config.params = root.values("params");
    for (name, section) in root.sections("playbook") {
        config.playbook_params.insert(name, section.values("params"));
        section.finish();
    }
    if let Some(section) = root.section("commands") {
        config.commands =
            section.list("allow").into_iter().filter_map(|at| program(&section, at)).collect();
        if let Some(risks) = section.section("risk") {
            config.command_risks = command_risks(&risks);
        }
        section.finish();
    }
    if let Some(section) = root.section("files") {
        let paths = section.list("allow").into_iter().filter_map(|at| allowed_path(&section, at));
        config.files = paths.map(|path| dir.join(path)).collect();
        section.finish();
    }
    if let Some(section) = root.section("backup") {
        config.backup = backup::read(&section, &dir, &config.backup);
        section.finish();
    }
    if let Some(section) = root.section("remedies") {
        config.remedies = remedies(&section);
    }
    config.contacts = root.values("contacts");
    if let Some(section) = root.section("ledger") {
        if let Some(schema) = section.text("schema").and_then(|at| schema(&section, at)) {
            config.ledger_schema = schema;
        }
        section.finish();
    }
    if let Some(section) = root.section("state") {
        if let Some(at) = section.text("dir") {
            config.state_dir = dir.join(at.value);
        }
        section.finish();
    }
    if let Some(section) = root.section("postgres") {
        config.postgres_bin = section.text("bin").map(|at| dir.join(at.value));
        section.finish();
    }
    if let Some(section) = root.section("run") {
        config.run = run(&section);
        section.finish();
    }
    if let Some(section) = root.section("server") {
        config.free_bytes_query = section.text("free_bytes_query").map(|at| at.value);
        section.finish();
    }
    root.finish();
}

fn environment(section: Section<'_, '_>, policy: &Policy) -> EnvironmentSettings {
    let url = section.text("url");
    let url_env = section.text("url_env");
    if let (Some(_), Some(second)) = (&url, &url_env) {
        let fault = Fault::usage("config-conflict", msg!("config.url-twice"))
            .remedy(msg!("config.url-twice.remedy"));
        section.source().complain(&second.span, fault);
    }
    if let Some(at) = &url
        && password_in(&at.value).is_some()
    {
        let key = section.name_of("url");
        let warning = Fault::usage("config-password", msg!("config.password-in-url", key = key))
            .remedy(msg!("config.password-in-url.remedy"));
        section.source().warn(&at.span, warning);
    }
    let url_env = url_env.filter(|at| {
        let good = is_variable_name(&at.value);
        if !good {
            // The value is not repeated: people paste the address itself here.
            let key = section.name_of("url_env");
            let fault = Fault::usage("config-value", msg!("config.not-a-variable", key = key));
            section.source().complain(&at.span, fault);
        }
        good
    });
    let protected = section.flag("protected");
    let unprotected = section.flag("unprotected");
    if let (Some(one), Some(other)) = (&protected, &unprotected)
        && one.value
        && other.value
    {
        let fault = Fault::usage("config-conflict", msg!("config.protected-twice"));
        section.source().complain(&other.span, fault);
    }
    let (rehearsal_commands, rehearsal_mask) =
        section.section("rehearsal").map_or_else(Default::default, rehearsal);
    let settings = EnvironmentSettings {
        url: url.map(|at| at.value),
        url_env: url_env.map(|at| at.value),
        protected: protected.is_some_and(|at| at.value),
        unprotected: unprotected.is_some_and(|at| at.value),
        expect: section.section("expect").map_or_else(Expect::default, expect),
        params: section.values("params"),
        rehearsal_commands,
        rehearsal_mask,
        windows: times(&section, "windows", Window::parse),
        freeze: times(&section, "freeze", Freeze::parse),
        policy: section.section("policy").map(|table| policy::read(&table, policy, true)),
    };
    section.finish();
    settings
}

/// A list of windows or of frozen days.
fn times<T>(
    section: &Section<'_, '_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, WindowError>,
) -> Vec<T> {
    let mut all = Vec::new();
    for at in section.list(key) {
        let (name, text) = (section.name_of(key), at.value.as_str());
        let fault = match (parse(text), key) {
            (Ok(one), _) => {
                all.push(one);
                continue;
            }
            (Err(WindowError::Zone), _) => {
                Fault::usage("config-value", msg!("config.unknown-zone", key = name, text = text))
                    .remedy(msg!("config.unknown-zone.remedy"))
            }
            (Err(WindowError::Shape), "windows") => {
                Fault::usage("config-value", msg!("config.no-window", key = name, text = text))
                    .remedy(msg!("config.no-window.remedy"))
            }
            (Err(WindowError::Shape), _) => {
                Fault::usage("config-value", msg!("config.no-freeze", key = name, text = text))
                    .remedy(msg!("config.no-freeze.remedy"))
            }
        };
        section.source().complain(&at.span, fault);
    }
    all
}

fn expect(section: Section<'_, '_>) -> Expect {
    let expect = Expect {
        database: section.text("database").map(|at| at.value),
        host: section.text("host").map(|at| at.value),
        port: section.number("port", 1..=65_535).and_then(|port| u16::try_from(port).ok()),
        user: section.text("user").map(|at| at.value),
        system_identifier: section.text_or_number("system_identifier"),
    };
    section.finish();
    expect
}

fn command_risks(section: &Section<'_, '_>) -> BTreeMap<String, Risk> {
    let mut found = BTreeMap::new();
    for (name, _, value, span) in section.entries() {
        let Some(word) = section.text_of(name, value, span) else { continue };
        match Risk::ALL.into_iter().find(|risk| risk.word() == word.value) {
            Some(risk) => {
                found.insert(name.to_string(), risk);
            }
            None => {
                let text = msg!("config.unknown-risk", found = word.value);
                let known = Risk::ALL.map(Risk::word).to_vec();
                let fault =
                    Fault::usage("config-risk", text).remedy(neighbours(&word.value, known));
                section.source().complain(&word.span, fault);
            }
        }
    }
    found
}

fn rehearsal(
    section: Section<'_, '_>,
) -> (BTreeMap<String, RehearsalCommand>, BTreeMap<String, String>) {
    let (mut commands, mut mask) = (BTreeMap::new(), BTreeMap::new());
    if let Some(below) = section.section("mask") {
        for (name, key, value, span) in below.entries() {
            let Some(expression) = below.text_of(name, value, span) else { continue };
            if name.split('.').count() < 2 || expression.value.trim().is_empty() {
                let shown = below.name_of(name);
                let fault =
                    Fault::usage("config-value", msg!("config.rehearsal-mask", key = shown))
                        .remedy(msg!("config.rehearsal-mask.remedy"));
                below.source().complain(&key, fault);
                continue;
            }
            mask.insert(name.to_string(), expression.value);
        }
    }
    if let Some(below) = section.section("commands") {
        for (name, _, value, span) in below.entries() {
            if let Some(command) = rehearsal_command(&below, name, value, span) {
                commands.insert(name.to_string(), command);
            }
        }
    }
    section.finish();
    (commands, mask)
}

fn rehearsal_command(
    section: &Section<'_, '_>,
    name: &str,
    value: &DeValue<'_>,
    span: std::ops::Range<usize>,
) -> Option<RehearsalCommand> {
    if let Some(array) = value.as_array().filter(|array| !array.is_empty()) {
        let words = array.iter().map(|word| section.text_of(name, word.get_ref(), word.span()));
        return words
            .map(|at| at.map(|at| at.value))
            .collect::<Option<_>>()
            .map(RehearsalCommand::Replace);
    }
    match value.as_str() {
        Some("skip") => Some(RehearsalCommand::Skip),
        Some("run") => Some(RehearsalCommand::Run),
        _ => {
            let key = section.name_of(name);
            let fault = Fault::usage("config-value", msg!("config.rehearsal-command", key = key))
                .remedy(msg!("config.rehearsal-command.remedy"));
            section.source().complain(&span, fault);
            None
        }
    }
}

/// A program's name: what stands first in an argv, found on the PATH.
fn program(section: &Section<'_, '_>, at: At<String>) -> Option<String> {
    let wrong = at.value.contains(|c: char| c.is_whitespace() || c == '/' || c == '\\');
    if wrong {
        let fault =
            Fault::usage("config-command", msg!("config.command-not-a-name", found = at.value))
                .remedy(msg!("config.command-not-a-name.remedy"));
        section.source().complain(&at.span, fault);
        return None;
    }
    Some(at.value)
}

fn allowed_path(section: &Section<'_, '_>, at: At<String>) -> Option<String> {
    let too_wide = Path::new(&at.value)
        .components()
        .all(|part| matches!(part, std::path::Component::RootDir | std::path::Component::CurDir))
        && at.value.starts_with('/');
    let fault = if at.value.starts_with('~') {
        Fault::usage("config-path", msg!("config.home-not-expanded", found = at.value))
    } else if too_wide {
        Fault::usage("config-path", msg!("config.whole-disk"))
    } else {
        return Some(at.value);
    };
    section.source().complain(&at.span, fault.remedy(msg!("config.path.remedy")));
    None
}

fn remedies(section: &Section<'_, '_>) -> BTreeMap<String, String> {
    let mut remedies = BTreeMap::new();
    for (name, span, value, value_span) in section.entries() {
        let upper = name.to_uppercase();
        let shape =
            matches!(upper.len(), 2 | 5) && upper.bytes().all(|b| b.is_ascii_alphanumeric());
        if shape && upper == name {
            if let Some(at) = section.text_of(name, value, value_span) {
                remedies.insert(upper, at.value);
            }
            continue;
        }
        let mut fault =
            Fault::usage("config-sqlstate", msg!("config.not-a-sqlstate", found = name));
        fault.remedy = Some(if shape {
            neighbours(name, [upper.as_str()])
        } else {
            msg!("config.not-a-sqlstate.remedy")
        });
        section.source().complain(&span, fault);
    }
    remedies
}

/// PostgreSQL cuts names at 63 bytes, and keeps `pg_` for itself.
fn schema(section: &Section<'_, '_>, at: At<String>) -> Option<String> {
    let reserved = at.value.starts_with("pg_") || at.value == "information_schema";
    if reserved || at.value.len() > 63 || at.value.contains('\0') {
        let fault = Fault::usage("config-schema", msg!("config.bad-schema", found = at.value))
            .remedy(msg!("config.bad-schema.remedy"));
        section.source().complain(&at.span, fault);
        return None;
    }
    Some(at.value)
}

fn run(section: &Section<'_, '_>) -> RunDefaults {
    let usual = RunDefaults::default();
    RunDefaults {
        lock_timeout: section.duration("lock_timeout").unwrap_or(usual.lock_timeout),
        statement_timeout: section.duration("statement_timeout").filter(|span| !span.is_zero()),
        wait: section.duration("wait").unwrap_or(usual.wait),
        watch: match section.duration("watch") {
            Some(span) => Some(span).filter(|span| !span.is_zero()),
            None => usual.watch,
        },
        connect_tries: section.number("connect_tries", 1..=100_000).unwrap_or(usual.connect_tries),
        connect_every: section.duration("connect_every").unwrap_or(usual.connect_every),
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests;
