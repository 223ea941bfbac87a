//! From what was said to a target: connection string, service file, `PG*` variables, defaults.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::translate::Parameters;
use super::url::{wrong_host, wrong_port};
use super::{ChannelBinding, Environment, HostSpec, Keepalive, SessionAttrs, SslMode, Target};
use crate::model::Fault;
use crate::msg;
use crate::postgres::{passfile::Passfile, service};

/// Which variable stands for which parameter (libpq's list, without what has no meaning here).
const VARIABLES: &[(&str, &str)] = &[
    ("application_name", "PGAPPNAME"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("gssencmode", "PGGSSENCMODE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("require_auth", "PGREQUIREAUTH"),
    ("requiressl", "PGREQUIRESSL"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("sslcert", "PGSSLCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("user", "PGUSER"),
];

/// Where Debian, Red Hat and the PostgreSQL sources put the socket.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

struct Sources<'a> {
    parameters: Parameters,
    service: std::collections::BTreeMap<String, String>,
    env: Environment<'a>,
}

impl Sources<'_> {
    fn said(&self, key: &str) -> Option<String> {
        self.parameters.get(key).or_else(|| self.service.get(key).cloned())
    }

    fn get(&self, key: &str) -> Option<String> {
        let variable = || {
            // The address in the environment belongs to the host in the environment.
            let foreign = key == "hostaddr" && self.said("host").is_some();
            let name = VARIABLES.iter().find(|(known, _)| *known == key && !foreign)?.1;
            (self.env)(name)
        };
        self.said(key)
            .or_else(variable)
            .or_else(|| self.parameters.default_of(key))
            .filter(|value| !value.is_empty())
    }

    /// One of libpq's words, or a fault that names the parameter and its words.
    fn word<T>(
        &self,
        key: &str,
        words: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.get(key) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| {
            Fault::usage("url-value", msg!("postgres.url-value", parameter = key))
                .remedy(msg!("postgres.url-value-remedy", words = words))
        })
    }

    fn seconds(&self, key: &str) -> Result<Option<Duration>, Fault> {
        // 0 and below is libpq's word for "the system's own".
        let read = |text: &str| text.trim().parse::<i64>().ok();
        let number = self.word(key, "0, 1, 2, ..", read)?;
        Ok(number.filter(|n| *n > 0).map(|n| Duration::from_secs(n.unsigned_abs())))
    }

    fn home(&self) -> Option<PathBuf> {
        (self.env)("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
    }

    /// A file of `~/.postgresql`, where it exists.
    fn default_file(&self, name: &str) -> Option<PathBuf> {
        self.home().map(|home| home.join(".postgresql").join(name)).filter(|path| path.is_file())
    }
}

/// Puts the sources together and checks every value.
pub(super) fn assemble(mut parameters: Parameters, env: Environment<'_>) -> Result<Target, Fault> {
    let name = parameters.get("service").or_else(|| env("PGSERVICE").filter(|s| !s.is_empty()));
    let service = match name {
        Some(name) => {
            let file = parameters.get("servicefile").or_else(|| env("PGSERVICEFILE"));
            service::read(&name, file.as_deref(), env)?
        }
        None => Default::default(),
    };
    let mut notes = std::mem::take(&mut parameters.notes);
    let from = Sources { parameters, service, env };

    let (hosts, addresses) = hosts(&from, &mut notes)?;
    let user = from.get("user").or_else(|| system_user(env)).ok_or_else(|| {
        Fault::usage("url-no-user", msg!("postgres.url-no-user"))
            .remedy(msg!("postgres.url-no-user-remedy"))
    })?;
    let database = from.get("dbname").ok_or_else(|| {
        Fault::usage("url-no-database", msg!("postgres.url-no-database"))
            .cause(msg!("postgres.url-no-database-cause"))
            .remedy(msg!("postgres.url-no-database-remedy"))
    })?;
    let passfile = passfile(&from, &mut notes);
    let tls = tls(&from, &mut notes)?;
    refuse_what_cannot_be_done(&from, &mut notes)?;

    let attrs = "any, read-write, read-only, primary, standby, prefer-standby";
    let on = from.word("keepalives", "0, 1", |word| ["0", "1"].iter().position(|w| *w == word))?;
    let count = from.word("keepalives_count", "0, 1, 2, ..", |text| text.parse::<u32>().ok())?;
    let tcp_user_timeout = from
        .word("tcp_user_timeout", "0, 1, 2, ..", |text| text.parse::<u64>().ok())?
        .filter(|millis| *millis > 0)
        .map(Duration::from_millis);
    Ok(Target {
        hosts,
        addresses,
        database,
        user,
        password: from.get("password").map(SecretString::from),
        sslmode: tls.mode,
        sslrootcert: tls.root,
        sslcert: tls.cert,
        sslkey: tls.key,
        sslcrl: from.get("sslcrl").map(PathBuf::from).or_else(|| from.default_file("root.crl")),
        ssl_direct: tls.direct,
        tls13_only: from.get("ssl_min_protocol_version").as_deref() == Some("TLSv1.3"),
        channel_binding: from
            .word("channel_binding", "disable, prefer, require", |word| match word {
                "disable" => Some(ChannelBinding::Disable),
                "prefer" => Some(ChannelBinding::Prefer),
                "require" => Some(ChannelBinding::Require),
                _ => None,
            })?
            .unwrap_or(ChannelBinding::Prefer),
        require_auth: require_auth(&from)?,
        options: from.get("options").unwrap_or_default(),
        search_path: from.get("search_path"),
        connect_timeout: from.seconds("connect_timeout")?,
        target_session_attrs: from
            .word("target_session_attrs", attrs, SessionAttrs::from_word)?
            .unwrap_or(SessionAttrs::Any),
        application_name: from
            .get("application_name")
            .or_else(|| from.get("fallback_application_name")),
        keepalive: Keepalive {
            on: on != Some(0),
            idle: from.seconds("keepalives_idle")?,
            interval: from.seconds("keepalives_interval")?,
            count: count.filter(|count| *count > 0),
        },
        tcp_user_timeout,
        notes,
        passfile,
    })
}

type Hosts = (Vec<(HostSpec, u16)>, Vec<Option<IpAddr>>);

fn hosts(from: &Sources<'_>, notes: &mut Vec<String>) -> Result<Hosts, Fault> {
    let list = |key| -> Vec<String> {
        let text = from.get(key).unwrap_or_default();
        if text.is_empty() {
            Vec::new()
        } else {
            text.split(',').map(|s| s.trim().into()).collect()
        }
    };
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = names.len().max(addresses.len()).max(1);
    let fits = |len: usize| len == 0 || len == count;
    if !fits(names.len()) || !fits(addresses.len()) || !(ports.len() <= 1 || fits(ports.len())) {
        return Err(Fault::usage("url-hosts", msg!("postgres.url-hosts"))
            .remedy(msg!("postgres.url-hosts-remedy")));
    }
    let mut hosts = Vec::new();
    let mut found = Vec::new();
    for index in 0..count {
        let address = match addresses.get(index).filter(|text| !text.is_empty()) {
            Some(text) => Some(text.parse::<IpAddr>().map_err(|_| wrong_host())?),
            None => None,
        };
        let name = names.get(index).cloned().unwrap_or_default();
        // ?host=a:5432, as SQLAlchemy writes it.
        let inline = name.rsplit_once(':').filter(|(host, _)| !host.contains([':', '/']));
        let (name, inline) = match inline {
            Some((host, port)) => (host.to_string(), Some(port.to_string())),
            None => (name, None),
        };
        let port = inline.as_ref().or_else(|| ports.get(index)).or_else(|| ports.first());
        let port = match port.filter(|port| !port.is_empty()) {
            Some(text) => text.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(wrong_port)?,
            None => 5432,
        };
        let host = match (name.as_str(), address) {
            ("", Some(address)) => HostSpec::Tcp(address.to_string()),
            ("", None) => default_host(port, notes),
            (path, _) if path.starts_with('/') => HostSpec::Unix(PathBuf::from(path)),
            (name, _) => HostSpec::Tcp(checked_host(name)?),
        };
        hosts.push((host, port));
        found.push(address);
    }
    Ok((hosts, found))
}

/// libpq's default is the socket directory it was built with. Where no server listens there, the
/// database is likely in a container that publishes its port.
fn default_host(port: u16, notes: &mut Vec<String>) -> HostSpec {
    let socket = format!(".s.PGSQL.{port}");
    let found = SOCKET_DIRECTORIES.iter().map(Path::new).find(|dir| dir.join(&socket).exists());
    let host = match found {
        Some(directory) => HostSpec::Unix(directory.into()),
        None => HostSpec::Tcp("localhost".into()),
    };
    let shown = match &host {
        HostSpec::Unix(directory) => directory.display().to_string(),
        HostSpec::Tcp(name) => name.clone(),
    };
    notes.push(msg!("postgres.note-default-host", host = shown));
    host
}

/// A placeholder (`<host>`, `${DB_HOST}`) or a piece of a password is no host name.
fn checked_host(name: &str) -> Result<String, Fault> {
    let address = name.split('%').next().unwrap_or(name);
    let plain = |c: char| c.is_alphanumeric() || "-._".contains(c);
    if address.parse::<IpAddr>().is_ok() || name.chars().all(plain) {
        Ok(name.to_string())
    } else {
        Err(wrong_host())
    }
}

struct Tls {
    mode: SslMode,
    root: Option<String>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    direct: bool,
}

fn tls(from: &Sources<'_>, notes: &mut Vec<String>) -> Result<Tls, Fault> {
    let words = "disable, allow, prefer, require, verify-ca, verify-full";
    let read = |word: &str| match word {
        // node-postgres and Heroku: encrypt, do not verify.
        "no-verify" => Some(SslMode::Require),
        word => SslMode::from_word(word),
    };
    let mut mode = from.word("sslmode", words, read)?;
    if mode.is_none() && from.get("requiressl").as_deref() == Some("1") {
        mode = Some(SslMode::Require);
    }
    let mut root = from.get("sslrootcert");
    let mut cert = from.get("sslcert");
    let key = from.get("sslkey");
    if let Some(word) = from.get("sslaccept") {
        let strict = word == "strict";
        mode = Some(if strict { SslMode::VerifyFull } else { SslMode::Require });
        let given = format!("sslaccept={}", if strict { "strict" } else { "accept_invalid_certs" });
        let shown = if strict { "verify-full" } else { "require" };
        notes.push(msg!("postgres.note-ssl", given = given, mode = shown));
        // In Prisma's words sslcert is the authority's certificate, not our own.
        if key.is_none() && root.is_none() && strict {
            root = cert.take();
        }
    }
    if root.as_deref() == Some("system")
        && mode.unwrap_or(SslMode::VerifyFull) < SslMode::VerifyFull
    {
        return Err(Fault::usage("url-sslmode", msg!("postgres.url-sslmode-system"))
            .remedy(msg!("postgres.url-sslmode-system-remedy")));
    }
    let mode = match mode {
        Some(mode) => mode,
        None if root.as_deref() == Some("system") => SslMode::VerifyFull,
        None => SslMode::Prefer,
    };
    let words = "postgres, direct";
    let direct = from.word("sslnegotiation", words, |word| match word {
        "postgres" => Some(false),
        "direct" => Some(true),
        _ => None,
    })?;
    if direct == Some(true) && mode < SslMode::Require {
        return Err(Fault::usage("url-sslmode", msg!("postgres.url-sslmode-direct"))
            .remedy(msg!("postgres.url-sslmode-direct-remedy")));
    }
    let default_root = || from.default_file("root.crt").map(|path| path.display().to_string());
    let cert = cert.map(PathBuf::from).or_else(|| from.default_file("postgresql.crt"));
    let key = key.map(PathBuf::from).or_else(|| from.default_file("postgresql.key"));
    let direct = direct == Some(true);
    Ok(Tls { mode, root: root.or_else(default_root), cert, key, direct })
}

fn refuse_what_cannot_be_done(from: &Sources<'_>, notes: &mut Vec<String>) -> Result<(), Fault> {
    let refused = |parameter: &str| {
        Fault::usage("url-parameter", msg!("postgres.url-unsupported", parameter = parameter))
            .remedy(msg!("postgres.url-parameter-remedy"))
    };
    let off = ["", "0", "false", "off", "no"];
    if from.get("replication").is_some_and(|value| !off.contains(&value.as_str())) {
        return Err(Fault::usage("url-replication", msg!("postgres.url-replication"))
            .remedy(msg!("postgres.url-replication-remedy")));
    }
    if from.get("gssencmode").as_deref() == Some("require") {
        return Err(refused("gssencmode"));
    }
    // Ignored, these would make the connection less safe than what was asked for.
    for key in ["sslcrldir", "sslpassword", "requirepeer"] {
        if from.get(key).is_some() {
            return Err(refused(key));
        }
    }
    let encoding = from.get("client_encoding").map(|name| name.to_ascii_lowercase());
    if encoding.is_some_and(|name| !["auto", "utf8", "utf-8", "unicode"].contains(&name.as_str())) {
        notes.push(msg!("postgres.note-ignored", parameter = "client_encoding"));
    }
    let ignored = ["load_balance_hosts", "sslkeylogfile", "max_protocol_version", "krbsrvname"];
    for key in ignored.into_iter().filter(|key| from.said(key).is_some()) {
        notes.push(msg!("postgres.note-ignored", parameter = key));
    }
    let words = "TLSv1, TLSv1.1, TLSv1.2, TLSv1.3";
    let known = |word: &str| words.split(", ").any(|known| known == word).then_some(());
    from.word("ssl_min_protocol_version", words, known)?;
    Ok(())
}

fn require_auth(from: &Sources<'_>) -> Result<Vec<String>, Fault> {
    let words = "password, md5, gss, sspi, scram-sha-256, none";
    let Some(text) = from.get("require_auth") else { return Ok(Vec::new()) };
    let list: Vec<String> = text.split(',').map(|word| word.trim().to_string()).collect();
    let known = |word: &String| words.split(", ").any(|k| k == word.trim_start_matches('!'));
    let negated = list.iter().filter(|word| word.starts_with('!')).count();
    if list.iter().all(known) && (negated == 0 || negated == list.len()) {
        return Ok(list);
    }
    Err(Fault::usage("url-value", msg!("postgres.url-value", parameter = "require_auth"))
        .remedy(msg!("postgres.url-value-remedy", words = words)))
}

fn passfile(from: &Sources<'_>, notes: &mut Vec<String>) -> Passfile {
    let path = match from.get("passfile") {
        Some(path) => Some(PathBuf::from(path)),
        None => from.home().map(|home| home.join(".pgpass")),
    };
    path.map(|path| Passfile::read(&path, notes)).unwrap_or_default()
}

/// The operating system's name of this user, which libpq takes where no role is given.
fn system_user(env: Environment<'_>) -> Option<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let listed = std::fs::read_to_string("/etc/passwd").ok().and_then(|text| {
        let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines.find(|fields| fields.get(2) == Some(&uid.as_str())).map(|f| f[0].to_string())
    });
    ["USER", "LOGNAME"].iter().find_map(|name| env(name)).filter(|u| !u.is_empty()).or(listed)
}
