//! `runsheet lint` as people and CI call it.

use serde_json::Value;

use crate::support::{Project, Ran};

const RISKY: &str = "-- 001: more room\nALTER TABLE users ALTER COLUMN id TYPE bigint;\n\n\
                     CREATE TABLE notes (id bigint);\nCREATE INDEX notes_id ON notes (id);\n";

fn project(text: &str) -> Project {
    let project = Project::new();
    project.file("sql/001.sql", text);
    project
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

fn rules(value: &Value) -> Vec<String> {
    let findings = value["files"][0]["findings"].as_array().unwrap();
    findings.iter().map(|one| one["rule"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_file_is_told_statement_by_statement_in_both_languages() {
    let project = project(RISKY);
    let ran = project.run(&["lint", "sql/001.sql"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    for words in [
        "     2  high  alter table users",
        "locks: ACCESS EXCLUSIVE on users",
        "rewrites: users",
        "warning changing-column-type",
        "undo: DROP INDEX notes_id",
        "works only on what this file itself created",
        "1 file, 3 statements, risk high",
    ] {
        assert!(ran.stdout.contains(words), "{words}\n{}", ran.stdout);
    }
    let ran = project.run(&["lint", "--lang", "ko", "sql"]);
    assert_eq!(ran.code, 0);
    for words in ["높음", "되돌리기", "잠금: ACCESS EXCLUSIVE", "파일 1개, 문장 3개"]
    {
        assert!(ran.stdout.contains(words), "{words}\n{}", ran.stdout);
    }
}

#[test]
fn a_risk_above_the_level_fails_unless_a_comment_gives_a_reason() {
    let project = project(RISKY);
    assert_eq!(project.run(&["lint", "sql", "--max-risk", "high"]).code, 0);
    let ran = project.run(&["lint", "sql", "--max-risk", "medium"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("error max-risk"), "{}", ran.stdout);

    let told = "-- runsheet: allow max-risk, changing-column-type because the table is empty\n";
    project.file("sql/001.sql", &format!("{told}{RISKY}"));
    let ran = project.run(&["lint", "sql", "--max-risk", "medium"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("accepted: sql/001.sql:3 changing-column-type: the table is empty")
    );

    project.file("sql/001.sql", &format!("-- runsheet: allow max-risk\n{RISKY}"));
    let ran = project.run(&["lint", "sql", "--max-risk", "medium"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("error allow-reason"), "{}", ran.stdout);
}

#[test]
fn what_does_not_parse_fails_with_its_place() {
    let project = project("SELECT 1;\n\n  ALTER TABEL users ADD x int;\n");
    let ran = project.run(&["lint", "sql", "--format", "github"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("::error file=sql/001.sql,line=3,col=3,title=unparsable::"),
        "{}",
        ran.stdout
    );
    project.file("sql/001.sql", "SELECT 'open\n");
    let ran = project.run(&["lint", "sql", "--json"]);
    assert_eq!((ran.code, rules(&json(&ran))), (1, vec!["unreadable".to_string()]));
}

#[test]
fn statements_that_the_file_makes_impossible_are_errors() {
    let project = project("BEGIN;\nCREATE INDEX CONCURRENTLY i ON t (a);\nCOMMIT;\n");
    let ran = project.run(&["lint", "sql", "--format", "json"]);
    assert_eq!(ran.code, 1);
    assert!(rules(&json(&ran)).contains(&"refused-in-transaction".to_string()));
}

/// What eugene hints at (E3, E4, E15, W12, W13, W14): the statement that deserves it, and its like
/// that does not.
#[test]
fn what_a_statement_makes_is_looked_at() {
    const OLD: &str = "CREATE TABLE old (id int PRIMARY KEY, a int NOT NULL, b int);\n";
    for (rule, bad, good) in [
        ("json-column", "CREATE TABLE t (a json);", "CREATE TABLE t (a jsonb);"),
        ("json-column", "ALTER TABLE t ADD COLUMN a json;", "ALTER TABLE t ADD COLUMN a jsonb;"),
        (
            "json-column",
            "ALTER TABLE t ALTER a TYPE json USING a::json;",
            "ALTER TABLE t ALTER a TYPE jsonb USING a::json;",
        ),
        ("enum-type", "CREATE TYPE mood AS ENUM ('a');", "CREATE TYPE mood AS (a int);"),
        (
            "primary-key-using-index",
            "ALTER TABLE t ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_id;",
            "ALTER TABLE t ADD CONSTRAINT t_id UNIQUE USING INDEX t_id;",
        ),
        (
            "several-alters",
            "ALTER TABLE t ADD a int; ALTER TABLE t ADD b int;",
            "ALTER TABLE t ADD a int, ADD b int;",
        ),
        (
            "several-alters",
            "ALTER TABLE t ADD a int; ALTER TABLE t ADD b int;",
            "CREATE TABLE t (); ALTER TABLE t ADD a int; ALTER TABLE t ADD b int;",
        ),
        (
            "statement-under-lock",
            "ALTER TABLE t ADD a int; CREATE TABLE u ();",
            "CREATE TABLE u (); ALTER TABLE t ADD a int;",
        ),
        (
            "statement-under-lock",
            "ALTER TABLE t ADD a int; CREATE TABLE u ();",
            "BEGIN; ALTER TABLE t ADD a int; COMMIT; CREATE TABLE u ();",
        ),
        (
            "foreign-key-index",
            "CREATE TABLE t (a int REFERENCES old);",
            "CREATE TABLE t (a int REFERENCES old); CREATE INDEX ON t (a);",
        ),
        (
            "foreign-key-index",
            "CREATE TABLE t (a int REFERENCES old); CREATE INDEX ON t (a) WHERE a = 1;",
            "CREATE TABLE t (a int PRIMARY KEY REFERENCES old);",
        ),
        (
            "foreign-key-index",
            "ALTER TABLE t ADD FOREIGN KEY (a, b) REFERENCES u; CREATE INDEX i ON t (c, a, b);",
            "ALTER TABLE t ADD FOREIGN KEY (a, b) REFERENCES u; CREATE INDEX i ON t (b, a, c);",
        ),
    ] {
        let found = |text: &str| {
            let project = project(&format!("{OLD}{text}\n"));
            rules(&json(&project.run(&["lint", "sql", "--json"])))
        };
        assert!(found(bad).contains(&rule.to_string()), "{rule} is not found in {bad}");
        assert!(!found(good).contains(&rule.to_string()), "{rule} is found in {good}");
    }
}

#[test]
fn bodies_are_looked_into_and_dynamic_sql_has_the_highest_risk() {
    let project = project(
        "CREATE FUNCTION tidy() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  DELETE FROM logs;\nEND $$;\n\
         SELECT tidy();\n\
         DO $$ BEGIN EXECUTE format('DROP TABLE %I', 'x'); END $$;\n\
         DO $$ BEGIN ALTER TABLE logs ADD COLUMN a int; END $$;\n",
    );
    let value = json(&project.run(&["lint", "sql", "--json"]));
    let statements = value["files"][0]["statements"].as_array().unwrap();
    let risks: Vec<_> = statements.iter().map(|one| one["risk"].as_str().unwrap()).collect();
    assert_eq!(risks, ["low", "very_high", "very_high", "low"]);
    assert_eq!(statements[1]["objects"][0], "logs");
    let unknown: Vec<_> = statements.iter().map(|one| one["unknown"].as_bool().unwrap()).collect();
    assert_eq!(unknown, [false, false, true, false]);
    assert!(rules(&value).contains(&"dynamic-sql".to_string()));
}

#[test]
fn psql_commands_variables_and_copied_rows_are_no_findings() {
    let project = project(
        "\\set t users\n\\echo 'DROP TABLE x'\nCOPY logs FROM stdin;\n1\tDROP TABLE y;\n\\.\n\
         ALTER TABLE :\"t\" ADD COLUMN a text DEFAULT :'word';\n",
    );
    let value = json(&project.run(&["lint", "sql", "--json"]));
    let kinds: Vec<_> = value["files"][0]["statements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["copy", "alter table"]);
    assert!(!rules(&value).iter().any(|rule| rule == "unparsable" || rule == "ban-drop-table"));
}

#[test]
fn sarif_holds_every_finding_and_a_missing_path_is_said() {
    let project = project(RISKY);
    let sarif = json(&project.run(&["lint", "sql", "--format", "sarif"]));
    assert_eq!(sarif["version"], "2.1.0");
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "sql/001.sql");
    assert_eq!(place["region"]["startLine"], 2);
    let ran = project.run(&["lint", "nowhere"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);
}

fn places(value: &Value, rule: &str) -> Vec<(String, u64)> {
    let files = value["files"].as_array().unwrap().iter();
    let findings = files.flat_map(|file| file["findings"].as_array().unwrap());
    findings
        .filter(|one| one["rule"] == rule)
        .map(|one| (one["file"].as_str().unwrap().to_string(), one["line"].as_u64().unwrap()))
        .collect()
}

/// What a file includes is a part of it: one memory of the schema, places in the included file, and
/// a folder does not have it judged a second time.
#[test]
fn what_a_file_includes_is_judged_as_a_part_of_it() {
    let project =
        project("CREATE TABLE a (id int);\n\\ir parts/more.sql\n\\i sql/parts/drop.sql\n");
    project
        .file("sql/parts/more.sql", "-- the next\nCREATE INDEX a_id ON a (id);\n\\ir most.sql\n");
    project.file("sql/parts/most.sql", "ALTER TABLE a ADD COLUMN b int;\n");
    project.file("sql/parts/drop.sql", "\n\nDROP TABLE b;\n");
    let value = json(&project.run(&["lint", "sql", "--json"]));
    let files = value["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{value}");
    let told: Vec<_> = files[0]["statements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["file"].as_str().unwrap(),
                one["line"].as_u64().unwrap(),
                one["risk"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("sql/001.sql", 1, "low"),
            // Nobody waits for a table that the including file has made.
            ("sql/parts/more.sql", 2, "low"),
            ("sql/parts/most.sql", 1, "low"),
            ("sql/parts/drop.sql", 3, "very_high"),
        ]
    );
    assert_eq!(places(&value, "data-loss"), [("sql/parts/drop.sql".to_string(), 3)]);
    assert_eq!(places(&value, "ban-drop-table"), [("sql/parts/drop.sql".to_string(), 3)]);

    let ran = project.run(&["lint", "sql/001.sql", "--max-risk", "high"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("sql/parts/drop.sql:3  very high  drop table b"), "{}", ran.stdout);
    let ran = project.run(&["lint", "sql", "--max-risk", "high", "--format", "github"]);
    assert!(ran.stdout.contains("::error file=sql/parts/drop.sql,line=3,col=1,title=max-risk"));
    // A file that is named itself is judged by itself as well.
    let value = json(&project.run(&["lint", "sql", "sql/parts/more.sql", "--json"]));
    assert_eq!(value["files"].as_array().unwrap().len(), 2, "{value}");
    // A comment in the included file counts there.
    let told = "-- runsheet: allow max-risk, data-loss, ban-drop-table because it is empty\n";
    project.file("sql/parts/drop.sql", &format!("{told}\nDROP TABLE b;\n"));
    let ran = project.run(&["lint", "sql", "--max-risk", "high"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
}

#[test]
fn an_include_that_leads_nowhere_is_a_finding_with_its_place() {
    let project = Project::new();
    project.file("sql/a.sql", "SELECT 1;\n  \\ir missing.sql\nSELECT 2;\n");
    let ran = project.run(&["lint", "sql", "--format", "github"]);
    assert_eq!(ran.code, 1);
    let words = "::error file=sql/a.sql,line=2,col=3,title=include-missing::";
    assert!(ran.stdout.contains(words), "{}", ran.stdout);

    project.file("sql/a.sql", "SELECT 1;\n\\ir b.sql\n");
    project.file("sql/b.sql", "\\ir a.sql\nDROP TABLE x;\n");
    let ran = project.run(&["lint", "sql", "--json"]);
    let value = json(&ran);
    assert_eq!(ran.code, 1);
    assert_eq!(places(&value, "include-circle"), [("sql/b.sql".to_string(), 1)]);
    assert_eq!(places(&value, "data-loss"), [("sql/b.sql".to_string(), 2)]);

    std::fs::remove_file(project.path().join("sql/b.sql")).unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(outside.path(), "DROP TABLE secret;\n").unwrap();
    project.file("sql/a.sql", &format!("\\i {}\n\\i ../../etc/passwd\n", outside.path().display()));
    let value = json(&project.run(&["lint", "sql", "--json"]));
    let both = [("sql/a.sql".to_string(), 1), ("sql/a.sql".to_string(), 2)];
    assert_eq!(places(&value, "include-outside"), both, "{value}");
    assert!(places(&value, "data-loss").is_empty());

    // A branch that may never be taken, a variable, and an accepted one do not fail.
    project.file(
        "sql/a.sql",
        "\\if :never\n\\ir missing.sql\n\\endif\n\\i :file\n\
         -- runsheet: allow include-missing because the build makes it\n\\ir built.sql\n",
    );
    let ran = project.run(&["lint", "sql", "--json"]);
    let value = json(&ran);
    assert_eq!(ran.code, 0, "{value}");
    assert_eq!(places(&value, "include-unknown"), [("sql/a.sql".to_string(), 4)]);
    // A name that the file sets itself is known.
    project.file("sql/built.sql", "DROP TABLE x;\n");
    project.file("sql/a.sql", "\\set name built\n\\ir :name.sql\n");
    let value = json(&project.run(&["lint", "sql/a.sql", "--json"]));
    assert_eq!(places(&value, "data-loss"), [("sql/built.sql".to_string(), 1)], "{value}");
}
