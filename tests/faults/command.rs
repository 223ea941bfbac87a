//! Commands of a runner that is gone.

use super::Desk;
use crate::support::{lives, soon};

/// A child that writes for as long as it lives: into a file, and into the database.
const WRITER: &str = r#"step("writer", || app::run(["sh", "-c", SCRIPT], #{
    env: #{ DB: DATABASE }, timeout: "5m",
}));"#;

fn desk(script: &str) -> Desk {
    let desk = Desk::new("");
    desk.sql("CREATE TABLE log (n serial, at timestamptz DEFAULT clock_timestamp())");
    desk.project.file("runsheet.toml", "[commands]\nallow = [\"sh\"]\n");
    let body = WRITER
        .replace("SCRIPT", &format!("{script:?}"))
        .replace("DATABASE", &format!("{:?}", desk.url()));
    desk.body(&body);
    desk
}

fn psql() -> String {
    let programs = runsheet::postgres::programs::Programs::new(None, None);
    programs.find("psql", None).expect("psql").path.display().to_string()
}

/// F14: what a killed runner's command would have gone on to write is not written: neither by the
/// command, nor by the server for it.
#[cfg(target_os = "linux")]
#[test]
fn a_command_writes_nothing_after_the_runner_was_killed() {
    let desk = desk(&format!(
        "echo $$ > writer; while :; do echo x >> written; {} -X -q \"$DB\" -c 'INSERT INTO log DEFAULT VALUES'; done",
        psql()
    ));
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_until("SELECT count(*) > 2 FROM log");
    run.kill();
    // It is ended with its runner, and so is what it had asked of the server.
    let writer: u32 = desk.project.read("writer").trim().parse().unwrap();
    soon("the command ends", || !lives(writer));
    desk.cluster.wait_for_no_runner("shop");
    // Nobody is left who could write.
    let written = || (desk.value("SELECT count(*) FROM log"), desk.project.read("written"));
    let before = written();
    desk.value("SELECT pg_sleep(0.5)::text");
    assert_eq!(written(), before);
}

/// F14: its statement that was running on the server ends as well, because the server looks after
/// its client every half second.
#[cfg(target_os = "linux")]
#[test]
fn the_statement_of_a_killed_runners_command_ends_too() {
    let desk = desk(&format!(
        "{} -X -q \"$DB\" -c 'SELECT pg_sleep(30); INSERT INTO log DEFAULT VALUES'",
        psql()
    ));
    let run = desk.start(&["run", "it", "--yes"]);
    // The announcement of the command, which the runner wrote before, holds its text, too.
    let theirs = "FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%'
        AND application_name LIKE 'runsheet/%/%'";
    desk.wait_until(&format!("SELECT EXISTS (SELECT {theirs})"));
    let name = desk.value(&format!("SELECT application_name {theirs}"));
    assert!(name.ends_with("/sh"), "{name}");
    run.kill();
    // Had it gone on to its end, it would have written.
    desk.cluster.wait_for_no_runner("shop");
    assert_eq!(desk.value("SELECT count(*) FROM log"), "0");
    desk.nothing_is_left();
}

/// F14: a command that left its group and outlived its runner is found by its name in
/// pg_stat_activity by whoever takes over.
#[test]
fn a_takeover_ends_the_sessions_of_the_commands_that_the_dead_run_left() {
    let desk = desk(&format!(
        "setsid {} -X -q \"$DB\" -c 'SELECT pg_sleep(120); INSERT INTO log DEFAULT VALUES' >/dev/null 2>&1 & sleep 120",
        psql()
    ));
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(120)");
    run.kill();
    desk.wait_until("SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'");
    assert_eq!(
        desk.value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(120)%'"
        ),
        "1"
    );
    // Nobody can know what it had done: the run stops and asks. But it writes no more.
    desk.call(&["run", "it", "--yes"]).exits(5).shows("runsheet resolve");
    desk.nothing_is_left();
    assert_eq!(desk.value("SELECT count(*) FROM log"), "0");
}
