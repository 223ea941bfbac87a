//! What is seen of a run while one of its statements works for long (G0.20, G3.11, G4.14).

use super::Desk;
use super::lease::Gate;
use crate::support::Ran;
use crate::support::gate::WAITS_FOR_A_LOCK;

fn desk(body: &str) -> Desk {
    let desk = Desk::new(body);
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"20s\"\nwatch = \"50ms\"\n");
    desk
}

/// Waits until the run's journal has a look in it that holds all of these.
#[track_caller]
fn wait_until_seen(desk: &Desk, words: &[&str]) {
    desk.wait_for_events(1, &[&["\"event\":\"watched\""], words].concat());
}

fn report(desk: &Desk, ran: &Ran) -> String {
    ran.exits(0);
    desk.of_run("report.md")
}

/// G3.11: a person who waits for the run is named with the statement that waits, in the log, for
/// programs, and in the report with the longest time.
#[test]
fn whoever_waits_for_the_run_is_named_while_it_waits_and_in_the_report() {
    let desk = desk(
        r#"step("alter", || { db::exec("ALTER TABLE items ADD COLUMN more int"); db::exec("SELECT pg_advisory_xact_lock(42)") });"#,
    );
    let gate = Gate::closed(&desk);
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    let mut shop = Gate::idle(&desk);
    shop.tell("SET application_name = 'shop web'; SELECT name FROM items WHERE id = 3;\n");
    let waiter =
        "FROM pg_stat_activity WHERE application_name = 'shop web' AND wait_event_type = 'Lock'";
    desk.wait_until(&format!("SELECT EXISTS (SELECT {waiter})"));
    let pid = desk.value(&format!("SELECT pid {waiter}"));
    wait_until_seen(&desk, &[&format!("\"pid\":{pid}"), "\"relation\":\"items\""]);
    gate.open();
    let ran = run.wait();
    shop.open();
    let shown = format!(
        "the lock of items: process {pid}, shop web, user postgres, active: SELECT name FROM items"
    );
    ran.stdout_shows("held up by this run for").stdout_shows(&shown);
    let report = report(&desk, &ran);
    assert_eq!(report.matches("held up by this run for").count(), 1, "{report}");
    assert!(report.contains("shop web"), "{report}");
    desk.nothing_is_left();
}

/// G0.20: an index build says in which phase it is, how far, and whom it waits for.
#[test]
fn an_index_build_says_how_far_it_is_and_whom_it_waits_for() {
    let desk = desk(
        r#"step("index", || db::index_concurrently(#{ name: "items_name", table: "items", on: "name" }));"#,
    );
    let mut writer = Gate::idle(&desk);
    writer.tell("SET application_name = 'nightly import'; BEGIN; UPDATE items SET name = name;\n");
    let open = "FROM pg_stat_activity WHERE application_name = 'nightly import' AND state = 'idle in transaction'";
    desk.wait_until(&format!("SELECT EXISTS (SELECT {open} AND query LIKE '%UPDATE%')"));
    let pid = desk.value(&format!("SELECT pid {open}"));
    let run = desk.start(&["run", "it", "--yes", "--lang", "ko"]);
    desk.wait_for_statement("CREATE INDEX");
    wait_until_seen(&desk, &["waiting for writers before build", "\"unit\":\"sessions\"", &pid]);
    writer.open();
    let ran = run.wait();
    ran.stdout_shows("CREATE INDEX CONCURRENTLY items: waiting for writers before build");
    ran.stdout_shows(&format!("기다림, 쥐고 있는 쪽: 프로세스 {pid}, nightly import"));
    assert!(report(&desk, &ran).contains("nightly import"));
    desk.nothing_is_left();
}

/// G0.20: rows that stream in are counted (from PostgreSQL 14 on).
#[test]
fn a_copy_says_how_many_rows_it_has_taken() {
    let desk = desk(r#"step("load", || sql::run_file("load.sql"));"#);
    if desk.cluster.major() < 14 {
        println!("skipped: PostgreSQL 13 reports no progress of COPY");
        return;
    }
    desk.sql(
        "CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS
           $$BEGIN IF NEW.id = 3000 THEN PERFORM pg_advisory_xact_lock(42); END IF; RETURN NEW; END$$;
         CREATE TRIGGER halt BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION halt()",
    );
    let rows: String = (1001..=4000).map(|n| format!("{n}\titem {n}\n")).collect();
    desk.project.file("load.sql", &format!("COPY items FROM stdin;\n{rows}\\.\n"));
    let gate = Gate::closed(&desk);
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("COPY items");
    wait_until_seen(&desk, &["COPY FROM", "\"object\":\"items\"", "\"unit\":\"rows\""]);
    gate.open();
    let ran = run.wait();
    ran.exits(0).stdout_shows("COPY FROM items: 1,");
    assert_eq!(desk.value("SELECT count(*) FROM items"), "3020");
    desk.nothing_is_left();
}

/// Who works for long is watched, except where the project does not want it.
#[test]
fn a_project_may_do_without_the_watch() {
    let desk = Desk::new(r#"step("slow", || db::exec("SELECT pg_advisory_xact_lock(42)"));"#);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'runsheet%'";
    for (watch, wanted) in [("0s", "1"), ("50ms", "2")] {
        let toml = format!("[run]\nlock_timeout = \"60s\"\nwatch = \"{watch}\"\n");
        desk.project.file("runsheet.toml", &toml);
        let gate = Gate::closed(&desk);
        let run = desk.start(&["run", "it", "--yes", "--again"]);
        // Long after a watch would have begun.
        desk.wait_until(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active'
             AND query LIKE '%xact_lock(42)%' AND application_name LIKE 'runsheet%'
             AND clock_timestamp() > query_start + interval '500 ms')",
        );
        if watch != "0s" {
            desk.wait_until(&format!("SELECT ({sessions}) = {wanted}"));
        }
        assert_eq!(desk.value(sessions), wanted, "{watch}");
        gate.open();
        run.wait().exits(0);
        desk.nothing_is_left();
    }
}

/// Whoever waits for the lease does nothing that could be looked at, and there may be fifty of them.
#[test]
fn a_run_is_watched_while_it_works_and_not_while_it_waits_for_the_lease() {
    let desk = Desk::new(r#"step("long", || db::exec("SELECT pg_advisory_xact_lock(42)"));"#);
    let watch = |span: &str| {
        desk.project.file("runsheet.toml", &format!("[run]\nwatch = \"{span}\"\n"));
    };
    let watchers = "FROM pg_stat_activity WHERE application_name = 'runsheet'";
    let gate = Gate::closed(&desk);
    watch("0s");
    let works = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    watch("50ms");
    let waits = desk.start(&["run", "it", "--yes", "--wait", "30s"]);
    // Long after a watch would have begun.
    desk.wait_until(
        "SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name LIKE 'runsheet/%'
         AND clock_timestamp() > backend_start + interval '500 ms'",
    );
    assert_eq!(desk.value(&format!("SELECT count(*) {watchers}")), "0");
    gate.open();
    works.wait().exits(0);
    waits.wait().exits(0);
    let gate = Gate::closed(&desk);
    let again = desk.start(&["run", "it", "--yes", "--again"]);
    desk.wait_until(&format!("SELECT EXISTS (SELECT {watchers})"));
    gate.open();
    again.wait().exits(0);
    desk.nothing_is_left();
}

/// What the report knows of the locks that steps waited for.
fn lock_waits(desk: &Desk) -> Vec<serde_json::Value> {
    let report = desk.report_of_run();
    let items = report["sections"].as_array().unwrap().iter();
    let items = items.flat_map(|section| section["items"].as_array().unwrap());
    let facts = items.flat_map(|item| item["evidence"].as_array().unwrap());
    let waits = facts.filter_map(|fact| fact["waits"].as_array());
    waits.flatten().cloned().collect()
}

/// How long a step waited for a lock is in journal and report; a step that waited for nobody says
/// nothing.
#[test]
fn a_step_tells_how_long_it_waited_for_which_lock() {
    let desk = Desk::new(
        r#"step("other", || db::exec("CREATE TABLE other (id int)"));
        step("alter", || db::exec("ALTER TABLE items ADD COLUMN more int"));"#,
    );
    if desk.cluster.major() < 14 {
        println!("skipped: PostgreSQL 13 does not say since when a session waits");
        return;
    }
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"60s\"\nwatch = \"300ms\"\n");
    let holder = Gate::holding(&desk.url(), "nightly report", "SELECT count(*) FROM items");
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_until(WAITS_FOR_A_LOCK);
    holder.open();
    run.wait().exits(0);
    let waits = lock_waits(&desk);
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert_eq!(waits[0]["relation"], "public.items");
    assert_eq!(waits[0]["mode"], "AccessExclusiveLock");
    // Looked at every tenth of a second; a busy machine looks less often.
    assert!(waits[0]["waited_ms"].as_u64().unwrap() >= 250, "{waits:?}");
    let paper = desk.of_run("report.md");
    assert!(paper.contains("for the lock ACCESS EXCLUSIVE on public.items"), "{paper}");
    desk.wait_for_events(1, &["\"event\":\"lock_waits\"", "\"item\":\"alter\""]);
    desk.nothing_is_left();
}

/// Each try waits for itself, and all of them are the step's: the first one for its lock timeout,
/// the others are watched.
#[test]
fn the_waits_of_all_tries_that_ended_in_a_lock_timeout_are_told() {
    let desk = Desk::new(r#"step("alter", || db::exec("ALTER TABLE items ADD COLUMN more int"));"#);
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"1200ms\"\nwatch = \"0s\"\n");
    let holder = Gate::holding(&desk.url(), "nightly report", "SELECT count(*) FROM items");
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_events(2, &["\"event\":\"retry\""]);
    holder.open();
    run.wait().exits(0);
    let waits = lock_waits(&desk);
    let of = |kind: &str| waits.iter().find(|wait| wait["kind"] == kind).cloned().unwrap();
    assert_eq!(of("unknown")["waited_ms"], 1200);
    assert!(of("relation")["waited_ms"].as_u64().unwrap() >= 1200, "{waits:?}");
    assert_eq!(of("relation")["relation"], "public.items");
    desk.nothing_is_left();
}
