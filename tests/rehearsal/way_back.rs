//! Ways back that do not lead back: exit code 6, and what is lost by name.

use super::{receipts, rehearse, report};
use crate::faults::Desk;

/// F57: a step without an undo, and no dump that could be restored.
#[test]
fn f57_a_missing_undo_is_named() {
    let desk = Desk::new(
        r#"step("first", #{ undo: || db::exec("DROP TABLE t") }, || db::exec("CREATE TABLE t (a int)"));
        step("one way", || db::exec("DELETE FROM items WHERE id > 15"));"#,
    );
    let ran = rehearse(&desk, &[]);
    ran.exits(6).stdout_shows("unproven").stdout_shows("no way back is written for: one way");
    assert_eq!(report(&desk)["way_back"], "unproven");
    desk.unchanged();
}

#[test]
fn the_values_that_an_undo_does_not_bring_back_are_named_by_column_and_key() {
    let desk = Desk::new(
        r#"step("drop", #{ undo: || db::exec("ALTER TABLE items ADD COLUMN phone text") },
            || db::exec("ALTER TABLE items DROP COLUMN phone"));"#,
    );
    desk.sql(
        "ALTER TABLE items ADD COLUMN phone text, ADD COLUMN last int DEFAULT 1; \
        UPDATE items SET phone = '0' || id WHERE id IN (7, 8, 9)",
    );
    let ran = rehearse(&desk, &[]);
    ran.exits(6).stdout_shows("lossy");
    ran.stdout_shows(
        "public.items.phone: values of 3 rows are lost or other ones (id=7; id=8; id=9)",
    );
    ran.stdout_shows("column public.items.phone stands in another place of its table");
    assert_eq!(receipts(&desk).len(), 1);
    let plan = desk.call(&["plan", "it"]);
    plan.exits(0).shows("lossy way back").shows("values of 3 rows").shows("(unproven");
}

#[test]
fn lost_tables_and_rows_are_named_and_so_is_what_is_left_over() {
    let desk = Desk::new(
        r#"step("much", #{ undo: || () }, || {
            db::exec("DROP TABLE gone");
            db::exec("DELETE FROM items WHERE id = 3");
            db::exec("CREATE TABLE made (a int)");
        });"#,
    );
    desk.sql("CREATE TABLE gone (a int PRIMARY KEY, b text); INSERT INTO gone VALUES (1, 'x')");
    let ran = rehearse(&desk, &[]);
    ran.exits(6)
        .stdout_shows("table public.gone is gone")
        .stdout_shows("table public.made is left");
    ran.stdout_shows("public.items: 1 row is gone (id=3)");
    assert!(!ran.stdout.contains("column public.gone.b"), "{}", ran.stdout);
}

#[test]
fn an_undo_that_fails_is_told_with_its_place() {
    let desk = Desk::new(
        r#"step("make", #{ undo: || db::exec("DROP TABLE other_name") }, || db::exec("CREATE TABLE made (a int)"));"#,
    );
    let ran = rehearse(&desk, &[]);
    ran.exits(6).stderr_shows("42P01").stdout_shows("the way back failed");
    assert_eq!(report(&desk)["way_back"], "unproven");
}

#[test]
fn without_undo_the_dump_of_the_run_leads_back() {
    let desk = Desk::new(
        r#"step("dump", || pg::dump());
        step("one way", || db::exec("DELETE FROM items WHERE id > 15"));"#,
    );
    let ran = rehearse(&desk, &[]);
    ran.exits(0).stdout_shows("proven: after the restore of the run's own dump");
    // The dumps of a rehearsal show a copy: they are nobody's backups.
    assert!(!desk.project.path().join("backups").exists());
    desk.unchanged();
}
