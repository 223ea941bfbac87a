//! `db::exec`.

use runsheet::model::ItemState;
use serde_json::json;

use super::shop;

const USERS: &str = "CREATE TABLE users (id int PRIMARY KEY, name text); \
    INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 5) n";

#[test]
fn exec_writes_in_the_steps_transaction_and_a_failed_step_leaves_nothing() {
    let (cluster, stage) = shop(USERS);
    let played = stage.run(
        r#"step("several", || db::exec("UPDATE users SET name = 'x' WHERE id < 3; DELETE FROM users WHERE id > 3 -- end"));
           step("parameters", || db::exec("UPDATE users SET name = $1 WHERE id = $2", ["y", 3]));
           step("ddl", || db::exec("CREATE TABLE made (a int)"));"#,
    );
    played.ok();
    assert_eq!(played.value("several"), json!(2));
    assert_eq!(played.value("parameters"), json!(1));
    assert_eq!(
        cluster.value("shop", "SELECT string_agg(name, ',' ORDER BY id) FROM users"),
        "x,x,y"
    );

    let played = stage.run(
        "step(\"breaks\", || { db::exec(\"DELETE FROM users\"); db::exec(`SELECT 1;\n SELEKT 2`) });",
    );
    let fault = played.fails("sql-error");
    assert_eq!(fault.sqlstate.as_deref(), Some("42601"));
    let detail = fault.detail.unwrap();
    assert!(detail.contains("line 2, column 2") && detail.contains("SELEKT 2"), "{detail}");
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM users"), "3");
    assert_eq!(played.exit, 1);
}

#[test]
fn exec_keeps_to_its_place_and_a_plan_changes_nothing() {
    let (cluster, stage) = shop(USERS);
    stage
        .run(r#"step("a", || db::exec("DELETE FROM users; COMMIT"));"#)
        .fails("transaction-control");
    stage.run(r#"step("a", || db::exec("COPY users FROM STDIN"));"#).fails("copy-from-stdin");
    stage.run(r#"step("a", || db::exec("VACUUM users; SELECT 1"));"#).fails("not-alone");
    stage.run(r#"check("a", || db::exec("DELETE FROM users"));"#).fails("write-in-check");
    stage.run(r#"db::exec("DELETE FROM users");"#).fails("write-outside-step");
    let mixed = r#"step("a", || { db::exec("DELETE FROM users"); db::exec("VACUUM users") });"#;
    stage.run(mixed).fails("mixed-effects");
    stage
        .run(r#"step("a", || { db::exec("VACUUM users"); db::exec("DELETE FROM users") });"#)
        .fails("mixed-effects");

    let played = stage.plan(
        r#"step("writes", || db::exec("DELETE FROM users"));
           step("alone", || db::exec("VACUUM users"));
           step("apart", #{ transaction: false }, || db::exec("DELETE FROM users"));"#,
    );
    played.ok();
    assert_eq!(played.outcome("writes"), ItemState::Planned);
    assert_eq!(played.planned(), ["db::exec", "db::exec", "db::exec"]);
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM users"), "5");
}

#[test]
fn a_caught_error_of_exec_does_not_spoil_the_step() {
    let (cluster, stage) = shop(USERS);
    stage
        .run(
            r#"step("at once", || { try { db::exec("SELEKT"); } catch (e) {}
                db::exec("UPDATE users SET name = 'z' WHERE id = 3") });
               step("goes on", || {
                db::exec("UPDATE users SET name = 'z' WHERE id = 1");
                try { db::exec("INSERT INTO users VALUES (1, 'twice') -- end"); }
                catch (e) { if e.sqlstate != "23505" { throw e; } }
                db::exec("UPDATE users SET name = 'z' WHERE id = 2");
            });"#,
        )
        .ok();
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM users WHERE name = 'z'"), "3");
}

#[test]
fn statements_that_cannot_run_in_a_transaction_run_alone() {
    let (cluster, stage) = shop(USERS);
    let played = stage.run(
        r#"step("index", || { db::exec("CREATE INDEX CONCURRENTLY by_name ON users (name)"); db::exec("VACUUM users") });
           step("database", || db::exec("CREATE DATABASE other"));
           step("gone", || db::exec("DROP INDEX CONCURRENTLY by_name"));"#,
    );
    played.ok();
    assert_eq!(
        cluster.value("shop", "SELECT count(*) FROM pg_database WHERE datname = 'other'"),
        "1"
    );
    assert_eq!(
        cluster.value("shop", "SELECT count(*) FROM pg_class WHERE relname = 'by_name'"),
        "0"
    );
}

#[test]
fn an_index_that_was_announced_and_built_is_not_built_twice_on_resume() {
    let (cluster, stage) = shop(USERS);
    let text = r#"playbook("p");
        step("index", || { db::exec("CREATE INDEX CONCURRENTLY by_name ON users (name)");
            if db::count("gate") == 0 { fail("closed"); } });"#;
    cluster.sql("shop", "CREATE TABLE gate (a int)");
    let first = stage.run(text);
    first.fails("failed");
    // As if the process had died between the statement and its settlement.
    cluster.sql("shop", "UPDATE runsheet.intent SET state = 'open'; INSERT INTO gate VALUES (1)");
    stage.resume(first.run.unwrap(), text).ok();
    assert_eq!(
        cluster.value("shop", "SELECT count(*) FROM pg_class WHERE relname = 'by_name'"),
        "1"
    );
}

#[test]
fn without_a_transaction_each_statement_commits_for_itself() {
    let (cluster, stage) = shop(USERS);
    let played = stage.run(
        r#"step("apart", #{ transaction: false }, || {
            db::exec("DELETE FROM users WHERE id = 1");
            db::exec("DELETE FROM users WHERE id = $1", [2]);
            db::exec("SELEKT");
        });"#,
    );
    assert_eq!(played.fails("sql-error").sqlstate.as_deref(), Some("42601"));
    assert_eq!(cluster.value("shop", "SELECT min(id) FROM users"), "3");
}
