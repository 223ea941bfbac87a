//! The copy of a scratch server, made of its files.

use super::{GOOD, receipts, rehearse, report};
use crate::faults::Desk;

/// Enough for files to be worth it, and of every kind.
const LARGE: &str = "CREATE TABLE large (id int PRIMARY KEY, data text); \
    ALTER TABLE large ALTER data SET STORAGE EXTERNAL; \
    INSERT INTO large SELECT n, repeat(md5(n::text), 32000) FROM generate_series(1, 40) n; \
    CREATE INDEX large_half ON large ((id / 2)); CREATE SEQUENCE seen START 7; SELECT nextval('seen')";

fn desk(body: &str) -> Desk {
    let desk = Desk::new(body);
    desk.sql(LARGE);
    desk
}

const FILES: &str = "copying the source's files (pg_basebackup";

#[test]
fn a_scratch_servers_files_are_copied_and_are_the_same_database() {
    let desk = desk(&format!(
        r#"check("who", || expect_equal("who", db::value("SELECT current_user::text"), "clerk"));
        check("setting", || expect_equal("setting", db::value("SHOW work_mem"), "7MB"));
        check("nobody's secret", || expect_equal("passwords", db::value("SELECT secrets()"), 0));
        check("alone", || expect_equal("databases", db::value("SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database"),
            "postgres runsheet_start shop template0 template1"));
        check("its own settings", || expect_equal("setting", db::value("SHOW max_wal_size"), "2GB"));
        {GOOD}"#
    ));
    desk.sql(
        "CREATE ROLE clerk LOGIN REPLICATION PASSWORD 'canary-of-clerk'; \
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerk; \
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO clerk; GRANT pg_read_all_settings TO clerk; ALTER TABLE items OWNER TO clerk; \
         ALTER ROLE clerk IN DATABASE shop SET work_mem = '7MB'; \
         ALTER DATABASE shop SET statement_timeout = '90s'; GRANT CREATE ON DATABASE shop TO clerk; \
         CREATE FUNCTION secrets() RETURNS bigint LANGUAGE sql SECURITY DEFINER \
            AS 'SELECT count(rolpassword) FROM pg_authid'",
    );
    desk.cluster.create_database("another");
    desk.sql("ALTER SYSTEM SET max_wal_size = '3GB'");
    let before = desk.call(&["fingerprint"]).exits(0).stdout.clone();
    let clerk = desk.url().replace("user=postgres", "user=clerk");
    let ran = desk.project.run(&["rehearse", "it", "--url", &clerk]);
    ran.exits(0).stdout_shows("proven: after the undo steps everything is as it was");
    ran.stderr_shows(FILES).stderr_shows("removed from the copy: databases another");
    assert_eq!(report(&desk)["left_out"].to_string(), "[]");
    assert_eq!(report(&desk)["size"][1], 60);
    assert_eq!(receipts(&desk).len(), 1);
    assert_eq!(desk.call(&["fingerprint"]).exits(0).stdout, before);
    assert_eq!(desk.value("SELECT count(*) FROM pg_database WHERE datname = 'another'"), "1");
    desk.nothing_is_left();
}

/// What the copy says of itself is what the source says.
#[test]
fn the_fingerprint_of_the_copy_is_that_of_the_source() {
    let desk = desk(r#"step("nothing", #{ undo: || () }, || ());"#);
    let source = desk.call(&["fingerprint"]).exits(0).stdout.trim().to_string();
    desk.body(&format!(
        r#"check("same", || expect_equal("print", db::fingerprint(), "{source}"));
        step("nothing", #{{ undo: || () }}, || ());"#
    ));
    rehearse(&desk, &[]).exits(0).stderr_shows(FILES);
}

#[test]
fn where_files_would_be_another_copy_the_source_is_dumped() {
    let desk = desk(GOOD);
    let dumped = |words: &[&str], why: Option<&str>| {
        let ran = rehearse(&desk, words);
        ran.exits(0).stderr_shows("restoring into the copy");
        assert!(!ran.stderr.contains(FILES), "{}", ran.stderr);
        match why {
            Some(why) => drop(ran.stderr_shows(why)),
            None => assert!(!ran.stderr.contains("no physical copy"), "{}", ran.stderr),
        }
    };
    dumped(&["--sample", "50"], None);
    desk.sql(
        "CREATE ROLE plain LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain; \
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO plain; GRANT pg_read_all_settings TO plain; \
         GRANT CREATE ON DATABASE shop TO plain; ALTER TABLE items OWNER TO plain",
    );
    let plain = desk.url().replace("user=postgres", "user=plain");
    let ran = desk.project.run(&["rehearse", "it", "--url", &plain]);
    ran.exits(0).stderr_shows("the role has no REPLICATION").stderr_shows("restoring");
    desk.sql("CREATE UNLOGGED TABLE quick (id int); INSERT INTO quick VALUES (1)");
    dumped(&[], Some("the rows of unlogged tables would be missing"));
    assert_eq!(report(&desk)["size"][1], 61);
}
