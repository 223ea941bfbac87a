//! init, new, list, show, check, doctor: what needs no run.

use std::path::Path;

use serde_json::Value;

use crate::support::{Cluster, Project};

#[test]
fn a_new_project_runs_as_it_is_written() {
    let cluster = Cluster::start();
    cluster.create_database("shop");
    let mut project = Project::new();
    project.run(&["init"]).exits(0).stdout_shows("playbooks/first.rhai");
    project.run(&["init"]).exits(2).stderr_shows("runsheet.toml");
    project.env("DATABASE_URL", &cluster.url("shop"));
    project.run(&["new", "next-one"]).exits(0).stdout_shows("sql/next-one.down.sql");
    project.run(&["new", "next-one"]).exits(2).stderr_shows("playbooks/next-one.rhai");
    project.run(&["new", "a/b"]).exits(2);
    project.run(&["check"]).exits(0).stdout_shows("first.rhai").stdout_shows("next-one.rhai");
    for name in ["first", "next-one"] {
        project.run(&["plan", name]).exits(0);
        project.run(&["run", name]).exits(0);
    }
    project.run(&["status", "--exit-code"]).exits(0);
}

#[test]
fn a_new_project_speaks_the_language_it_was_made_in() {
    let mut project = Project::new();
    project.env("LC_ALL", "ko_KR.UTF-8");
    project.run(&["init"]).exits(0).stdout_shows("썼습니다");
    assert!(project.read("runsheet.toml").contains("프로젝트 파일"));
    project.run(&["check"]).exits(0).stdout_shows("문제없음");
}

#[test]
fn a_shipped_playbook_is_taken_over() {
    let project = Project::new();
    project.run(&["new", "users", "--from", "iamvet"]).exits(0).stdout_shows("users.rhai");
    assert!(project.read("playbooks/users.rhai").contains("playbook(\"users\""));
    project.run(&["new", "other", "--from", "iamvte"]).exits(2).stderr_shows("iamvet");
}

/// Each shipped playbook, with everything that lies beside it, `parts.rhai` included.
#[test]
fn every_shipped_playbook_is_taken_over_whole_and_passes_the_check() {
    let project = Project::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks");
    for entry in std::fs::read_dir(&shipped).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "rhai") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mine = format!("my-{name}");
        project.run(&["new", &mine, "--from", &name]).exits(0);
        let beside = std::fs::read_to_string(shipped.join(&name).join("parts.rhai"));
        if let Ok(parts) = beside {
            assert_eq!(project.read(&format!("playbooks/{name}/parts.rhai")), parts);
        }
        project.run(&["check", &mine]).exits(0);
        project.run(&["show", &mine]).exits(0).stdout_shows(&mine);
    }
}

#[test]
fn playbooks_are_listed_and_shown_without_a_database() {
    let mut project = Project::new();
    project.file("runsheet.toml", "[playbook.one.params]\nrows = 7\n[params]\nstrange = 1\n");
    project.playbook(
        "one",
        r#"playbook("one", #{ title: "The one", params: #{
            rows: #{ value: 5, help: "how many" }, key: #{ secret: true, env: "KEY" }, name: "x" } });
        section("First"); check("a", || true);
        step("b", #{ undo: || sql::run_file("sql/down.sql") }, || sql::run_file("sql/up.sql"));"#,
    );
    project.env("KEY", "canary55");
    let ran = project.run(&["list"]);
    ran.exits(0).stdout_shows("The one").stdout_shows("iamvet");
    let ran = project.run(&["show", "one", "--set", "name=given"]);
    ran.exits(0).stdout_shows("The one").stdout_shows("how many").stdout_shows("sql/up.sql");
    ran.stdout_shows("[playbook.NAME.params]").stdout_shows("--set name").stdout_shows("KEY");
    ran.shows_nowhere("canary55");
    let ran = project.run(&["show", "one", "--json"]);
    let page: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(page["items"][2]["title"], "b");
    assert_eq!(page["items"][2]["undo"], true);
}

#[test]
fn the_doctor_says_what_is_there_and_what_is_missing() {
    let cluster = Cluster::start();
    let project = Project::new();
    let ran = project.run(&["doctor", "--url", &cluster.url("postgres")]);
    ran.exits(0).stdout_shows("PostgreSQL").stdout_shows("pg_dump").stdout_shows("ledger");
    cluster.sql("postgres", "CREATE ROLE guest LOGIN");
    let url = cluster.url("postgres").replace("user=postgres", "user=guest");
    let ran = project.run(&["doctor", "--url", &url]);
    ran.exits(1).stdout_shows("fail").stdout_shows("GRANT CREATE ON DATABASE");
    project.run(&["doctor"]).exits(1).stdout_shows("DATABASE_URL");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let project = Project::new();
    let mut command = project.command(&["verbs", "--markdown"]);
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
