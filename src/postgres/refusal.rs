//! Why a connection did not come about, as faults: what is known, the likely cause, what to do.

use std::io;
use std::time::Duration;

use super::conninfo::{HostSpec, SessionAttrs, Target};
use super::error::DbError;
use super::tls;
use crate::model::{Fault, FaultKind, format_span};
use crate::msg;

/// How one attempt on one host failed.
#[derive(Debug)]
pub(super) enum Attempt {
    /// Nobody listens, or no way leads there.
    Unreached(io::Error),
    /// The name has no address.
    UnknownHost(io::Error),
    /// The connection broke off in the handshake.
    Lost(io::Error),
    /// The server has no TLS.
    NoTls,
    /// The TLS handshake or another part of the driver failed.
    Driver(tokio_postgres::Error),
    /// The server said no.
    Refused(Box<DbError>),
    /// The server asks for a way of authentication that `require_auth` excludes.
    Auth(&'static str),
    /// Already a fault: a certificate file that cannot be read.
    Settled(Box<Fault>),
}

impl Attempt {
    pub(super) fn of_driver(error: tokio_postgres::Error, auth: Option<&'static str>) -> Self {
        match (auth, error.as_db_error()) {
            (Some(way), _) => Self::Auth(way),
            (None, Some(server)) => Self::Refused(Box::new(DbError::from(server))),
            (None, None) => Self::Driver(error),
        }
    }

    /// 28000: no line of pg_hba.conf admits this; one with or without TLS may.
    pub(super) fn is_not_admitted(&self) -> bool {
        matches!(self, Self::Refused(error) if error.is("28000"))
    }

    /// Of two attempts, with and without TLS: a server that answered tells more than one that
    /// does not admit us that way at all.
    pub(super) fn or_more_telling(self, second: Self) -> Self {
        match &second {
            Self::Refused(error) if !error.is("28000") => second,
            _ => self,
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Driver(error) if tls::fault_of(error, "").is_some())
    }
}

/// True where the next host of the list may do what this one did not.
pub(super) fn next_host_may_help(fault: &Fault) -> bool {
    waiting_may_help(fault) || fault.code == "wrong-server-state"
}

/// True where time alone may mend it.
pub(super) fn waiting_may_help(fault: &Fault) -> bool {
    let mending = ["no-server", "unknown-host", "timeout", "starting-up", "too-many-connections"];
    mending.contains(&fault.code.as_str())
}

/// The fault of a failed attempt.
pub(super) fn explain(attempt: Attempt, target: &Target, index: usize) -> Fault {
    let host = target.display_host(index);
    match attempt {
        Attempt::Settled(fault) => *fault,
        Attempt::Unreached(error) => no_server(target, index, Some(error)),
        Attempt::UnknownHost(error) => {
            fault("unknown-host", msg!("postgres.unknown-host", host = host))
                .detail(error.to_string())
                .remedy(msg!("postgres.unknown-host-remedy"))
        }
        Attempt::Lost(error) => lost(&host, error.to_string()),
        Attempt::NoTls => fault("tls-not-offered", msg!("postgres.tls-not-offered", host = host))
            .remedy(msg!("postgres.tls-not-offered-remedy")),
        Attempt::Auth(way) => {
            let message = msg!("postgres.auth-not-allowed", host = host, way = way);
            fault("auth-not-allowed", message)
                .remedy(msg!("postgres.auth-not-allowed-remedy", way = way))
        }
        Attempt::Refused(error) if error.connection_lost && error.sqlstate.is_none() => {
            lost(&host, error.detail.unwrap_or(error.message))
        }
        Attempt::Refused(error) => refused(*error, target, &host),
        Attempt::Driver(error) => {
            let name = match &target.hosts[index].0 {
                HostSpec::Tcp(name) => name.as_str(),
                HostSpec::Unix(_) => "localhost",
            };
            if let Some(fault) = tls::fault_of(&error, name) {
                return fault;
            }
            let text = DbError::from(error);
            let detail = text.detail.unwrap_or(text.message);
            if text.connection_lost {
                return lost(&host, detail);
            }
            // The driver's only configuration error here: the server wants a password.
            if detail.contains("password missing") {
                return fault("no-password", msg!("postgres.no-password", user = target.user))
                    .remedy(msg!("postgres.no-password-remedy"));
            }
            fault("handshake", msg!("postgres.handshake", host = host)).detail(detail)
        }
    }
}

/// Nobody answers there.
pub(super) fn no_server(target: &Target, index: usize, error: Option<io::Error>) -> Fault {
    let host = target.display_host(index);
    let mut out = fault("no-server", msg!("postgres.no-server", host = host));
    if let Some(error) = &error {
        out.detail = Some(error.to_string());
        out.cause = match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(msg!("postgres.no-server-refused")),
            io::ErrorKind::NotFound => Some(msg!("postgres.no-server-socket")),
            io::ErrorKind::PermissionDenied => Some(msg!("postgres.no-server-permission")),
            _ => None,
        };
    }
    out.remedy(msg!("postgres.no-server-remedy"))
}

/// Somebody may be there, but does not answer in time.
pub(super) fn timeout(target: &Target, index: usize, limit: Duration) -> Fault {
    let (host, limit) = (target.display_host(index), format_span(limit));
    fault("timeout", msg!("postgres.timeout", host = host, limit = limit))
        .cause(msg!("postgres.timeout-cause"))
        .remedy(msg!("postgres.timeout-remedy"))
}

/// A server, but not the kind that was asked for.
pub(super) fn wrong_state(target: &Target, index: usize, attrs: SessionAttrs) -> Fault {
    let (host, attrs) = (target.display_host(index), attrs.word());
    fault("wrong-server-state", msg!("postgres.wrong-state", host = host, attrs = attrs))
        .remedy(msg!("postgres.wrong-state-remedy"))
}

fn lost(host: &str, detail: String) -> Fault {
    // As for a refused connection, waiting may help: proxies answer before their server does.
    fault("no-server", msg!("postgres.lost-in-handshake", host = host))
        .detail(detail)
        .cause(msg!("postgres.lost-in-handshake-cause"))
        .remedy(msg!("postgres.no-server-remedy"))
}

fn refused(error: DbError, target: &Target, host: &str) -> Fault {
    let state = error.sqlstate.clone().unwrap_or_default();
    let (user, database) = (&target.user, &target.database);
    let out = match state.as_str() {
        "28P01" => {
            let given = target.password.is_some();
            let cause = if given {
                msg!("postgres.wrong-password-cause")
            } else {
                msg!("postgres.wrong-password-file")
            };
            fault("wrong-password", msg!("postgres.wrong-password", user = user))
                .cause(cause)
                .remedy(msg!("postgres.wrong-password-remedy"))
        }
        "28000" => fault(
            "not-admitted",
            msg!("postgres.not-admitted", host = host, user = user, database = database),
        )
        .cause(msg!("postgres.not-admitted-cause"))
        .remedy(msg!("postgres.not-admitted-remedy")),
        "3D000" => {
            fault("no-database", msg!("postgres.no-database", database = database, host = host))
                .remedy(msg!("postgres.no-database-remedy", database = database))
        }
        "42501" => fault(
            "not-admitted",
            msg!("postgres.no-connect-right", user = user, database = database),
        )
        .remedy(msg!("postgres.no-connect-right-remedy", user = user, database = database)),
        // 57P01 and 57P02: it was just stopped, by hand or by a crash.
        "57P01" | "57P02" | "57P03" => {
            fault("starting-up", msg!("postgres.starting-up", host = host))
                .remedy(msg!("postgres.starting-up-remedy"))
        }
        "53300" | "53400" => fault("too-many-connections", msg!("postgres.too-many", host = host))
            .cause(msg!("postgres.too-many-cause"))
            .remedy(msg!("postgres.too-many-remedy")),
        _ => {
            let mut out = error.clone().into_fault();
            out.kind = FaultKind::NoConnection;
            out.code = "refused".into();
            out.message = msg!("postgres.refused", host = host);
            out
        }
    };
    let mut detail = error.message;
    if let Some(more) = error.detail {
        detail = format!("{detail}\n{more}");
    }
    out.detail(detail).sqlstate(state)
}

fn fault(code: &str, message: String) -> Fault {
    Fault::new(FaultKind::NoConnection, code, message)
}
