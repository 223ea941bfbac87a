//! Servers that are not there, or not the right ones.

use super::Desk;
use crate::support::listener::closed_port;

const STEP: &str = r#"step("a", || db::exec("DELETE FROM items"));"#;

#[test]
fn a_database_that_does_not_exist_is_named() {
    let desk = Desk::new(STEP);
    let url = desk.cluster.url("shpo");
    desk.project.run(&["run", "it", "--yes", "--url", &url]).exits(7).shows("shpo").shows("3D000");
    desk.unchanged();
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    let desk = Desk::new(STEP);
    desk.sql("CREATE ROLE clerk LOGIN PASSWORD 'right-password'");
    desk.cluster.admit("host all clerk 127.0.0.1/32 scram-sha-256");
    let url = format!("postgres://clerk:canary-wrong@127.0.0.1:{}/shop", desk.cluster.port());
    let ran = desk.project.run(&["run", "it", "--yes", "--url", &url]);
    ran.exits(7).shows("clerk").shows("password").shows_nowhere("canary-wrong");
    desk.unchanged();
}

#[test]
fn a_server_that_is_not_there_is_tried_as_often_as_the_project_says() {
    let desk = Desk::new(STEP);
    desk.project.file("runsheet.toml", "[run]\nconnect_tries = 3\nconnect_every = \"20ms\"\n");
    let url = format!("postgres://postgres@127.0.0.1:{}/shop", closed_port());
    let ran = desk.project.run(&["run", "it", "--yes", "--url", &url]);
    ran.exits(7).shows("attempt 2 of 3").shows("127.0.0.1").shows("refused");
    assert!(!ran.stdout.contains("attempt 3 of 3"), "{}", ran.stdout);
}

#[test]
fn a_server_that_comes_up_late_is_waited_for() {
    let mut desk = Desk::new(STEP);
    desk.project.file("runsheet.toml", "[run]\nconnect_tries = 1000\nconnect_every = \"50ms\"\n");
    desk.cluster.stop();
    let run = desk.start(&["run", "it", "--yes"]);
    desk.cluster.restart();
    run.wait().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "0");
}

/// F45.
#[test]
fn a_role_that_may_not_make_the_ledger_is_told_the_grant() {
    let desk = Desk::new(STEP);
    desk.sql("CREATE ROLE clerk LOGIN; GRANT ALL ON items TO clerk");
    let url = format!("postgres://clerk@127.0.0.1:{}/shop", desk.cluster.port());
    let ran = desk.project.run(&["run", "it", "--yes", "--url", &url]);
    ran.exits(1).shows("GRANT CREATE ON DATABASE \"shop\" TO \"clerk\"");
    desk.unchanged().nothing_is_left();
    desk.sql("GRANT CREATE ON DATABASE shop TO clerk");
    desk.project.run(&["run", "it", "--yes", "--url", &url]).exits(0);
}

#[test]
fn a_right_that_is_missing_inside_a_step_is_named_and_the_step_rolled_back() {
    let desk = Desk::new(
        r#"step("a", || { db::exec("UPDATE items SET name = 'x'"); db::exec("CREATE TABLE public.t (id int)"); });"#,
    );
    desk.sql("CREATE ROLE clerk LOGIN; GRANT ALL ON items TO clerk; GRANT CREATE ON DATABASE shop TO clerk");
    desk.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC"); // as it is from 15 on
    let url = format!("postgres://clerk@127.0.0.1:{}/shop", desk.cluster.port());
    let ran = desk.project.run(&["run", "it", "--yes", "--url", &url]);
    ran.exits(1).shows("42501").shows("public").shows("GRANT");
    desk.unchanged();
}

/// F45.
#[test]
fn a_server_of_the_wrong_version_is_refused_by_a_check() {
    let desk = Desk::new(&format!("check(\"version\", || db::require_version(\">=99\"));\n{STEP}"));
    let major = desk.cluster.major().to_string();
    desk.run().exits(1).shows(">=99").shows(&major).shows("playbooks/it.rhai:2:");
    desk.unchanged();
}

/// F63.
#[test]
fn another_database_than_the_environment_expects_is_refused_before_any_statement() {
    let desk = Desk::with(&[("log_statement", "all")], STEP);
    desk.project.file(
        "runsheet.toml",
        "[environments.live]\nurl_env = \"LIVE\"\nexpect = { database = \"other\" }\n",
    );
    desk.call(&["run", "it", "--yes", "--env", "live"]).exits(4).shows("other").shows("shop");
    assert!(!desk.cluster.log().contains("DELETE FROM items"));
    desk.unchanged();
    assert_eq!(desk.value("SELECT to_regclass('runsheet.run') IS NULL"), "t");
}

/// F63.
#[test]
fn another_server_than_the_environment_expects_is_refused() {
    let desk = Desk::new(STEP);
    desk.project.file(
        "runsheet.toml",
        "[environments.live]\nurl_env = \"LIVE\"\nexpect = { system_identifier = \"7301234567890123456\" }\n",
    );
    let ran = desk.call(&["run", "it", "--yes", "--env", "live"]);
    ran.exits(4).shows("7301234567890123456").shows("system_identifier");
    desk.unchanged();
}

/// F65.
#[test]
fn a_protected_environment_asks_nobody_without_a_terminal() {
    let desk = Desk::new(STEP);
    desk.project
        .file("runsheet.toml", "[environments.live]\nurl_env = \"LIVE\"\nprotected = true\n");
    desk.call(&["run", "it", "--yes", "--env", "live"]).exits(4).shows("live").shows("protected");
    desk.unchanged();
    assert_eq!(desk.value("SELECT to_regclass('runsheet.run') IS NULL"), "t");
}

#[test]
fn a_plan_needs_no_rights_and_takes_no_transaction_id() {
    let desk = Desk::new(&format!("check(\"c\", || db::count(\"items\") == 20);\n{STEP}"));
    desk.sql("CREATE ROLE reader LOGIN; GRANT SELECT ON items TO reader");
    let url = format!("postgres://reader@127.0.0.1:{}/shop", desk.cluster.port());
    let next = "SELECT pg_snapshot_xmax(pg_current_snapshot())";
    let before = desk.value(next);
    let ran = desk.project.run(&["plan", "it", "--url", &url]);
    ran.exits(0).shows("DELETE FROM items");
    assert_eq!(desk.value(next), before);
    assert_eq!(desk.value("SELECT to_regclass('runsheet.run') IS NULL"), "t");
    desk.unchanged().nothing_is_left();
}

#[test]
fn a_pg_dump_older_than_the_server_is_refused_before_it_writes_a_file() {
    let desk = Desk::new(r#"step("backup", || pg::dump());"#);
    let bin = desk.project.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for name in ["pg_dump", "pg_restore", "psql", "pg_dumpall"] {
        use std::os::unix::fs::PermissionsExt;
        let path = bin.join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho '{name} (PostgreSQL) 9.6.24'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    desk.project.file("runsheet.toml", "[postgres]\nbin = \"bin\"\n");
    let url = desk.url();
    let mut command = desk.project.command(&["run", "it", "--yes", "--url", &url]);
    command.env("PATH", "/bin").env_remove("RUNSHEET_PG_BIN");
    let path = desk.project.path().to_path_buf();
    let ran = crate::support::project::Running::start(command, path).wait();
    ran.exits(1).shows("9.6").shows(&desk.cluster.major().to_string());
    let backups = desk.project.path().join("backups");
    assert!(!backups.exists() || std::fs::read_dir(backups).unwrap().next().is_none());
    desk.unchanged();
}
