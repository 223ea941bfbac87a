//! `snapshot_table`, `restore_table`, `drop_snapshot`.

use runsheet::model::{EventKind, ItemState, RungKind};
use serde_json::json;

use super::shop;

const SCHEMA: &str = r#"
    CREATE TABLE users (id int PRIMARY KEY, name text, info json, upper text GENERATED ALWAYS AS (upper(name)) STORED);
    CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, user_id int REFERENCES users ON DELETE CASCADE);
    INSERT INTO users (id, name, info) SELECT n, 'u' || n, '{"n": 1}' FROM generate_series(1, 5) n;
    INSERT INTO orders (user_id) SELECT n FROM generate_series(1, 5) n"#;

#[test]
fn a_table_that_others_refer_to_comes_back_row_by_row() {
    let (cluster, stage) = shop(SCHEMA);
    let played = stage.run(
        r#"let s = step("keep", || db::snapshot_table("users"));
           step("change", || {
               db::exec("UPDATE users SET name = 'x' WHERE id < 3");
               db::exec("DELETE FROM orders WHERE user_id = 5");
               db::exec("DELETE FROM users WHERE id = 5; INSERT INTO users VALUES (6, 'new')");
           });
           step("back", || db::restore_table(s));
           verify("columns", || db::count("SELECT count(*) FROM users WHERE upper = upper(name)") == 5);"#,
    );
    played.ok();
    let snapshot = played.value("keep");
    assert_eq!(snapshot["rows"], json!(5));
    assert_eq!(snapshot["table"], "users");
    let name = snapshot["name"].as_str().unwrap();
    assert!(name.starts_with("public.users_before_"), "{name}");
    assert_eq!(played.value("back"), json!({"rows": 5, "removed": 1, "changed": 2, "inserted": 1}));
    assert_eq!(
        cluster.value("shop", "SELECT string_agg(name, ',' ORDER BY id) FROM users"),
        "u1,u2,u3,u4,u5"
    );
    // No CASCADE took the orders of users that were there all the time.
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM orders"), "4");
    assert_eq!(cluster.value("shop", &format!("SELECT count(*) FROM {name}")), "5");
    let way = |event: &runsheet::model::RunEvent| {
        matches!(&event.kind, EventKind::WayBack { rung: RungKind::BackupTable, .. })
    };
    assert!(played.events.iter().any(way));
}

#[test]
fn a_table_of_its_own_is_replaced_and_the_snapshot_dropped() {
    let (cluster, stage) = shop(SCHEMA);
    let played = stage.run(
        r#"let s = step("keep", || db::snapshot_table("orders"));
           step("again", || db::snapshot_table("orders"));
           step("change", || db::exec("DELETE FROM orders WHERE id > 1"));
           step("back", || db::restore_table(s));
           step("drop", || db::drop_snapshot(s));"#,
    );
    played.ok();
    assert_ne!(played.value("keep")["name"], played.value("again")["name"]);
    assert_eq!(played.value("back")["rows"], json!(5));
    assert_eq!(
        cluster.value("shop", "SELECT string_agg(id::text, ',' ORDER BY id) FROM orders"),
        "1,2,3,4,5"
    );
    let left =
        "SELECT count(*) FROM pg_class WHERE relname LIKE 'orders_before_%' AND relkind = 'r'";
    assert_eq!(cluster.value("shop", left), "1");
}

#[test]
fn only_snapshots_are_restored_from_and_dropped() {
    let (cluster, stage) = shop(SCHEMA);
    for verb in ["restore_table", "drop_snapshot"] {
        let text =
            format!(r#"step("s", || db::{verb}(#{{ name: "orders", table: "users", rows: 5 }}));"#);
        stage.run(&text).fails("not-a-snapshot");
    }
    stage.run(r#"step("s", || db::snapshot_table("absent"));"#).fails("no-such-table");
    stage.run(r#"check("s", || db::snapshot_table("users"));"#).fails("write-in-check");
    let fault = stage
        .run(
            r#"let s = step("keep", || db::snapshot_table("users"));
               step("change", || db::exec("ALTER TABLE users DROP COLUMN info"));
               step("back", || db::restore_table(s));"#,
        )
        .fails("columns-differ");
    assert!(fault.message.contains("info"), "{fault}");
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM users"), "5");
}

#[test]
fn a_plan_makes_no_snapshot() {
    let (cluster, stage) = shop(SCHEMA);
    let played = stage.plan(
        r#"let s = step("keep", || db::snapshot_table("users"));
           step("back", || db::restore_table(s));
           step("drop", || db::drop_snapshot(s));"#,
    );
    played.ok();
    assert_eq!(played.outcome("back"), ItemState::Planned);
    assert_eq!(
        played.planned(),
        ["db::snapshot_table users", "db::restore_table", "db::drop_snapshot"]
    );
    assert_eq!(
        cluster.value("shop", "SELECT count(*) FROM pg_class WHERE relname LIKE '%_before_%'"),
        "0"
    );
}
