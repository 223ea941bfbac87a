//! `db::index_concurrently`.

use runsheet::model::ItemState;
use serde_json::json;

use super::shop;

const USERS: &str = r#"CREATE TABLE users (id int, email text, "userType" text);
    INSERT INTO users SELECT n, 'e' || n, 'A' FROM generate_series(1, 100) n;
    CREATE SCHEMA app; CREATE TABLE app.t (a int)"#;

const BUILD: &str = r#"step("index", || db::index_concurrently(
    #{ name: "by_email", table: "users", on: ["lower(email)", "userType"], unique: true, where: "id > 0" }));"#;

#[test]
fn an_index_is_built_once_and_a_wreck_is_repaired() {
    let (cluster, stage) = shop(USERS);
    let first = stage.run(BUILD);
    assert_eq!(first.ok().value("index")["built"], json!(true));
    let definition = cluster.value("shop", "SELECT pg_get_indexdef('by_email'::regclass)");
    assert!(
        definition.contains("UNIQUE") && definition.contains("lower(email), \"userType\""),
        "{definition}"
    );
    let second = stage.run(BUILD);
    assert_eq!(second.ok().value("index")["built"], json!(false));

    cluster.sql(
        "shop",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_email'::regclass",
    );
    let third = stage.run(BUILD);
    assert_eq!(third.ok().value("index")["repaired"], json!(true));
    let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_email'::regclass";
    assert_eq!(cluster.value("shop", valid), "t");
    stage
        .run(r#"step("a", || db::index_concurrently(#{ name: "i", table: "app.t", on: "a" }));"#)
        .ok();
    assert_eq!(
        cluster.value("shop", "SELECT count(*) FROM pg_class WHERE oid = to_regclass('app.i')"),
        "1"
    );
}

#[test]
fn another_definition_is_a_fault_and_a_failed_build_leaves_no_wreck() {
    let (cluster, stage) = shop(USERS);
    cluster
        .sql("shop", "CREATE INDEX by_email ON users (email); INSERT INTO users VALUES (1, 'e1')");
    let fault = stage.run(BUILD).fails("index-differs");
    assert!(fault.detail.unwrap().contains("lower(email)"));
    let twice = r#"step("i", || db::index_concurrently(#{ name: "by_id", table: "users", on: "id", unique: true }));"#;
    assert_eq!(stage.run(twice).fails("sql-error").sqlstate.as_deref(), Some("23505"));
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM pg_class WHERE relname = 'by_id'"), "0");
    stage
        .run(r#"step("i", || db::index_concurrently(#{ name: "x", table: "users" }));"#)
        .fails("wrong-option");
}

#[test]
fn a_plan_builds_nothing_and_still_answers_about_other_tables() {
    let (cluster, stage) = shop(USERS);
    let played = stage.plan(&format!(
        r#"{BUILD}
        check("other", || db::count("app.t"));
        check("same", || db::count("users"));"#
    ));
    played.ok();
    assert_eq!(played.outcome("index"), ItemState::Planned);
    assert_eq!(played.value("other"), json!(0));
    assert_eq!(played.outcome("same"), ItemState::WillCheck);
    assert_eq!(
        cluster.value("shop", "SELECT count(*) FROM pg_class WHERE relname = 'by_email'"),
        "0"
    );
}
