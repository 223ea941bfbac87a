//! Many runners at once, and waiting without being in anybody's way.

use super::Desk;
use super::lease::Gate;

const COUNTED: &str = r#"step("gate", || db::exec("SELECT pg_advisory_xact_lock(42)"));
step("count", || db::exec("INSERT INTO log DEFAULT VALUES"));"#;

/// F16: containers that start together.
#[test]
fn of_twelve_runs_started_at_once_one_migrates_and_all_end_well() {
    let desk = Desk::new(COUNTED);
    desk.sql("CREATE TABLE log (n serial)");
    let all: Vec<_> = (0..12).map(|_| desk.start(&["run", "it", "--yes"])).collect();
    for ran in all.into_iter().map(|run| run.wait()) {
        ran.exits(0);
    }
    assert_eq!(desk.value("SELECT count(*) FROM log"), "1");
    assert_eq!(desk.value("SELECT string_agg(state, ' ') FROM runsheet.run"), "done");
    desk.nothing_is_left();
}

/// F16: the same, told not to wait.
#[test]
fn of_twelve_runs_that_may_not_wait_eleven_leave_at_once_and_name_the_holder() {
    let desk = Desk::new(COUNTED);
    desk.sql("CREATE TABLE log (n serial)");
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    let holder = desk.value("SELECT run FROM runsheet.lease");
    let others: Vec<_> =
        (0..11).map(|_| desk.start(&["run", "it", "--yes", "--no-wait"])).collect();
    for ran in others.into_iter().map(|run| run.wait()) {
        ran.exits(3).shows(&holder).shows(&format!("runsheet/{holder}"));
    }
    gate.open();
    first.wait().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM log"), "1");
}

/// F16: a server without a free connection is waited for, as one that is just starting (57P03).
#[test]
fn a_server_that_is_full_is_waited_for() {
    let desk =
        Desk::with(&[("max_connections", "6"), ("superuser_reserved_connections", "1")], COUNTED);
    desk.sql(
        "CREATE TABLE log (n serial); CREATE ROLE deployer LOGIN; \
              ALTER ROLE deployer CONNECTION LIMIT 2; \
              GRANT ALL ON DATABASE shop TO deployer; GRANT ALL ON log, log_n_seq TO deployer",
    );
    desk.project.file("runsheet.toml", "[run]\nconnect_tries = 300\nconnect_every = \"200ms\"\n");
    let url = desk.url().replace("postgres@", "deployer@");
    let words = ["run", "it", "--yes", "--url", &url];
    let all: Vec<_> = (0..6).map(|_| desk.project.spawn(&words)).collect();
    for ran in all.into_iter().map(|run| run.wait()) {
        ran.exits(0);
    }
    assert_eq!(desk.value("SELECT count(*) FROM log"), "1");
}

/// F17, F18: neither the holder nor those who wait keep a transaction or a snapshot open, for
/// which CREATE INDEX CONCURRENTLY would wait.
#[test]
fn an_index_is_built_concurrently_while_other_runs_wait() {
    let desk = Desk::new(
        r#"step("gate", || db::exec("SELECT pg_advisory_xact_lock(42)"));
step("index", #{ transaction: false }, || {
    db::exec("CREATE INDEX CONCURRENTLY items_name ON items (name)");
});"#,
    );
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    let waiting: Vec<_> =
        (0..3).map(|_| desk.start(&["run", "it", "--yes", "--wait", "50s"])).collect();
    desk.wait_until(
        "SELECT count(*) = 4 FROM pg_stat_activity WHERE application_name LIKE 'runsheet%'",
    );
    // Those who wait are seen without a transaction, again and again: whoever waits in one never is.
    for _ in 0..5 {
        desk.wait_until(
            "SELECT count(*) = 3 FROM pg_stat_activity WHERE application_name LIKE 'runsheet%'
             AND xact_start IS NULL AND query NOT LIKE '%advisory_xact_lock(42)%'",
        );
    }
    gate.open();
    first.wait().exits(0);
    for run in waiting {
        run.wait().exits(0);
    }
    assert_eq!(
        desk.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'items_name'::regclass"),
        "t"
    );
    desk.nothing_is_left();
}

/// F23: a lease row without a live holder holds nobody up.
#[test]
fn after_kill_9_the_next_run_goes_on_without_being_told() {
    let desk = Desk::new(COUNTED);
    desk.sql("CREATE TABLE log (n serial)");
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    first.kill();
    // The server looks after its client once a second: then the lock is gone, and the row stays.
    desk.cluster.wait_for_no_runner("shop");
    assert_eq!(desk.value("SELECT run IS NOT NULL FROM runsheet.lease"), "t");
    gate.open();
    desk.call(&["run", "it", "--yes", "--no-wait"]).exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM log"), "1");
    desk.nothing_is_left();
}

/// F25: SQL of a step that drops every advisory lock of its session.
#[test]
fn a_step_that_drops_the_runs_own_lock_lets_nobody_in() {
    let desk = Desk::new(
        r#"step("drop", || db::exec("SELECT pg_advisory_unlock_all()"));
step("gate", || db::exec("SELECT pg_advisory_xact_lock(42)"));
step("count", || db::exec("INSERT INTO log DEFAULT VALUES"));"#,
    );
    desk.sql("CREATE TABLE log (n serial)");
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    desk.call(&["run", "it", "--yes", "--no-wait"]).exits(3);
    // The lock is held again, and also without it the live holder in the row would count.
    assert_eq!(
        desk.value(
            "SELECT count(*) FROM pg_locks k JOIN runsheet.lease l ON l.backend_pid = k.pid
             WHERE locktype = 'advisory' AND granted AND objid <> 42"
        ),
        "1"
    );
    gate.open();
    first.wait().exits(0).shows("released the run's own lock");
    assert_eq!(desk.value("SELECT count(*) FROM log"), "1");
    desk.nothing_is_left();
}

/// F25: while the step that dropped the lock still runs, nobody holds it.
#[test]
fn a_holder_without_its_lock_is_waited_for_because_it_lives() {
    let desk = Desk::new(
        r#"step("drop", || {
    db::exec("SELECT pg_advisory_unlock_all()");
    db::exec("SELECT pg_advisory_xact_lock(42)");
    db::exec("INSERT INTO log DEFAULT VALUES");
});"#,
    );
    desk.sql("CREATE TABLE log (n serial)");
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    desk.call(&["run", "it", "--yes", "--no-wait"]).exits(3).shows("--take-over");
    gate.open();
    first.wait().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM log"), "1");
}

/// F26: whatever the server's settings are, the session that holds the lease is not ended for
/// being idle.
#[test]
fn an_idle_holder_keeps_its_session() {
    let desk = Desk::with(
        &[("idle_session_timeout", "300ms"), ("idle_in_transaction_session_timeout", "300ms")],
        r#"step("one", || db::exec("INSERT INTO log DEFAULT VALUES"));
step("person", || app::run(["sleep", "1"]));
step("two", || { db::exec("INSERT INTO log DEFAULT VALUES"); });"#,
    );
    desk.project.file("runsheet.toml", "[commands]\nallow = [\"sleep\"]\n");
    desk.sql("CREATE TABLE log (n serial)");
    desk.run().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM log"), "2");
    assert_eq!(desk.value("SELECT count(DISTINCT epoch) FROM runsheet.step"), "1");
}

/// F27: nobody is waited for inside a transaction.
#[test]
fn a_question_inside_a_step_is_refused() {
    let desk =
        Desk::new(r#"step("one", || { db::exec("DELETE FROM items"); approve("go on?"); });"#);
    desk.run().exits(2);
    desk.unchanged();
}
