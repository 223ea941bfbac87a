//! Connection URLs: `postgres://`, `postgresql://`, SQLAlchemy's `postgresql+driver://`, `jdbc:`.
//!
//! Stricter than libpq where a part of a password could pass for a host: an unescaped `@ / ? #`
//! is refused, and nothing of such a text is shown.

use super::translate::{Dialect, Parameters};
use crate::model::Fault;
use crate::msg;

/// True where the text begins with a scheme, right or wrong.
pub(super) fn looks_like_one(text: &str) -> bool {
    let scheme = text.split([':', '=', ' ', '\'']).next().unwrap_or("");
    let rest = &text[scheme.len()..];
    rest.starts_with(':') && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-_".contains(c))
}

/// Takes a URL apart into libpq's parameters.
pub(super) fn parse(text: &str) -> Result<Parameters, Fault> {
    let mut parameters = Parameters::default();
    let (dialect, text) = match text.strip_prefix("jdbc:") {
        Some(inner) => (Dialect::Jdbc, inner),
        None => (Dialect::Url, text),
    };
    let (scheme, rest) = text.split_once(':').ok_or_else(wrong_form)?;
    check_scheme(&mut parameters, scheme)?;
    if dialect == Dialect::Jdbc {
        parameters.note(msg!("postgres.note-jdbc"));
        // pgjdbc knows no socket directory: no host is this machine.
        parameters.set_default("host", "localhost");
    }
    let Some(rest) = rest.strip_prefix("//") else {
        // jdbc:postgresql:shop
        if dialect != Dialect::Jdbc {
            return Err(wrong_form());
        }
        return after_authority(parameters, dialect, rest.trim_start_matches('/'));
    };
    if let Some(at) = rest.find('#') {
        return Err(if rest[at..].contains('@') { in_password() } else { hash_sign() });
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let (hosts, credentials) = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => (hosts, Some(credentials)),
        None => (authority, None),
    };
    if credentials.is_some_and(|text| text.contains('@')) {
        return Err(in_password());
    }
    if let Some(credentials) = credentials {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        parameters.set("user", decoded(user, dialect)?);
        parameters.set("password", decoded(password, dialect)?);
    }
    let (path, query) = after.split_once('?').unwrap_or((after, ""));
    if path.contains('@') {
        return Err(in_password());
    }
    let doubtful = credentials.is_none() && query.contains('@');
    read_hosts(&mut parameters, dialect, hosts, doubtful)?;
    after_authority(parameters, dialect, after.strip_prefix('/').unwrap_or(after))
}

/// The database's name and the parameters: `shop?sslmode=require`.
fn after_authority(
    mut parameters: Parameters,
    dialect: Dialect,
    text: &str,
) -> Result<Parameters, Fault> {
    let (database, query) = text.split_once('?').unwrap_or((text, ""));
    if database.trim_end_matches('/').contains('/') {
        return Err(Fault::usage("url-path", msg!("postgres.url-path"))
            .remedy(msg!("postgres.url-path-remedy")));
    }
    parameters.set("dbname", decoded(database.trim_end_matches('/'), dialect)?);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(if pair.contains('@') { in_password() } else { wrong_form() });
        };
        parameters.accept(dialect, &decoded(key, dialect)?, decoded(value, dialect)?)?;
    }
    Ok(parameters)
}

fn check_scheme(parameters: &mut Parameters, scheme: &str) -> Result<(), Fault> {
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "postgres" | "postgresql" => Ok(()),
        "psql" | "pgsql" | "postgis" | "pg" | "pgx" | "pgx5" => {
            parameters.note(msg!("postgres.note-scheme", scheme = scheme));
            Ok(())
        }
        "prisma" | "prisma+postgres" => {
            Err(Fault::usage("url-prisma-proxy", msg!("postgres.url-prisma-proxy"))
                .remedy(msg!("postgres.url-prisma-proxy-remedy")))
        }
        _ if scheme.starts_with("postgresql+") || scheme.starts_with("postgres+") => {
            parameters.note(msg!("postgres.note-scheme", scheme = scheme));
            Ok(())
        }
        // What is no scheme at all may be a part of a password: it is not shown.
        _ => match scheme.len() {
            1..=20 => Err(Fault::usage("url-scheme", msg!("postgres.url-scheme", scheme = scheme))),
            _ => Err(Fault::usage("url-scheme", msg!("postgres.url-form"))),
        }
        .map_err(|fault| fault.remedy(msg!("postgres.url-form-remedy"))),
    }
}

/// `h1:5432,[::1]:5433,%2Fvar%2Frun%2Fpostgresql` to the parameters host and port.
fn read_hosts(
    parameters: &mut Parameters,
    dialect: Dialect,
    text: &str,
    doubtful: bool,
) -> Result<(), Fault> {
    if text.is_empty() {
        return Ok(());
    }
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        let (host, port) = if let Some(inner) = part.strip_prefix('[') {
            let (host, rest) = inner.split_once(']').ok_or_else(wrong_host)?;
            host.split('%')
                .next()
                .unwrap_or("")
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| wrong_host())?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")).ok_or_else(wrong_host)?)
        } else {
            part.split_once(':').unwrap_or((part, ""))
        };
        if port.contains(':') {
            return Err(Fault::usage("url-ipv6", msg!("postgres.url-ipv6"))
                .remedy(msg!("postgres.url-ipv6-remedy")));
        }
        let numeric = port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
        if !numeric {
            return Err(if doubtful { in_password() } else { wrong_port() });
        }
        hosts.push(decoded(host, dialect)?);
        ports.push(port.to_string());
    }
    parameters.set("host", hosts.join(","));
    if ports.iter().any(|port| !port.is_empty()) {
        parameters.set("port", ports.join(","));
    }
    Ok(())
}

/// Percent-decoded; a `%` without two digits is refused, for it is a forgotten escape.
fn decoded(text: &str, dialect: Dialect) -> Result<String, Fault> {
    let wrong = || {
        Fault::usage("url-percent", msg!("postgres.url-percent"))
            .remedy(msg!("postgres.url-percent-remedy"))
    };
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let digits = bytes.get(at + 1..at + 3);
        if *byte == b'%' && !digits.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)) {
            return Err(wrong());
        }
    }
    // Java decodes `+` as a blank, libpq does not.
    let plus = if dialect == Dialect::Jdbc { text.replace('+', " ") } else { text.to_string() };
    let text = percent_encoding::percent_decode_str(&plus).decode_utf8().map_err(|_| wrong())?;
    if text.contains('\0') { Err(wrong()) } else { Ok(text.into_owned()) }
}

fn in_password() -> Fault {
    Fault::usage("url-password", msg!("postgres.url-password"))
        .cause(msg!("postgres.url-password-cause"))
        .remedy(msg!("postgres.url-password-remedy"))
}

fn hash_sign() -> Fault {
    Fault::usage("url-hash", msg!("postgres.url-hash")).remedy(msg!("postgres.url-hash-remedy"))
}

fn wrong_form() -> Fault {
    Fault::usage("url-form", msg!("postgres.url-form")).remedy(msg!("postgres.url-form-remedy"))
}

pub(super) fn wrong_host() -> Fault {
    Fault::usage("url-host", msg!("postgres.url-host"))
        .cause(msg!("postgres.url-host-cause"))
        .remedy(msg!("postgres.url-host-remedy"))
}

pub(super) fn wrong_port() -> Fault {
    Fault::usage("url-port", msg!("postgres.url-port")).remedy(msg!("postgres.url-port-remedy"))
}
