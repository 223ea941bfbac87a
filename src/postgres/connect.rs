//! Getting in: hosts in their order, TLS, the whole handshake under one time limit, poolers found.
//!
//! Every failure is a fault of kind `NoConnection` with a cause and a remedy. What a session can
//! do afterwards is `session`'s business.

use std::io;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::{ChannelBinding as Binding, SslMode as DriverSsl, SslNegotiation};
use tokio_postgres::tls::{MakeTlsConnect, NoTls};
use tokio_postgres::{Client, Config};

use super::conninfo::{ChannelBinding, HostSpec, SessionAttrs, SslMode, Target};
use super::refusal::{self, Attempt};
use super::session::{Endings, Session};
use super::tls;
use super::wire::{Ear, Listened, ListeningTls, Wire};
use crate::model::Fault;

/// So long something that was sent may stay without an acknowledgement of the other side's system:
/// as long as keepalives may stay unanswered.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Shown in `pg_stat_activity`; stronger than the one in the connection string.
    pub application_name: String,
    /// For one host to be reached, TLS and authentication included. A `connect_timeout` of the
    /// connection string is stronger.
    pub timeout: Duration,
    /// Ask the server who it is, and whether it is what the target asks for. Without, the caller
    /// does with its first questions (see [`Session::get_acquainted`]): a round trip less. A target
    /// that asks for a certain server is asked all the same.
    pub acquaint: bool,
    /// Set the session's own settings (see [`Session::pin`]).
    pub pin: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            application_name: "runsheet".into(),
            timeout: Duration::from_secs(10),
            acquaint: true,
            pin: true,
        }
    }
}

impl ConnectOptions {
    /// For one host of the target to be reached and to say who it is.
    pub fn limit(&self, target: &Target) -> Duration {
        target.connect_timeout.unwrap_or(self.timeout)
    }
}

/// Connects to the first host that answers and is what the target asks for.
///
/// Must run inside a tokio runtime: the connection is driven by a task of it.
///
/// # Errors
/// Kind `NoConnection`: `no-server`, `unknown-host`, `timeout`, `starting-up`,
/// `too-many-connections`, `wrong-password`, `no-password`, `no-database`, `not-admitted`,
/// `wrong-server-state`, `tls-...`. Where several hosts failed, the others stand in `more`.
pub async fn connect(target: &Target, options: &ConnectOptions) -> Result<Session, Fault> {
    let mut failed: Vec<Fault> = Vec::new();
    // prefer-standby is two rounds: standbys first, then anything.
    let rounds: &[SessionAttrs] = match target.target_session_attrs {
        SessionAttrs::PreferStandby => &[SessionAttrs::Standby, SessionAttrs::Any],
        _ => std::slice::from_ref(&target.target_session_attrs),
    };
    for attrs in rounds {
        failed.clear();
        for index in 0..target.hosts.len() {
            match connect_host(target, options, index, *attrs).await {
                Ok(session) => return Ok(session),
                Err(fault) => {
                    let next = refusal::next_host_may_help(&fault);
                    failed.push(fault);
                    if !next {
                        break;
                    }
                }
            }
        }
    }
    let mut fault = failed.pop().unwrap_or_else(|| refusal::no_server(target, 0, None));
    fault.more = failed;
    Err(fault)
}

/// Connects, waiting for a server that is not there yet.
///
/// Waits after: refused, unknown host, timeout, starting up, too many connections. A wrong
/// password, a missing database or right fail at once: waiting does not mend them.
/// `on_attempt` is told each failure before the pause: number of the attempt, of how many.
///
/// # Errors
/// The last attempt's fault, as [`connect`].
pub async fn wait_ready(
    target: &Target,
    options: &ConnectOptions,
    tries: u32,
    every: Duration,
    on_attempt: &mut impl FnMut(u32, u32, &Fault),
) -> Result<Session, Fault> {
    let tries = tries.max(1);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let fault = match connect(target, options).await {
            Ok(session) => return Ok(session),
            Err(fault) => fault,
        };
        if !refusal::waiting_may_help(&fault) {
            return Err(fault);
        }
        on_attempt(attempt, tries, &fault);
        if attempt >= tries {
            return Err(fault);
        }
        tokio::time::sleep(every).await;
    }
}

async fn connect_host(
    target: &Target,
    options: &ConnectOptions,
    index: usize,
    attrs: SessionAttrs,
) -> Result<Session, Fault> {
    let limit = options.limit(target);
    let attempt = async {
        let session = open(target, options, index).await?;
        if !options.acquaint && attrs == SessionAttrs::Any {
            return Ok(session);
        }
        session.get_acquainted(limit).await?;
        if !session.is_as(attrs) {
            return Err(refusal::wrong_state(target, index, attrs));
        }
        if options.pin && !session.behind_pooler() {
            session.pin().await?;
        }
        Ok(session)
    };
    match tokio::time::timeout(limit, attempt).await {
        Ok(result) => result,
        Err(_) => Err(refusal::timeout(target, index, limit)),
    }
}

/// Tries the ways that `sslmode` allows, in libpq's order.
async fn open(target: &Target, options: &ConnectOptions, index: usize) -> Result<Session, Fault> {
    let explained = |attempt| refusal::explain(attempt, target, index);
    let socket = matches!(target.hosts[index].0, HostSpec::Unix(_));
    let mode = if socket { SslMode::Disable } else { target.sslmode };
    match mode {
        SslMode::Disable => open_as(target, options, index, Way::Plain).await.map_err(explained),
        SslMode::Allow => match open_as(target, options, index, Way::Plain).await {
            Err(first) if first.is_not_admitted() => open_as(target, options, index, Way::Tls)
                .await
                .map_err(|second| explained(first.or_more_telling(second))),
            other => other.map_err(explained),
        },
        SslMode::Prefer => match open_as(target, options, index, Way::TlsIfOffered).await {
            // Neither yes nor no: a server, or a pooler, that does not know the question.
            Err(Attempt::NoTls) => {
                open_as(target, options, index, Way::Plain).await.map_err(explained)
            }
            Err(first) if first.is_not_admitted() || first.is_tls() => {
                open_as(target, options, index, Way::Plain)
                    .await
                    .map_err(|second| explained(first.or_more_telling(second)))
            }
            other => other.map_err(explained),
        },
        _ => open_as(target, options, index, Way::Tls).await.map_err(explained),
    }
}

/// With or without TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Tls,
    /// Where the server has none, the same connection goes on in the clear.
    TlsIfOffered,
}

/// One connection.
async fn open_as(
    target: &Target,
    options: &ConnectOptions,
    index: usize,
    way: Way,
) -> Result<Session, Attempt> {
    let ear = Ear::default();
    let allowed = target.require_auth.clone();
    let endings = Endings::default();
    let mut wire = dial(target, index).await?;
    let encrypted = way != Way::Plain && offers_tls(&mut wire, target).await?;
    if way == Way::Tls && !encrypted {
        return Err(Attempt::NoTls);
    }
    let config = config_of(target, options, index, encrypted);
    let client: Result<Client, tokio_postgres::Error> = if encrypted {
        let connector = connector(target, index)?;
        let tls = ListeningTls { inner: connector, ear: ear.clone(), allowed };
        let opened = config.connect_raw(wire, tls).await;
        opened.map(|(client, connection)| {
            endings.drive(connection);
            client
        })
    } else {
        let wire = Listened::new(wire, ear.clone(), allowed);
        let opened = config.connect_raw(wire, NoTls).await;
        opened.map(|(client, connection)| {
            endings.drive(connection);
            client
        })
    };
    let heard = std::mem::take(&mut *ear.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    match client {
        Ok(client) => Ok(Session::new(client, target, index, encrypted, heard, endings)),
        Err(error) => Err(Attempt::of_driver(error, heard.refused_auth)),
    }
}

type Connector = <tokio_postgres_rustls::MakeRustlsConnect as MakeTlsConnect<Wire>>::TlsConnect;

/// Asks the server whether it has TLS. Where TLS begins with the connection, there is no question.
async fn offers_tls(wire: &mut Wire, target: &Target) -> Result<bool, Attempt> {
    if target.ssl_direct {
        return Ok(true);
    }
    // SSLRequest: its length, then 1234 and 5679 in the place of a protocol version.
    wire.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).await.map_err(Attempt::Lost)?;
    let mut answer = [0];
    wire.read_exact(&mut answer).await.map_err(Attempt::Lost)?;
    match answer {
        [b'S'] => Ok(true),
        [b'N'] => Ok(false),
        _ => Err(Attempt::NoTls),
    }
}

/// The connector. The driver is told that TLS begins at once, so that the listener can sit inside
/// of it.
fn connector(target: &Target, index: usize) -> Result<Connector, Attempt> {
    let mut make = tls::connector(target).map_err(|fault| Attempt::Settled(Box::new(fault)))?;
    let name = match (&target.hosts[index].0, target.addresses[index]) {
        (HostSpec::Tcp(name), _) => name.split('%').next().unwrap_or(name).to_string(),
        (HostSpec::Unix(_), Some(address)) => address.to_string(),
        (HostSpec::Unix(_), None) => "localhost".into(),
    };
    match MakeTlsConnect::<Wire>::make_tls_connect(&mut make, &name) {
        Ok(connector) => Ok(connector),
        Err(never) => match never {},
    }
}

/// Opens the socket of a host.
pub(super) async fn dial(target: &Target, index: usize) -> Result<Wire, Attempt> {
    let (host, port) = &target.hosts[index];
    let name = match (host, target.addresses[index]) {
        (_, Some(address)) => address.to_string(),
        (HostSpec::Tcp(name), None) => name.clone(),
        (HostSpec::Unix(directory), None) => {
            let path = directory.join(format!(".s.PGSQL.{port}"));
            return UnixStream::connect(path).await.map(Wire::Unix).map_err(Attempt::Unreached);
        }
    };
    let found = tokio::net::lookup_host((name.as_str(), *port)).await;
    let mut last = None;
    for address in found.map_err(Attempt::UnknownHost)? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Without these, a dead peer is noticed after hours, or never.
                tune(&stream, target).map_err(Attempt::Unreached)?;
                return Ok(Wire::Tcp(stream));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => Attempt::Unreached(error),
        None => Attempt::UnknownHost(io::Error::from(io::ErrorKind::NotFound)),
    })
}

fn tune(stream: &TcpStream, target: &Target) -> io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    let keepalive = target.keepalive;
    sockopt::set_socket_keepalive(stream, keepalive.on)?;
    if keepalive.on {
        // Shorter than libpq's two hours: a migration has to know that it lost its server.
        let seconds = Duration::from_secs;
        sockopt::set_tcp_keepidle(stream, keepalive.idle.unwrap_or(seconds(30)))?;
        sockopt::set_tcp_keepintvl(stream, keepalive.interval.unwrap_or(seconds(10)))?;
        sockopt::set_tcp_keepcnt(stream, keepalive.count.unwrap_or(3))?;
    }
    // Keepalives are not sent while something waits to be acknowledged: without a limit of its own
    // a message into a dead network is sent again for a quarter of an hour.
    #[cfg(target_os = "linux")]
    {
        let timeout = target.tcp_user_timeout.unwrap_or(UNACKNOWLEDGED);
        let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(stream, millis)?;
    }
    Ok(())
}

fn config_of(target: &Target, options: &ConnectOptions, index: usize, encrypted: bool) -> Config {
    let mut config = Config::new();
    config.user(target.user.as_str()).dbname(target.database.as_str());
    let name = match options.application_name.as_str() {
        "" => target.application_name.as_deref().unwrap_or(""),
        name => name,
    };
    if !name.is_empty() {
        config.application_name(name);
    }
    if !target.options.is_empty() {
        config.options(target.options.as_str());
    }
    if let Some(password) = target.password_for(index) {
        config.password(password.expose_secret());
    }
    config.channel_binding(match target.channel_binding {
        ChannelBinding::Disable => Binding::Disable,
        ChannelBinding::Prefer => Binding::Prefer,
        ChannelBinding::Require => Binding::Require,
    });
    if encrypted {
        config.ssl_mode(DriverSsl::Require).ssl_negotiation(SslNegotiation::Direct);
    } else {
        config.ssl_mode(DriverSsl::Disable);
    }
    config
}

/// Asks the server to cancel what a backend does: a connection of its own, which says only that.
pub(super) async fn cancel(
    target: &Target,
    index: usize,
    encrypted: bool,
    token: &tokio_postgres::CancelToken,
) -> Result<(), Fault> {
    let explained = |attempt| refusal::explain(attempt, target, index);
    let mut wire = dial(target, index).await.map_err(explained)?;
    let sent = if encrypted {
        if !offers_tls(&mut wire, target).await.map_err(explained)? {
            return Err(explained(Attempt::NoTls));
        }
        let connector = connector(target, index).map_err(explained)?;
        token.cancel_query_raw(wire, connector).await
    } else {
        token.cancel_query_raw(wire, NoTls).await
    };
    sent.map_err(|error| explained(Attempt::of_driver(error, None)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    /// F22: keepalives alone say nothing while a message waits to be acknowledged.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_into_a_dead_network_is_given_up_after_a_minute_whatever_was_sent() {
        use super::*;
        use rustix::net::sockopt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let tuned = |url: &str| {
            let target = Target::parse(url, &|_| None).unwrap();
            tune(&stream, &target).unwrap();
            sockopt::tcp_user_timeout(&stream).unwrap()
        };
        assert_eq!(tuned("postgresql://shop@db/shop"), 60_000);
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(tuned("postgresql://shop@db/shop?tcp_user_timeout=1500"), 1500);
    }
}
