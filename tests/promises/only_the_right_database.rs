//! P6: it runs on the database that is meant, or on none.

use crate::support::pooler::Pooler;
use crate::support::{Cluster, Project, Wire};

const BODY: &str = r#"let p = playbook("it", #{ title: "It" });
step("one", #{ undo: || db::exec("DELETE FROM items WHERE id = 77") },
    || db::exec("INSERT INTO items VALUES (77, 'x')"));
"#;

/// A cluster that writes every statement down, with a table, and a project with environments.
fn project(cluster: &Cluster, toml: &str) -> Project {
    cluster.create_database("shop");
    cluster.sql("shop", "CREATE TABLE items (id int PRIMARY KEY, name text)");
    let mut project = Project::new();
    project.playbook("it", BODY).file("runsheet.toml", toml);
    project.env("PROD", &cluster.url("shop"));
    project
}

/// What of the log since then changes anything.
fn writes(log: &str) -> Vec<&str> {
    let words = ["INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "COMMENT", "TRUNCATE"];
    log.lines()
        .filter(|line| line.contains("statement:") || line.contains("execute "))
        .filter(|line| words.iter().any(|word| line.contains(word)))
        .collect()
}

/// F32, F63: production under the name of staging, and servers that are not what was expected: each
/// command, each way to be wrong.
#[test]
fn p6_every_attempt_on_a_wrong_database_is_refused_and_nothing_is_sent() {
    let cluster = Cluster::with_settings(&[("log_statement", "all")]);
    let mut toml = "[environments.production]\nurl_env = \"PROD\"\n\
        [environments.staging]\nurl_env = \"PROD\"\n"
        .to_string();
    let wrong = [
        ("database", "\"shpo\""),
        ("host", "\"db1\""),
        ("port", "5433"),
        ("user", "\"migrator\""),
        ("system_identifier", "\"7301234567890123456\""),
    ];
    for (what, value) in wrong {
        toml += &format!(
            "[environments.wrong-{what}]\nurl_env = \"PROD\"\nexpect = {{ {what} = {value} }}\n"
        );
    }
    let project = project(&cluster, &toml);
    project.run(&["run", "it", "--env", "production"]).exits(0);
    let run = cluster.value("shop", "SELECT run FROM runsheet.run");
    let comment = "SELECT obj_description('runsheet'::regnamespace)";
    assert!(cluster.value("shop", comment).contains("\"environment\":\"production\""));
    // Under its own name there is nothing to do.
    project.run(&["run", "it", "--env", "production"]).exits(0);

    let url = cluster.url("shop");
    let mut ways: Vec<Vec<String>> = vec![
        vec!["--env".into(), "staging".into()],
        vec!["--env".into(), "staging".into(), "--url".into(), url.clone()],
        vec!["--env".into(), "staging".into(), "--url".into(), cluster.tcp_url("shop")],
    ];
    ways.extend(wrong.map(|(what, _)| vec!["--env".into(), format!("wrong-{what}")]));
    let commands: [&[&str]; 8] = [
        &["plan", "it"],
        &["approve", "it", "--by", "kim"],
        &["run", "it", "--yes"],
        &["run", "it", "--yes", "--again"],
        &["run", "it", "--yes", "--take-over"],
        &["resume", &run, "--yes"],
        &["rollback", &run, "--yes"],
        &["rollback", &run, "--yes", "--restore"],
    ];
    let before = cluster.log().len();
    let mut refused = 0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = ways
            .iter()
            .map(|way| {
                let (project, commands) = (&project, &commands);
                scope.spawn(move || {
                    for command in commands {
                        let way: Vec<&str> = way.iter().map(String::as_str).collect();
                        let ran = project.run(&[*command, &way].concat());
                        ran.exits(4);
                        let staged = way[1] == "staging";
                        let code = if staged { "other-environment" } else { "wrong-database" };
                        ran.stderr_shows(code);
                        if staged {
                            ran.stderr_shows("production").stderr_shows("staging");
                        }
                    }
                    commands.len()
                })
            })
            .collect();
        for thread in threads {
            refused += thread.join().expect("all refused");
        }
    });
    let log = cluster.log();
    assert_eq!(writes(&log[before..]), Vec::<&str>::new());
    eprintln!("{refused} wrong-target attempts: {refused} refused, 0 writing statements sent");

    // A copy carries the mark of what it was copied from, and is marked anew on first use.
    cluster.sql("postgres", "CREATE DATABASE copy TEMPLATE shop");
    let copy = cluster.url("copy");
    let again = ["run", "it", "--yes", "--again", "--url", &copy, "--env"];
    cluster.sql("copy", "DELETE FROM items");
    project.run(&[&again[..], &["staging"]].concat()).exits(0).shows("it is a copy");
    assert!(cluster.value("copy", comment).contains("\"environment\":\"staging\""));
    project.run(&[&again[..], &["production"]].concat()).exits(4).stderr_shows("other-environment");
    // Somebody says that it is another one now: with a reason.
    cluster.sql("copy", "DELETE FROM items");
    let accept = [&again[..], &["production", "--accept-database"]].concat();
    project.run(&accept).exits(2).stderr_shows("--reason");
    project.run(&[&accept[..], &["--reason", "renamed"]].concat()).exits(0).shows("renamed");
    assert!(cluster.value("copy", comment).contains("\"environment\":\"production\""));
}

/// A project that knows no environments, and a database that another project protects.
#[test]
fn p6_a_protected_database_is_recognised_by_a_project_that_does_not_protect_it() {
    let cluster = Cluster::start();
    let toml = "[environments.production]\nurl_env = \"PROD\"\nprotected = true\n\
        policy = { low = { way = \"auto\" }, medium = { way = \"auto\" } }\n";
    let project = project(&cluster, toml);
    project.run(&["run", "it"]).exits(0);
    project.file("runsheet.toml", "");
    let url = cluster.url("shop");
    let ran = project.run(&["run", "it", "--yes", "--again", "--url", &url]);
    ran.exits(4).stderr_shows("other-environment").stderr_shows("production");
}

/// A connection is made while the script is read; to a protected database only behind the question.
#[test]
fn p6_a_protected_database_is_not_called_on_before_somebody_typed_its_name() {
    let cluster = Cluster::start();
    let mut project = project(&cluster, "");
    let wire = Wire::to(cluster.port());
    let url = format!("postgresql://postgres@127.0.0.1:{}/shop?sslmode=disable", wire.port());
    project.run(&["run", "it", "--url", &url]).exits(0);
    let turns = wire.turns();
    assert!(turns > 0);
    project.file("runsheet.toml", "[environments.live]\nurl_env = \"LIVE\"\nprotected = true\n");
    project.env("LIVE", &url);
    project.run(&["run", "it", "--again"]).exits(4).stderr_shows("no-terminal");
    assert_eq!(wire.turns(), turns);
}

/// Behind a pooler each transaction may land on another server, and before something dangerous in a
/// protected environment nobody trusts the beginning of the run.
#[test]
fn p6_who_the_server_is_is_asked_again_before_a_destructive_step() {
    let cluster = Cluster::with_settings(&[("log_statement", "all")]);
    let toml = "[environments.production]\nurl_env = \"PROD\"\nprotected = true\n[policy]\n\
        very_high = { way = \"auto\", backup = \"optional\", rehearsal = false }\n";
    let project = project(&cluster, toml);
    project.playbook("it", "playbook(\"it\"); step(\"a\", || db::exec(\"DELETE FROM items\"));");
    project.run(&["run", "it"]).exits(0);
    let log = cluster.log();
    asked_before(&log, "statement: DELETE FROM items");

    let Some(pooler) = Pooler::start(cluster.port(), 2) else { return };
    project.playbook(
        "it",
        "playbook(\"two\"); step(\"a\", || db::exec(\"INSERT INTO items VALUES (5, 'x')\"));",
    );
    project.file("runsheet.toml", "");
    cluster.sql("shop", "COMMENT ON SCHEMA runsheet IS NULL");
    let url = pooler.url("shop");
    project.run(&["run", "it", "--yes", "--allow-pooler", "--url", &url]).exits(0);
    asked_before(&cluster.log(), "INSERT INTO items VALUES (5");
}

/// In the statement's own transaction, behind its fence, the server said who it is.
#[track_caller]
fn asked_before(log: &str, statement: &str) {
    let (before, _) = log.split_once(statement).unwrap_or_else(|| panic!("{statement}: {log}"));
    let at = |word: &str| before.rfind(word).unwrap_or_else(|| panic!("{word} is not in {before}"));
    assert!(at("COMMIT") < at("fence("), "{before}");
    assert!(at("fence(") < at("statement: SELECT current_database()"), "{before}");
}
