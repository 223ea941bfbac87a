//! Lost connections, sleeping runners, standbys that do not answer, commands that outlive.

use super::Desk;
use crate::support::{Gate, soon};

/// F11: the script swallows the error of a connection that was ended, and goes on: it does not go
/// on in another session.
#[test]
fn a_session_that_is_ended_inside_a_step_is_not_replaced_inside_that_step() {
    let desk = Desk::new(
        r#"step("step", || {
    db::exec("INSERT INTO items VALUES (101, 'one')");
    try { db::exec("SELECT pg_sleep(60)") } catch {}
    try { db::exec("INSERT INTO items VALUES (102, 'two')") } catch {}
});"#,
    );
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(60)");
    desk.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'",
    );
    let ran = run.wait();
    assert!([1, 7].contains(&ran.code), "{} {}{}", ran.code, ran.stdout, ran.stderr);
    desk.unchanged().nothing_is_left();
}

/// F12: a time limit of the runner's side ends the statement on the server, not only the wait.
#[test]
fn a_statement_whose_time_is_over_has_ended_when_the_step_is_said_to_have_failed() {
    let desk = Desk::new(
        r#"step("slow", #{ timeout: "300ms" }, || db::exec("SELECT pg_sleep(2); DELETE FROM items"));"#,
    );
    desk.run().exits(1).shows("as before");
    assert_eq!(desk.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(2)%' AND pid <> pg_backend_pid()"), "0");
    desk.unchanged().nothing_is_left();
}

/// F08: neither the role's default nor the step's own SQL makes a step that says done forgettable.
#[test]
fn a_commit_of_a_step_is_durable_whatever_the_role_and_the_step_have_set() {
    let mut desk = Desk::new(
        r#"step("role", || db::exec("INSERT INTO items SELECT 101, current_setting('synchronous_commit')"));
step("own", || { db::exec("SET LOCAL synchronous_commit = off"); db::exec("INSERT INTO items VALUES (102, 'own')"); });
step("after", || db::exec("INSERT INTO items SELECT 103, current_setting('synchronous_commit')"));"#,
    );
    desk.sql("ALTER ROLE postgres SET synchronous_commit = off");
    desk.sql("ALTER SYSTEM SET wal_writer_delay = '10s'");
    desk.cluster.reload();
    desk.run().exits(0);
    desk.cluster.crash();
    desk.cluster.restart();
    let names = "SELECT string_agg(name, ' ' ORDER BY id) FROM items WHERE id > 100";
    assert_eq!(desk.value(names), "on own on");
    assert_eq!(desk.value("SELECT count(*) FROM runsheet.step"), "3");
}

/// F14: a command that is at work when its runner is killed does not go on, and what it had asked
/// of the server is ended by whoever goes on with the run.
#[test]
fn a_command_does_not_go_on_after_its_runner_was_killed() {
    let desk = Desk::new(
        r#"step("command", || app::run(["psql", "-X", "-c", "SELECT pg_sleep(1.5); INSERT INTO items VALUES (101, 'late')", p.url],
    #{ probe: ["psql", "-X", "-c", "DO $$ BEGIN ASSERT EXISTS (SELECT FROM items WHERE id = 101); END $$", p.url] }));"#,
    );
    let url = desk.url();
    desk.body(&format!(
        "let p = playbook(\"it\", #{{ params: #{{ url: \"{url}\" }} }});\n{}",
        desk.project.read("playbooks/it.rhai").lines().skip(1).collect::<Vec<_>>().join("\n")
    ));
    desk.project.file("runsheet.toml", "[commands]\nallow = [\"psql\"]\n");
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(1.5)");
    run.kill();
    desk.call(&["resume", "--yes"]).exits(0);
    // Once: that of the second process. The first one's would have come before it.
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id = 101"), "1");
    desk.nothing_is_left();
}

/// F36: a build that fails is cleared away at once, and a wreck that lies there does not stop the
/// next run.
#[test]
fn an_index_that_cannot_be_built_leaves_no_invalid_one() {
    let desk = Desk::new(
        r#"step("unique", || db::exec("CREATE UNIQUE INDEX CONCURRENTLY items_name ON items (name)"));"#,
    );
    let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    desk.sql("UPDATE items SET name = 'same' WHERE id < 3");
    desk.run().exits(1).shows("items_name");
    assert_eq!(desk.value(invalid), "0");
    let wreck = crate::support::cluster::query(
        &desk.url(),
        "CREATE UNIQUE INDEX CONCURRENTLY items_name ON items (name)",
    );
    assert!(wreck.is_err());
    assert_eq!(desk.value(invalid), "1");
    desk.sql("UPDATE items SET name = 'other' WHERE id = 1");
    desk.run().exits(0);
    assert_eq!(desk.value(invalid), "0");
    desk.nothing_is_left();
}

/// Ctrl-C inside a build: no wreck either, and the report says that nothing changed.
#[test]
fn an_interrupted_build_of_an_index_is_cleared_away() {
    let desk = Desk::new(
        r#"step("index", || db::exec("CREATE INDEX CONCURRENTLY items_name ON items (name)"));"#,
    );
    desk.sql("CREATE FUNCTION slow(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT t FROM (SELECT pg_sleep(120)) s'");
    desk.body(
        r#"step("index", || db::exec("CREATE INDEX CONCURRENTLY items_slow ON items (slow(name))"));"#,
    );
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_until("SELECT EXISTS (SELECT FROM pg_index WHERE NOT indisvalid)");
    run.signal("INT");
    run.wait().exits(130).shows("as before");
    assert_eq!(desk.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0");
    desk.nothing_is_left();
}

#[cfg(feature = "failpoints")]
mod at_points {
    use super::*;
    use crate::support::project::Running;

    const TWO: &str = r#"step("one", || db::exec("INSERT INTO items VALUES (101, 'one')"));
step("two", || db::exec("INSERT INTO items VALUES (102, 'two')"));"#;
    const ADDED: &str =
        "SELECT coalesce(string_agg(name, ' ' ORDER BY id), '') FROM items WHERE id > 100";

    /// A run that sleeps at a crash point.
    fn asleep(desk: &Desk, point: &str, url: &str) -> Running {
        let mut command = desk.project.command(&["run", "it", "--yes", "--url", url]);
        command.env("RUNSHEET_FAILPOINT", format!("{point}:STOP"));
        let run = Running::start(command, desk.project.path().to_path_buf());
        run.wait_until_it_stands_still();
        run
    }

    /// From now on every COMMIT waits for a standby that does not exist. It is the checkpointer that
    /// makes the setting hold: a COMMIT of somebody else shows when it does.
    fn wait_for_a_standby(desk: &Desk) {
        desk.sql("CREATE TABLE probe (n int)");
        desk.sql("ALTER SYSTEM SET synchronous_standby_names = 'nosuch'");
        desk.cluster.reload();
        let mut other = Gate::connected(&desk.url(), "probe");
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE application_name = 'probe' AND wait_event = 'SyncRep')";
        let rows = "SELECT count(*) FROM probe";
        let mut committed = 0;
        other.tell("INSERT INTO probe VALUES (1);\n");
        soon("a COMMIT waits for the standby", || {
            if desk.value(rows) != committed.to_string() {
                committed += 1;
                other.tell("INSERT INTO probe VALUES (1);\n");
            }
            desk.value(waits) == "t"
        });
        desk.sql(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'probe'",
        );
        other.done();
        other.open();
    }

    /// F06: COMMIT waits for a standby that does not exist. It is said, it can be left, and what
    /// is said then is true: the step stands.
    #[test]
    fn a_commit_that_waits_for_a_standby_is_durable_and_not_called_failed() {
        let desk = Desk::new(TWO);
        let run = asleep(&desk, "before-commit:1", &desk.url());
        wait_for_a_standby(&desk);
        run.signal("CONT");
        desk.wait_until(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')",
        );
        let first = "SELECT EXISTS (SELECT FROM items WHERE id = 101)";
        assert_eq!(desk.value(first), "f", "visible to nobody before the standby has it");
        run.signal("INT");
        let ran = run.wait();
        ran.exits(5).shows("durable here").shows("one").shows("runsheet resume");
        assert_eq!(desk.value(ADDED), "one");
        assert_eq!(desk.value("SELECT state FROM runsheet.run"), "failed");
        desk.sql("ALTER SYSTEM RESET synchronous_standby_names");
        desk.cluster.reload();
        desk.call(&["resume", "--yes"]).exits(0);
        assert_eq!(desk.value(ADDED), "one two");
        desk.nothing_is_left();
    }

    /// F15, F19: a laptop that sleeps while another one takes over finds that out when it wakes.
    #[test]
    fn a_runner_that_slept_through_a_take_over_changes_nothing_when_it_wakes() {
        let desk = Desk::new(TWO);
        let run = asleep(&desk, "before-commit:2", &desk.url());
        desk.call(&["run", "it", "--yes", "--take-over"]).exits(0);
        assert_eq!(desk.value(ADDED), "one two");
        run.signal("CONT");
        let ran = run.wait();
        // It did not do this alone, and cannot know what the other one did.
        ran.exits(3).shows("runsheet lock");
        assert_eq!(desk.value(ADDED), "one two");
        desk.call(&["run", "it", "--yes"]).exits(0);
        desk.nothing_is_left();
    }

    /// F05: the client is cut off at once, the COMMIT arrives late: it is waited for or ended, and
    /// either way the step happens once.
    #[test]
    fn a_commit_that_arrives_late_counts_once() {
        use crate::chaos::proxy::{Cut, Proxy};
        use std::time::Duration;
        let desk = Desk::new(TWO);
        let proxy = Proxy::start(desk.cluster.port());
        let url = proxy.url("shop");
        let run = asleep(&desk, "before-commit:2", &url);
        proxy.plan(Some((1, Cut::Late(Duration::from_millis(700)))));
        run.signal("CONT");
        run.wait().exits(0);
        assert_eq!(desk.value(ADDED), "one two");
        desk.nothing_is_left();
    }
}
