//! Whoever holds the lock that a step waits for is named, with what helps.

use super::Desk;
use super::lease::Gate;
use crate::support::Ran;

const ALTER: &str = r#"step("alter", || db::exec("ALTER TABLE items ADD COLUMN more int"));"#;

/// Where nobody but the server knows who holds the lock: a second session connects and asks within
/// this time, on a busy machine too.
const TIME_TO_ASK: &str = "[run]\nlock_timeout = \"1200ms\"\n";

fn desk(body: &str) -> Desk {
    let desk = Desk::new(body);
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"300ms\"\n");
    desk
}

/// A session of that name which has done this, and keeps its transaction open.
fn holder(desk: &Desk, name: &str, sql: &str) -> (Gate, String) {
    let holder = Gate::holding(&desk.url(), name, sql);
    let pid = format!("SELECT pid FROM pg_stat_activity WHERE application_name = '{name}'");
    let pid = desk.value(&pid);
    (holder, pid)
}

fn all(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

/// F28: pid, application, role, state, since when, the first line of its statement without the
/// secret in it; at the first retry already, and when the tries are used up.
#[test]
fn f28_who_holds_the_lock_of_a_table_is_named_at_each_try_and_at_the_end() {
    let desk = desk(
        r#"let p = playbook("it", #{ params: #{ key: #{ secret: true, required: true } } });
step("alter", || db::exec("ALTER TABLE items ADD COLUMN more int"));"#,
    );
    let (gate, pid) = holder(
        &desk,
        "nightly report",
        "SELECT count(*) FROM items WHERE name <> 'hunter2-hunter2'\n AND id > 0",
    );
    let ran = desk.call(&["run", "it", "--yes", "--set", "key=hunter2-hunter2"]);
    ran.exits(1).shows("attempt 1 of 5").shows("55P03").shows_nowhere("hunter2-hunter2");
    let who = format!("process {pid}, nightly report, user postgres, idle in transaction, ");
    let line = "SELECT count(*) FROM items WHERE name <> '******'";
    for attempt in 1..5 {
        let shown = all(&ran);
        let at = shown.find(&format!("attempt {attempt} of 5")).expect("a retry");
        let rest = &shown[at..];
        let end = rest.find(&format!("attempt {} of 5", attempt + 1)).unwrap_or(rest.len());
        assert!(rest[..end].contains(&who), "attempt {attempt} names nobody: {}", &rest[..end]);
    }
    ran.shows("the lock of items was held by:").shows(line).shows("transaction open since 20");
    ran.shows(&format!("pg_terminate_backend({pid})"));
    assert!(!all(&ran).contains("AND id > 0"), "one line of it is enough");
    gate.open();
    desk.unchanged().nothing_is_left();
}

/// F28: also where the statement stands in a file, or has parameters; the first retry knows it.
#[test]
fn f28_who_holds_the_lock_is_named_for_a_file_and_for_parameters_too() {
    for step in [
        "sql::run_file(\"alter.sql\")",
        "db::exec(\"DELETE FROM items WHERE id = $1\", [1])",
        "db::query(\"DELETE FROM items WHERE id = $1 RETURNING id\", [1])",
    ] {
        let desk = desk(&format!("step(\"it\", || {step});"));
        desk.project
            .file("alter.sql", "SELECT 1;\nALTER TABLE items ADD COLUMN more int;\nSELECT 2;\n");
        let (gate, pid) = holder(&desk, "shop web", "LOCK TABLE items IN EXCLUSIVE MODE");
        let ran = desk.run();
        ran.exits(1).shows("attempt 1 of 5");
        let shown = all(&ran);
        let first = &shown[shown.find("attempt 1 of 5").expect("a retry")..];
        let first = &first[..first.find("attempt 2 of 5").expect("another")];
        assert!(first.contains(&format!("process {pid}, shop web")), "{step}: {first}");
        gate.open();
        desk.unchanged().nothing_is_left();
    }
}

/// F28: a statement that is at work is not to be terminated but waited for, and the Korean reader
/// is told so in Korean.
#[test]
fn f28_a_holder_that_works_is_waited_for_or_cancelled() {
    let desk = desk(ALTER);
    let mut busy = Gate::closed(&desk);
    let mut work = Gate::idle(&desk);
    work.tell("SET application_name = 'pg_dump'; BEGIN; LOCK TABLE items IN ACCESS SHARE MODE; SELECT pg_advisory_lock(42);\n");
    let at_work = "FROM pg_stat_activity WHERE application_name = 'pg_dump' AND state = 'active'
        AND query LIKE '%advisory%'";
    desk.wait_until(&format!("SELECT EXISTS (SELECT {at_work} AND wait_event_type = 'Lock')"));
    let pid = desk.value(&format!("SELECT pid {at_work}"));
    let ran = desk.call(&["run", "it", "--yes", "--lang", "ko"]);
    ran.exits(1).shows(&format!("프로세스 {pid}, pg_dump, 사용자 postgres, active"));
    ran.shows("items의 잠금을 쥐고 있던 쪽").shows(&format!("pg_cancel_backend({pid})"));
    busy.tell("SELECT pg_advisory_unlock(42);\n");
    work.open();
    busy.open();
    desk.unchanged().nothing_is_left();
}

/// F28: which lock a function or a row asks for stands in no text; the server is asked while the
/// step waits.
#[test]
fn f28_who_holds_a_row_or_a_table_inside_of_a_function_is_named() {
    for (step, held, relation) in [
        (
            "DO $$BEGIN EXECUTE 'ALTER TABLE ' || 'items ADD COLUMN more int'; END$$",
            "SELECT 1 FROM items",
            "the lock of items was held by:",
        ),
        (
            "UPDATE items SET name = 'x' WHERE id = 3",
            "DELETE FROM items WHERE id = 3",
            "the lock was held by:",
        ),
    ] {
        let desk = desk(&format!("step(\"it\", || db::exec(`{step}`));"));
        desk.project.file("runsheet.toml", TIME_TO_ASK);
        let (gate, pid) = holder(&desk, "shop web", held);
        let ran = desk.run();
        ran.exits(1).shows(relation).shows(&format!("process {pid}, shop web, user postgres"));
        ran.shows(held).shows(&format!("pg_terminate_backend({pid})"));
        gate.open();
        desk.unchanged().nothing_is_left();
    }
}

/// F28, F42: a prepared transaction has no process that could be ended.
#[test]
fn f42_a_prepared_transaction_that_holds_the_lock_is_named_with_its_end() {
    let desk = Desk::with(&[("max_prepared_transactions", "2")], ALTER);
    desk.project.file("runsheet.toml", TIME_TO_ASK);
    desk.sql("BEGIN; SELECT 1 FROM items; PREPARE TRANSACTION 'it''s left'");
    desk.sql("BEGIN; SELECT 1; PREPARE TRANSACTION 'of no concern'");
    let ran = desk.run();
    ran.exits(1);
    let shown = all(&ran);
    let tail = &shown[shown.find("the lock of items was held by:").expect("a fault")..];
    assert!(tail.contains("prepared transaction 'it's left', user postgres"), "{tail}");
    assert!(tail.contains("ROLLBACK PREPARED 'it''s left'"), "{tail}");
    assert!(!tail.contains("of no concern"), "{tail}");
    desk.sql("ROLLBACK PREPARED 'it''s left'");
    desk.sql("ROLLBACK PREPARED 'of no concern'");
    desk.unchanged().nothing_is_left();
}

/// The team knows best whom to call; the holder is named all the same.
#[test]
fn the_teams_own_words_for_a_lock_timeout_stand_before_the_holders() {
    let desk = desk(ALTER);
    desk.project.file(
        "runsheet.toml",
        "[run]\nlock_timeout = \"100ms\"\n[remedies]\n55P03 = \"Call the night shift.\"\n",
    );
    let (gate, pid) = holder(&desk, "shop web", "SELECT 1 FROM items");
    let ran = desk.run();
    ran.exits(1).shows("Call the night shift.").shows(&format!("pg_terminate_backend({pid})"));
    gate.open();
}

/// A step that meets no lock timeout makes no second connection, however long it takes.
#[test]
fn f28_nobody_is_asked_where_no_lock_timeout_happens() {
    let desk = Desk::with(
        &[("log_connections", "on")],
        "step(\"slow\", || db::exec(\"SELECT pg_sleep(0.8)\"));",
    );
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"100ms\"\n");
    let sessions = || desk.cluster.scratch().log().matches("connection authorized").count();
    let before = sessions();
    desk.run().exits(0);
    // A server before 14 refuses the first one for a setting that it does not know.
    assert_eq!(sessions() - before, if desk.cluster.major() < 14 { 2 } else { 1 });
}
