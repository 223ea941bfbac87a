//! The run's file and the ledger contradict each other: named, nothing executed, the way on said.

use super::Desk;

const THREE: &str = r#"step("one", || db::exec("INSERT INTO log VALUES (1)"));
step("two", || db::exec("INSERT INTO log VALUES (2)"));
step("three", || { db::exec("INSERT INTO log VALUES (3)"); expect(db::has_table("go"), "not yet") });"#;

/// Two steps are done and the third failed.
fn two_of_three() -> Desk {
    let desk = Desk::new(THREE);
    desk.sql("CREATE TABLE log (step int)");
    desk.run().exits(5);
    assert_eq!(done(&desk), "12");
    desk
}

fn done(desk: &Desk) -> String {
    desk.value("SELECT coalesce(string_agg(step::text, '' ORDER BY step), '') FROM log")
}

fn file(desk: &Desk) -> String {
    format!(".runsheet/runs/{}/events.jsonl", desk.newest_run())
}

/// Drops the database and puts the copy in its place, as a restore does.
pub fn restore(desk: &Desk, copy: &str) {
    desk.cluster.sql("postgres", "DROP DATABASE shop WITH (FORCE)");
    desk.cluster.sql("postgres", &format!("ALTER DATABASE {copy} RENAME TO shop"));
}

fn backup(desk: &Desk, copy: &str) {
    desk.cluster.sql("postgres", &format!("CREATE DATABASE {copy} TEMPLATE shop"));
}

/// F69: the file is put aside as the message says, and the ledger suffices.
#[test]
fn f69_an_edited_file_is_refused_and_the_next_command_is_one_that_helps() {
    let desk = two_of_three();
    let (path, text) = (file(&desk), desk.of_run("events.jsonl"));
    desk.project.file(&path, &text.replacen("\"title\":\"two\"", "\"title\":\"zwei\"", 1));
    desk.sql("CREATE TABLE go ()");
    let ran = desk.call(&["resume", "--yes"]);
    ran.exits(5).shows("was changed at line").shows("mv ").shows(".broken");
    assert_eq!(done(&desk), "12");
    let folder = desk.project.path().join(path).parent().unwrap().to_path_buf();
    std::fs::rename(&folder, folder.with_extension("broken")).unwrap();
    desk.call(&["resume", "--yes"]).exits(0).shows("no file of run");
    assert_eq!(done(&desk), "123");
}

/// F69: a file that was cut behind the line that the ledger knows.
#[test]
fn f69_a_file_shorter_than_the_ledger_knows_is_refused() {
    let desk = two_of_three();
    let text = desk.of_run("events.jsonl");
    let lines = text.lines().count();
    let cut: String = text.lines().take(lines - 1).map(|line| format!("{line}\n")).collect();
    desk.project.file(&file(&desk), &cut);
    desk.sql("CREATE TABLE go ()");
    let ran = desk.call(&["resume", "--yes"]);
    ran.exits(5).shows(&format!("has {} lines", lines - 1)).shows(&format!("knows line {lines}"));
    ran.shows("Nothing was executed").shows("mv ");
    // A torn last line is the same, where the ledger knows that line.
    desk.project.file(&file(&desk), &text[..text.len() - 5]);
    desk.call(&["resume", "--yes"]).exits(5).shows(&format!("knows line {lines}"));
    assert_eq!(done(&desk), "12");
    desk.project.file(&file(&desk), &text);
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(done(&desk), "123");
}

/// A machine that lost its power has lost the lines that were not on its disk yet; nobody cut
/// anything. `RUNSHEET_BOOT` stands for the number that the system gives to each start.
#[cfg(feature = "failpoints")]
#[test]
fn a_file_that_lost_its_last_lines_with_the_machines_power_is_put_aside() {
    let mut desk = two_of_three();
    let text = desk.of_run("events.jsonl");
    let lines = text.lines().count();
    let cut: String = text.lines().take(lines - 1).map(|line| format!("{line}\n")).collect();
    let (path, run) = (file(&desk), desk.newest_run());
    desk.project.file(&path, &cut);
    desk.sql("CREATE TABLE go ()");
    desk.call(&["resume", "--yes"]).exits(5).shows("was cut");
    desk.project.env("RUNSHEET_BOOT", "another start");
    desk.call(&["resume", "--yes"]).exits(0).shows("events-1.jsonl");
    assert_eq!(done(&desk), "123");
    assert_eq!(desk.project.read(&format!(".runsheet/runs/{run}/events-1.jsonl")), cut);
    desk.run().exits(0).shows("done here already");
}

/// F01: what a kill -9 between COMMIT and the file leaves behind is no contradiction.
#[test]
fn f01_a_file_that_ends_at_the_commit_of_its_last_step_is_healed_forward() {
    let desk = two_of_three();
    let text = desk.of_run("events.jsonl");
    let known: usize = desk
        .value("SELECT split_part(head, ':', 1) FROM runsheet.step WHERE key = 'two'")
        .parse()
        .unwrap();
    // The run's row of a killed process knows no later line, and a torn one follows.
    desk.sql(
        "UPDATE runsheet.run SET head = '', state = 'running', finished_at = NULL, report = NULL",
    );
    let mut cut: String = text.lines().take(known).map(|line| format!("{line}\n")).collect();
    cut.push_str("{\"seq\":");
    desk.project.file(&file(&desk), &cut);
    desk.sql("CREATE TABLE go ()");
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(done(&desk), "123");
    assert!(desk.of_run("events.jsonl").starts_with(cut.trim_end_matches("{\"seq\":")));
}

/// F69: a deleted row would make its step happen twice.
#[test]
fn f69_a_row_deleted_from_the_ledger_stops_the_run_with_and_without_its_file() {
    let desk = two_of_three();
    desk.sql("CREATE TABLE go (); DELETE FROM runsheet.step WHERE key = 'two'");
    for words in [&["resume", "--yes"][..], &["run", "it", "--yes"]] {
        let ran = desk.call(words);
        ran.exits(5).shows("the ledger has lost steps").shows("two").shows("rows of the ledger");
        ran.shows("--accept-database --reason");
        assert_eq!(done(&desk), "12");
    }
    // Without the file, the report that the ledger itself keeps is the witness.
    std::fs::remove_dir_all(desk.project.path().join(".runsheet")).unwrap();
    desk.call(&["resume", "--yes"]).exits(5).shows("the ledger has lost steps").shows("two");
    assert_eq!(done(&desk), "12");
    desk.nothing_is_left();
}

/// F69: the last row of a finished run looks like a step that was appended.
#[test]
fn f69_the_last_row_of_a_finished_run_is_missed() {
    let desk = two_of_three();
    desk.sql("CREATE TABLE go ()");
    desk.call(&["resume", "--yes"]).exits(0);
    desk.sql("DELETE FROM runsheet.step WHERE key = 'three'");
    desk.run().exits(5).shows("the ledger has lost steps").shows("three");
    desk.call(&["resume", &desk.newest_run(), "--yes"]).exits(5).shows("three");
    std::fs::remove_dir_all(desk.project.path().join(".runsheet")).unwrap();
    desk.run().exits(5).shows("the ledger has lost steps").shows("three");
    assert_eq!(done(&desk), "123");
}

/// F69: a dropped ledger is not an empty database.
#[test]
fn f69_a_ledger_that_was_dropped_stops_a_new_run_and_a_new_database_does_not() {
    let desk = two_of_three();
    desk.sql("CREATE TABLE go (); DROP SCHEMA runsheet CASCADE");
    desk.run().exits(1).shows("the ledger has lost steps").shows("one, two");
    desk.call(&["resume", "--yes"]).exits(1).shows("the ledger has lost steps");
    assert_eq!(done(&desk), "12");
    // Dropped and made anew: nothing of it is left that could be repeated.
    desk.cluster.sql("postgres", "DROP DATABASE shop WITH (FORCE)");
    desk.cluster.create_database("shop");
    desk.sql("CREATE TABLE log (step int); CREATE TABLE go ()");
    desk.run().exits(0).shows("this one is new");
    assert_eq!(done(&desk), "123");
}

/// F33: the database goes back to a backup of earlier, and its data with it.
#[test]
fn f33_a_restored_database_is_named_and_goes_on_from_what_it_knows_when_a_person_says_so() {
    let desk = Desk::new(&THREE.replace("step(\"two\"", "note(\"n\");\nstep(\"two\""));
    desk.sql("CREATE TABLE log (step int)");
    desk.call(&["run", "it", "--yes", "--until", "one"]).exits(0);
    backup(&desk, "earlier");
    desk.call(&["resume", "--yes"]).exits(5);
    assert_eq!(done(&desk), "12");
    restore(&desk, "earlier");
    desk.sql("CREATE TABLE go ()");
    let ran = desk.call(&["resume", "--yes"]);
    ran.exits(5).shows("the ledger has lost steps").shows("two").shows("restored from a backup");
    assert_eq!(done(&desk), "1");
    // F64: a guard is switched off by a person with a reason, and that is on record.
    desk.call(&["resume", "--yes", "--accept-database"]).exits(2).shows("--reason");
    assert_eq!(done(&desk), "1");
    desk.call(&["resume", "--yes", "--accept-database", "--reason", "restored after the outage"])
        .exits(0);
    assert_eq!(done(&desk), "123");
    assert!(desk.of_run("events.jsonl").contains("restored after the outage"));
    let kept =
        desk.value("SELECT report::text LIKE '%restored after the outage%' FROM runsheet.run");
    assert_eq!(kept, "t");
    // Said once, it need not be said again.
    desk.call(&["resume", "--yes"]).exits(0);
    desk.run().exits(0);
    assert_eq!(done(&desk), "123");
}

/// F33: the backup is older than the whole run.
#[test]
fn f33_a_database_restored_to_before_the_run_is_not_begun_anew_unasked() {
    let desk = Desk::new(THREE);
    desk.sql("CREATE TABLE log (step int); CREATE TABLE go ()");
    desk.project
        .playbook("first", "playbook(\"first\");\nstep(\"a\", || db::exec(\"SELECT 1\"));\n");
    desk.call(&["run", "first", "--yes"]).exits(0);
    backup(&desk, "earlier");
    desk.run().exits(0);
    restore(&desk, "earlier");
    desk.run().exits(1).shows("the ledger has lost steps").shows("one, two, three");
    assert_eq!(done(&desk), "");
    let accept = ["run", "it", "--yes", "--accept-database", "--reason", "rehearsed again"];
    desk.call(&accept).exits(0);
    assert_eq!(done(&desk), "123");
    desk.run().exits(0).shows("done here already");
}

/// F24: the lease of a backup is not trusted, and its epoch never comes back.
#[test]
fn f24_a_restored_lease_gets_an_epoch_above_every_one_that_this_machine_knows() {
    let desk = two_of_three();
    let epoch = || desk.value("SELECT epoch FROM runsheet.lease").parse::<i64>().unwrap();
    // In the backup, a holder who is dead stands in the row.
    desk.sql("UPDATE runsheet.lease SET run = 'dead', holder = 'ghost', backend_pid = 4711");
    backup(&desk, "earlier");
    for _ in 0..3 {
        desk.call(&["resume", "--yes"]).exits(5);
    }
    let highest = epoch();
    restore(&desk, "earlier");
    assert!(epoch() < highest);
    desk.call(&["lock"]).exits(0).shows("nobody holds");
    desk.sql("CREATE TABLE go ()");
    desk.call(&["resume", "--yes"]).exits(0).shows("the database was restored");
    let after = epoch();
    assert!(after > highest);
    // Backups made by runsheet leave the lease's row out altogether.
    desk.sql("DELETE FROM runsheet.lease");
    desk.body(&format!("{THREE}\nstep(\"four\", || db::exec(\"INSERT INTO log VALUES (4)\"));"));
    desk.run().exits(0);
    assert_eq!((epoch() > after, done(&desk).as_str()), (true, "1234"));
}

/// F44: the newest run is the one that began last, whatever the clocks said.
#[test]
fn f44_runs_are_in_the_order_of_the_ledger_when_the_clock_was_set_back() {
    let desk = Desk::new(r#"step("one", || db::exec("INSERT INTO log VALUES (1)"));"#);
    desk.sql("CREATE TABLE log (step int)");
    desk.run().exits(0);
    let first = desk.newest_run();
    desk.body(r#"step("one", || db::exec("INSERT INTO log VALUES (2)"));"#);
    desk.call(&["run", "it", "--yes", "--again"]).exits(0);
    let second = desk.newest_run();
    assert!(second > first);
    // The server's clock was ten years behind in the second run.
    desk.sql(&format!(
        "UPDATE runsheet.run SET started_at = started_at - interval '10 years',
            finished_at = finished_at - interval '10 years' WHERE run = '{second}';
         UPDATE runsheet.step SET at = at - interval '10 years' WHERE run = '{second}'"
    ));
    desk.run().exits(0).shows(&second);
    let listed = desk.call(&["history", "--json"]);
    let at = |run: &str| listed.stdout.find(run).unwrap();
    assert!(at(&second) < at(&first), "{}", listed.stdout);
    assert_eq!(done(&desk), "12");
}

/// F70: a script that takes another turn is stopped before anything happens.
#[test]
fn f70_a_playbook_whose_turns_hang_on_chance_is_stopped() {
    let desk = Desk::new(
        r#"let times = sql_count();
fn sql_count() { fs::exists("second") }
step(if times { "late" } else { "early" }, || db::exec("INSERT INTO log VALUES (1)"));
step("two", || { db::exec("INSERT INTO log VALUES (2)"); expect(db::has_table("go"), "not yet") });"#,
    );
    desk.sql("CREATE TABLE log (step int)");
    desk.run().exits(5);
    // What a read outside of items gave is recorded: the resumed script sees the same.
    desk.project.file("second", "");
    desk.sql("CREATE TABLE go ()");
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(done(&desk), "12");

    let desk = Desk::new(
        r#"let n = timestamp();
step(`one ${n.elapsed}`, || db::exec("INSERT INTO log VALUES (1)"));
step("two", || { db::exec("INSERT INTO log VALUES (2)"); expect(db::has_table("go"), "not yet") });"#,
    );
    desk.sql("CREATE TABLE log (step int)");
    desk.run().exits(5);
    desk.sql("CREATE TABLE go ()");
    desk.call(&["resume", "--yes"]).exits(2).shows("where the run had done");
    assert_eq!(done(&desk), "1");
}

/// A rollback that is not agreed to, or cannot be done, leaves a finished run finished.
#[test]
fn a_refused_rollback_leaves_the_ledger_as_it_was() {
    let desk = two_of_three();
    desk.sql("CREATE TABLE go ()");
    desk.call(&["resume", "--yes"]).exits(0);
    let run = desk.newest_run();
    let state = || desk.value("SELECT state || ' ' || (report->>'state') FROM runsheet.run");
    assert_eq!(state(), "done done");
    // These steps have no way back.
    desk.call(&["rollback", &run, "--yes"]).exits(5).shows("no way back");
    assert_eq!(state(), "done done");
    desk.run().exits(0).shows("done here already");
}

/// What was begun and did nothing is gone on with under its own id.
#[test]
fn a_run_killed_before_its_first_step_ended_is_taken_up_by_the_next() {
    let desk = Desk::new(
        r#"step("one", || { db::exec("INSERT INTO log VALUES (1)"); db::exec("SELECT pg_sleep(120) FROM slow") });"#,
    );
    desk.sql("CREATE TABLE log (step int); CREATE TABLE slow AS SELECT 1 AS n");
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(120)");
    run.kill();
    desk.nothing_is_left();
    desk.sql("TRUNCATE slow");
    desk.run().exits(0).shows("going on with run");
    assert_eq!(desk.value("SELECT string_agg(state, ' ') FROM runsheet.run"), "done");
    assert_eq!(done(&desk), "1");
}

/// F42: a prepared transaction keeps its locks and belongs to no session.
#[test]
fn f42_a_hanging_prepared_transaction_is_named() {
    let desk = Desk::with(
        &[("max_prepared_transactions", "2")],
        "step(\"a\", || db::exec(\"SELECT 1\"));",
    );
    desk.sql("BEGIN; LOCK TABLE items; PREPARE TRANSACTION 'left by a crashed service'");
    desk.run().exits(0).shows("left by a crashed service").shows("ROLLBACK PREPARED");
    desk.sql("ROLLBACK PREPARED 'left by a crashed service'");
}

/// A ledger that lacks something gets what it lacks, and keeps what it knows.
#[test]
fn a_ledger_of_an_older_version_is_completed() {
    let desk = Desk::new(r#"step("one", || db::exec("INSERT INTO items VALUES (101, 'one')"));"#);
    desk.run().exits(0);
    desk.sql(
        "DO $$ DECLARE one regprocedure; BEGIN
        FOR one IN SELECT oid FROM pg_proc WHERE pronamespace = 'runsheet'::regnamespace
        LOOP EXECUTE 'DROP FUNCTION ' || one; END LOOP; END $$",
    );
    desk.run().exits(0).shows("nothing to do");
    desk.project.file(
        "playbooks/more.rhai",
        "playbook(\"more\"); step(\"two\", || db::exec(\"INSERT INTO items VALUES (102, 'two')\"));",
    );
    desk.call(&["run", "more", "--yes"]).exits(0);
    assert_eq!(
        desk.value("SELECT string_agg(title, ' ' ORDER BY at) FROM runsheet.step"),
        "one two"
    );
}
