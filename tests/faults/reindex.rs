//! Copies of indexes that REINDEX CONCURRENTLY leaves behind when it breaks off.

use super::Desk;
use super::lease::Gate;

const INVALID: &str = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
const INDEXES: &str = "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relnamespace = 'public'::regnamespace OR (c.relname ~ '_cc(new|old)')";

/// An old snapshot: whatever is built beside running sessions waits for it.
fn reader(desk: &Desk) -> Gate {
    Gate::reading(&desk.url(), "SELECT count(*) FROM items")
}

/// F36, F37, P2: killed while it waits with its copies built; the next run leaves none of them, of
/// tables, their toast tables and their partitions.
#[test]
fn f36_a_killed_reindex_of_a_schema_or_database_leaves_no_copies() {
    for (step, options) in [
        ("db::exec(`REINDEX SCHEMA CONCURRENTLY public`)", ""),
        ("db::exec(`REINDEX DATABASE CONCURRENTLY shop`)", ""),
        ("db::exec(`REINDEX (CONCURRENTLY) TABLE items`)", ""),
        ("db::exec(`REINDEX TABLE CONCURRENTLY parts`)", ""),
        ("sql::run_file(`sql/anew.sql`)", "#{ transaction: false }, "),
    ] {
        let desk = Desk::new(&format!("step(\"anew\", {options}|| {step});"));
        if desk.cluster.major() < 14 && (step.contains("(CONCURRENTLY)") || step.contains("parts"))
        {
            continue;
        }
        desk.project.file("sql/anew.sql", "REINDEX SCHEMA CONCURRENTLY public;\n");
        desk.sql(
            "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
             CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (9)",
        );
        let before = desk.value(INDEXES);
        let mut reader = reader(&desk);
        reader.tell("SELECT count(*) FROM part;\n");
        reader.done();
        let run = desk.start(&["run", "it", "--yes"]);
        desk.wait_until(
            "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index
                WHERE phase LIKE 'waiting for%' AND lockers_total > 0)",
        );
        run.kill();
        desk.end_the_dead().nothing_is_left();
        assert_ne!(desk.value(INVALID), "0", "{step}: nothing was left behind");
        reader.open();
        desk.run().exits(0).shows("_ccnew").shows("was dropped");
        assert_eq!(desk.value(INVALID), "0", "{step}");
        assert_eq!(desk.value(INDEXES), before, "{step}");
        desk.nothing_is_left();
    }
}

/// The copies that another session builds just now are not wreckage: neither the one that it works
/// on nor those that it has made for later.
#[test]
fn copies_that_another_session_builds_are_left_alone() {
    let desk = Desk::new("step(\"anew\", || db::exec(`REINDEX SCHEMA CONCURRENTLY public`));");
    desk.sql("CREATE INDEX items_name ON items (name)");
    let before = desk.value(INDEXES);
    let reader = reader(&desk);
    let mut other = Gate::idle(&desk);
    other.tell("REINDEX TABLE CONCURRENTLY items;\n");
    // Those of the key, the name, and the toast table.
    desk.wait_until("SELECT count(*) = 3 FROM pg_index WHERE NOT indisvalid");
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("REINDEX SCHEMA");
    assert_eq!(desk.value(INVALID), "3");
    reader.open();
    let ran = run.wait();
    ran.exits(0);
    assert!(!ran.stdout.contains("INVALID"), "{}", ran.stdout);
    other.open();
    assert_eq!(desk.value(INVALID), "0");
    assert_eq!(desk.value(INDEXES), before);
    desk.nothing_is_left();
}

/// F36: a DROP INDEX CONCURRENTLY that somebody cancels has not dropped the index, and it is not as
/// before either; the next run ends it.
#[test]
fn f36_a_half_dropped_index_is_named_and_its_drop_ended_by_the_next_run() {
    let desk = Desk::new("step(\"away\", || db::exec(`DROP INDEX CONCURRENTLY items_name`));");
    desk.sql("CREATE INDEX items_name ON items (name)");
    let reader = reader(&desk);
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_until(INVALID_NOW);
    desk.sql(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DROP INDEX CONC%'",
    );
    run.wait().exits(1).shows("57014").shows("broke off half way").shows("items_name");
    assert_eq!(desk.value(INVALID), "1");
    reader.open();
    desk.run().exits(0);
    assert_eq!(desk.value("SELECT to_regclass('items_name') IS NULL"), "t");
    desk.nothing_is_left();
}

const INVALID_NOW: &str = "SELECT EXISTS (SELECT FROM pg_index WHERE NOT indisvalid)";
