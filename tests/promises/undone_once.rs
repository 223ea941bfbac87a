//! A step that is recorded as undone was undone exactly once; one that is not still stands.

use crate::faults::Desk;

/// Five steps and one that changes nothing; each undo is slow where `slow` says so.
const FIVE: &str = r#"
for n in 1..=5 {
    step(`step ${n}`, #{ undo: || {
        db::exec(`INSERT INTO undone (step) VALUES (${n})`);
        db::exec(`SELECT pg_sleep(120) FROM slow WHERE step = ${n}`);
    } }, || db::exec(`INSERT INTO done (step) VALUES (${n})`));
    if n == 4 { step("look", || db::count("done")); }
}
"#;

const UNDONE: &str = "SELECT coalesce(string_agg(step::text, '' ORDER BY n), '') FROM undone";

fn made(body: &str) -> Desk {
    let desk = Desk::new(body);
    desk.project.file(
        "sql/down.sql",
        "INSERT INTO undone (step) VALUES (1);\nSELECT pg_sleep(120) FROM slow;\n\
         INSERT INTO undone (step) VALUES (2);\n",
    );
    desk.sql(
        "CREATE TABLE done (n serial, step int); CREATE TABLE undone (n serial, step int);
         CREATE TABLE slow (step int)",
    );
    desk.run().exits(0);
    desk
}

#[test]
fn a_rollback_killed_in_many_of_its_undos_ends_like_one_that_was_never_killed() {
    let desk = made(FIVE);
    let run = desk.newest_run();
    for (step, undone) in [(5, ""), (4, "5"), (2, "543"), (1, "5432")] {
        desk.sql(&format!("TRUNCATE slow; INSERT INTO slow VALUES ({step})"));
        // By whichever of its two names.
        let words: &[&str] =
            if step % 2 == 0 { &["resume", "--yes"] } else { &["rollback", &run, "--yes"] };
        let back = desk.start(words);
        desk.wait_for_statement(&format!("FROM slow WHERE step = {step}"));
        desk.kill(back);
        assert_eq!(desk.value(UNDONE), undone);
        assert_eq!(desk.value("SELECT state FROM runsheet.run"), "rolling_back");
        desk.call(&["run", "it"]).exits(5).shows("runsheet rollback");
    }
    desk.sql("TRUNCATE slow");
    desk.call(&["rollback", &run, "--yes"]).exits(0);
    assert_eq!(desk.value(UNDONE), "54321");
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "rolled_back");
    desk.call(&["rollback", &run, "--yes"]).exits(0);
    assert_eq!(desk.value(UNDONE), "54321");
    desk.nothing_is_left();
}

#[test]
fn a_rollback_without_its_state_folder_undoes_nothing_twice() {
    let desk = made(FIVE);
    let run = desk.newest_run();
    desk.sql("INSERT INTO slow VALUES (3)");
    let back = desk.start(&["rollback", &run, "--yes"]);
    desk.wait_for_statement("FROM slow WHERE step = 3");
    desk.kill(back);
    desk.sql("TRUNCATE slow");
    std::fs::remove_dir_all(desk.project.path().join(".runsheet")).unwrap();
    desk.call(&["rollback", &run, "--yes"]).exits(0);
    assert_eq!(desk.value(UNDONE), "54321");
}

#[test]
fn an_undo_file_without_a_transaction_goes_on_behind_its_last_statement() {
    let desk = made(
        r#"step("one", #{ undo: || sql::run_file("sql/down.sql", #{ transaction: false }) },
    || db::exec("INSERT INTO done (step) VALUES (1)"));"#,
    );
    desk.sql("INSERT INTO slow VALUES (1)");
    let run = desk.newest_run();
    let back = desk.start(&["rollback", &run, "--yes"]);
    desk.wait_for_statement("pg_sleep(120) FROM slow");
    desk.kill(back);
    assert_eq!(desk.value(UNDONE), "1");
    desk.sql("TRUNCATE slow");
    desk.call(&["rollback", &run, "--yes"]).exits(0);
    assert_eq!(desk.value(UNDONE), "12");
}
