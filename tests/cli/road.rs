//! plan, run, resume, rollback, resolve and what is said of them afterwards.

use serde_json::Value;

use crate::support::{Cluster, Project};

const SHOP: &str = r#"
let p = playbook("shop", #{ title: "Shop" });
check("empty", || !db::has_table("shop"));
step("make", #{ undo: || sql::run_file("sql/down.sql") }, || sql::run_file("sql/up.sql"));
step("fill", #{ undo: || db::exec("DELETE FROM shop") }, || sql::run_file("sql/fill.sql"));
verify("filled", || db::count("shop") == 1);
"#;

fn shop(cluster: &Cluster, fill: &str) -> Project {
    cluster.create_database("shop");
    let mut project = Project::new();
    project.playbook("shop", SHOP);
    project.file("sql/up.sql", "CREATE TABLE shop (id int);\n");
    project.file("sql/down.sql", "DROP TABLE shop;\n");
    project.file("sql/fill.sql", fill);
    project.env("DATABASE_URL", &cluster.url("shop"));
    project
}

fn json(project: &Project, args: &[&str]) -> Value {
    let ran = project.run(args);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

fn last_event(stdout: &str) -> Value {
    serde_json::from_str(stdout.lines().last().unwrap_or_default()).expect("a JSON line")
}

#[test]
fn a_playbook_is_planned_run_once_and_taken_back() {
    let cluster = Cluster::start();
    let project = shop(&cluster, "INSERT INTO shop VALUES (1);\n");
    project.run(&["status", "--exit-code"]).exits(10).stdout_shows("pending");
    project.run(&["plan", "shop"]).exits(0).stdout_shows("sql/up.sql");
    assert_eq!(cluster.value("shop", "SELECT to_regclass('shop') IS NULL"), "t");

    let ran = project.run(&["run", "shop", "--json"]);
    ran.exits(0);
    let last = last_event(&ran.stdout);
    assert_eq!((&last["state"], &last["changed"]), (&"done".into(), &true.into()));
    assert!(ran.stdout.contains("report_at"), "{}", ran.stdout);
    project.run(&["status", "--exit-code"]).exits(0).stdout_shows("done");

    let run = json(&project, &["history", "--json"])[0]["run"].as_str().unwrap().to_string();
    // The second one says who did it, and changes nothing.
    project.run(&["run", "playbooks/shop.rhai"]).exits(0).stdout_shows(&run);
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM shop"), "1");
    project.run(&["resume", &run]).exits(0);
    project.run(&["report"]).exits(0).stdout_shows("# ").stdout_shows(&run);
    assert_eq!(json(&project, &["report", &run, "--format", "json"])["run"], run.as_str());

    // What is done is taken back only by its name; a part of it is enough.
    project.run(&["rollback", "--yes"]).exits(2).stderr_shows(&run);
    project.run(&["rollback", &run[9..], "--yes"]).exits(0);
    assert_eq!(cluster.value("shop", "SELECT to_regclass('shop') IS NULL"), "t");
    assert_eq!(json(&project, &["history", "--json"])[0]["state"], "rolled_back");
}

#[test]
fn a_failed_run_is_resumed_without_its_name_and_without_its_local_files() {
    let cluster = Cluster::start();
    let project = shop(&cluster, "SELECT 1/0;\n");
    let ran = project.run(&["run", "shop"]);
    ran.exits(5).stderr_shows("sql/fill.sql:1").stderr_shows("runsheet resume");
    // The fault is said once: by the display, not by the command line again.
    assert_eq!(ran.stderr.matches("division by zero").count(), 1, "{}", ran.stderr);
    project.run(&["status"]).exits(0).stdout_shows("failed").stderr_shows("runsheet resume");

    project.file("sql/fill.sql", "INSERT INTO shop VALUES (1);\n");
    std::fs::remove_dir_all(project.path().join(".runsheet")).unwrap();
    // The mended file is a change: it is said, and meant.
    project.run(&["resume"]).exits(2).stderr_shows("sql/fill.sql").stderr_shows("--accept-changes");
    project.run(&["resume", "--accept-changes"]).exits(0).stdout_shows("done before: make");
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM shop"), "1");
    project.run(&["resume"]).exits(0).stderr_shows("no run is open");
}

#[test]
fn a_failed_run_is_rolled_back_where_asked() {
    let cluster = Cluster::start();
    let project = shop(&cluster, "SELECT 1/0;\n");
    let ran = project.run(&["run", "shop", "--on-failure", "rollback", "--json"]);
    ran.exits(1);
    assert_eq!(last_event(&ran.stdout)["state"], "failed_unchanged");
    assert_eq!(cluster.value("shop", "SELECT to_regclass('shop') IS NULL"), "t");
}

#[test]
fn until_stops_behind_an_item() {
    let cluster = Cluster::start();
    let project = shop(&cluster, "INSERT INTO shop VALUES (1);\n");
    project.run(&["run", "shop", "--until", "make"]).exits(0);
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM shop"), "0");
    project.run(&["resume"]).exits(0);
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM shop"), "1");
}

#[test]
fn ctrl_c_ends_a_long_statement_and_leaves_nothing() {
    let cluster = Cluster::start();
    let project = shop(&cluster, "");
    project.playbook(
        "long",
        r#"playbook("long"); step("s", || { db::exec("CREATE TABLE t ()"); db::exec("SELECT pg_sleep(600)"); });"#,
    );
    let running = project.spawn(&["run", "long"]);
    let sleeping = "SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active'
        AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
    cluster.wait_until("shop", sleeping);
    // Meanwhile nobody else may.
    project.run(&["lock"]).exits(0).stdout_shows("run");
    project.run(&["run", "shop", "--no-wait"]).exits(3);
    project.run(&["resolve", "s", "--done"]).exits(2);
    running.signal("INT");
    running.wait().exits(130);
    assert_eq!(cluster.value("shop", "SELECT to_regclass('t') IS NULL"), "t");
    project.run(&["lock"]).exits(0).stdout_shows("nobody");
}

#[test]
fn an_open_effect_is_settled_by_a_person() {
    let cluster = Cluster::start();
    let project = shop(&cluster, "SELECT 1/0;\n");
    project.run(&["run", "shop"]).exits(5);
    let run = json(&project, &["history", "--json"])[0]["run"].as_str().unwrap().to_string();
    // As a runner leaves it that died behind the announcement.
    cluster.sql(
        "shop",
        &format!(
            "INSERT INTO runsheet.intent (run, key, ordinal, action, state)
             VALUES ('{run}', 'fill', 1, '{{\"verb\": \"app::run\", \"target\": \"pm2\"}}', 'open')"
        ),
    );
    let ran = project.run(&["resolve", "flil", "--redo"]);
    ran.exits(2).stderr_shows("fill");
    project.run(&["resolve", "fill"]).exits(2);
    project.run(&["resolve", &run, "fill", "--done"]).exits(0).stdout_shows("app::run pm2");
    let state = "SELECT state::text FROM runsheet.intent WHERE key = 'fill'";
    assert_eq!(cluster.value("shop", state), "done");
    assert_eq!(cluster.value("shop", "SELECT run IS NULL FROM runsheet.lease"), "t");
}
