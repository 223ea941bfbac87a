//! What is said, and with which exit code, where something is wrong before a run begins.

use serde_json::Value;

use crate::support::{Cluster, Project};

const ONE: &str = r#"playbook("one"); check("up", || db::value("SELECT 1") == 1);"#;

fn project() -> Project {
    let project = Project::new();
    project.playbook("one", ONE);
    project
}

#[test]
fn an_unknown_playbook_is_answered_with_the_nearest_one() {
    let ran = project().run(&["run", "oen", "--url", "postgres://localhost/x"]);
    ran.exits(2).stderr_shows("oen").stderr_shows("Did you mean").stderr_shows("one");
}

#[test]
fn without_any_address_every_way_to_give_one_is_named() {
    project().run(&["run", "one"]).exits(2).stderr_shows("--url").stderr_shows("DATABASE_URL");
}

#[test]
fn a_missing_database_and_a_wrong_password_cannot_connect() {
    let mut cluster = Cluster::start();
    let project = project();
    project.run(&["run", "one", "--url", &cluster.url("absent")]).exits(7).stderr_shows("absent");

    cluster.sql("postgres", "CREATE ROLE anna LOGIN PASSWORD 'right'");
    let rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(cluster.data_dir().join("pg_hba.conf"), rules).unwrap();
    cluster.restart();
    let url = format!("postgres://anna:canary%2Dwr0ng@127.0.0.1:{}/postgres", cluster.port());
    let ran = project.run(&["run", "one", "--url", &url, "--verbose"]);
    ran.exits(7).stderr_shows("anna");
    ran.shows_nowhere("canary-wr0ng").shows_nowhere("canary%2Dwr0ng");
    project.run(&["doctor", "--url", &url]).exits(1).stdout_shows("fail").shows_nowhere("wr0ng");
}

#[test]
fn a_password_on_a_mistyped_command_line_is_not_repeated() {
    let project = project();
    let url = "postgres://u:canary77@localhost/x";
    for args in [
        ["run", "one", "--ulr", url].as_slice(),
        &["run", "one", url],
        &[url],
        &["run", "one", "--url", url, "--set", "novalue"],
        &["run", "one", "-v", "password=canary77"],
    ] {
        project.run(args).exits(2).shows_nowhere("canary77");
    }
}

#[test]
fn everything_that_is_wrong_with_the_file_is_said_at_once_with_its_lines() {
    let project = project();
    project.file("runsheet.toml", "[project]\nlanguge = \"ko\"\n[run]\nwait = \"soon\"\n");
    let ran = project.run(&["list"]);
    ran.exits(2).stderr_shows("runsheet.toml:2").stderr_shows("runsheet.toml:4");
}

#[test]
fn a_fault_before_the_run_is_one_json_document() {
    let ran = project().run(&["run", "oen", "--json", "--url", "postgres://localhost/x"]);
    ran.exits(2);
    let fault: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&fault["event"], &fault["code"]), (&"fault".into(), &"playbook-unknown".into()));
    assert_eq!((&fault["exit"], ran.stderr.as_str()), (&2.into(), ""));
}

#[test]
fn a_playbook_with_a_mistake_does_not_begin() {
    let cluster = Cluster::start();
    let project = Project::new();
    project.playbook(
        "typo",
        "playbook(\"typo\");\nstep(\"a\", || db::exec(\"CREATE TABLE t ()\"));\nstep(\"b\", || db::exce(\"x\"));\n",
    );
    let url = cluster.url("postgres");
    project.run(&["check"]).exits(1).stderr_shows("typo.rhai:3").stderr_shows("db::exec");
    project.run(&["run", "typo", "--url", &url]).exits(2).stderr_shows("typo.rhai:3");
    assert_eq!(cluster.value("postgres", "SELECT to_regclass('t') IS NULL"), "t");
}

#[test]
fn a_database_elsewhere_counts_as_protected() {
    let ran = project().run(&["run", "one", "--url", "postgres://u@192.0.2.1/shop"]);
    ran.exits(4).shows("shop");
}

#[test]
fn a_run_that_nobody_knows_is_named() {
    let cluster = Cluster::start();
    let project = project();
    let url = cluster.url("postgres");
    for command in ["resume", "rollback", "report"] {
        let ran = project.run(&[command, "20200101-000000-abcd", "--url", &url]);
        ran.exits(2).stderr_shows("20200101-000000-abcd");
    }
    // A database that cannot be asked is another matter than a run that is not there.
    let url = "postgres://127.0.0.1:1/x";
    project.run(&["resume", "20200101-000000-abcd", "--url", url]).exits(7);
    project.run(&["status", "--url", url]).exits(0).stderr_shows("127.0.0.1");
    project.run(&["status", "--exit-code", "--url", url]).exits(7);
}
