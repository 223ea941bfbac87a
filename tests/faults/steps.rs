//! Steps that fail, and what the exit code and the database say afterwards.

use std::time::Instant;

use super::Desk;
use crate::support::AT_ONCE;

const FIRST: &str = r#"step("first", #{ undo: || db::exec("DROP TABLE made") }, || db::exec("CREATE TABLE made AS SELECT 1 AS id"));"#;

#[test]
fn a_count_that_differs_inside_a_step_rolls_it_back() {
    let desk = Desk::new(
        r#"step("move", || {
    db::exec("CREATE TABLE copy AS SELECT * FROM items WHERE id < 20");
    db::expect_same_count("items", "SELECT count(*) FROM items", "SELECT count(*) FROM copy");
});"#,
    );
    desk.run().exits(1).shows("20").shows("19").shows("playbooks/it.rhai:4:").shows("as before");
    desk.unchanged().nothing_is_left();
}

#[test]
fn a_count_that_differs_after_a_finished_step_leaves_that_step_alone() {
    let mut desk = Desk::new(&format!(
        r#"{FIRST}
step("second", || {{
    db::exec("DELETE FROM items WHERE id = 1");
    db::expect_same_count("items", "SELECT count(*) FROM items", "SELECT count(*) + 1 FROM items");
}});"#
    ));
    desk.sql("CREATE TABLE made AS SELECT 1 AS id");
    desk.remember();
    desk.sql("DROP TABLE made");
    desk.run().exits(5).shows("first").shows("runsheet resume").shows("runsheet rollback");
    desk.unchanged();
    assert!(desk.of_run("report.md").contains("second"));
}

#[test]
fn a_count_that_differs_in_a_verify_leaves_the_changes_and_says_so() {
    let desk = Desk::new(&format!(
        r#"{FIRST}
verify("counts", || db::expect_same_count("made", "SELECT count(*) FROM made", "SELECT count(*) FROM items"));"#
    ));
    desk.run().exits(6).shows("counts").shows("runsheet resume").shows("runsheet rollback");
    assert_eq!(desk.value("SELECT count(*) FROM made"), "1");
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "verify_failed");
}

#[test]
fn a_failure_rolls_back_at_once_where_that_is_wished() {
    let desk = Desk::new(&format!("{FIRST}\nstep(\"second\", || db::exec(\"SELEKT 1\"));"));
    desk.call(&["run", "it", "--yes", "--on-failure", "rollback"]).exits(1).shows("42601");
    desk.unchanged();
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "rolled_back");
    desk.call(&["resume", &desk.newest_run(), "--yes"]).exits(2).shows("rolled back");
    desk.body(FIRST).run().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM made"), "1");
}

#[test]
fn a_rollback_takes_everything_back_and_says_so_in_the_ledger() {
    let desk = Desk::new(&format!(
        r#"{FIRST}
for name in ["sku", "price"] {{
    step(`add ${{name}}`, #{{ undo: || db::exec(`ALTER TABLE items DROP COLUMN ${{name}}`) }},
        || db::exec(`ALTER TABLE items ADD COLUMN ${{name}} text`));
}}"#
    ));
    desk.run().exits(0);
    assert_eq!(
        desk.value("SELECT count(*) FROM information_schema.columns WHERE table_name = 'items'"),
        "4"
    );
    let run = desk.newest_run();
    desk.call(&["rollback", &run, "--yes"]).exits(0);
    desk.unchanged().nothing_is_left();
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "rolled_back");
}

#[test]
fn a_step_without_a_way_back_is_named_and_nothing_is_undone() {
    let mut desk = Desk::new(&format!(
        "{FIRST}\nstep(\"one way\", || db::exec(\"DELETE FROM items WHERE id = 7\"));"
    ));
    desk.run().exits(0);
    desk.remember();
    let run = desk.newest_run();
    desk.call(&["rollback", &run, "--yes"]).exits(5).shows("one way").shows("undo");
    desk.unchanged();
}

#[test]
fn a_step_is_tried_again_as_often_as_it_says() {
    let desk = Desk::new(
        r#"step("sometimes", #{ retry: #{ tries: 3, every: "10ms" } }, || {
    db::exec("INSERT INTO items VALUES (100, 'x')");
    expect(db::value("SELECT nextval('tries')") >= 3, "not yet");
});"#,
    );
    desk.sql("CREATE SEQUENCE tries");
    desk.run().exits(0).shows("attempt 2 of 3");
    assert_eq!(
        desk.value("SELECT last_value || ' ' || (SELECT count(*) FROM items) FROM tries"),
        "3 21"
    );
}

#[test]
fn an_optional_step_that_fails_is_rolled_back_and_the_run_goes_on() {
    let desk = Desk::new(
        r#"step("nice to have", #{ optional: true }, || { db::exec("DELETE FROM items"); db::exec("SELEKT") });
step("needed", || db::exec("CREATE TABLE made (id int)"));"#,
    );
    desk.run().exits(0).shows("nice to have");
    assert_eq!(desk.value("SELECT count(*) FROM items"), "20");
    assert_eq!(desk.value("SELECT count(*) FROM made"), "0");
}

/// F13.
#[test]
fn ctrl_c_in_a_long_statement_leaves_the_database_as_before() {
    let desk = Desk::new(
        r#"step("long", || { db::exec("DELETE FROM items"); db::exec("SELECT pg_sleep(60)") });"#,
    );
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(60)");
    let since = Instant::now();
    run.signal("INT");
    run.wait().exits(130).shows("interrupted").shows("as before");
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    desk.unchanged().nothing_is_left();
}

/// F13: statements that were sent already do not take the place of the one that was stopped.
#[test]
fn ctrl_c_in_a_file_stops_the_statements_behind_it_too() {
    let desk = Desk::new(r#"step("file", || sql::run_file("sql/slow.sql"));"#);
    let slow =
        "DELETE FROM items;\nSELECT pg_sleep(60);\nSELECT pg_sleep(61);\nSELECT pg_sleep(62);\n";
    std::fs::create_dir_all(desk.project.path().join("sql")).unwrap();
    std::fs::write(desk.project.path().join("sql/slow.sql"), slow).unwrap();
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(60)");
    let since = Instant::now();
    run.signal("INT");
    run.wait().exits(130).shows("interrupted").shows("as before");
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    desk.unchanged().nothing_is_left();
}

/// Were the message with BEGIN cancelled before it began, the statements behind it must not commit.
#[test]
fn a_statement_behind_a_begin_that_never_was_changes_nothing() {
    let desk = Desk::new("");
    let message = format!("{}DELETE FROM items", runsheet::host::GUARD);
    let refused = crate::support::cluster::query(&desk.url(), &message).unwrap_err();
    assert!(refused.contains("can only be used in transaction blocks"), "{refused}");
    desk.unchanged();
}

/// F13.
#[test]
fn ctrl_c_behind_a_finished_step_says_that_it_stands() {
    let desk =
        Desk::new(&format!("{FIRST}\nstep(\"long\", || db::exec(\"SELECT pg_sleep(60)\"));"));
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(60)");
    run.signal("INT");
    run.wait().exits(5).shows("interrupted").shows("first").shows("runsheet resume");
    assert_eq!(desk.value("SELECT count(*) FROM made"), "1");
    desk.nothing_is_left();
}

/// F13.
#[test]
fn a_terminated_runner_leaves_the_database_as_before() {
    let desk = Desk::new(
        r#"step("long", || { db::exec("DELETE FROM items"); db::exec("SELECT pg_sleep(60)") });"#,
    );
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(60)");
    run.signal("TERM");
    run.wait().exits(143);
    desk.unchanged().nothing_is_left();
}

/// F65.
#[test]
fn a_manual_item_without_a_terminal_stops_the_run_before_anything_happens() {
    let desk = Desk::new(&format!("{FIRST}\nmanual(\"look\", [\"the site answers\"]);"));
    desk.call(&["run", "it"]).exits(4).shows("look").shows("--yes");
    desk.unchanged();
    assert_eq!(desk.value("SELECT to_regclass('runsheet.run') IS NULL"), "t");
}

#[test]
fn a_manual_item_passed_by_yes_is_not_attested_in_the_report() {
    let desk = Desk::new(&format!("{FIRST}\nmanual(\"look\", [\"the site answers\"]);"));
    desk.run().exits(0).shows("not attested");
    assert!(desk.of_run("report.md").contains("not attested"));
}

/// F09: the client library says Ok for a COMMIT that was a ROLLBACK; the row does not.
#[test]
fn a_statement_that_the_step_swallowed_does_not_make_it_done() {
    let desk = Desk::new(
        r#"step("swallows", || {
    db::exec("DELETE FROM items");
    try { db::exec("SELECT 1/0") } catch (e) { note(e.sqlstate) }
    db::exec("INSERT INTO items VALUES (1, 'again')");
});"#,
    );
    desk.run().exits(0).shows("22012");
    assert_eq!(desk.value("SELECT count(*) FROM items"), "1");
}
