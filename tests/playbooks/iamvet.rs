//! `runsheet run iamvet` on generated databases of several sizes, clean and dirty.

use super::ground::shipped;
use crate::faults::fingerprint;
use crate::support::{Cluster, Project, Ran};

const DIRTY: [(&str, &str); 6] = [
    ("licence", "NULL"),
    ("business_number", "겹치는 사업자 번호"),
    ("user_type", "VET_NURSE"),
    ("animal", "DRAGON"),
    ("specialty", "두 번 적힌 진료 과목"),
    ("university", "학교나 학교 메일이 없는 수의대생"),
];

pub struct Clinic {
    pub cluster: Cluster,
    pub project: Project,
}

impl Clinic {
    pub fn new() -> Self {
        Self { cluster: Cluster::start(), project: Project::new() }
    }

    /// A database as it was before, with so many users.
    pub fn database(&self, name: &str, rows: u32) {
        self.cluster.create_database(name);
        self.psql(name, "schema.sql", &[]);
        self.psql(name, "data.sql", &[&format!("rows={rows}")]);
    }

    fn psql(&self, database: &str, file: &str, vars: &[&str]) {
        self.cluster.psql(database, &shipped("iamvet", file), vars);
    }

    pub fn call(&self, database: &str, words: &[&str]) -> Ran {
        let url = self.cluster.url(database);
        self.project.run(&[words, &["--url", &url, "--lang", "ko"]].concat())
    }

    fn run(&self, database: &str) -> Ran {
        self.call(database, &["run", "iamvet", "--yes"])
    }

    fn value(&self, database: &str, sql: &str) -> String {
        self.cluster.value(database, sql)
    }

    /// Rows of users that move, and rows that were moved, per kind.
    fn counts_are_equal(&self, database: &str) {
        for (kind, table) in [
            ("VETERINARIAN", "veterinarians"),
            ("VETERINARY_STUDENT", "veterinary_students"),
            ("HOSPITAL", "hospitals"),
        ] {
            let users = format!(
                "SELECT count(*) FROM users WHERE \"userType\" = '{kind}' AND \"isActive\""
            );
            let moved = format!("SELECT count(*) FROM {table}");
            assert_eq!(self.value(database, &users), self.value(database, &moved), "{kind}");
        }
    }
}

#[test]
fn the_plan_changes_nothing_and_the_run_normalises_and_the_rollback_brings_all_back() {
    let clinic = Clinic::new();
    clinic.database("vet", 1000);
    let before = fingerprint(&clinic.cluster, "vet");
    clinic.call("vet", &["plan", "iamvet"]).exits(0).shows("G1.07").shows("veterinarians");
    assert_eq!(fingerprint(&clinic.cluster, "vet"), before);

    clinic.run("vet").exits(0);
    clinic.counts_are_equal("vet");
    let after = fingerprint(&clinic.cluster, "vet");
    let run = clinic.project.newest_run();
    let report = clinic.project.read(&format!(".runsheet/runs/{run}/report.md"));
    for words in ["G1.01", "G1.07", "G1.09", "G1.11", "G1.16", "VETERINARIAN", ".dump", "DB 관리자"]
    {
        assert!(report.contains(words), "the report lacks {words}:\n{report}");
    }

    clinic.run("vet").exits(0);
    assert_eq!(fingerprint(&clinic.cluster, "vet"), after);
    assert_eq!(clinic.value("vet", "SELECT count(*) FROM runsheet.run"), "1");

    clinic.call("vet", &["rollback", &run, "--yes"]).exits(0);
    assert_eq!(fingerprint(&clinic.cluster, "vet"), before);
    assert_eq!(clinic.value("vet", "SELECT state FROM runsheet.run"), "rolled_back");
}

#[test]
fn each_kind_of_dirty_row_is_named_before_anything_is_changed() {
    let clinic = Clinic::new();
    clinic.database("clean", 100);
    for (kind, words) in DIRTY {
        clinic.cluster.sql("postgres", &format!("CREATE DATABASE {kind} TEMPLATE clean"));
        clinic.psql(kind, "dirty.sql", &[&format!("dirt={kind}")]);
        let before = fingerprint(&clinic.cluster, kind);
        clinic.run(kind).exits(1).shows("G1.14").shows(words);
        assert_eq!(fingerprint(&clinic.cluster, kind), before, "{kind}");
    }
    assert!(!clinic.project.path().join("backups").exists());
}

#[test]
fn thirty_seven_users_are_enough() {
    let clinic = Clinic::new();
    clinic.database("vet", 37);
    clinic.run("vet").exits(0);
    clinic.counts_are_equal("vet");
}

#[test]
fn a_kind_that_nobody_has_is_no_trouble() {
    let clinic = Clinic::new();
    clinic.database("vet", 100);
    clinic.cluster.sql("vet", "DELETE FROM users WHERE \"userType\" = 'HOSPITAL'");
    clinic.run("vet").exits(0);
    clinic.counts_are_equal("vet");
    assert_eq!(clinic.value("vet", "SELECT count(*) FROM hospital_treatment_animals"), "0");
}

#[test]
fn an_empty_database_is_no_trouble() {
    let clinic = Clinic::new();
    clinic.database("vet", 100);
    clinic.cluster.sql("vet", "TRUNCATE users CASCADE");
    clinic.run("vet").exits(0);
    clinic.counts_are_equal("vet");
}

/// Taken over, it brings its lists and its SQL along, and runs under its own name.
#[test]
fn taken_over_it_brings_its_lists_along() {
    let clinic = Clinic::new();
    clinic.database("vet", 37);
    let ran = clinic.project.run(&["new", "mine", "--from", "iamvet"]);
    ran.exits(0).stdout_shows("playbooks/iamvet/parts.rhai");
    let lists = clinic.project.read("playbooks/iamvet/parts.rhai");
    assert_eq!(lists, include_str!("../../playbooks/iamvet/parts.rhai"));
    clinic.project.run(&["show", "mine"]).exits(0).stdout_shows("iamvet/parts");
    // The row of the log has the playbook's name.
    let forward = "playbooks/iamvet/sql/003_normalize_users_schema.sql";
    let text = clinic.project.read(forward).replace("'003_normalize_users_schema'", "'mine'");
    clinic.project.file(forward, &text);
    clinic.call("vet", &["plan", "mine"]).exits(0).shows("veterinarians");
    clinic.call("vet", &["run", "mine", "--yes"]).exits(0);
    clinic.counts_are_equal("vet");
    assert_eq!(clinic.value("vet", "SELECT playbook FROM runsheet.run"), "mine");
}

/// A file of the project at the same place is used instead of the shipped lists.
#[test]
fn a_projects_own_lists_replace_the_shipped_ones() {
    let clinic = Clinic::new();
    clinic.database("vet", 37);
    let shipped = include_str!("../../playbooks/iamvet/parts.rhai");
    let own = shipped.replace("이름 없는 활성 회원", "우리 병원의 규칙").replace(
        "WHERE \"isActive\" AND \"realName\" IS NULL",
        "WHERE \"isActive\" AND \"realName\" IS NOT NULL",
    );
    assert_ne!(own, shipped);
    clinic.project.file("playbooks/iamvet/parts.rhai", &own);
    let before = fingerprint(&clinic.cluster, "vet");
    clinic.run("vet").exits(1).shows("G1.14").shows("우리 병원의 규칙");
    assert_eq!(fingerprint(&clinic.cluster, "vet"), before);
}
