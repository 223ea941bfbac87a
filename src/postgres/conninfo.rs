//! Where the database is and who we are there: every form of connection string that people have.
//!
//! Reads URLs (libpq, SQLAlchemy, Prisma, JDBC), `key=value` strings, the `PG*` variables, the
//! service file and the password file. Opens no connection. Nothing here ever prints a password,
//! and a text that could not be understood is never quoted back: a part of it may be one.

mod assemble;
mod keyvalue;
#[cfg(test)]
mod tests;
mod translate;
mod url;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::passfile::{self, Passfile};
use crate::model::{Fault, Redactor};
use crate::msg;

/// The variables of the process, or a test's own: name to value.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostSpec {
    /// A host name or an IP address (IPv6 without brackets).
    Tcp(String),
    /// The directory of a Unix socket.
    Unix(PathBuf),
}

/// How much TLS is asked for, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Plain first, TLS where the server insists.
    Allow,
    /// TLS first, plain where the server has none.
    Prefer,
    /// TLS, whoever the server is.
    Require,
    /// TLS, with a certificate of a trusted authority.
    VerifyCa,
    /// TLS, with a certificate of a trusted authority for this very host.
    VerifyFull,
}

impl SslMode {
    const WORDS: [(Self, &str); 6] = [
        (Self::Disable, "disable"),
        (Self::Allow, "allow"),
        (Self::Prefer, "prefer"),
        (Self::Require, "require"),
        (Self::VerifyCa, "verify-ca"),
        (Self::VerifyFull, "verify-full"),
    ];

    /// libpq's word: `verify-full`.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(mode, _)| *mode == self).map_or("prefer", |(_, word)| word)
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(mode, _)| *mode)
    }
}

/// What the server must be, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionAttrs {
    /// Anything.
    Any,
    /// Accepts writes.
    ReadWrite,
    /// Refuses writes.
    ReadOnly,
    /// Not in recovery.
    Primary,
    /// In recovery.
    Standby,
    /// A standby where there is one, else anything.
    PreferStandby,
}

impl SessionAttrs {
    const WORDS: [(Self, &str); 6] = [
        (Self::Any, "any"),
        (Self::ReadWrite, "read-write"),
        (Self::ReadOnly, "read-only"),
        (Self::Primary, "primary"),
        (Self::Standby, "standby"),
        (Self::PreferStandby, "prefer-standby"),
    ];

    /// libpq's word: `read-write`.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(attrs, _)| *attrs == self).map_or("any", |(_, word)| word)
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(attrs, _)| *attrs)
    }
}

/// Whether the password exchange is bound to the TLS channel, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where both sides can.
    Prefer,
    /// Always.
    Require,
}

/// TCP keepalive: what finds out that the other end is gone. None: the system's own value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// False turns it off.
    pub on: bool,
    /// Silence before the first probe.
    pub idle: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Unanswered probes before the connection counts as lost.
    pub count: Option<u32>,
}

/// A database, and how to get there. Checked: everything in it can be used as it stands.
#[derive(Clone, Debug)]
pub struct Target {
    /// Tried in this order; never empty. Ports are 1..=65535.
    pub hosts: Vec<(HostSpec, u16)>,
    /// libpq's `hostaddr`, one for each host: where to connect, while the name is only verified.
    pub addresses: Vec<Option<IpAddr>>,
    /// Never empty.
    pub database: String,
    /// Never empty.
    pub user: String,
    /// The password that was given; see also [`Target::password_for`].
    pub password: Option<SecretString>,
    /// How much TLS.
    pub sslmode: SslMode,
    /// Path of the trusted certificates, or `system` for the machine's own.
    pub sslrootcert: Option<String>,
    /// Path of our own certificate.
    pub sslcert: Option<PathBuf>,
    /// Path of our own key.
    pub sslkey: Option<PathBuf>,
    /// Path of the revocation list.
    pub sslcrl: Option<PathBuf>,
    /// TLS from the first byte (`sslnegotiation=direct`).
    pub ssl_direct: bool,
    /// True: nothing older than TLS 1.3.
    pub tls13_only: bool,
    /// Binding of the password exchange to the TLS channel.
    pub channel_binding: ChannelBinding,
    /// Ways of authentication that are accepted (`require_auth`); empty: all.
    pub require_auth: Vec<String>,
    /// Options of the server process, `-c statement_timeout=5s`; may be empty.
    pub options: String,
    /// SQL text of a search path to set after connecting (Prisma's `?schema=`).
    pub search_path: Option<String>,
    /// Time for one host to answer, where it was given.
    pub connect_timeout: Option<Duration>,
    /// What the server must be.
    pub target_session_attrs: SessionAttrs,
    /// Name to show in `pg_stat_activity`, where it was given.
    pub application_name: Option<String>,
    /// TCP keepalive.
    pub keepalive: Keepalive,
    /// How long sent data may stay unacknowledged.
    pub tcp_user_timeout: Option<Duration>,
    /// What was translated, assumed or ignored: to be shown to the user.
    pub notes: Vec<String>,
    passfile: Passfile,
}

impl Target {
    /// Reads a connection string; what it leaves open comes from the service file, the `PG*`
    /// variables and libpq's defaults, in this order.
    ///
    /// # Errors
    /// A usage fault `url-...` or `service-...` with its remedy; never quotes the text itself.
    pub fn parse(text: &str, env: Environment<'_>) -> Result<Self, Fault> {
        let trimmed = text.trim();
        let bare = unquoted(trimmed);
        if bare.is_empty() {
            return Err(Fault::usage("url-empty", msg!("postgres.url-empty"))
                .remedy(msg!("postgres.url-form-remedy")));
        }
        let mut parameters = if url::looks_like_one(bare) {
            url::parse(bare)?
        } else if bare.contains('=') {
            keyvalue::parse(bare)?
        } else {
            return Err(Fault::usage("url-form", msg!("postgres.url-form"))
                .remedy(msg!("postgres.url-form-remedy")));
        };
        if bare.len() < trimmed.len() {
            parameters.note(msg!("postgres.note-quotes"));
        }
        assemble::assemble(parameters, env)
    }

    /// The target that the `PG*` variables alone describe.
    ///
    /// # Errors
    /// As [`Target::parse`]; `url-no-database` where nothing names a database.
    pub fn from_environment(env: Environment<'_>) -> Result<Self, Fault> {
        assemble::assemble(translate::Parameters::default(), env)
    }

    /// `postgresql://user@host:port/db`: for people, without the password.
    pub fn display(&self) -> String {
        let user = shown(&self.user);
        let database = shown(&self.database);
        let tcp: Vec<String> = (0..self.hosts.len())
            .filter(|index| matches!(self.hosts[*index].0, HostSpec::Tcp(_)))
            .map(|index| self.display_host(index))
            .collect();
        match &self.hosts[0] {
            (HostSpec::Unix(directory), port) if tcp.is_empty() => {
                let port = if *port == 5432 { String::new() } else { format!("&port={port}") };
                format!("postgresql://{user}@/{database}?host={}{port}", directory.display())
            }
            _ => format!("postgresql://{user}@{}/{database}", tcp.join(",")),
        }
    }

    /// One host for people: `db.example.com:5432`, `[::1]:5432`, `/var/run/postgresql:5432`.
    pub fn display_host(&self, index: usize) -> String {
        match self.hosts.get(index) {
            Some((HostSpec::Tcp(host), port)) if host.contains(':') => format!("[{host}]:{port}"),
            Some((HostSpec::Tcp(host), port)) => format!("{host}:{port}"),
            Some((HostSpec::Unix(directory), port)) => format!("{}:{port}", directory.display()),
            None => String::new(),
        }
    }

    /// The same server and role, another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        Self { database: name.into(), ..self.clone() }
    }

    /// True where every host is this machine: loopback or a Unix socket.
    pub fn is_local(&self) -> bool {
        self.hosts.iter().zip(&self.addresses).all(|((host, _), address)| match (host, address) {
            (HostSpec::Unix(_), _) => true,
            (HostSpec::Tcp(_), Some(address)) => address.is_loopback(),
            (HostSpec::Tcp(host), None) => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        })
    }

    /// The password for a host (by its index): the one given, else the password file's.
    pub fn password_for(&self, index: usize) -> Option<SecretString> {
        if let Some(password) = &self.password {
            return Some(password.clone());
        }
        let (host, port) = self.hosts.get(index)?;
        self.passfile.find(&passfile::names_of(host), *port, &self.database, &self.user)
    }

    /// Tells a redactor every password that this target can use.
    pub fn teach(&self, redactor: &Redactor) {
        for password in (0..self.hosts.len()).filter_map(|index| self.password_for(index)) {
            redactor.add(password.expose_secret());
        }
    }

    /// What libpq takes as `options`: the given ones, and the search path.
    pub fn startup_options(&self) -> String {
        let Some(path) = &self.search_path else { return self.options.clone() };
        // The server splits options at spaces; a backslash keeps one.
        let path = path.replace('\\', "\\\\").replace(' ', "\\ ");
        format!("{} -c search_path={path}", self.options).trim().to_string()
    }

    /// The variables that lead a child process such as pg_dump to the same place. Without the
    /// password: see [`Target::write_passfile`], whose path belongs into `PGPASSFILE`.
    pub fn libpq_env(&self) -> Vec<(String, String)> {
        let hosts = self.hosts.iter().map(|(host, _)| match host {
            HostSpec::Tcp(host) => host.clone(),
            HostSpec::Unix(directory) => directory.display().to_string(),
        });
        let ports = self.hosts.iter().map(|(_, port)| port.to_string());
        let options = self.startup_options();
        let mut out = vec![
            ("PGHOST", hosts.collect::<Vec<_>>().join(",")),
            ("PGPORT", ports.collect::<Vec<_>>().join(",")),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", self.database.clone()),
            ("PGSSLMODE", self.sslmode.word().to_string()),
        ];
        if self.addresses.iter().any(Option::is_some) {
            let text = |a: &Option<IpAddr>| a.map_or(String::new(), |a| a.to_string());
            let all: Vec<String> = self.addresses.iter().map(text).collect();
            out.push(("PGHOSTADDR", all.join(",")));
        }
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let optional = [
            ("PGSSLROOTCERT", self.sslrootcert.clone()),
            ("PGSSLCERT", path(&self.sslcert)),
            ("PGSSLKEY", path(&self.sslkey)),
            ("PGSSLCRL", path(&self.sslcrl)),
            ("PGOPTIONS", Some(options).filter(|options| !options.is_empty())),
            ("PGCONNECT_TIMEOUT", self.connect_timeout.map(|t| t.as_secs().max(1).to_string())),
            ("PGAPPNAME", self.application_name.clone()),
        ];
        out.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        if self.target_session_attrs != SessionAttrs::Any {
            out.push(("PGTARGETSESSIONATTRS", self.target_session_attrs.word().into()));
        }
        out.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }

    /// Writes a password file (0600, a new name) for child processes into a directory. It holds
    /// the passwords of all hosts, for every database of this role; empty where there is none.
    ///
    /// # Errors
    /// `passfile-write` where the file cannot be written.
    pub fn write_passfile(&self, directory: &Path) -> Result<PathBuf, Fault> {
        let lines = self.hosts.iter().enumerate().filter_map(|(index, (host, port))| {
            let password = self.password_for(index)?;
            Some(passfile::lines(&passfile::names_of(host), *port, &self.user, &password))
        });
        passfile::write(directory, &lines.collect::<String>())
    }
}

/// Without the quotes that come along from `.env` files.
fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
        .map_or(text, str::trim)
}

/// A name as it is shown in a URL: only what would break the URL is encoded.
fn shown(name: &str) -> String {
    const BREAKS: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
        .add(b' ')
        .add(b'@')
        .add(b':')
        .add(b'/')
        .add(b'?')
        .add(b'#')
        .add(b'%');
    percent_encoding::utf8_percent_encode(name, BREAKS).to_string()
}
