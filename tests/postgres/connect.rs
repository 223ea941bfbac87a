//! Getting in, and every way of not getting in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use runsheet::model::{Fault, FaultKind};
use runsheet::postgres::{ConnectOptions, SslMode, Target, connect, wait_ready};

use super::{cancel_its_sleep, open, target, wait};
use crate::support::{AT_ONCE, Cluster, Pooler};

fn refused(target: &Target) -> Fault {
    refused_within(target, Duration::from_secs(10))
}

fn refused_within(target: &Target, timeout: Duration) -> Fault {
    let options = ConnectOptions { timeout, ..ConnectOptions::default() };
    let fault = wait(connect(target, &options)).expect_err("was let in");
    assert_eq!(fault.kind, FaultKind::NoConnection, "{fault:?}");
    fault
}

#[test]
fn a_session_knows_its_backend_and_its_version() {
    let cluster = Cluster::start();
    wait(async {
        for url in [cluster.url("postgres"), cluster.tcp_url("postgres")] {
            let session = open(&url).await;
            assert!(!session.behind_pooler());
            assert!(!session.is_encrypted() && !session.in_recovery() && !session.is_closed());
            assert_eq!(session.server_version() / 10_000, cluster.major());
            let sql =
                "SELECT pid, application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()";
            let rows = session.query(sql, &[]).await.unwrap();
            assert_eq!(rows.rows[0][0], session.backend_pid());
            assert_eq!(rows.rows[0][1], "runsheet");
            let start = session.backend_start().await.unwrap();
            let check = "SELECT backend_start = $1::text::timestamptz FROM pg_stat_activity \
                WHERE pid = pg_backend_pid()";
            let same = session.query(check, &[start.into()]).await.unwrap();
            assert_eq!(same.first().unwrap(), true);
        }
    });
}

#[test]
fn the_session_is_pinned_against_the_defaults_of_its_role() {
    let cluster = Cluster::start();
    let newer = cluster.major() >= 14;
    if newer {
        cluster.sql("postgres", "ALTER ROLE postgres SET idle_session_timeout = '700ms'");
    }
    cluster.sql(
        "postgres",
        "ALTER ROLE postgres SET statement_timeout = '5s'; \
         ALTER ROLE postgres SET synchronous_commit = off; \
         ALTER ROLE postgres SET default_transaction_read_only = on; CREATE SCHEMA \"My App\"",
    );
    wait(async {
        let url = format!("{}&schema=My%20App", cluster.url("postgres"));
        let url = if url.contains('?') { url } else { url.replacen('&', "?", 1) };
        let session = open(&url).await;
        for (name, wanted) in [
            ("statement_timeout", "0"),
            ("synchronous_commit", "on"),
            ("idle_session_timeout", "0"),
            ("default_transaction_read_only", "off"),
            ("client_connection_check_interval", "1s"),
            ("search_path", "\"My App\""),
        ] {
            if !newer
                && ["idle_session_timeout", "client_connection_check_interval"].contains(&name)
            {
                continue;
            }
            let rows = session.query("SELECT current_setting($1)", &[name.into()]).await.unwrap();
            assert_eq!(rows.first().unwrap(), wanted, "{name}");
        }
        // Who names a setting in the connection string wants it.
        let mut target = target(&url);
        target.options = "-c statement_timeout=7s".into();
        let session = connect(&target, &ConnectOptions::default()).await.unwrap();
        let rows = session.query("SELECT current_setting('statement_timeout')", &[]).await.unwrap();
        assert_eq!(rows.first().unwrap(), "7s");
    });
}

#[test]
fn nobody_there_no_database_and_an_unknown_name_are_told_apart() {
    let cluster = Cluster::start();
    assert_eq!(refused(&target("postgresql://u@127.0.0.1:1/db")).code, "no-server");
    assert_eq!(refused(&target("postgresql://u@%2Fnowhere/db")).code, "no-server");
    assert_eq!(refused(&target("postgresql://u@nosuch.invalid/db")).code, "unknown-host");
    let fault = refused(&target(&cluster.tcp_url("nosuchdb")));
    assert_eq!((fault.code.as_str(), fault.sqlstate.as_deref()), ("no-database", Some("3D000")));
    assert!(fault.message.contains("nosuchdb") && fault.remedy.is_some());
}

#[test]
fn a_black_hole_costs_no_more_than_the_time_limit() {
    // Accepts, and never says a word: connect_timeout of the driver does not cover that.
    let hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hole.local_addr().unwrap().port();
    for mode in ["disable", "prefer", "require"] {
        let target = target(&format!("postgresql://u@127.0.0.1:{port}/db?sslmode={mode}"));
        let begun = Instant::now();
        let fault = refused_within(&target, Duration::from_millis(300));
        assert_eq!(fault.code, "timeout");
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    }
}

#[test]
fn a_wrong_password_is_refused_at_once_and_never_shown() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE guest LOGIN PASSWORD 'right-one'");
    cluster.admit("host all guest all scram-sha-256\nlocal all guest scram-sha-256");
    let url = cluster.tcp_url("postgres");
    let mut guest = target(&url);
    guest.user = "guest".into();
    guest.password = None;
    assert_eq!(refused(&guest).code, "no-password");
    guest.password = Some("canary-secret".to_string().into());
    let mut heard = 0;
    let fault = wait(wait_ready(
        &guest,
        &ConnectOptions::default(),
        30,
        Duration::from_secs(60),
        &mut |_, _, _| heard += 1,
    ))
    .unwrap_err();
    assert_eq!((fault.code.as_str(), fault.sqlstate.as_deref()), ("wrong-password", Some("28P01")));
    assert_eq!(heard, 0, "waiting does not mend a password");
    assert!(!format!("{fault:?}").contains("canary-secret"));
    guest.password = Some("right-one".to_string().into());
    wait(connect(&guest, &ConnectOptions::default())).unwrap();
    guest.require_auth = vec!["md5".into()];
    assert_eq!(refused(&guest).code, "auth-not-allowed");
    guest.require_auth = vec!["scram-sha-256".into()];
    wait(connect(&guest, &ConnectOptions::default())).unwrap();
    guest.user = "nobody".into();
    cluster.admit("host all nobody all reject");
    assert_eq!(refused(&guest).code, "not-admitted");
}

#[test]
fn the_next_host_is_tried_and_must_be_what_was_asked_for() {
    let cluster = Cluster::start();
    let mut hosts = target(&cluster.tcp_url("postgres"));
    hosts.hosts.insert(0, (runsheet::postgres::HostSpec::Tcp("127.0.0.1".into()), 1));
    hosts.addresses.insert(0, None);
    let session = wait(connect(&hosts, &ConnectOptions::default())).unwrap();
    assert_eq!(session.host_index(), 1);
    use runsheet::postgres::conninfo::SessionAttrs;
    for (attrs, fits) in [
        (SessionAttrs::ReadWrite, true),
        (SessionAttrs::Primary, true),
        (SessionAttrs::PreferStandby, true),
        (SessionAttrs::Standby, false),
        (SessionAttrs::ReadOnly, false),
    ] {
        hosts.target_session_attrs = attrs;
        if fits {
            wait(connect(&hosts, &ConnectOptions::default())).unwrap();
        } else {
            let fault = refused(&hosts);
            assert_eq!(fault.code, "wrong-server-state");
            assert_eq!(fault.more[0].code, "no-server", "the other host's fault is told too");
        }
    }
}

#[test]
fn waiting_ends_when_the_server_comes_up() {
    let mut cluster = Cluster::start();
    let target = target(&cluster.tcp_url("postgres"));
    cluster.stop();
    let mut attempts = Vec::new();
    let session = wait(wait_ready(
        &target,
        &ConnectOptions::default(),
        20,
        Duration::from_millis(20),
        &mut |attempt, of, fault| {
            attempts.push((attempt, of, fault.code.clone()));
            if attempt == 3 {
                cluster.restart();
            }
        },
    ));
    session.unwrap();
    assert_eq!(attempts[0], (1, 20, "no-server".to_string()));
    assert!(attempts.len() >= 3);
}

#[test]
fn waiting_gives_up_after_its_tries() {
    let mut attempts = 0;
    let options = ConnectOptions::default();
    let target = target("postgresql://u@127.0.0.1:1/db");
    let every = Duration::from_millis(1);
    let fault = wait(wait_ready(&target, &options, 3, every, &mut |_, _, _| attempts += 1));
    assert_eq!((attempts, fault.unwrap_err().code.as_str()), (3, "no-server"));
}

#[test]
fn too_many_connections_are_named() {
    let cluster = Cluster::with_settings(&[
        ("max_connections", "4"),
        ("superuser_reserved_connections", "0"),
        ("max_wal_senders", "0"),
    ]);
    let url = cluster.tcp_url("postgres");
    let fault = wait(async {
        let mut held = Vec::new();
        loop {
            match connect(&target(&url), &ConnectOptions::default()).await {
                Ok(session) => held.push(session),
                Err(fault) => return fault,
            }
            assert!(held.len() < 10);
        }
    });
    assert_eq!(fault.code, "too-many-connections");
}

/// An authority, and a server certificate for `localhost`, made by openssl.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(folder: &Path) -> Self {
        let this = Self { folder: folder.to_path_buf() };
        for name in ["ca", "other"] {
            this.openssl(&format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {name}.key -out {name}.crt -subj /CN={name}"
            ));
        }
        std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        this.issue("server", "localhost", "-extfile names");
        this.issue("client", "certuser", "");
        this
    }

    fn issue(&self, name: &str, subject: &str, more: &str) {
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={subject}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out {name}.crt {more}"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let out = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.folder)
            .output()
            .expect("these tests need the openssl program");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Turns TLS on in a running server.
    fn install(&self, cluster: &Cluster) {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let data = cluster.data_dir();
        let owner = std::fs::metadata(&data).unwrap();
        for name in ["server.crt", "server.key", "ca.crt"] {
            let to = data.join(name);
            std::fs::copy(self.path(name), &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(&to, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        for sql in ["ALTER SYSTEM SET ssl = on", "ALTER SYSTEM SET ssl_ca_file = 'ca.crt'"] {
            cluster.sql("postgres", sql);
        }
        cluster.reload();
        assert_eq!(cluster.value("postgres", "SHOW ssl"), "on");
    }
}

#[test]
fn tls_is_as_strict_as_sslmode_says() {
    let cluster = Cluster::start();
    if !cluster.speaks_tls() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    authority.install(&cluster);
    let base = target(&cluster.tcp_url("postgres"));
    let ask = |host: &str, mode: SslMode, root: Option<&str>| {
        let mut target = base.clone();
        let port = target.hosts[0].1;
        target.hosts = vec![(runsheet::postgres::HostSpec::Tcp(host.into()), port)];
        target.addresses = vec![Some("127.0.0.1".parse().unwrap())];
        target.sslmode = mode;
        target.sslrootcert = root.map(|name| authority.path(name).display().to_string());
        target
    };
    let (right, wrong) = (Some("ca.crt"), Some("other.crt"));
    for (host, mode, root, wanted) in [
        ("localhost", SslMode::Disable, None, "plain"),
        ("localhost", SslMode::Allow, None, "plain"),
        ("localhost", SslMode::Prefer, None, "encrypted"),
        ("localhost", SslMode::Prefer, wrong, "encrypted"),
        ("localhost", SslMode::Require, None, "encrypted"),
        ("localhost", SslMode::Require, wrong, "tls-untrusted"),
        ("localhost", SslMode::VerifyCa, right, "encrypted"),
        ("elsewhere", SslMode::VerifyCa, right, "encrypted"),
        ("localhost", SslMode::VerifyCa, wrong, "tls-untrusted"),
        ("localhost", SslMode::VerifyFull, right, "encrypted"),
        ("elsewhere", SslMode::VerifyFull, right, "tls-name"),
        ("127.0.0.1", SslMode::VerifyFull, right, "tls-name"),
        ("localhost", SslMode::VerifyFull, wrong, "tls-untrusted"),
        ("localhost", SslMode::VerifyFull, None, "tls-untrusted"),
        ("localhost", SslMode::VerifyFull, Some("server.crt"), "encrypted"),
        ("elsewhere", SslMode::VerifyFull, Some("server.crt"), "tls-name"),
        ("localhost", SslMode::VerifyFull, Some("server.key"), "tls-root"),
        ("localhost", SslMode::VerifyFull, Some("nosuch"), "tls-root"),
    ] {
        let got = wait(async {
            match connect(&ask(host, mode, root), &ConnectOptions::default()).await {
                Err(fault) => fault.code,
                Ok(session) => {
                    assert!(!session.behind_pooler());
                    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
                    let rows = session.query(sql, &[]).await.unwrap();
                    assert_eq!(rows.first().unwrap(), session.is_encrypted());
                    if session.is_encrypted() { "encrypted".into() } else { "plain".into() }
                }
            }
        });
        assert_eq!(got, wanted, "{host} {mode:?} {root:?}");
    }
}

#[test]
fn a_client_certificate_opens_the_door_and_cancelling_goes_through_tls() {
    let cluster = Cluster::start();
    if !cluster.speaks_tls() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    authority.install(&cluster);
    cluster.sql("postgres", "CREATE ROLE certuser LOGIN");
    cluster.admit("hostssl all certuser all cert");
    let mut target = target(&cluster.tcp_url("postgres"));
    target.user = "certuser".into();
    target.sslmode = SslMode::Require;
    assert!(["not-admitted", "tls-client-refused"].contains(&refused(&target).code.as_str()));
    target.sslcert = Some(authority.path("client.crt"));
    assert_eq!(refused(&target).code, "tls-client-key");
    target.sslkey = Some(authority.path("server.key"));
    assert_eq!(refused(&target).code, "tls-client-key", "the key of another certificate");
    target.sslkey = Some(authority.path("client.key"));
    wait(async {
        let session = connect(&target, &ConnectOptions::default()).await.unwrap();
        let other = cancel_its_sleep(&cluster, &session);
        let slept = session.simple("SELECT pg_sleep(120)").await;
        assert!(slept.unwrap_err().is("57014"));
        other.join().unwrap();
    });
}

#[test]
fn a_server_without_tls_is_taken_by_prefer_and_refused_by_require() {
    let cluster = Cluster::start();
    let mut target = target(&cluster.tcp_url("postgres"));
    target.sslmode = SslMode::Prefer;
    assert!(!wait(connect(&target, &ConnectOptions::default())).unwrap().is_encrypted());
    target.sslmode = SslMode::Require;
    assert_eq!(refused(&target).code, "tls-not-offered");
}

#[test]
fn a_pooler_is_found_out() {
    let cluster = Cluster::start();
    let Some(pooler) = Pooler::start(cluster.port(), 2) else { return };
    let target = target(&format!("{}?schema=app", pooler.url("postgres")));
    let every = Duration::from_millis(20);
    let options = ConnectOptions::default();
    let result = wait(wait_ready(&target, &options, 200, every, &mut |_, _, _| {}));
    let found = result.map(|session| (session.behind_pooler(), session.notes().len()));
    assert_eq!(found.unwrap(), (true, 2));
}
