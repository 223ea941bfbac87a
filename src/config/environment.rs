//! Which environment a command is meant for, and where its address comes from.
//!
//! `--url` replaces an environment's address and never its guards. The address is picked here, not
//! parsed; whether it is local, and so may go unprotected, is the caller's to find out.

use std::collections::BTreeMap;

use super::Policy;
use super::reader::neighbours;
use super::settings::{Config, EnvironmentSettings, Expect, RehearsalCommand, Values, nfc};
use super::window::{Freeze, Window};
use crate::model::{Fault, Redactor};
use crate::msg;

/// Where an address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlSource {
    /// `--url`.
    Flag,
    /// `url` in `runsheet.toml`.
    Config,
    /// A variable: the environment's `url_env`, or `DATABASE_URL`.
    Env(String),
    /// libpq's own variables (`PGHOST`, `PGSERVICE`, ..); there is no address as text.
    PgVariables,
}

/// The environment that was picked, with its address and its guards. `Debug` shows no address.
#[derive(Clone)]
pub struct Environment {
    /// Its name; None where the project has no environments.
    pub name: Option<String>,
    /// The address as it was given; None only with [`UrlSource::PgVariables`].
    pub url: Option<String>,
    /// Where the address comes from.
    pub source: UrlSource,
    /// The project file protects it.
    pub protected: bool,
    /// The project file says that it needs no protection, wherever it is.
    pub unprotected: bool,
    /// True where the project file describes this very target: an environment was picked, and
    /// `--url` did not put another address in its place. A target that is neither described nor
    /// local counts as protected.
    pub described: bool,
    /// What the server must say of itself.
    pub expect: Expect,
    /// Parameters for this environment.
    pub params: Values,
    /// What a rehearsal does instead of a command.
    pub rehearsal_commands: BTreeMap<String, RehearsalCommand>,
    /// What a rehearsal puts in a column's place, `table.column` to an SQL expression.
    pub rehearsal_mask: BTreeMap<String, String>,
    /// When runs may begin; always where there is none.
    pub windows: Vec<Window>,
    /// Days on which no run begins.
    pub freeze: Vec<Freeze>,
    /// What each risk asks for here.
    pub policy: Policy,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("name", &self.name)
            .field("url", &self.url.as_ref().map(|_| Redactor::BLANK))
            .field("source", &self.source)
            .field("protected", &self.protected)
            .field("unprotected", &self.unprotected)
            .field("described", &self.described)
            .field("expect", &self.expect)
            .finish_non_exhaustive()
    }
}

/// Any of these set means that libpq's variables name a server. `PGUSER` and the like alone do
/// not: they are often set for every shell of a machine.
const PG_VARIABLES: [&str; 4] = ["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"];

impl Config {
    /// Picks the environment (`--env`, else the only one) and its address (`--url`, else the
    /// environment's, else `DATABASE_URL`, else libpq's variables). `env` reads a variable of the
    /// process; an empty one counts as unset.
    ///
    /// # Errors
    /// `environment-unknown`, `environment-unnamed`, `url-variable-unset`, `url-empty`,
    /// `no-database`; all of them usage.
    pub fn environment(
        &self,
        name: Option<&str>,
        url_flag: Option<&str>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Environment, Fault> {
        let picked = self.pick(name)?;
        let settings = picked.map(|(_, settings)| settings.clone()).unwrap_or_default();
        let name = picked.map(|(name, _)| name.to_string());
        let env = |variable: &str| env(variable).filter(|value| !value.trim().is_empty());
        let (url, source) = address(&settings, name.as_deref(), url_flag, &env)?;
        let same_as_described = source != UrlSource::Flag
            || (url.is_some()
                && url
                    == settings.url.clone().or_else(|| settings.url_env.as_deref().and_then(env)));
        Ok(Environment {
            described: name.is_some() && same_as_described,
            name,
            url,
            source,
            protected: settings.protected,
            unprotected: settings.unprotected,
            expect: settings.expect,
            params: settings.params,
            rehearsal_commands: settings.rehearsal_commands,
            rehearsal_mask: settings.rehearsal_mask,
            windows: settings.windows,
            freeze: settings.freeze,
            policy: settings.policy.unwrap_or_else(|| self.policy.clone()),
        })
    }

    fn pick(&self, name: Option<&str>) -> Result<Option<(&str, &EnvironmentSettings)>, Fault> {
        let known = || self.environments.keys().map(String::as_str);
        if let Some(wanted) = name {
            let wanted = nfc(wanted);
            if let Some((name, settings)) = self.environments.get_key_value(&wanted) {
                return Ok(Some((name, settings)));
            }
            let fault = Fault::usage(
                "environment-unknown",
                msg!("config.environment-unknown", name = wanted),
            );
            return Err(if self.environments.is_empty() {
                fault.remedy(msg!("config.environment-none.remedy", name = wanted))
            } else {
                fault.remedy(neighbours(&wanted, known().collect::<Vec<_>>()))
            });
        }
        let mut all = self.environments.iter();
        match (all.next(), all.next()) {
            (None, _) => Ok(None),
            (Some((name, settings)), None) => Ok(Some((name, settings))),
            _ => {
                let names = known().collect::<Vec<_>>().join(", ");
                Err(Fault::usage("environment-unnamed", msg!("config.environment-unnamed"))
                    .detail(names)
                    .remedy(msg!("config.environment-unnamed.remedy")))
            }
        }
    }
}

fn address(
    settings: &EnvironmentSettings,
    name: Option<&str>,
    url_flag: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(Option<String>, UrlSource), Fault> {
    if let Some(url) = url_flag {
        if url.trim().is_empty() {
            return Err(Fault::usage("url-empty", msg!("config.url-flag-empty"))
                .cause(msg!("config.url-flag-empty.cause")));
        }
        return Ok((Some(url.to_string()), UrlSource::Flag));
    }
    if let Some(url) = &settings.url {
        return Ok((Some(url.clone()), UrlSource::Config));
    }
    if let Some(variable) = &settings.url_env {
        return match env(variable) {
            Some(url) => Ok((Some(url), UrlSource::Env(variable.clone()))),
            None => {
                let environment = name.unwrap_or("");
                Err(Fault::usage(
                    "url-variable-unset",
                    msg!("config.url-variable-unset", variable = variable),
                )
                .cause(msg!(
                    "config.url-variable-unset.cause",
                    environment = environment,
                    variable = variable
                ))
                .remedy(msg!("config.url-variable-unset.remedy", variable = variable)))
            }
        };
    }
    if let Some(url) = env("DATABASE_URL") {
        return Ok((Some(url), UrlSource::Env("DATABASE_URL".into())));
    }
    if PG_VARIABLES.iter().any(|variable| env(variable).is_some()) {
        return Ok((None, UrlSource::PgVariables));
    }
    Err(Fault::usage("no-database", msg!("config.no-database"))
        .remedy(msg!("config.no-database.remedy")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const TWO: &str = "[environments.staging]\nurl = \"postgres://localhost/s\"\n\
        [environments.production]\nurl_env = \"PROD_URL\"\nprotected = true\n\
        expect = { database = \"shop\", port = 5432, system_identifier = 7301234567890123456 }\n";

    fn config(text: &str) -> Config {
        Config::parse(std::path::Path::new("."), text).unwrap()
    }

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn only<'a>(name: &'a str, value: &'a str) -> impl Fn(&str) -> Option<String> + 'a {
        move |asked| (asked == name).then(|| value.to_string())
    }

    #[test]
    fn the_only_environment_is_picked_and_one_of_several_must_be_named() {
        let one = config("[environments.dev]\nurl = \"postgres://localhost/d\"");
        let picked = one.environment(None, None, &nothing).unwrap();
        assert_eq!(picked.name.as_deref(), Some("dev"));
        assert_eq!(picked.source, UrlSource::Config);
        assert!(picked.described && !picked.protected);

        let fault = config(TWO).environment(None, Some("postgres://x/y"), &nothing).unwrap_err();
        assert_eq!(fault.code, "environment-unnamed");
        assert_eq!(fault.detail.as_deref(), Some("production, staging"));
        let fault = config(TWO).environment(Some("prodcution"), None, &nothing).unwrap_err();
        assert_eq!(fault.code, "environment-unknown");
        assert!(fault.remedy.unwrap().contains("production"));
    }

    #[test]
    fn a_url_on_the_command_line_keeps_the_guards() {
        let env = only("PROD_URL", "postgres://db/shop");
        let picked = config(TWO)
            .environment(Some("production"), Some("postgres://other/shop"), &env)
            .unwrap();
        assert_eq!(picked.url.as_deref(), Some("postgres://other/shop"));
        assert_eq!(picked.source, UrlSource::Flag);
        assert!(picked.protected);
        assert!(!picked.described, "another address is not the one that the file describes");
        assert_eq!(picked.expect.database.as_deref(), Some("shop"));
        assert_eq!(picked.expect.system_identifier.as_deref(), Some("7301234567890123456"));

        let same =
            config(TWO).environment(Some("production"), Some("postgres://db/shop"), &env).unwrap();
        assert!(same.described);
        let fault = config(TWO).environment(Some("production"), Some(" "), &env).unwrap_err();
        assert_eq!(fault.code, "url-empty");
    }

    #[test]
    fn an_unset_variable_is_named_and_nothing_else_is_taken_for_it() {
        let env = only("DATABASE_URL", "postgres://elsewhere/other");
        let fault = config(TWO).environment(Some("production"), None, &env).unwrap_err();
        assert_eq!(fault.code, "url-variable-unset");
        assert!(fault.message.contains("PROD_URL"));
        let empty = only("PROD_URL", " ");
        let fault = config(TWO).environment(Some("production"), None, &empty).unwrap_err();
        assert_eq!(fault.code, "url-variable-unset");
    }

    #[test]
    fn without_environments_the_variables_of_the_shell_are_taken_in_order() {
        let none = config("");
        let picked = none.environment(None, None, &only("DATABASE_URL", "postgres://h/d")).unwrap();
        assert_eq!(picked.source, UrlSource::Env("DATABASE_URL".into()));
        assert!(!picked.described);
        let picked = none.environment(None, None, &only("PGSERVICE", "shop")).unwrap();
        assert_eq!((picked.url, picked.source), (None, UrlSource::PgVariables));
        let fault = none.environment(None, None, &only("PGUSER", "me")).unwrap_err();
        assert_eq!(fault.code, "no-database");
        let remedy = fault.remedy.unwrap();
        for way in ["--url", "DATABASE_URL", "PGHOST"] {
            assert!(remedy.contains(way), "{remedy}");
        }
        let fault = none.environment(Some("staging"), None, &nothing).unwrap_err();
        assert!(fault.remedy.unwrap().contains("[environments.staging]"));
    }

    #[test]
    fn debug_output_shows_no_address() {
        let config = config("[environments.dev]\nurl = \"postgres://u:geheim@localhost/d\"");
        let picked = config.environment(None, None, &nothing).unwrap();
        assert!(!format!("{picked:?}{config:?}").contains("geheim"));
    }
}
