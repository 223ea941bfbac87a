//! Taking the lease from somebody, and what he may still do afterwards: nothing.

use super::Desk;
use super::lease::Gate;
use crate::support::Wire;

const TWO: &str = r#"step("one", || db::exec("INSERT INTO log (step) VALUES (1)"));
step("two", || {
    db::exec("INSERT INTO log (step) VALUES (2)");
    db::exec("SELECT pg_advisory_xact_lock(42)");
});
step("three", || db::exec("INSERT INTO log (step) VALUES (3)"));"#;

fn desk() -> Desk {
    let desk = Desk::new(TWO);
    desk.sql("CREATE TABLE log (n serial, step int)");
    desk
}

/// Every step once, in order, committed under epochs that only grow; the run is done.
#[track_caller]
fn all_once(desk: &Desk) {
    assert_eq!(desk.value("SELECT string_agg(step::text, '' ORDER BY n) FROM log"), "123");
    assert_eq!(
        desk.value(
            "SELECT count(*) FROM runsheet.step a JOIN runsheet.step b ON a.at < b.at
             WHERE a.epoch > b.epoch"
        ),
        "0"
    );
    assert_eq!(desk.value("SELECT string_agg(state, ' ') FROM runsheet.run"), "done");
    assert_eq!(desk.value("SELECT run IS NULL FROM runsheet.lease"), "t");
    desk.nothing_is_left();
}

/// F15, F19, F20: a laptop sleeps in the middle of a step, its transaction open; a colleague takes
/// over; the laptop wakes.
#[test]
fn a_runner_that_wakes_after_a_takeover_commits_nothing_and_says_why() {
    let desk = desk();
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes", "--on-failure", "rollback"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    first.signal("STOP");
    gate.open();
    desk.call(&["run", "it", "--yes", "--no-wait"]).exits(3).shows("--take-over");
    desk.call(&["run", "it", "--yes", "--take-over"]).exits(0);
    all_once(&desk);
    let report = desk.of_run("report.md");
    first.signal("CONT");
    first.wait().exits(3).shows("no longer holds the lease").shows("runsheet lock");
    all_once(&desk);
    // Both went on with one run, on one machine: its file and its report are the new holder's.
    assert_eq!(desk.of_run("report.md"), report);
    desk.body(&format!("{TWO}\nstep(\"four\", || db::exec(\"SELECT 4\"));"));
    desk.call(&["run", "it", "--yes"]).exits(0);
}

/// F19: the server ended the stalled runner's session (a firewall, an administrator): its lock is
/// gone, and whoever comes next needs no flag.
#[test]
fn a_runner_that_lost_its_session_while_another_finished_is_fenced() {
    let desk = desk();
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    first.signal("STOP");
    desk.sql("SELECT pg_terminate_backend(backend_pid) FROM runsheet.lease");
    gate.open();
    desk.call(&["run", "it", "--yes"]).exits(0);
    first.signal("CONT");
    first.wait().exits(3).shows("no longer holds the lease");
    all_once(&desk);
}

/// F19: a step that may be tried again is not tried again by a runner that was overtaken.
#[test]
fn a_retried_step_does_not_take_the_lease_back() {
    let desk = Desk::new(&TWO.replace("step(\"two\", ", "step(\"two\", #{ retry: 5 }, "));
    desk.sql("CREATE TABLE log (n serial, step int)");
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    first.signal("STOP");
    gate.open();
    desk.call(&["run", "it", "--yes", "--take-over"]).exits(0);
    first.signal("CONT");
    first.wait().exits(3);
    all_once(&desk);
}

/// `--take-over RUN` ends that run and no other.
#[test]
fn a_takeover_that_names_another_run_ends_nobody() {
    let desk = desk();
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    let run = desk.value("SELECT run FROM runsheet.lease");
    // However patient it is: the lease is not that run's.
    desk.call(&["run", "it", "--yes", "--wait", "10m", "--take-over", "20200101-000000-abcd"])
        .exits(3)
        .shows(&run)
        .shows("not held by run 20200101-000000-abcd");
    first.signal("STOP");
    gate.open();
    desk.call(&["resume", &run, "--yes", "--take-over", &run]).exits(0);
    first.signal("CONT");
    first.wait().exits(3);
    all_once(&desk);
}

/// A rollback takes over as well: what the stalled run did is undone, and stays undone.
#[test]
fn a_rollback_takes_over_from_a_stalled_run() {
    let desk = Desk::new(
        r#"step("one", #{ undo: || db::exec("DELETE FROM log") }, || {
    db::exec("INSERT INTO log (step) VALUES (1)");
});
step("two", || db::exec("SELECT pg_advisory_xact_lock(42)"));
step("three", || db::exec("INSERT INTO log (step) VALUES (3)"));"#,
    );
    desk.sql("CREATE TABLE log (n serial, step int)");
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    let run = desk.value("SELECT run FROM runsheet.lease");
    first.signal("STOP");
    gate.open();
    desk.call(&["rollback", &run, "--yes", "--take-over"]).exits(0);
    first.signal("CONT");
    first.wait().exits(3);
    assert_eq!(desk.value("SELECT count(*) FROM log"), "0");
    assert_eq!(desk.value("SELECT string_agg(state, ' ') FROM runsheet.run"), "rolled_back");
    desk.nothing_is_left();
}

/// F22: the network between a runner and its server is gone without a word. The server keeps the
/// session, and the lock with it; a takeover names the ghost and ends it.
#[test]
fn a_runner_behind_a_dead_wire_is_named_and_taken_over() {
    let desk = desk();
    let wire = Wire::to(desk.cluster.port());
    let gate = Gate::closed(&desk);
    let url = format!("postgres://postgres@127.0.0.1:{}/shop", wire.port());
    let first = desk.project.spawn(&["run", "it", "--yes", "--url", &url]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    let run = desk.value("SELECT run FROM runsheet.lease");
    wire.go_dead();
    gate.open();
    desk.call(&["run", "it", "--yes", "--no-wait"]).exits(3).shows(&run);
    desk.call(&["run", "it", "--yes", "--take-over"]).exits(0);
    all_once(&desk);
    wire.come_back();
    first.wait().exits(3).shows("no longer holds the lease");
    all_once(&desk);
}

/// F22: what tells the server that its client vanished, and how soon.
#[test]
fn the_session_of_a_run_asks_for_keepalives_and_looks_after_its_client() {
    let desk = desk();
    let gate = Gate::closed(&desk);
    let url = desk.cluster.tcp_url("shop");
    desk.body(
        r#"step("show", || {
    db::exec("INSERT INTO shown SELECT name, setting FROM pg_settings WHERE name ~ 'keepalives|check_interval|^idle_.*(session|transaction).*_timeout|user_timeout'");
});"#,
    );
    desk.sql("CREATE TABLE shown (name text, setting text)");
    desk.project.run(&["run", "it", "--yes", "--url", &url]).exits(0);
    gate.open();
    let shown = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM shown";
    assert_eq!(
        desk.value(shown),
        "client_connection_check_interval=1000 idle_in_transaction_session_timeout=60000 \
         idle_session_timeout=0 tcp_keepalives_count=3 tcp_keepalives_idle=30 \
         tcp_keepalives_interval=10 tcp_user_timeout=60000"
    );
}

/// F24: a lease row that came back with a restore, its old holder's epoch in it, is never an
/// epoch again that somebody may still believe to have.
#[test]
fn a_restored_lease_row_gives_no_epoch_twice() {
    let desk = Desk::new(r#"step("one", || db::exec("SELECT 1"));"#);
    desk.run().exits(0);
    let before = desk.value("SELECT epoch FROM runsheet.lease");
    desk.sql("CREATE TABLE kept AS SELECT * FROM runsheet.lease");
    desk.call(&["run", "it", "--yes", "--again"]).exits(0);
    let last: i64 = desk.value("SELECT epoch FROM runsheet.lease").parse().unwrap();
    desk.sql(
        "UPDATE runsheet.lease l SET epoch = k.epoch, run = 'dead', holder = 'x', \
              backend_pid = 1, backend_start = k.backend_start FROM kept k",
    );
    desk.call(&["run", "it", "--yes", "--again", "--no-wait"]).exits(0);
    let now: i64 = desk.value("SELECT epoch FROM runsheet.lease").parse().unwrap();
    assert!(now > last, "{before} {last} {now}");
}
