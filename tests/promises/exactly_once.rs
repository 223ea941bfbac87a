//! A step that is recorded as done took effect exactly once; one that is not took none.

use crate::faults::Desk;

/// Five steps that would all be seen if they happened twice; each is slow where `slow` says so.
const FIVE: &str = r#"
for n in 1..=5 {
    step(`step ${n}`, || {
        db::exec(`INSERT INTO log (step) VALUES (${n})`);
        db::exec(`SELECT pg_sleep(120) FROM slow WHERE step = ${n}`);
    });
}
"#;

/// F02, P1, P4.
#[test]
fn a_run_killed_in_every_one_of_its_steps_ends_like_one_that_was_never_killed() {
    let desk = Desk::new(FIVE);
    desk.sql("CREATE TABLE log (n serial, step int); CREATE TABLE slow (step int)");
    let words = ["run", "it", "--yes"];
    for step in [1, 3, 5] {
        desk.sql(&format!("TRUNCATE slow; INSERT INTO slow VALUES ({step})"));
        let run = desk.start(&words);
        desk.wait_for_statement(&format!("FROM slow WHERE step = {step}"));
        desk.kill(run);
        let done =
            desk.value("SELECT coalesce(string_agg(step::text, '' ORDER BY n), '') FROM log");
        assert_eq!(done, "1234"[..step - 1]);
    }
    desk.sql("TRUNCATE slow");
    desk.call(&words).exits(0);
    assert_eq!(desk.value("SELECT string_agg(step::text, '' ORDER BY n) FROM log"), "12345");
    // The run that died before its first step ended was taken up under its own id.
    assert_eq!(desk.value("SELECT string_agg(state, ' ') FROM runsheet.run"), "done");
    let run = desk.value("SELECT run FROM runsheet.run");
    desk.call(&["resume", &run, "--yes"]).exits(0);
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.value("SELECT string_agg(step::text, '' ORDER BY n) FROM log"), "12345");
    desk.nothing_is_left();
}

#[test]
fn a_step_without_a_transaction_that_broke_off_is_not_begun_anew_by_another_run() {
    let desk =
        Desk::new(r#"step("each", #{ transaction: false }, || sql::run_file("sql/each.sql"));"#);
    desk.project.file(
        "sql/each.sql",
        "INSERT INTO items VALUES (101, 'one');\nINSERT INTO needed VALUES (1);\n",
    );
    desk.run().exits(5).shows("sql/each.sql:2:").shows("part of what they did stands: each");
    desk.call(&["run", "it"]).exits(5).shows("runsheet resume");
    desk.sql("CREATE TABLE needed (id int)");
    desk.run().exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id = 101"), "1");
    assert_eq!(desk.value("SELECT count(*) FROM needed"), "1");
}

#[test]
fn a_run_that_waited_for_one_that_failed_does_not_repeat_its_steps() {
    let desk = Desk::new(FIVE);
    desk.sql("CREATE TABLE log (n serial, step int); CREATE TABLE slow (step int)");
    desk.sql("INSERT INTO slow VALUES (3)");
    let first = desk.start(&["run", "it"]);
    desk.wait_for_statement("FROM slow WHERE step = 3");
    desk.call(&["run", "it", "--no-wait"]).exits(3).shows("--take-over");
    let second = desk.start(&["run", "it", "--wait", "30s"]);
    desk.wait_until(
        "SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name LIKE 'runsheet%'",
    );
    desk.sql(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%FROM slow WHERE step = 3%'
         AND pid <> pg_backend_pid()",
    );
    first.wait().exits(5);
    // Two steps stand: nobody repeats them unasked.
    second.wait().exits(5).shows("runsheet resume");
    desk.sql("TRUNCATE slow");
    desk.call(&["resume"]).exits(0);
    assert_eq!(desk.value("SELECT string_agg(step::text, '' ORDER BY n) FROM log"), "12345");
    desk.nothing_is_left();
}

/// F07, P1.
#[test]
fn a_server_that_crashes_inside_a_step_loses_that_step_and_no_other() {
    let mut desk = Desk::new(FIVE);
    desk.sql("CREATE TABLE log (n serial, step int); CREATE TABLE slow (step int)");
    desk.sql("INSERT INTO slow VALUES (3)");
    desk.project.file("runsheet.toml", "[run]\nconnect_tries = 1\n");
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("FROM slow WHERE step = 3");
    desk.cluster.crash();
    run.wait().exits(5).shows("step 1, step 2");
    desk.cluster.restart();
    desk.sql("TRUNCATE slow");
    assert_eq!(desk.value("SELECT string_agg(step::text, '' ORDER BY n) FROM log"), "12");
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.value("SELECT string_agg(step::text, '' ORDER BY n) FROM log"), "12345");
    desk.nothing_is_left();
}

/// F16, P1.
#[test]
fn five_runs_that_start_together_do_the_work_once() {
    let desk = Desk::new(FIVE);
    desk.sql("CREATE TABLE log (n serial, step int); CREATE TABLE slow (step int)");
    let runs: Vec<_> =
        (0..5).map(|_| desk.start(&["run", "it", "--yes", "--wait", "30s"])).collect();
    for run in runs {
        run.wait().exits(0);
    }
    assert_eq!(desk.value("SELECT string_agg(step::text, '' ORDER BY n) FROM log"), "12345");
    assert_eq!(desk.value("SELECT count(*) FROM runsheet.run"), "1");
    desk.nothing_is_left();
}
