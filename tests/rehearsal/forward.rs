//! The whole way, and a way that ends early.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{GOOD, receipts, rehearse, report};
use crate::faults::Desk;

/// P8: up and down again is the same, and the rehearsal says so.
#[test]
fn p8_a_good_playbook_is_proven_and_leaves_a_receipt() {
    let desk = Desk::new(GOOD);
    let before = desk.call(&["fingerprint"]).exits(0).stdout.clone();
    let ran = rehearse(&desk, &[]);
    ran.exits(0).stdout_shows("proven: after the undo steps everything is as it was");
    ran.stdout_shows("a second run finds nothing to do").stdout_shows("ACCESS EXCLUSIVE");
    // Nothing of it is on the source: no row, no ledger.
    assert_eq!(desk.call(&["fingerprint"]).exits(0).stdout, before);
    assert_eq!(desk.value("SELECT to_regnamespace('runsheet') IS NULL"), "t");
    desk.unchanged().nothing_is_left();
    let receipts = receipts(&desk);
    assert_eq!(receipts.len(), 1);
    let mode = std::fs::metadata(&receipts[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let report = report(&desk);
    let steps = report["forward"]["steps"].as_array().unwrap();
    let measured = |at: usize| &steps[at]["measured"];
    assert_eq!(measured(0)["locks"][0]["mode"], "AccessExclusiveLock");
    assert_eq!(measured(0)["locks"][0]["table"], "public.items");
    assert_eq!(measured(1)["rows"][0]["updated"], 20);
    assert!(measured(1)["wal_bytes"].as_u64().unwrap() > 500);
    assert_eq!(report["size"][1], 20);

    let planned = desk.call(&["plan", "it"]);
    planned.exits(0).stdout_shows("way back: add (proven: rehearsal of ");
}

#[test]
fn temporary_files_and_built_indexes_of_each_step_are_told() {
    let desk = Desk::new(
        r#"step("new", #{ undo: || db::exec("DROP TABLE fresh") }, || db::exec("CREATE TABLE fresh (id int PRIMARY KEY)"));
        step("sort", #{ undo: || () }, || {
            db::exec("SET LOCAL work_mem = '64kB'");
            db::exec("CREATE TEMP TABLE sorted ON COMMIT DROP AS SELECT n FROM generate_series(1, 100000) n ORDER BY -n");
        });
        step("index", #{ undo: || db::exec("DROP INDEX items_half") }, || db::exec("CREATE INDEX items_half ON items ((id / 2))"));
        step("anew", #{ undo: || () }, || db::exec("REINDEX INDEX items_half"));
        step("alone", #{ undo: || db::exec("DROP INDEX items_third"), transaction: false },
            || db::exec("CREATE INDEX CONCURRENTLY items_third ON items ((id / 3))"));
        step("rewritten", #{ undo: || db::exec("ALTER TABLE items ALTER id TYPE int") },
            || db::exec("ALTER TABLE items ALTER id TYPE bigint"));"#,
    );
    let ran = rehearse(&desk, &[]);
    ran.exits(0).stdout_shows("index: the index public.items_half was built");
    let report = report(&desk);
    let steps = report["forward"]["steps"].as_array().unwrap();
    let indexes: Vec<String> =
        steps.iter().map(|step| step["measured"]["indexes"].to_string()).collect();
    let half = r#"["public.items_half"]"#;
    assert_eq!(indexes, ["[]", "[]", half, half, r#"["public.items_third"]"#, "[]"]);
    if desk.cluster.major() < 15 {
        return;
    }
    let bytes = |at: usize| steps[at]["measured"]["temp_bytes"].as_u64();
    assert!(bytes(1).unwrap() > 500_000, "{steps:?}");
    assert_eq!((bytes(0), bytes(2), bytes(4)), (Some(0), Some(0), Some(0)));
    ran.stdout_shows("sort: temporary files of");
}

/// What others wait for, how long it may take on the source, and a lock that nobody foretold.
#[test]
fn downtime_is_told_by_table_and_a_lock_that_was_not_foretold_is_named() {
    let desk = Desk::new(
        r#"step("add", #{ takes: "1s..5s", undo: || db::exec("ALTER TABLE items DROP COLUMN price") },
            || db::exec("ALTER TABLE items ADD COLUMN price int"));
        step("touch", #{ undo: || () }, || db::exec("UPDATE items SET price = 1"));"#,
    );
    // Whoever writes items keeps the writers of another table away.
    desk.sql(
        "CREATE TABLE other (id int); \
         CREATE FUNCTION keep_away() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN LOCK TABLE other IN SHARE MODE; RETURN NEW; END $$; \
         CREATE TRIGGER keep_away BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION keep_away()",
    );
    let ran = rehearse(&desk, &[]);
    ran.exits(0).stdout_shows("public.items: closed for ").stdout_shows("add: on the source ");
    ran.stdout_shows("the playbook says 1s..5s");
    ran.stdout_shows("touch: lock on public.other: foretold none, taken SHARE");
    let report = report(&desk);
    let down = report["downtime"].as_array().unwrap();
    let of = |table: &str| down.iter().find(|one| one["table"] == table).unwrap().clone();
    assert_eq!(of("public.items")["steps"], serde_json::json!(["add"]));
    assert!(of("public.items")["closed_ms"].as_u64() >= of("public.other")["closed_ms"].as_u64());
    assert_eq!(of("public.other")["closed_ms"], 0);
    assert_eq!(report["estimates"][0]["takes"], "1s..5s");
    assert_eq!(report["lock_differences"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn a_rewritten_table_is_named_and_an_added_column_is_no_rewrite() {
    let desk = Desk::new(
        r#"step("widen", #{ undo: || db::exec("ALTER TABLE items ALTER id TYPE int") },
            || db::exec("ALTER TABLE items ALTER id TYPE bigint"));
        step("add", #{ undo: || db::exec("ALTER TABLE items DROP COLUMN more") },
            || db::exec("ALTER TABLE items ADD COLUMN more int DEFAULT 7"));"#,
    );
    rehearse(&desk, &[]).exits(0).stdout_shows("widen: public.items was rewritten");
    let report = report(&desk);
    assert_eq!(report["forward"]["steps"][0]["measured"]["rewritten"][0], "public.items");
    assert_eq!(report["forward"]["steps"][1]["measured"]["rewritten"][0], Value::Null);
}

#[test]
fn a_playbook_that_fails_forward_exits_with_1_and_leaves_no_receipt() {
    let desk = Desk::new(
        r#"step("one", #{ undo: || db::exec("DROP TABLE t") }, || db::exec("CREATE TABLE t (a int)"));
        step("two", || db::exec("INSERT INTO items VALUES (1, 'there already')"));"#,
    );
    rehearse(&desk, &[]).exits(1).stderr_shows("23505").stderr_shows("it.rhai");
    desk.body(
        r#"step("one", #{ undo: || db::exec("DROP TABLE t") }, || db::exec("CREATE TABLE t (a int)"));
        verify("two", || false);"#,
    );
    rehearse(&desk, &[]).exits(1);
    assert!(receipts(&desk).is_empty());
    desk.unchanged();
}

#[test]
fn the_last_line_for_programs_says_state_and_next_command() {
    let desk = Desk::new(GOOD);
    let ran = rehearse(&desk, &["--json"]);
    ran.exits(0);
    let lines: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["event"], &last["state"]), (&"rehearsed".into(), &"done".into()));
    assert_eq!((&last["changed"], &last["exit"]), (&false.into(), &0.into()));
    assert_eq!(last["way_back"], "proven");
    assert_eq!(last["next"], "runsheet run it");
    let phases: Vec<&str> = lines.iter().filter_map(|line| line["phase"].as_str()).collect();
    for phase in ["server", "copy", "forward", "back", "again", "second"] {
        assert!(phases.contains(&phase), "{phase}: {phases:?}");
    }
}

#[test]
fn what_is_done_on_the_source_is_nothing_to_rehearse_unless_asked_for() {
    let desk = Desk::new(
        r#"step("count", #{ undo: || db::exec("DELETE FROM items WHERE id > 1000") },
            || db::exec("INSERT INTO items SELECT 1000 + count(*), 'x' FROM items"));"#,
    );
    desk.run().exits(0);
    rehearse(&desk, &[]).exits(0).stdout_shows("nothing was left to do");
    assert!(receipts(&desk).is_empty());
    // The undo takes more than this run brought: what the earlier one brought is lost.
    let ran = rehearse(&desk, &["--again"]);
    ran.exits(6).stdout_shows("public.items: 1 row is gone (id=1020)");
}

#[test]
fn a_killed_runner_is_resumed_to_the_same_end() {
    let mut desk = Desk::new(
        r#"check("path", || expect_equal("path", db::value("SHOW search_path"), "app"));
        step("one", #{ undo: || db::exec("DROP TABLE t") }, || db::exec("CREATE TABLE t (a int, at timestamptz DEFAULT now())"));
        step("two", #{ undo: || db::exec("DELETE FROM t") }, || { db::exec("INSERT INTO t SELECT generate_series(1, 500)"); db::query("SELECT pg_sleep(1)"); });
        step("three", #{ undo: || db::exec("DELETE FROM t WHERE a = 0") }, || { db::exec("INSERT INTO t VALUES (0)"); db::query("SELECT pg_sleep(0.2)"); });"#,
    );
    // What the address says of sessions counts for the runner that is killed as well.
    desk.sql("CREATE SCHEMA app");
    desk.remember();
    let url = format!("{}&options=-c%20search_path%3Dapp", desk.url());
    desk.project.run(&["rehearse", "it", "--crash", "--url", &url]).exits(0);
    let report = report(&desk);
    assert_eq!(report["varying"][0], "app.t", "{report:#}");
    let crashes = report["crashes"].as_array().unwrap();
    assert!(!crashes.is_empty(), "{report:#}");
    assert!(crashes.iter().all(|crash| crash["same"] == true), "{report:#}");
    assert_eq!(crashes[0]["after"], "one");
    desk.unchanged();
}

/// Its way back would go further than what was rehearsed: that it holds is not said.
#[test]
fn steps_that_were_appended_to_a_finished_run_are_not_called_proven() {
    let step = |name: &str| {
        format!(
            r#"step("{name}", #{{ undo: || db::exec("DROP TABLE {name}") }}, || db::exec("CREATE TABLE {name} ()"));"#
        )
    };
    let desk = Desk::new(&step("one"));
    desk.run().exits(0);
    desk.body(&[step("one"), step("two")].concat());
    let ran = rehearse(&desk, &[]);
    ran.exits(0).stdout_shows("unproven").stdout_shows("its way back was not gone");
    let folder = desk.project.path().join(".runsheet/rehearsals");
    let newest = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).max();
    let paper = std::fs::read_to_string(newest.unwrap().join("report.md")).unwrap();
    assert!(paper.contains("the way back was not tried"), "{paper}");
}
