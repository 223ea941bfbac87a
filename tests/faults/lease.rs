//! Two runs at once.

use super::Desk;
pub(super) use crate::support::Gate;

const LONG: &str = r#"step("long", || { db::exec("SELECT pg_advisory_xact_lock(42)"); db::exec("DELETE FROM items") });"#;

impl Gate {
    /// Holds a lock that the step waits for, until told to let go.
    pub(super) fn closed(desk: &Desk) -> Self {
        let mut gate = Self::idle(desk);
        gate.tell("SELECT pg_advisory_lock(42);\n");
        desk.wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted)");
        gate
    }

    /// A session that does what it is told.
    pub(super) fn idle(desk: &Desk) -> Self {
        Self::to(&desk.url(), "psql")
    }
}

#[test]
fn a_second_run_that_may_not_wait_names_the_holder() {
    let desk = Desk::new(LONG);
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    let held = desk.value("SELECT run || ' ' || backend_pid FROM runsheet.lease");
    let (run, pid) = held.split_once(' ').unwrap();
    let second = desk.call(&["run", "it", "--yes", "--no-wait"]);
    second.exits(3).shows(run).shows(pid).shows("--wait").shows("--take-over");
    desk.unchanged();
    gate.open();
    first.wait().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "0");
    desk.nothing_is_left();
}

#[test]
fn a_second_run_that_waits_finds_nothing_to_do() {
    let desk = Desk::new(LONG);
    desk.sql("CREATE TABLE log (n serial)");
    desk.body(&format!(
        "{LONG}\nstep(\"count\", || db::exec(\"INSERT INTO log DEFAULT VALUES\"));"
    ));
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    let second = desk.start(&["run", "it", "--yes", "--wait", "30s"]);
    desk.wait_until(
        "SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name LIKE 'runsheet%'",
    );
    gate.open();
    first.wait().exits(0);
    second.wait().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM log"), "1");
    assert_eq!(desk.value("SELECT count(*) FROM runsheet.run"), "1");
    desk.nothing_is_left();
}

#[test]
fn a_run_whose_lease_was_taken_over_cannot_commit() {
    let desk = Desk::new(LONG);
    let gate = Gate::closed(&desk);
    let first = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    desk.body("step(\"other\", || db::exec(\"CREATE TABLE other (id int)\"));");
    desk.project.playbook(
        "two",
        "playbook(\"two\", #{});\nstep(\"other\", || db::exec(\"CREATE TABLE other (id int)\"));",
    );
    desk.call(&["run", "two", "--yes", "--take-over"]).exits(0);
    gate.open();
    let ran = first.wait();
    assert_ne!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "20");
    assert_eq!(desk.value("SELECT count(*) FROM runsheet.step WHERE key = 'long'"), "0");
    desk.nothing_is_left();
}
