//! The playbook's own `lock(..)`: as long as the run, not as long as a connection.

use super::Desk;
use super::lease::Gate;

/// Somebody else asks for the lock that the run has.
const HELD: &str = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.objid = 4711 AND l.granted AND a.application_name LIKE 'runsheet%')";
/// The second step loses its session when it has begun.
const TWO: &str = r#"lock(4711, #{ wait: "300ms" });
step("one", || db::exec("INSERT INTO items VALUES (101, 'one')"));
step("two", #{ retry: 2 }, || {
    db::exec("SELECT pg_advisory_xact_lock(42)");
    db::exec("INSERT INTO items VALUES (102, 'two')");
});"#;

fn terminate(desk: &Desk) {
    desk.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'runsheet%'",
    );
}

/// P3: the session is ended between two steps; the next one goes on with a new session, and the
/// lock is held by it before the step does anything.
#[test]
fn a_named_lock_is_taken_again_after_a_reconnect() {
    // The server may need a moment to let go of what the ended session held.
    let desk = Desk::new(&TWO.replace("300ms", "60s"));
    let gate = Gate::closed(&desk);
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    assert_eq!(desk.value(HELD), "t");
    let first = "SELECT pid FROM pg_locks WHERE objid = 4711 AND granted";
    let pid = desk.value(first);
    terminate(&desk);
    desk.wait_until(&format!(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%xact_lock(42)%'
            AND application_name LIKE 'runsheet%' AND pid <> {pid} AND state = 'active')"
    ));
    assert_eq!(desk.value(HELD), "t", "the step has begun without the lock");
    assert_ne!(desk.value(first), pid);
    gate.open();
    run.wait().exits(0).shows("taken again");
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id > 100"), "2");
    desk.nothing_is_left();
}

/// P3: whoever took it meanwhile keeps it; the run stops before it does anything more.
#[test]
fn a_named_lock_that_somebody_else_took_meanwhile_stops_the_run() {
    let desk = Desk::new(TWO);
    let gate = Gate::closed(&desk);
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    let mut other = Gate::idle(&desk);
    other.tell("SET application_name = 'night job'; SELECT pg_advisory_lock(4711);\n");
    desk.wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE objid = 4711 AND NOT granted)");
    terminate(&desk);
    let ran = run.wait();
    ran.exits(3).shows("4711").shows("night job").shows("lost in the middle of the run");
    gate.open();
    assert_eq!(desk.value("SELECT string_agg(name, ' ') FROM items WHERE id > 100"), "one");
    other.open();
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id > 100"), "2");
    desk.nothing_is_left();
}

/// F25: a step that lets all locks of its session go loses the named one only until the next step.
#[test]
fn f25_a_named_lock_that_a_step_dropped_is_taken_again() {
    let desk = Desk::new(
        r#"lock(4711);
step("one", || db::exec("SELECT pg_sleep(1.1), pg_advisory_unlock_all()"));
step("two", || db::exec("SELECT pg_advisory_xact_lock(42)"));"#,
    );
    let gate = Gate::closed(&desk);
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    assert_eq!(desk.value(HELD), "t");
    gate.open();
    run.wait().exits(0).shows("taken again");
    desk.nothing_is_left();
}

/// A way back changes as much as the way there: its undos run under the lock as well.
#[test]
fn a_rollback_takes_the_named_lock_before_its_first_undo() {
    let desk = Desk::new(
        r#"lock(4711, #{ wait: "300ms" });
step("one", #{ undo: || db::exec("DELETE FROM items WHERE id = 101") },
    || db::exec("INSERT INTO items VALUES (101, 'one')"));"#,
    );
    desk.run().exits(0);
    let mut other = Gate::idle(&desk);
    other.tell("SELECT pg_advisory_lock(4711);\n");
    desk.wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE objid = 4711 AND granted)");
    let run = desk.newest_run();
    desk.call(&["rollback", &run, "--yes"]).exits(3).shows("4711");
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id > 100"), "1");
    other.open();
    desk.call(&["rollback", &run, "--yes"]).exits(0).shows("4711");
    desk.unchanged().nothing_is_left();
}

/// Steps that were appended behind a finished run are done under the lock.
#[test]
fn a_run_that_goes_on_behind_its_finished_steps_has_the_named_lock() {
    let desk = Desk::new(
        "lock(4711);\nstep(\"one\", || db::exec(\"INSERT INTO items VALUES (101, 'one')\"));",
    );
    desk.run().exits(0);
    desk.body(
        r#"lock(4711);
step("one", || db::exec("INSERT INTO items VALUES (101, 'one')"));
step("two", || db::exec("SELECT pg_advisory_xact_lock(42)"));"#,
    );
    let gate = Gate::closed(&desk);
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    assert_eq!(desk.value(HELD), "t");
    gate.open();
    run.wait().exits(0);
    desk.nothing_is_left();
}
