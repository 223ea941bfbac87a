//! Runs that ended early, and what going on does.

use super::Desk;
use crate::support::{Gate, Wire};

const THREE: &str = r#"step("one", || db::exec("INSERT INTO items VALUES (101, 'one')"));
step("two", || { db::exec("INSERT INTO items VALUES (102, 'two')"); sql::run_file("sql/wait.sql") });
step("three", || db::exec("INSERT INTO items VALUES (103, 'three')"));"#;

const ADDED: &str = "SELECT string_agg(name, ' ' ORDER BY id) FROM items WHERE id > 100";

/// A run that was killed while its second step waited in the database.
fn killed() -> Desk {
    let desk = Desk::new(THREE);
    desk.project.file(
        "sql/wait.sql",
        "SELECT pg_sleep(120) FROM pg_settings WHERE name = 'work_mem' AND setting = '4096';\n",
    );
    desk.sql("ALTER TABLE items ADD UNIQUE (name)");
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_sleep(120)");
    run.kill();
    // The server notices that its client is gone; then nothing waits any more.
    desk.end_the_dead().nothing_is_left();
    assert_eq!(desk.value(ADDED), "one");
    desk.sql("ALTER DATABASE shop SET work_mem = '8MB'");
    desk
}

/// F02.
#[test]
fn a_killed_run_is_resumed_and_each_step_happens_once() {
    let desk = killed();
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.value(ADDED), "one two three");
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "done");
    desk.nothing_is_left();
    desk.call(&["resume", "--yes"]).exits(0);
    desk.run().exits(0);
    assert_eq!(desk.value(ADDED), "one two three");
}

/// F67.
#[test]
fn a_playbook_that_was_edited_meanwhile_is_refused_until_the_change_is_accepted() {
    let desk = killed();
    desk.body(&THREE.replace("'three'", "'drei'"));
    desk.call(&["resume", "--yes"]).exits(2).shows("playbooks/it.rhai").shows("--accept-changes");
    assert_eq!(desk.value(ADDED), "one");
    desk.call(&["resume", "--yes", "--accept-changes"]).exits(0);
    assert_eq!(desk.value(ADDED), "one two drei");
}

#[test]
fn a_finished_step_that_was_edited_stays_as_it_was_done_when_changes_are_accepted() {
    let desk = killed();
    desk.body(&THREE.replace("'one'", "'eins'"));
    desk.call(&["resume", "--yes"]).exits(2);
    assert_eq!(desk.value(ADDED), "one");
    desk.call(&["resume", "--yes", "--accept-changes"]).exits(0).shows("--accept-changes");
    assert_eq!(desk.value(ADDED), "one two three");
}

#[test]
fn a_deleted_state_folder_does_not_stop_a_resume() {
    let desk = killed();
    std::fs::remove_dir_all(desk.project.path().join(".runsheet")).unwrap();
    desk.call(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.value(ADDED), "one two three");
}

/// F69.
#[test]
fn a_line_of_the_journal_that_was_edited_is_named_and_nothing_is_executed() {
    let desk = killed();
    let path = format!(".runsheet/runs/{}/events.jsonl", desk.newest_run());
    let text = desk.project.read(&path);
    let line = 1 + text.lines().position(|line| line.contains("\"title\":\"two\"")).unwrap();
    desk.project.file(&path, &text.replacen("\"title\":\"two\"", "\"title\":\"2\"", 1));
    let ran = desk.call(&["resume", "--yes"]);
    ran.shows(&format!("line {line}")).shows("events.jsonl");
    assert_ne!(ran.code, 0);
    assert_eq!(desk.value(ADDED), "one");
    desk.nothing_is_left();
}

#[test]
fn steps_appended_behind_a_finished_run_are_the_only_ones_that_run() {
    let desk = Desk::new(r#"step("one", || db::exec("INSERT INTO items VALUES (101, 'one')"));"#);
    desk.run().exits(0);
    desk.run().exits(0).shows("done here already");
    desk.body(
        r#"step("one", || db::exec("INSERT INTO items VALUES (101, 'one')"));
step("two", || db::exec("INSERT INTO items VALUES (102, 'two')"));"#,
    );
    // Without the first run's file its ways back are told by the second.
    std::fs::remove_dir_all(desk.project.path().join(".runsheet")).unwrap();
    desk.run().exits(0);
    assert_eq!(desk.value(ADDED), "one two");
    let report = desk.report_of_run();
    let rungs = report["way_back"].as_array().unwrap().iter();
    let rungs: Vec<&str> = rungs.filter_map(|rung| rung["item"].as_str()).collect();
    assert_eq!(rungs, ["two", "one"], "{report:#}");
    desk.run().exits(0);
    assert_eq!(desk.value(ADDED), "one two");
    desk.nothing_is_left();
}

/// A container that starts has nothing to do most of the time. The session itself, all questions at
/// once, good-bye; from PostgreSQL 17 on a setting that cannot stand among the startup options, and
/// before 14 a second try without those that it does not know.
#[test]
fn a_finished_run_that_is_started_again_waits_for_the_server_twice() {
    let desk = Desk::new(r#"step("one", || db::exec("INSERT INTO items VALUES (101, 'one')"));"#);
    desk.run().exits(0);
    let version: u32 = desk.value("SHOW server_version_num").parse().unwrap();
    let turns = if (140_000..170_000).contains(&version) { 3 } else { 4 };
    let turns_of_another_run = || {
        let wire = Wire::to(desk.cluster.port());
        let port = wire.port();
        let url = format!("postgresql://postgres@127.0.0.1:{port}/shop?sslmode=disable");
        desk.project.run(&["run", "it", "--yes", "--url", &url]).exits(0).shows("nothing to do");
        wire.turns()
    };
    assert_eq!(turns_of_another_run(), turns);
    // Runs of other playbooks may have come behind it.
    desk.project.file(
        "playbooks/other.rhai",
        "playbook(\"other\"); step(\"two\", || db::exec(\"SELECT 1\"));",
    );
    desk.project.run(&["run", "other", "--yes", "--url", &desk.url()]).exits(0);
    assert_eq!(turns_of_another_run(), turns);
}

/// F67, F68: a byte order mark and line ends are no change.
#[test]
fn an_sql_file_of_a_finished_step_that_was_edited_is_refused() {
    let desk = Desk::new(r#"step("file", || sql::run_file("sql/up.sql"));"#);
    desk.project.file("sql/up.sql", "INSERT INTO items VALUES (101, 'one');\n");
    desk.run().exits(0);
    desk.project.file("sql/up.sql", "\u{feff}INSERT INTO items VALUES (101, 'one');\r\n");
    desk.run().exits(0);
    desk.project.file("sql/up.sql", "INSERT INTO items VALUES (102, 'two');\n");
    desk.run().exits(2).shows("sql/up.sql").shows("\"file\"");
    assert_eq!(desk.value(ADDED), "one");
}

/// F36, F37, P2.
#[test]
fn an_index_built_outside_of_transactions_and_killed_half_way_becomes_one_valid_index() {
    let desk =
        Desk::new(r#"step("index", #{ transaction: false }, || sql::run_file("sql/index.sql"));"#);
    desk.project.file(
        "sql/index.sql",
        "INSERT INTO items VALUES (101, 'one');\nCREATE INDEX CONCURRENTLY items_name ON items (name);\n",
    );
    // An old snapshot: the build waits for it.
    let reader = Gate::reading(&desk.url(), "SELECT count(*) FROM items");
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("CREATE INDEX CONCURRENTLY");
    desk.wait_until("SELECT EXISTS (SELECT FROM pg_stat_progress_create_index)");
    run.kill();
    desk.end_the_dead().nothing_is_left();
    reader.open();
    desk.call(&["resume", "--yes"]).exits(0);
    let indexes = "SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ') FROM pg_index
        WHERE indrelid = 'items'::regclass AND NOT indisprimary";
    assert_eq!(desk.value(indexes), "items_name true");
    assert_eq!(desk.value(ADDED), "one");
}
