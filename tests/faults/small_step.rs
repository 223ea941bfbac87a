//! What a small step leaves out because it costs as much as the step does, and what it must not.

use super::Desk;
use super::lease::Gate;

fn statements_with<'l>(log: &'l str, text: &str) -> Vec<&'l str> {
    log.lines().filter(|line| line.contains("statement: ") && line.contains(text)).collect()
}

/// The epoch is compared where the step's row is written, also where it was not at the begin.
#[test]
fn a_step_whose_epoch_is_over_gets_no_row() {
    let desk = Desk::new(
        r#"step("first", || db::exec("CREATE TABLE first (id int)"));
step("second", || {
    db::exec("DELETE FROM items");
    db::exec("UPDATE runsheet.lease SET epoch = epoch + 1");
});"#,
    );
    desk.run().exits(3);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "20");
    assert_eq!(desk.value("SELECT string_agg(key, ' ') FROM runsheet.step"), "first");
}

/// Whoever takes the lease waits for the transaction that holds it, whatever that one has looked at.
#[test]
fn nobody_takes_the_lease_while_a_step_of_another_is_open() {
    let desk = Desk::new(r#"step("first", || db::exec("CREATE TABLE first (id int)"));"#);
    desk.run().exits(0);
    desk.project.playbook(
        "two",
        "playbook(\"two\", #{});\nstep(\"other\", || db::exec(\"CREATE TABLE other (id int)\"));",
    );
    let mut open = Gate::idle(&desk);
    open.tell("BEGIN; LOCK TABLE runsheet.lease IN ROW SHARE MODE;\n");
    desk.wait_until(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'runsheet.lease'::regclass)",
    );
    let before = desk.value("SELECT epoch FROM runsheet.lease");
    desk.call(&["run", "two", "--yes", "--no-wait"]).exits(3);
    assert_eq!(desk.value("SELECT epoch FROM runsheet.lease"), before);
    open.open();
    desk.call(&["run", "two", "--yes"]).exits(0);
}

/// A look at the lease is good for a second: long enough for small steps, too short for a take-over
/// that nobody noticed.
#[test]
fn behind_a_pause_the_lease_is_looked_at_before_anything_else() {
    let desk = Desk::with(
        &[("log_statement", "all")],
        r#"step("a", || db::exec("INSERT INTO items VALUES (101, 'a')"));
step("b", || db::exec("INSERT INTO items VALUES (102, 'b')"));
sleep(1.1);
step("c", || db::exec("INSERT INTO items VALUES (103, 'c')"));"#,
    );
    desk.run().exits(0);
    let log = desk.cluster.log();
    for (text, looked) in [("(101, 'a')", true), ("(102, 'b')", false), ("(103, 'c')", true)] {
        let found = statements_with(&log, text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].contains(".fence("), looked, "{found:?}");
        assert_eq!(found[0].contains("LOCK TABLE \"runsheet\".lease"), !looked, "{found:?}");
    }
}

/// A trigger on `items` that sets something for the whole session, and a place for what is seen.
fn with_trigger(sets: &str) -> Desk {
    let desk = Desk::new(
        r#"step("first", || db::exec("CREATE TABLE first (id int)"));
step("fires", || db::exec("INSERT INTO items VALUES (101, 'a')"));
step("looks", || db::exec("INSERT INTO seen SELECT current_user, current_setting('search_path')"));"#,
    );
    desk.sql(&format!(
        "CREATE ROLE clerk; CREATE SCHEMA elsewhere; CREATE TABLE seen (who text, path text);
         CREATE FUNCTION sets() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM set_config({sets}, false); RETURN NULL; END $$;
         CREATE TRIGGER sets AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION sets()"
    ));
    desk
}

/// Nothing in the step's text shows what its trigger does.
#[test]
fn a_setting_that_a_trigger_leaves_is_over_with_the_step() {
    let desk = with_trigger("'search_path', 'elsewhere'");
    desk.run().exits(0).shows_nowhere("did not take effect");
    assert_eq!(desk.value("SELECT who || ' ' || path FROM seen"), "postgres \"$user\", public");
}

/// The row is not written under the trigger's role, which may not write it: the step is run again.
#[test]
fn a_role_that_a_trigger_leaves_is_over_before_the_steps_row() {
    let desk = with_trigger("'role', 'clerk'");
    desk.run().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id = 101"), "1");
    assert_eq!(desk.value("SELECT who || ' ' || path FROM seen"), "postgres \"$user\", public");
    assert_eq!(desk.value("SELECT count(*) FROM runsheet.step"), "3");
}

/// Read by the standard's rules its second statement is one text; this server reads a COMMIT in it.
#[test]
fn a_commit_that_only_the_server_sees_does_not_pass_as_done() {
    let desk = Desk::new(
        r#"step("first", || db::exec("CREATE TABLE first (id int)"));
step("second", || sql::run_file("sql/up.sql"));"#,
    );
    desk.project.file(
        "sql/up.sql",
        "SET standard_conforming_strings = off;\nSELECT 'a\\''; COMMIT; BEGIN; SELECT 1 --';\n",
    );
    desk.run().exits(5).shows("left its own transaction");
    assert_eq!(desk.value("SELECT string_agg(key, ' ') FROM runsheet.step"), "first");
}

/// What a deferred constraint refuses, it refuses at COMMIT: with its words, and nothing else.
#[test]
fn a_deferred_constraint_that_does_not_hold_is_the_faults_reason() {
    let desk = Desk::new(
        r#"step("first", || db::exec("CREATE TABLE first (id int)"));
step("second", || db::exec("INSERT INTO parts VALUES (1, 77)"));"#,
    );
    desk.sql(
        "CREATE TABLE parts (id int, item int REFERENCES items DEFERRABLE INITIALLY DEFERRED)",
    );
    desk.run().exits(5).shows("23503").shows("(item)=(77)").shows_nowhere("in progress");
    assert_eq!(desk.value("SELECT count(*) FROM parts"), "0");
    assert_eq!(desk.value("SELECT string_agg(key, ' ') FROM runsheet.step"), "first");
}

/// JSON knows a character that the server's does not. The report is kept all the same, and compared
/// with the steps by the next run.
#[test]
fn a_report_with_a_nul_in_it_is_kept() {
    let desk = Desk::new(
        r#"step("first", || { db::exec("CREATE TABLE first (id int)"); print("a\x00b"); print("a\\u0000b"); });"#,
    );
    desk.run().exits(0);
    assert_eq!(desk.value("SELECT report->>'state' FROM runsheet.run"), "done");
    let kept = desk.value("SELECT report FROM runsheet.run");
    assert!(kept.contains(r"a\ufffdb") && kept.contains(r"a\\u0000b"), "{kept}");
    desk.run().exits(0).shows_nowhere("22P05");
    assert_eq!(desk.value("SELECT count(*) FROM runsheet.run"), "1");
}
