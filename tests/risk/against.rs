//! `lint --against`: the schema and the sizes of a database beside the files.

use std::collections::BTreeMap;
use std::mem::discriminant;

use runsheet::postgres::catalog::schema_statements;
use runsheet::postgres::{ConnectOptions, Target, connect};
use runsheet::sql::{Examined, Examiner};
use serde_json::Value;

use super::table::{FIXTURE, foretold, rows};
use crate::support::{Cluster, Project};

/// Every statement of the table is judged alike, whether a file showed the schema or a server did.
#[test]
fn a_server_shows_what_a_file_shows() {
    let server = Cluster::start();
    server.create_database("risk");
    server.sql("risk", FIXTURE);
    let target = Target::parse(&server.url("risk"), &|_| None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let schema = runtime.block_on(async {
        let session = connect(&target, &ConnectOptions::default()).await.unwrap();
        schema_statements(&session, "runsheet").await.unwrap()
    });
    let known = Examiner::beside(&schema, BTreeMap::new());
    let told = |one: &Examined| {
        let mut locks: Vec<String> = one.info.locks.iter().map(ToString::to_string).collect();
        locks.sort();
        let info = &one.info;
        let undo = discriminant(&one.undo);
        (info.risk, locks, info.rewrites.clone(), info.scans.clone(), info.transactional, undo)
    };
    let mut wrong = Vec::new();
    let all = rows();
    for row in &all {
        let (file, server) = (foretold(&row.statement), known.clone().examine(&row.statement));
        if told(&file) != told(&server) {
            wrong.push(format!(
                "{}\n  file:   {:?} {:?}\n  server: {:?} {:?}",
                row.statement,
                told(&file),
                file.undo,
                told(&server),
                server.undo
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

fn judged(project: &Project, words: &[&str]) -> Vec<(String, Value)> {
    let ran = project.run(&[&["lint", "a.sql", "--json"], words].concat());
    let value: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let all = value["files"][0]["statements"].as_array().unwrap().clone();
    all.into_iter().map(|one| (one["risk"].as_str().unwrap().to_string(), one)).collect()
}

/// A table of six rows is not one of six hundred million; without a server nobody knows.
#[test]
fn the_size_of_a_table_decides_where_only_time_is_at_stake() {
    let server = Cluster::start();
    server.create_database("shop");
    server.sql(
        "shop",
        "CREATE TABLE few (id int, code varchar(10)); INSERT INTO few SELECT n FROM generate_series(1, 6) n;
         CREATE TABLE many (id int, code varchar(10)); ANALYZE;
         UPDATE pg_class SET reltuples = 6e8 WHERE relname = 'many';",
    );
    let project = Project::new();
    project.file(
        "a.sql",
        "ALTER TABLE few ALTER id TYPE bigint;\nALTER TABLE many ALTER id TYPE bigint;\n\
         CREATE INDEX few_id ON few (id);\nCREATE INDEX many_id ON many (id);\n\
         ALTER TABLE few DROP COLUMN code;\n",
    );
    let risks = |words: &[&str]| -> Vec<String> {
        judged(&project, words).into_iter().map(|(risk, _)| risk).collect()
    };
    assert_eq!(risks(&[]), ["high", "high", "medium", "medium", "very_high"]);
    let url = server.url("shop");
    let against = ["--against", &url];
    assert_eq!(risks(&against), ["medium", "high", "medium", "high", "very_high"]);
    let sizes = &judged(&project, &against)[1].1["sizes"]["many"];
    assert_eq!(sizes["rows"], 600_000_000);
    let ran = project.run(&[&["lint", "a.sql"][..], &against].concat());
    ran.exits(0).stdout_shows("size: many (600,000,000 rows, ").stdout_shows("many is large");
    let ran = project.run(&[&["lint", "a.sql", "--lang", "ko"][..], &against].concat());
    ran.exits(0).stdout_shows("크기: few(6행, ");
}

/// What the file does not show, the server does: the old type, an index for a foreign key.
#[test]
fn what_the_file_does_not_show_the_server_knows() {
    let server = Cluster::start();
    server.create_database("shop");
    server.sql(
        "shop",
        "CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE t (u_id int, name varchar(20));
         CREATE INDEX t_u ON t (u_id)",
    );
    let project = Project::new();
    project.file(
        "a.sql",
        "ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u (id) NOT VALID;\n\
         ALTER TABLE t ALTER name TYPE varchar(40);\n",
    );
    let url = server.url("shop");
    let asked = |words: &[&str]| {
        let ran = project.run(&[&["lint", "a.sql", "--json"], words].concat());
        let value: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let file = value["files"][0].clone();
        let rules = file["findings"].as_array().unwrap().iter();
        let unsupported = rules.filter(|one| one["rule"] == "foreign-key-index").count();
        (unsupported, file["statements"][1]["rewrites"].as_array().unwrap().len())
    };
    assert_eq!(asked(&[]), (1, 1));
    assert_eq!(asked(&["--against", &url]), (0, 0));
    let ran = project.run(&["lint", "a.sql", "--against", "postgres://postgres@127.0.0.1:1/none"]);
    ran.exits(7);
}
