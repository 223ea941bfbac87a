//! What there is, what has to be there, orphans, counts.

use runsheet::model::ItemState;
use serde_json::json;

use super::{reader, shop};

const SCHEMA: &str = r#"
    CREATE TYPE "UserType" AS ENUM ('A', 'B');
    CREATE TABLE users (id bigserial PRIMARY KEY, email varchar(255) NOT NULL, kind "UserType",
        price numeric(10), seen timestamp(3) with time zone, tags text[]);
    CREATE TABLE "Order Items" (id int PRIMARY KEY,
        user_id bigint CONSTRAINT belongs REFERENCES users ON DELETE CASCADE, loose int);
    CREATE INDEX by_email ON users (email);
    INSERT INTO users (email) VALUES ('a'), ('b');
    INSERT INTO "Order Items" VALUES (1, 1, 1), (2, NULL, NULL), (3, 2, 7), (4, 2, 8);
    CREATE SCHEMA app; CREATE TABLE app.users (id int); GRANT USAGE ON SCHEMA app TO PUBLIC"#;

#[test]
fn questions_about_objects_are_answered_in_run_and_plan() {
    let (cluster, stage) = shop(SCHEMA);
    let text = r#"
        check("there", || [db::has_table("users"), db::has_table("Order Items"), db::has_table("app.users"),
            db::has_column("users", "email"), db::has_index("by_email"),
            db::has_constraint("Order Items", "belongs"), db::has_type("UserType")]);
        check("not there", || [db::has_table("order items"), db::has_column("users", "Email"),
            db::has_column("absent", "a"), db::has_index("users"), db::has_constraint("users", "belongs"),
            db::has_type("usertype")]);
        check("columns", || db::columns("users"));"#;
    for played in [stage.run(text), reader(&cluster).plan(text)] {
        played.ok();
        assert_eq!(played.value("there"), json!([true, true, true, true, true, true, true]));
        assert_eq!(played.value("not there"), json!([false, false, false, false, false, false]));
        assert_eq!(played.value("columns")[1]["type"], "character varying(255)");
        assert_eq!(played.value("columns")[1]["nullable"], json!(false));
    }
    stage.run(r#"check("c", || db::columns("absent"));"#).fails("no-such-table");
    // A dot in it makes no schema of a column.
    cluster.sql(
        "shop",
        r#"ALTER TABLE users ADD "unit.price" int, ADD CONSTRAINT "more.than" CHECK (id > 0)"#,
    );
    let played = stage.run(
        r#"check("dots", || [db::has_column("users", "unit.price"), db::has_column("users", "\"unit.price\""),
            db::has_constraint("users", "more.than"), db::has_column("users", "unit")]);"#,
    );
    assert_eq!(played.value("dots"), json!([true, true, true, false]));
}

#[test]
fn a_question_that_a_recorded_write_could_answer_differently_waits_for_the_run() {
    let (_cluster, stage) = shop(SCHEMA);
    let played = stage.plan(
        r#"step("make", || db::exec("CREATE TABLE new (a int)"));
           check("new", || db::require_columns("new", #{ a: "int" }));
           check("version", || db::require_version(">=13"));"#,
    );
    played.ok();
    assert_eq!(played.outcome("new"), ItemState::WillCheck);
    assert!(matches!(played.outcome("version"), ItemState::Done { .. }));
}

#[test]
fn columns_are_compared_by_type_and_all_differences_are_named() {
    let (_cluster, stage) = shop(SCHEMA);
    let text = r#"check("as known", || db::require_columns("users", #{
        id: "int8 not null", email: "varchar(255) not null", kind: "UserType null", price: "numeric(10, 0)",
        seen: "timestamptz(3)", tags: "text[]" }));
        check("looser", || db::require_columns("users", #{ email: "character varying", id: "bigserial" }));"#;
    stage.run(text).ok();
    stage.plan(text).ok();
    let fault = stage
        .run(
            r#"check("as known", || db::require_columns("users", #{ id: "integer", email: "varchar(20)",
                kind: "UserType not null", price: "numeric(10,2)", phone: "text", seen: "moment" }));"#,
        )
        .fails("columns-differ");
    let detail = fault.detail.unwrap();
    for part in [
        "id: should be integer, is bigint",
        "email: should be varchar(20), is character varying(255)",
        "kind: should be NOT NULL",
        "price: should be numeric(10,2), is numeric(10,0)",
        "phone: is missing (wanted: text)",
        "seen: is timestamp(3) with time zone; there is no type moment",
    ] {
        assert!(detail.contains(part), "{part}\n{detail}");
    }
    stage
        .run(r#"check("x", || db::require_columns("absent", #{ a: "int" }));"#)
        .fails("no-such-table");
}

#[test]
fn indexes_and_foreign_keys_have_to_be_there_and_valid() {
    let (cluster, stage) = shop(SCHEMA);
    let text = r#"
        check("index", || db::require_index("by_email"));
        check("indexes", || db::require_indexes("users", ["users_pkey", "by_email"]));
        check("key", || db::require_foreign_key("Order Items", #{ columns: ["user_id"], references: "users", on_delete: "CASCADE" }));
        check("qualified", || db::require_foreign_key("Order Items", #{ columns: "user_id", references: "public.users" }));"#;
    stage.run(text).ok();
    stage.plan(text).ok();
    stage.run(r#"check("i", || db::require_index("nope"));"#).fails("no-such-index");
    let fault = stage
        .run(r#"check("i", || db::require_indexes("users", ["users_pkey", "a", "b"]));"#)
        .fails("indexes-missing");
    assert_eq!(fault.detail.unwrap().lines().count(), 2);
    for (key, found) in [
        (r#"#{ columns: ["loose"], references: "users" }"#, "users"),
        (r#"#{ columns: ["user_id"], references: "app.users" }"#, "public.users"),
        (r#"#{ columns: ["user_id"], references: "users", on_delete: "set null" }"#, "users"),
    ] {
        let text = format!(r#"check("k", || db::require_foreign_key("Order Items", {key}));"#);
        let fault = stage.run(&text).fails("no-such-foreign-key");
        let there = format!("belongs: (user_id) -> {found} on delete cascade");
        assert!(fault.detail.unwrap().contains(&there));
    }
    cluster.sql(
        "shop",
        r#"ALTER TABLE "Order Items" DROP CONSTRAINT belongs,
            ADD CONSTRAINT belongs FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE NOT VALID;
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_email'::regclass"#,
    );
    stage
        .run(r#"check("k", || db::require_foreign_key("Order Items", #{ columns: ["user_id"], references: "users" }));"#)
        .fails("not-validated");
    stage.run(r#"check("i", || db::require_index("by_email"));"#).fails("invalid-index");
}

/// A table of the same name in another schema is another table.
#[test]
fn a_foreign_key_into_another_schema_is_another_key() {
    let (cluster, stage) = shop(SCHEMA);
    cluster.sql(
        "shop",
        "CREATE SCHEMA archive; CREATE TABLE archive.users (id int PRIMARY KEY); \
         CREATE TABLE archive.only (id int PRIMARY KEY); \
         CREATE TABLE papers (who int CONSTRAINT of_old REFERENCES archive.users, a int REFERENCES archive.only)",
    );
    let key = |references: &str, column: &str| {
        stage.run(&format!(
            r#"check("k", || db::require_foreign_key("papers", #{{ columns: "{column}", references: "{references}" }}));"#
        ))
    };
    let fault = key("users", "who").fails("no-such-foreign-key");
    assert!(fault.detail.unwrap().contains("of_old: (who) -> archive.users"));
    key("archive.users", "who").ok();
    // Where the search path leads to no table of that name, there is only one to be meant.
    key("only", "a").ok();
}

#[test]
fn orphans_are_counted_and_shown() {
    let (cluster, stage) = shop(SCHEMA);
    let text = r#"check("found", || db::orphans("Order Items", "loose", "users", "id"));
        verify("none", || db::expect_no_orphans("Order Items", "user_id", "users", "id"));"#;
    for played in [stage.run(text), reader(&cluster).plan(text)] {
        played.ok();
        assert_eq!(played.value("found"), json!({"count": 2, "sample": ["7", "8"]}));
    }
    let played = stage
        .run(r#"verify("none", || db::expect_no_orphans("Order Items", "loose", "users", "id"));"#);
    assert_eq!(played.fails("orphans").detail.unwrap(), "7, 8");
    assert_eq!(played.compared()[0].1, json!(2));
}

#[test]
fn rows_are_counted_before_and_after() {
    let (cluster, stage) = shop(SCHEMA);
    let text = r#"
        check("some", || db::counts(["users", "Order Items"]));
        check("all", || db::counts());"#;
    for played in [stage.run(text), stage.plan(text)] {
        played.ok();
        assert_eq!(played.value("some"), json!({"users": 2, "Order Items": 4}));
        assert_eq!(played.value("all"), json!({"Order Items": 4, "app.users": 0, "users": 2}));
    }
    let played = stage.run(
        r#"let before = db::counts();
           step("lose", || db::exec(`DELETE FROM "Order Items" WHERE id > 2`));
           verify("allowed", || db::expect_same_counts(before, db::counts(), #{ allow: #{ "Order Items": 2 } }));
           verify("not", || db::expect_same_counts(before, db::counts()));"#,
    );
    let fault = played.fails("counts-differ");
    assert_eq!(fault.detail.unwrap(), "Order Items: 4 before, 2 after");
    assert!(matches!(played.outcome("allowed"), ItemState::Done { .. }));
    cluster.sql("shop", "DROP TABLE \"Order Items\"");
    assert_eq!(
        stage.run(r#"check("gone", || db::counts(["Order Items"]));"#).fails("sql-error").sqlstate,
        Some("42P01".into())
    );
    let played = stage.plan(
        r#"let before = db::counts();
           step("lose", || db::exec("DELETE FROM users"));
           verify("later", || db::expect_same_counts(before, db::counts()));"#,
    );
    assert_eq!(played.ok().outcome("later"), ItemState::WillCheck);
}
