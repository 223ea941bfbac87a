//! Another server behind the same address: a standby, a promoted one, a swapped one.

use std::path::Path;
use std::process::Command;

use super::Desk;
use crate::support::Cluster;

const TWO: &str = r#"step("one", || db::exec("INSERT INTO log VALUES (1)"));
step("two", || { db::exec("INSERT INTO log VALUES (2)"); expect(db::has_table("go"), "not yet") });"#;

fn one_of_two() -> Desk {
    let desk = Desk::new(TWO);
    desk.sql("CREATE TABLE log (step int)");
    desk.run().exits(5);
    desk
}

fn done(desk: &Desk) -> String {
    desk.value("SELECT coalesce(string_agg(step::text, '' ORDER BY step), '') FROM log")
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// The stopped server comes back as a standby that follows nobody.
fn demote(desk: &mut Desk) {
    desk.cluster.stop();
    let data = desk.cluster.data_dir();
    copy(&data.join("PG_VERSION"), &data.join("standby.signal"));
    desk.cluster.restart();
}

fn promote(desk: &Desk) {
    desk.cluster.sql("postgres", "SELECT pg_promote()");
    desk.wait_until("SELECT NOT pg_is_in_recovery()");
}

/// F32: an advisory lock is granted on a standby, too; that is no right to write.
#[test]
fn f32_a_standby_is_refused_before_the_first_item() {
    let mut desk = one_of_two();
    demote(&mut desk);
    for words in [&["run", "it", "--yes"][..], &["resume", "--yes"]] {
        let ran = desk.call(words);
        ran.shows("standby").shows("primary");
        assert_ne!(ran.code, 0);
    }
    assert_eq!(done(&desk), "1");
    desk.call(&["plan", "it"]).shows("INSERT INTO log VALUES (2)");
    desk.nothing_is_left();
}

/// F34: another timeline is another server, also with the same data.
#[test]
fn f34_a_server_that_took_over_is_named_and_accepted_with_a_reason_only() {
    let mut desk = one_of_two();
    demote(&mut desk);
    promote(&desk);
    desk.sql("CREATE TABLE go ()");
    for words in [&["resume", "--yes"][..], &["run", "it", "--yes"]] {
        let ran = desk.call(words);
        ran.exits(4).shows("timeline should be 1, is 2").shows("not the server that run");
        ran.shows("--accept-database --reason");
        assert_eq!(done(&desk), "1");
    }
    desk.call(&["resume", "--yes", "--accept-database", "--reason", "planned switch"]).exits(0);
    assert_eq!(done(&desk), "12");
    assert!(desk.of_run("events.jsonl").contains("planned switch"));
}

/// F33: the server that took over had not received the last commit. Its journal is believed, not
/// the file; the file is why the run stops.
#[test]
fn f33_a_failover_that_lost_a_commit_is_seen_and_the_step_done_again_when_a_person_says_so() {
    let mut desk = Desk::new(TWO);
    desk.sql("CREATE TABLE log (step int)");
    desk.call(&["run", "it", "--yes", "--until", "one"]).exits(0);
    let data = desk.cluster.data_dir();
    let replica = data.with_extension("replica");
    desk.cluster.stop();
    copy(&data, &replica);
    desk.cluster.restart();
    desk.sql("CREATE TABLE go ()");
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(done(&desk), "12");
    desk.cluster.stop();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&replica, &data).unwrap();
    copy(&data.join("PG_VERSION"), &data.join("standby.signal"));
    desk.cluster.restart();
    promote(&desk);
    assert_eq!(done(&desk), "1");
    let ran = desk.call(&["resume", &desk.newest_run(), "--yes"]);
    ran.exits(4).shows("timeline");
    assert_eq!(done(&desk), "1");
    desk.sql("CREATE TABLE go ()");
    let run = desk.newest_run();
    let ran = desk.call(&["resume", &run, "--yes", "--accept-database", "--reason", "site B"]);
    ran.exits(0).shows("knows of more: two");
    assert_eq!(done(&desk), "12");
}

/// F63: the address leads to another cluster than yesterday.
#[test]
fn f63_a_swapped_server_gets_nothing_of_an_unfinished_run() {
    let mut desk = one_of_two();
    let mut other = Cluster::fresh();
    other.create_database("shop");
    other.sql("shop", "CREATE TABLE log (step int); CREATE TABLE go ()");
    // Under its own address first, then under the address of the old one.
    let url = other.url("shop");
    let run = desk.newest_run();
    let named = desk.project.run(&["resume", &run, "--yes", "--url", &url]);
    named.exits(4).shows("system_identifier should be").shows("not the server that run");
    other.stop();
    desk.cluster.stop();
    let (data, new) = (desk.cluster.data_dir(), other.data_dir());
    let kept = data.with_extension("kept");
    std::fs::rename(&data, &kept).unwrap();
    copy(&new, &data);
    for name in ["postgresql.conf", "postgresql.auto.conf"] {
        std::fs::copy(kept.join(name), data.join(name)).unwrap();
    }
    desk.cluster.restart();
    for words in [&["resume", "--yes"][..], &["resume", &run, "--yes"], &["run", "it", "--yes"]] {
        let ran = desk.call(words);
        ran.exits(4).shows("system_identifier should be").shows("not the server that run");
        ran.shows("--accept-database --reason");
        assert_eq!(done(&desk), "");
    }
    desk.nothing_is_left();
    std::fs::remove_dir_all(&kept).unwrap();
}

/// F34: what a run meets behind a new connection must be what it began on.
#[test]
fn f34_a_server_that_changed_while_the_run_was_at_work_gets_no_further_step() {
    let mut desk = Desk::new(
        r#"step("one", || db::exec("INSERT INTO log VALUES (1)"));
step("cut", #{ optional: true }, || db::exec("SELECT pg_sleep(120) FROM log"));
step("two", || db::exec("INSERT INTO log VALUES (2)"));"#,
    );
    desk.sql("CREATE TABLE log (step int)");
    desk.project.file("runsheet.toml", "[run]\nconnect_tries = 1000\nconnect_every = \"50ms\"\n");
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(120)");
    desk.cluster.crash();
    let data = desk.cluster.data_dir();
    copy(&data.join("PG_VERSION"), &data.join("recovery.signal"));
    let conf = data.join("postgresql.auto.conf");
    let text = std::fs::read_to_string(&conf).unwrap_or_default();
    std::fs::write(&conf, format!("{text}restore_command = 'false'\n")).unwrap();
    desk.cluster.restart();
    let ran = run.wait();
    // It may answer before it has left recovery: a standby is as wrong as another timeline.
    ran.exits(5).shows("not the server that run");
    assert_eq!(done(&desk), "1");
}

/// F35: limits that an administrator set for the role do not end a step of ours.
#[test]
fn f35_a_statement_timeout_of_the_role_does_not_end_a_step() {
    let desk = Desk::new(r#"step("a", || db::exec("SELECT pg_sleep(0.4)"));"#);
    desk.sql(
        "ALTER ROLE postgres SET statement_timeout = '100ms';
         ALTER DATABASE shop SET default_transaction_read_only = on",
    );
    desk.run().exits(0);
    // Our own limit is said by its name.
    desk.body(r#"step("b", #{ timeout: "200ms" }, || db::exec("SELECT pg_sleep(30)"));"#);
    let ran = desk.call(&["run", "it", "--yes", "--again"]);
    ran.shows("timeout");
    assert_ne!(ran.code, 0);
}

/// F47: what a step sets in its session ends with the step.
#[test]
fn f47_a_role_a_path_and_a_setting_do_not_leak_into_the_next_step() {
    let desk = Desk::new(
        r#"step("sets", || {
    db::exec("SET search_path = elsewhere");
    db::exec("SET ROLE clerk");
    db::exec("SET work_mem = '65MB'");
});
step("looks", || db::exec("INSERT INTO seen SELECT current_user, current_setting('search_path'), current_setting('work_mem')"));"#,
    );
    desk.sql(
        "CREATE ROLE clerk; CREATE SCHEMA elsewhere; CREATE TABLE seen (who text, path text, mem text);
         CREATE TABLE elsewhere.seen (LIKE seen)",
    );
    desk.run().exits(0);
    let seen = desk.value("SELECT who || ' ' || path || ' ' || mem FROM seen");
    assert_eq!(seen, "postgres \"$user\", public 4MB");
}

/// F64: a guard cannot be switched off by a variable that somebody forgot, nor without a reason.
#[test]
fn f64_an_unprotected_stranger_needs_a_reason_on_the_command_line() {
    let mut desk = Desk::new(TWO);
    desk.project.env("RUNSHEET_UNPROTECTED", "1").env("RUNSHEET_YES", "1");
    desk.project.env("RUNSHEET_REASON", "habit").env("RUNSHEET_ACCEPT_DATABASE", "1");
    let url = "postgres://clerk@192.0.2.1:1/shop?connect_timeout=1";
    let ran = desk.project.run(&["run", "it", "--yes", "--url", url]);
    ran.exits(4);
    let ran = desk.project.run(&["run", "it", "--yes", "--unprotected", "--url", url]);
    ran.exits(2).shows("--unprotected needs a reason").shows("--reason");
}
