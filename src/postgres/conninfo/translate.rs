//! Parameters of libpq, Prisma, SQLAlchemy, asyncpg, node-postgres and JDBC, in libpq's names.
//!
//! What a program understands of another program's words is translated and noted; what has no
//! meaning here is ignored and noted; what would weaken TLS when ignored is refused.

use std::collections::BTreeMap;

use crate::model::{Fault, nearest, quote_ident};
use crate::msg;

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Url,
    Jdbc,
    KeyValue,
}

/// libpq's parameters, and `search_path`, which libpq does not have.
const KNOWN: &[&str] = &[
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "options",
    "passfile",
    "password",
    "port",
    "replication",
    "require_auth",
    "requirepeer",
    "requiressl",
    "search_path",
    "service",
    "servicefile",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslkeylogfile",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// What a connection string says, not yet checked.
#[derive(Default)]
pub(super) struct Parameters {
    given: BTreeMap<String, String>,
    defaults: BTreeMap<String, String>,
    pub(super) notes: Vec<String>,
}

impl Parameters {
    /// A value that was given; an empty one counts as not given.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        self.given.get(key).cloned()
    }

    /// A value that holds where nothing else does.
    pub(super) fn default_of(&self, key: &str) -> Option<String> {
        self.defaults.get(key).cloned()
    }

    /// Sets a value under libpq's name; an empty one leaves what is there.
    pub(super) fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            self.given.insert(key.into(), value);
        }
    }

    /// Sets a value for the case that nothing else gives one.
    pub(super) fn set_default(&mut self, key: &str, value: &str) {
        self.defaults.insert(key.into(), value.into());
    }

    /// Remembers a remark for the user, once.
    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Takes a parameter in whatever dialect.
    pub(super) fn accept(
        &mut self,
        dialect: Dialect,
        key: &str,
        value: String,
    ) -> Result<(), Fault> {
        match key {
            // SQLAlchemy repeats it: ?host=a:5432&host=b:5433
            "host" if self.given.contains_key("host") && dialect == Dialect::Url => {
                let hosts = format!("{},{value}", self.given["host"]);
                self.set("host", hosts);
            }
            "dbname" if dialect != Dialect::Jdbc => self.set("dbname", value),
            key if KNOWN.contains(&key) => self.set(key, value),
            _ if dialect == Dialect::KeyValue && key != "schema" && key != "ssl" => {
                return Err(unknown(key));
            }
            "schema" => {
                self.note(msg!("postgres.note-schema", schema = value));
                self.set("search_path", quote_ident(&value));
            }
            "currentSchema" => {
                self.note(msg!("postgres.note-schema", schema = value));
                let names: Vec<String> =
                    value.split(',').map(|name| quote_ident(name.trim())).collect();
                self.set("search_path", names.join(", "));
            }
            "username" => self.set("user", value),
            "database" | "databaseName" => self.set("dbname", value),
            "ApplicationName" | "applicationName" => self.set("application_name", value),
            "connectTimeout" | "loginTimeout" => self.set("connect_timeout", value),
            "ssl" => self.ssl(dialect, &value),
            "sslaccept" => self.set("sslaccept", value),
            "targetServerType" => self.target_server_type(&value)?,
            "pgbouncer" if value == "true" => self.note(msg!("postgres.note-pgbouncer")),
            "sslfactory" if value.ends_with("NonValidatingFactory") => {
                self.set("sslmode", "require".into());
            }
            key if key.starts_with("ssl") => return Err(unknown(key)),
            key => self.note(msg!("postgres.note-ignored", parameter = key)),
        }
        Ok(())
    }

    /// `ssl=true`: node-postgres and asyncpg mean require, pgjdbc means verify-full.
    fn ssl(&mut self, dialect: Dialect, value: &str) {
        let mode = match value {
            "" | "true" | "1" | "on" if dialect == Dialect::Jdbc => "verify-full",
            "" | "true" | "1" | "on" | "no-verify" => "require",
            "false" | "0" | "off" => "disable",
            other => other,
        };
        self.note(msg!("postgres.note-ssl", given = format!("ssl={value}"), mode = mode));
        if !self.given.contains_key("sslmode") {
            self.set("sslmode", mode.into());
        }
    }

    fn target_server_type(&mut self, value: &str) -> Result<(), Fault> {
        let attrs = match value {
            "any" => "any",
            "primary" | "master" => "primary",
            "secondary" | "slave" => "standby",
            "preferSecondary" | "preferSlave" => "prefer-standby",
            "preferPrimary" => "any",
            _ => return Err(unknown("targetServerType")),
        };
        self.set("target_session_attrs", attrs.into());
        Ok(())
    }
}

/// Names the parameter only where it looks like one: it may be a piece of a password.
fn unknown(key: &str) -> Fault {
    let plain = key.len() <= 40 && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let message = if plain {
        msg!("postgres.url-parameter", parameter = key)
    } else {
        msg!("postgres.keyvalue-form")
    };
    let fault = Fault::usage("url-parameter", message);
    match nearest(key, KNOWN.iter().copied()) {
        Some(known) if plain => fault.remedy(msg!("postgres.url-parameter-near", name = known)),
        _ => fault.remedy(msg!("postgres.url-parameter-remedy")),
    }
}
