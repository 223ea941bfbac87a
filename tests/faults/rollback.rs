//! Ways back that fail, that lose something, or that nobody agreed to.

use super::Desk;

const THREE: &str = r#"
step("one", #{ undo: || db::exec("DROP TABLE one") }, || db::exec("CREATE TABLE one (id int)"));
step("two", #{ undo: || { db::exec("DELETE FROM items WHERE id = 1"); db::exec("DROP TABLE two") } },
    || db::exec("CREATE TABLE two (id int)"));
step("look", || db::count("items"));
step("three", #{ undo: || db::exec("DROP TABLE three") }, || db::exec("CREATE TABLE three (id int)"));
"#;

fn tables(desk: &Desk) -> String {
    desk.value(
        "SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class
         WHERE relname IN ('one', 'two', 'three')",
    )
}

/// F56: the failed undo leaves nothing of itself, what was undone stays undone, and both are said.
#[test]
fn f56_a_rollback_that_fails_half_way_says_what_is_undone_and_what_stands() {
    let desk = Desk::new(THREE);
    desk.run().exits(0);
    desk.sql("CREATE VIEW holds AS SELECT * FROM two");
    let run = desk.newest_run();
    let ran = desk.call(&["rollback", &run, "--yes"]);
    ran.exits(5).shows("2BP01").shows("undone: three").shows("these steps stand: one, two");
    ran.shows(&format!("runsheet rollback {run}"));
    assert_eq!(tables(&desk), "one two");
    assert_eq!(desk.value("SELECT count(*) FROM items"), "20", "the undo was one transaction");
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "rolling_back");
    let report = desk.of_run("report.md");
    for line in [
        "one: **unproven: no rehearsal has shown that it leads back**",
        "two: **failed, and left nothing behind: cannot drop table two",
        "three: undone by the rollback",
        "5. **Restore of the backup**\n   - **not possible: the run made no dump",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert!(report.find("three: undone") < report.find("two: **failed"), "{report}");
    // Neither forward nor anew from here.
    desk.call(&["run", "it", "--yes"]).exits(5).shows(&format!("runsheet rollback {run}"));
    assert_eq!(tables(&desk), "one two");
    desk.sql("DROP VIEW holds; INSERT INTO items VALUES (100, 'since')");
    // `resume` goes on with what was being done.
    desk.call(&["resume", "--yes"]).exits(0).shows("rollback");
    assert_eq!(tables(&desk), "");
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "rolled_back");
    desk.call(&["rollback", &run, "--yes"]).exits(0).shows("nothing of this run stands");
    desk.run().exits(0);
    assert_eq!(tables(&desk), "one three two");
    desk.nothing_is_left();
}

/// Only a step that can be taken back by itself says which tables it touched.
#[test]
fn a_step_without_a_way_back_leaves_no_trace_and_is_named() {
    let desk = Desk::new(
        r#"
step("plain", || db::exec("CREATE TABLE plain (id int)"));
step("undone", #{ undo: || db::exec("DROP TABLE undone") }, || db::exec("CREATE TABLE undone (id int)"));
"#,
    );
    desk.run().exits(0);
    let traced = "SELECT string_agg(key || ' ' || (inputs ? 'since')::text, ', ' ORDER BY number)
        FROM runsheet.step WHERE kind = 'step'";
    assert_eq!(desk.value(traced), "plain false, undone true");
    let ran = desk.call(&["rollback", &desk.newest_run(), "--yes"]);
    ran.exits(5).shows("nothing is known of what these steps touched").shows("plain");
}

/// F56: the same road where the run takes itself back.
#[test]
fn f56_a_run_that_takes_itself_back_and_fails_is_gone_on_with() {
    let desk = Desk::new(&format!("{THREE}\nstep(\"bad\", || db::exec(\"SELEKT\"));"));
    desk.sql("CREATE FUNCTION bad() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN IF tg_tag = 'DROP TABLE' AND to_regclass('stop') IS NOT NULL AND to_regclass('three') IS NULL
            THEN RAISE 'no more'; END IF; END $$;
        CREATE EVENT TRIGGER bad ON ddl_command_end EXECUTE FUNCTION bad();
        CREATE TABLE stop (id int)");
    desk.call(&["run", "it", "--yes", "--on-failure", "rollback"])
        .exits(5)
        .shows("42601")
        .shows("no more")
        .shows("will be undone: three");
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "rolling_back");
    desk.sql("DROP EVENT TRIGGER bad");
    desk.call(&["rollback", "--yes"]).exits(0);
    assert_eq!(tables(&desk), "");
}

/// F57: a way back that nobody has tried is called so before the run and after it, in the reader's
/// language, with the command of each rung.
#[test]
fn f57_an_undo_that_was_never_rehearsed_is_called_unproven() {
    let desk = Desk::new(
        r#"step("dump", || pg::dump());
step("file", #{ undo: || sql::run_rollback_section("sql/up.sql") }, || sql::run_file("sql/up.sql"));
step("rows", #{ undo: || () }, || db::snapshot_table("items"));
step("one way", || db::exec("DELETE FROM items WHERE id = 3"));"#,
    );
    let sql = "CREATE TABLE made (id int);\n-- ROLLBACK\n-- DROP TABLE made;\n";
    desk.project.file("sql/up.sql", sql);
    let planned = desk.call(&["plan", "it"]);
    planned.exits(0).shows("way back: file (unproven").shows("one way (not possible: no undo");
    desk.run().exits(0);
    let run = desk.newest_run();
    let report = desk.of_run("report.md");
    for line in [
        "   - one way: **not possible: no undo is written for it**",
        "   - file: **unproven: no rehearsal has shown that it leads back**",
        "refuses, because steps without an undo stand",
        "   - `sql/up.sql`: **unproven",
        "20 rows of items: **unproven",
        "**unproven: never restored as a test**",
        &format!("   - **type: `runsheet rollback {run} --restore`**"),
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert!(!report.contains("dump: **"), "a dump has nothing to be taken back\n{report}");
    desk.call(&["rollback", &run, "--restore", "--yes", "--lang", "ko"]).exits(0);
    let report = desk.of_run("report.md");
    assert!(report.contains("shop_old_") && report.contains("필요 없음"), "{report}");
}

/// F58: what others wrote since is shown with its numbers before anybody is asked.
#[test]
fn f58_rows_written_since_are_shown_before_they_are_lost() {
    let desk = Desk::new(
        r#"
step("made", #{ undo: || db::exec("DROP TABLE made") }, || {
    try { db::exec("CREATE TABLE made AS SELECT n AS id FROM generate_series(1, 7) n") } catch {}
});
step("changed", #{ undo: || db::exec("UPDATE items SET name = lower(name)") }, || {
    try { db::exec("UPDATE items SET name = upper(name)") } catch {}
    db::exec("INSERT INTO made VALUES (8)");
});
step("indexed", #{ transaction: false, undo: || db::exec("UPDATE items SET name = name") },
    || db::exec("UPDATE items SET name = name WHERE id < 4"));"#,
    );
    desk.sql("CREATE TABLE other (id int)");
    desk.run().exits(0);
    let run = desk.newest_run();
    // Nothing was written by others: the steps' own rows, those of savepoints too, do not count.
    desk.call(&["rollback", &run]).exits(4).shows("nobody has written").shows("rows deleted since");
    desk.sql("VACUUM FREEZE made");
    desk.sql("VACUUM FREEZE items");
    desk.sql("INSERT INTO made VALUES (9), (10); UPDATE items SET name = 'x' WHERE id = 3");
    desk.sql("INSERT INTO other VALUES (1)");
    let ran = desk.call(&["rollback", &run]);
    ran.exits(4).shows("since these steps ended: 3");
    let line = |table: &str| {
        ran.stdout.lines().find(|line| line.contains(table)).unwrap_or_default().to_string()
    };
    let cells = |table: &str| -> Vec<String> {
        line(table).split_whitespace().skip_while(|word| *word != table).map(String::from).collect()
    };
    assert_eq!(cells("public.made")[..4], ["public.made", "2", "10", "changed"], "{}", ran.stdout);
    assert_eq!(cells("public.items")[..4], ["public.items", "1", "20", "indexed"]);
    assert!(line("public.other").is_empty());
    // Nobody agreed: nothing was undone, and the run is as done as it was.
    assert_eq!(desk.value("SELECT count(*) FROM made"), "10");
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "done");
    desk.run().exits(0).shows("done here already");
    desk.call(&["rollback", &run, "--yes"]).exits(0).shows("since these steps ended: 3");
    assert!(desk.of_run("report.md").contains("since these steps ended: 3"));
    assert_eq!(desk.value("SELECT to_regclass('made') IS NULL"), "t");
}

/// F58: transactions that began before the step and ended after it are counted, renamed tables
/// are found, and a table that is gone is said.
#[test]
fn f58_a_table_renamed_or_dropped_since_is_not_passed_over() {
    let desk = Desk::new(
        r#"step("rows", #{ undo: || db::exec("SELECT 1") }, || {
    db::exec("INSERT INTO items VALUES (101, 'one')");
    db::exec("INSERT INTO gone VALUES (1)");
});"#,
    );
    desk.sql("CREATE TABLE gone (id int)");
    desk.run().exits(0);
    desk.sql("DROP TABLE gone; ALTER TABLE items RENAME TO things; INSERT INTO things VALUES (9000, 'x')");
    let ran = desk.call(&["rollback", &desk.newest_run()]);
    ran.exits(4).shows("the table is gone").shows("since these steps ended: 1");
}

#[test]
fn an_undo_has_the_role_of_its_step() {
    let desk = Desk::new(
        r#"step("as app", #{ role: "app", undo: || db::exec("CREATE TABLE who AS SELECT current_user::text AS name") },
    || db::exec("CREATE TABLE app.mine (id int)"));"#,
    );
    desk.sql("CREATE ROLE app; CREATE SCHEMA app AUTHORIZATION app; GRANT CREATE ON SCHEMA public TO app; ALTER TABLE items OWNER TO app");
    desk.run().exits(0);
    desk.call(&["rollback", &desk.newest_run(), "--yes"]).exits(0);
    assert_eq!(desk.value("SELECT name FROM app.who"), "app");
}

#[test]
fn what_a_broken_step_left_outside_of_a_transaction_is_not_called_undone() {
    let desk = Desk::new(&format!(
        r#"{THREE}
step("apart", #{{ transaction: false, undo: || db::exec("SELECT 1") }}, || {{
    db::exec("INSERT INTO items VALUES (101, 'half')");
    db::exec("SELEKT");
}});"#
    ));
    desk.run().exits(5).shows("apart");
    let run = desk.newest_run();
    desk.call(&["rollback", &run, "--yes"]).exits(5).shows("still stands: apart");
    assert_eq!(tables(&desk), "");
    assert_eq!(desk.value("SELECT count(*) FROM items WHERE id = 101"), "1");
}
