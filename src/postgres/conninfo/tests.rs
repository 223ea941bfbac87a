#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn parse_in(text: &str, env: &[(&str, &str)]) -> Result<Target, Fault> {
    let find = |name: &str| {
        env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
    };
    Target::parse(text, &find)
}

fn parse(text: &str) -> Result<Target, Fault> {
    parse_in(text, &[("USER", "me")])
}

/// One line that says everything a test may want to know.
fn line(target: &Target) -> String {
    let hosts: Vec<String> = (0..target.hosts.len()).map(|i| target.display_host(i)).collect();
    let password = target.password_for(0).map_or("-".into(), |p| p.expose_secret().to_string());
    format!(
        "{} {} {} {} {}",
        target.user,
        password,
        hosts.join(","),
        target.database,
        target.sslmode.word()
    )
}

#[test]
fn every_form_that_people_have_is_understood() {
    for (text, wanted) in [
        ("postgres://u:p@h:5433/db", "u p h:5433 db prefer"),
        ("postgresql://u:p@h/db", "u p h:5432 db prefer"),
        ("POSTGRESQL://u@h/db", "u - h:5432 db prefer"),
        ("  postgresql://u:p@h/db\n", "u p h:5432 db prefer"),
        ("\"postgresql://u:p@h/db\"", "u p h:5432 db prefer"),
        ("'postgresql://u:p@h/db'", "u p h:5432 db prefer"),
        ("postgresql://h/db", "me - h:5432 db prefer"),
        ("postgresql://:p@h/db", "me p h:5432 db prefer"),
        ("postgresql://u:@h/db", "u - h:5432 db prefer"),
        ("postgresql://u:a%40b%2F%3F%23%25@h/db", "u a@b/?#% h:5432 db prefer"),
        ("postgresql://u:a:b@h/db", "u a:b h:5432 db prefer"),
        ("postgresql://u%40corp:p@h/my%20db", "u@corp p h:5432 my db prefer"),
        ("postgresql://u:%EB%B9%84%EB%B0%80@h/%EC%83%81%EC%A0%90", "u 비밀 h:5432 상점 prefer"),
        ("postgresql://u@[::1]:5433/db", "u - [::1]:5433 db prefer"),
        ("postgresql://u@[::1]/db", "u - [::1]:5432 db prefer"),
        ("postgresql://u@h1:5432,h2:5433/db", "u - h1:5432,h2:5433 db prefer"),
        ("postgresql://u@h1,h2/db", "u - h1:5432,h2:5432 db prefer"),
        ("postgresql://u@[::1]:1,h2:2/db", "u - [::1]:1,h2:2 db prefer"),
        ("postgresql://u@%2Frun%2Fpg/db", "u - /run/pg:5432 db prefer"),
        ("postgresql://u@%2Frun%2Fpg:5433/db", "u - /run/pg:5433 db prefer"),
        ("postgresql:///db?host=/run/pg&user=u", "u - /run/pg:5432 db prefer"),
        ("postgresql://u@/db?host=/run/pg&port=5433", "u - /run/pg:5433 db prefer"),
        ("postgresql://u@/db?host=a:5432&host=b:5433", "u - a:5432,b:5433 db prefer"),
        ("postgresql://h?dbname=db&user=u&password=p", "u p h:5432 db prefer"),
        ("postgresql://h/?dbname=db&user=u", "u - h:5432 db prefer"),
        ("postgresql://h/db?user=app@server", "app@server - h:5432 db prefer"),
        ("postgresql://u@h/db?sslmode=disable", "u - h:5432 db disable"),
        ("postgresql://u@h/db?sslmode=allow", "u - h:5432 db allow"),
        ("postgresql://u@h/db?sslmode=require", "u - h:5432 db require"),
        ("postgresql://u@h/db?sslmode=verify-ca", "u - h:5432 db verify-ca"),
        ("postgresql://u@h/db?sslmode=verify-full", "u - h:5432 db verify-full"),
        ("postgresql://u@h/db?sslmode=no-verify", "u - h:5432 db require"),
        ("postgresql://u@h/db?sslrootcert=system", "u - h:5432 db verify-full"),
        ("postgresql://u@h/db?requiressl=1", "u - h:5432 db require"),
        ("postgresql://u@h/db?ssl=true", "u - h:5432 db require"),
        ("postgresql://u@h/db?ssl=false", "u - h:5432 db disable"),
        ("postgresql+psycopg2://u:p@h/db", "u p h:5432 db prefer"),
        ("postgresql+asyncpg://u:p@h/db?ssl=verify-full", "u p h:5432 db verify-full"),
        ("postgres+psycopg://u:p@h/db", "u p h:5432 db prefer"),
        ("psql://u:p@h/db", "u p h:5432 db prefer"),
        ("postgis://u:p@h/db", "u p h:5432 db prefer"),
        ("postgresql://u:p@h/db?schema=public&pgbouncer=true", "u p h:5432 db prefer"),
        ("postgresql://u@h/db?sslmode=require&sslaccept=strict", "u - h:5432 db verify-full"),
        ("postgresql://u@h/db?sslaccept=strict&sslmode=require", "u - h:5432 db verify-full"),
        ("postgresql://u@h/db?sslaccept=accept_invalid_certs", "u - h:5432 db require"),
        ("jdbc:postgresql://h:5433/db?user=u&password=p", "u p h:5433 db prefer"),
        ("jdbc:postgresql://h/db?user=u&password=p+q%2B", "u p q+ h:5432 db prefer"),
        ("jdbc:postgresql://h1:1,h2:2/db?user=u", "u - h1:1,h2:2 db prefer"),
        ("jdbc:postgresql:db?user=u", "u - localhost:5432 db prefer"),
        ("jdbc:postgresql://h/db?user=u&ssl=true", "u - h:5432 db verify-full"),
        ("host=h dbname=db user=u", "u - h:5432 db prefer"),
        ("host = h  dbname = db user=u password=''", "u - h:5432 db prefer"),
        ("host=h dbname='my db' user=u password='it\\'s \\\\'", "u it's \\ h:5432 my db prefer"),
        ("host=h dbname=db user=u password=a\\ b", "u a b h:5432 db prefer"),
        ("host=h1,h2 port=1,2 dbname=db user=u", "u - h1:1,h2:2 db prefer"),
        ("host=h1,h2 port=7 dbname=db user=u", "u - h1:7,h2:7 db prefer"),
        ("host=/run/pg dbname=db user=u", "u - /run/pg:5432 db prefer"),
        ("host=h password=a://b@c dbname=db user=u", "u a://b@c h:5432 db prefer"),
        ("hostaddr=10.0.0.1 dbname=db user=u", "u - 10.0.0.1:5432 db prefer"),
        ("host=fe80::1 dbname=db user=u", "u - [fe80::1]:5432 db prefer"),
    ] {
        match parse(text) {
            Ok(target) => assert_eq!(line(&target), wanted, "{text}"),
            Err(fault) => panic!("{text}: {} {fault}", fault.code),
        }
    }
}

#[test]
fn every_refusal_has_its_code_and_its_remedy_and_gives_nothing_away() {
    for (text, code) in [
        ("", "url-empty"),
        ("   ", "url-empty"),
        ("\"\"", "url-empty"),
        ("shop", "url-form"),
        ("hunter2.example/db", "url-form"),
        ("postgres:/hunter2", "url-form"),
        ("mysql://u:hunter2@h/db", "url-scheme"),
        ("sqlite:hunter2.db", "url-scheme"),
        ("https://u:hunter2@h/db", "url-scheme"),
        ("prisma://accelerate/?api_key=hunter2", "url-prisma-proxy"),
        ("prisma+postgres://x/?api_key=hunter2", "url-prisma-proxy"),
        ("postgresql://u:hunter2@h", "url-no-database"),
        ("postgresql://u:hunter2@h/", "url-no-database"),
        ("host=h password=hunter2", "url-no-database"),
        ("postgresql://u:hunter2@zebra@h/db", "url-password"),
        ("postgresql://u:hunter2/zebra@h/db", "url-password"),
        ("postgresql://u:12/hunter2@h/db", "url-password"),
        ("postgresql://u:hunter2?zebra@h/db", "url-password"),
        ("postgresql://u:12?hunter2@h/db", "url-password"),
        ("postgresql://u:hunter2#zebra@h/db", "url-password"),
        ("postgresql://h/db?user=u&password=hunter2#x", "url-hash"),
        ("postgresql://u:hunter2%zz@h/db", "url-percent"),
        ("postgresql://u:hunter2%@h/db", "url-percent"),
        ("postgresql://u:hunter2%ff@h/db", "url-percent"),
        ("postgresql://u:hunter2@h:port/db", "url-port"),
        ("postgresql://u:hunter2@h:0/db", "url-port"),
        ("postgresql://u:hunter2@h:65536/db", "url-port"),
        ("host=h port=hunter2 dbname=db", "url-port"),
        ("postgresql://u:hunter2@::1/db", "url-ipv6"),
        ("postgresql://u:hunter2@[hunter2]/db", "url-host"),
        ("postgresql://u:hunter2@[::1/db", "url-host"),
        ("postgresql://u:hunter2@${DB_HOST}/db", "url-host"),
        ("postgresql://u:hunter2@<host>/db", "url-host"),
        ("postgresql://u:hunter2@h/a/b", "url-path"),
        ("postgresql://u:hunter2@h/db?sslmode=always", "url-value"),
        ("postgresql://u:hunter2@h/db?sslmod=require", "url-parameter"),
        ("postgresql://u:hunter2@h/db?sslpassword=hunter2", "url-parameter"),
        ("postgresql://u:hunter2@h/db?gssencmode=require", "url-parameter"),
        ("postgresql://u:hunter2@h/db?sslmode=require&sslrootcert=system", "url-sslmode"),
        ("postgresql://u:hunter2@h/db?sslnegotiation=direct", "url-sslmode"),
        ("postgresql://u:hunter2@h/db?replication=database", "url-replication"),
        ("postgresql://u:hunter2@h/db?target_session_attrs=master", "url-value"),
        ("postgresql://u:hunter2@h/db?channel_binding=yes", "url-value"),
        ("postgresql://u:hunter2@h/db?require_auth=md5,!none", "url-value"),
        ("postgresql://u:hunter2@h/db?connect_timeout=soon", "url-value"),
        ("postgresql://u:hunter2@h/db?ssl_min_protocol_version=SSLv3", "url-value"),
        ("postgresql://u:hunter2@h/db?novalue", "url-form"),
        ("host=h1,h2 port=1,2,3 dbname=db", "url-hosts"),
        ("host=h passwrd=hunter2 dbname=db", "url-parameter"),
        ("host=h dbname=db password='hunter2", "url-form"),
        ("host=h dbname=db hunter2", "url-form"),
        ("postgresql://u:hunter2@h/db?service=nosuch", "service-unknown"),
    ] {
        let fault = parse(text).err().unwrap_or_else(|| panic!("{text} was taken"));
        assert_eq!(fault.code, code, "{text}");
        assert_eq!(fault.kind.exit_code(), 2, "{text}");
        assert!(fault.remedy.is_some(), "{text}");
        let shown = format!("{fault:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("zebra"), "{text}: {shown}");
    }
}

#[test]
fn a_misspelt_word_is_named_with_its_neighbour() {
    let fault = parse("postgresql://u@h/db?sslmod=require").unwrap_err();
    assert!(fault.message.contains("sslmod") && fault.remedy.unwrap().contains("sslmode"));
}

#[test]
fn the_environment_fills_what_the_string_leaves_open() {
    let env = [
        ("USER", "me"),
        ("PGHOST", "envhost"),
        ("PGPORT", "7777"),
        ("PGUSER", "envuser"),
        ("PGPASSWORD", "envpass"),
        ("PGDATABASE", "envdb"),
        ("PGSSLMODE", "require"),
        ("PGHOSTADDR", "10.9.9.9"),
        ("PGOPTIONS", "-c statement_timeout=5s"),
        ("PGCONNECT_TIMEOUT", "3"),
        ("PGTARGETSESSIONATTRS", "primary"),
        ("PGAPPNAME", "nightly"),
    ];
    let target = parse_in("postgresql://h", &env).unwrap();
    assert_eq!(line(&target), "envuser envpass h:7777 envdb require");
    assert_eq!(target.addresses, [None], "the address belongs to the environment's host");
    assert_eq!(target.options, "-c statement_timeout=5s");
    assert_eq!(target.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(target.target_session_attrs, SessionAttrs::Primary);
    let find = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string());
    let target = Target::from_environment(&find).unwrap();
    assert_eq!(line(&target), "envuser envpass envhost:7777 envdb require");
    assert!(target.addresses[0].is_some());
    let fault = Target::from_environment(&|_| None).unwrap_err();
    assert!(["url-no-database", "url-no-user"].contains(&fault.code.as_str()));
}

#[test]
fn service_file_and_password_file_are_read_in_their_turn() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let services = "[shop]\nhost=svc\nport=6000\ndbname=svcdb\nuser=svcuser\n";
    std::fs::write(home.path().join(".pg_service.conf"), services).unwrap();
    let pgpass = home.path().join(".pgpass");
    std::fs::write(&pgpass, "svc:6000:other:svcuser:two\nsvc:6000:*:svcuser:one\n").unwrap();
    std::fs::set_permissions(&pgpass, std::fs::Permissions::from_mode(0o600)).unwrap();
    let home = home.path().to_str().unwrap();
    let env = [("HOME", home), ("PGHOST", "envhost"), ("PGSSLMODE", "disable")];
    let target = parse_in("service=shop", &env).unwrap();
    assert_eq!(line(&target), "svcuser one svc:6000 svcdb disable");
    assert_eq!(line(&target.with_database("other")), "svcuser two svc:6000 other disable");
    let target = parse_in("service=shop host=h password=given", &env).unwrap();
    assert_eq!(line(&target), "svcuser given h:6000 svcdb disable");
    let redactor = Redactor::default();
    parse_in("service=shop password=longsecret", &env).unwrap().teach(&redactor);
    assert_eq!(redactor.clean("x longsecret"), "x ******");
}

#[test]
fn what_was_translated_or_ignored_is_noted() {
    let text = "postgresql://u@h/db?schema=Shop&pgbouncer=true&connection_limit=5&pool_timeout=2";
    let target = parse(text).unwrap();
    assert_eq!(target.search_path.as_deref(), Some("\"Shop\""));
    assert!(target.notes.iter().any(|note| note.contains("connection_limit")));
    assert!(target.notes.iter().any(|note| note.contains("pool_timeout")));
    assert_eq!(target.notes.len(), 4);
    assert!(parse("postgresql://u@h/db").unwrap().notes.is_empty());
    let target = parse("jdbc:postgresql://h/db?user=u&currentSchema=a,b").unwrap();
    assert_eq!(target.search_path.as_deref(), Some("\"a\", \"b\""));
}

#[test]
fn every_parameter_of_libpq_arrives() {
    let target = parse(
        "postgresql://u@h/db?sslrootcert=/r.crt&sslcert=/c.crt&sslkey=/k.key&sslmode=verify-ca\
         &options=-c%20a%3Db&connect_timeout=4&keepalives_idle=9&keepalives_interval=3\
         &keepalives_count=2&tcp_user_timeout=1500&channel_binding=require&gssencmode=prefer\
         &target_session_attrs=prefer-standby&fallback_application_name=f&client_encoding=utf8\
         &require_auth=scram-sha-256&ssl_min_protocol_version=TLSv1.3&hostaddr=10.0.0.1",
    )
    .unwrap();
    assert_eq!(target.sslrootcert.as_deref(), Some("/r.crt"));
    assert_eq!(target.sslcert, Some("/c.crt".into()));
    assert_eq!(target.sslkey, Some("/k.key".into()));
    assert_eq!(target.options, "-c a=b");
    assert_eq!(target.connect_timeout, Some(Duration::from_secs(4)));
    assert_eq!(target.keepalive.idle, Some(Duration::from_secs(9)));
    assert_eq!(target.keepalive.interval, Some(Duration::from_secs(3)));
    assert_eq!((target.keepalive.count, target.keepalive.on), (Some(2), true));
    assert_eq!(target.tcp_user_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(target.channel_binding, ChannelBinding::Require);
    assert_eq!(target.target_session_attrs, SessionAttrs::PreferStandby);
    assert_eq!(target.application_name.as_deref(), Some("f"));
    assert_eq!(target.require_auth, ["scram-sha-256"]);
    assert!(target.tls13_only);
    assert_eq!(target.addresses[0].map(|a| a.to_string()).as_deref(), Some("10.0.0.1"));
}

#[test]
fn a_password_is_never_shown() {
    let target = parse("postgresql://u:hunter2@h1,[::1]:5433/my%20db").unwrap();
    assert_eq!(target.display(), "postgresql://u@h1:5432,[::1]:5433/my%20db");
    assert!(!format!("{target:?}").contains("hunter2"));
    assert!(!format!("{:?}", target.libpq_env()).contains("hunter2"));
    let socket = parse("postgresql://u:hunter2@/db?host=/run/pg&port=5433").unwrap();
    assert_eq!(socket.display(), "postgresql://u@/db?host=/run/pg&port=5433");
}

#[test]
fn a_child_process_is_led_to_the_same_place() {
    let target =
        parse("postgresql://u:pa%3Ass@h1:1,h2:2/db?sslmode=require&schema=My App").unwrap();
    let env = target.libpq_env();
    let get = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!(get("PGHOST"), Some("h1,h2"));
    assert_eq!(get("PGPORT"), Some("1,2"));
    assert_eq!(get("PGDATABASE"), Some("db"));
    assert_eq!(get("PGSSLMODE"), Some("require"));
    assert_eq!(get("PGOPTIONS"), Some("-c search_path=\"My\\ App\""));
    assert_eq!(get("PGPASSWORD"), None);
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(target.write_passfile(directory.path()).unwrap()).unwrap();
    assert_eq!(text, "h1:1:*:u:pa\\:ss\nh2:2:*:u:pa\\:ss\n");
}

#[test]
fn this_machine_is_known() {
    for (text, local) in [
        ("postgresql://u@localhost/db", true),
        ("postgresql://u@127.0.0.1/db", true),
        ("postgresql://u@[::1]/db", true),
        ("postgresql://u@/db?host=/run/pg", true),
        ("postgresql://u@db.example.com/db", false),
        ("postgresql://u@localhost,h2/db", false),
        ("postgresql://u@localhost/db?hostaddr=10.0.0.1", false),
        ("postgresql://u@127.0.0.1.example.com/db", false),
    ] {
        assert_eq!(parse(text).unwrap().is_local(), local, "{text}");
    }
}
