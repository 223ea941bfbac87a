//! Commands of a runner that is gone.

use super::Desk;

/// A child that writes for as long as it lives: into a file, and into the database.
const WRITER: &str = r#"step("writer", || app::run(["sh", "-c", SCRIPT], #{
    env: #{ DB: DATABASE }, timeout: "1m",
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
        "while :; do echo x >> written; {} -X -q \"$DB\" -c 'INSERT INTO log DEFAULT VALUES'; done",
        psql()
    ));
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_until("SELECT count(*) > 2 FROM log");
    run.signal("KILL");
    run.wait().exits(137);
    let killed = desk.value("SELECT clock_timestamp()");
    // What was on its way at that moment may still arrive; then there is silence.
    desk.wait_until(
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'runsheet%')",
    );
    let (rows, lines) = (desk.value("SELECT count(*) FROM log"), desk.project.read("written"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(desk.value("SELECT count(*) FROM log"), rows);
    assert_eq!(desk.project.read("written"), lines);
    let late = desk.value(&format!(
        "SELECT count(*) FROM log WHERE at > '{killed}'::timestamptz + interval '1 s'"
    ));
    assert_eq!(late, "0");
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
    desk.wait_for_statement("pg_sleep(30)");
    let name = desk.value(
        "SELECT application_name FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%'
         AND application_name LIKE 'runsheet/%/%'",
    );
    assert!(name.ends_with("/sh"), "{name}");
    run.signal("KILL");
    run.wait().exits(137);
    let since = std::time::Instant::now();
    desk.wait_until(
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'runsheet%')",
    );
    assert!(since.elapsed() < std::time::Duration::from_secs(8), "{:?}", since.elapsed());
    assert_eq!(desk.value("SELECT count(*) FROM log"), "0");
    desk.nothing_is_left();
}

/// F14: a command that left its group and outlived its runner is found by its name in
/// pg_stat_activity by whoever takes over.
#[test]
fn a_takeover_ends_the_sessions_of_the_commands_that_the_dead_run_left() {
    let desk = desk(&format!(
        "setsid {} -X -q \"$DB\" -c 'SELECT pg_sleep(30); INSERT INTO log DEFAULT VALUES' >/dev/null 2>&1 & sleep 30",
        psql()
    ));
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(30)");
    run.signal("KILL");
    run.wait().exits(137);
    desk.wait_until("SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'");
    assert_eq!(
        desk.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%'"),
        "1"
    );
    // Nobody can know what it had done: the run stops and asks. But it writes no more.
    desk.call(&["run", "it", "--yes"]).exits(5).shows("runsheet resolve");
    desk.nothing_is_left();
    assert_eq!(desk.value("SELECT count(*) FROM log"), "0");
}
