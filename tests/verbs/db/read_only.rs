//! `db::read_only`.

use serde_json::json;

use super::shop;
use crate::support::cluster::query;
use crate::support::{Gate, Project};

const SETTING: &str = "SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase \
    WHERE d.datname = 'shop' AND s.setconfig::text LIKE '%default_transaction_read_only=on%'";

#[test]
fn others_cannot_write_while_the_body_runs_and_can_afterwards() {
    let (cluster, stage) = shop("CREATE TABLE t (a int); CREATE TABLE seen (a text)");
    let offered = "SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink'";
    if cluster.value("shop", offered) == "0" {
        eprintln!("skipped: this PostgreSQL comes without dblink");
        return;
    }
    // A new session of somebody else, as a function of the database would meet it.
    cluster.sql("shop", "CREATE EXTENSION IF NOT EXISTS dblink");
    let url = cluster.url("shop").replace('\'', "''");
    let played = stage.run(&format!(
        r#"step("frozen", || db::read_only(|| {{
            db::exec("INSERT INTO t VALUES (1)");
            db::value("SELECT v FROM dblink('{url}', 'SELECT current_setting(''transaction_read_only'')') AS x(v text)")
        }}));"#
    ));
    assert_eq!(played.ok().value("frozen"), json!("on"));
    assert_eq!(cluster.value("shop", SETTING), "0");
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM t"), "1");
    assert!(query(&cluster.url("shop"), "INSERT INTO t VALUES (2)").is_ok());
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM runsheet.read_only"), "0");
}

#[test]
fn a_body_that_throws_leaves_the_database_writable() {
    let (cluster, stage) = shop("CREATE TABLE t (a int)");
    let text = r#"step("frozen", || db::read_only(|| { db::exec("INSERT INTO t VALUES (1)"); fail("no"); }));"#;
    stage.run(text).fails("failed");
    assert_eq!(cluster.value("shop", SETTING), "0");
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM t"), "0");
    stage.run(r#"check("c", || db::read_only(|| 1));"#).fails("write-in-check");
    // What stood before comes back.
    cluster.sql("shop", "ALTER DATABASE shop SET default_transaction_read_only = on");
    stage.run(r#"step("frozen", || db::read_only(|| 1));"#).ok();
    assert_eq!(cluster.value("shop", SETTING), "1");
}

#[test]
fn a_plan_shows_the_body_and_freezes_nothing() {
    let (cluster, stage) = shop("CREATE TABLE t (a int)");
    let played =
        stage.plan(r#"step("frozen", || db::read_only(|| db::exec("INSERT INTO t VALUES (1)")));"#);
    assert_eq!(played.ok().planned(), ["db::read_only shop", "db::exec"]);
    assert_eq!(cluster.value("shop", SETTING), "0");
}

#[test]
fn the_server_lifts_it_where_the_run_is_killed() {
    let (cluster, _stage) = shop("CREATE TABLE t (a int)");
    let project = Project::new();
    project.playbook(
        "freeze",
        r#"playbook("freeze");
        step("frozen", || db::read_only(|| db::value("SELECT pg_sleep(120)::text")));"#,
    );
    let url = cluster.url("shop");
    let running = project.spawn(&["run", "freeze", "--url", &url, "--yes"]);
    let sleeping = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(120)%' \
        AND state = 'active' AND pid <> pg_backend_pid()";
    cluster.wait_until("shop", sleeping);
    assert_eq!(cluster.value("shop", SETTING), "1");
    running.kill();
    cluster.end_the_dead("shop");
    cluster.wait_until("shop", &format!("SELECT ({SETTING}) = 0"));
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM runsheet.read_only"), "0");
}

#[test]
fn those_who_are_connected_already_are_named_or_ended() {
    let (cluster, stage) = shop("CREATE TABLE t (a int)");
    let _guest = Gate::connected(&cluster.url("shop"), "guest");
    let played = stage.run(r#"step("frozen", || db::read_only(|| 1));"#);
    assert!(
        played.ok().remarks().iter().any(|text| text.contains("guest")),
        "{:?}",
        played.remarks()
    );
    stage.run(r#"step("frozen", || db::read_only(#{ end_sessions: true }, || 1));"#).ok();
    cluster.wait_until(
        "shop",
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'guest')",
    );
}
