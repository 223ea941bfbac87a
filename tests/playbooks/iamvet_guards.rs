//! What `iamvet` guards against, one case after the other: what is said, the exit code, and the
//! database afterwards.

use super::iamvet::Clinic;
use crate::faults::fingerprint;
use crate::support::{Gate, Ran};

const SHIPPED: &str = include_str!("../../playbooks/iamvet/sql/003_normalize_users_schema.sql");

fn clinic() -> Clinic {
    let clinic = Clinic::new();
    clinic.database("vet", 100);
    clinic
}

/// The shipped file with something put before its COMMIT.
fn with(before_commit: &str) -> String {
    let (body, _) = SHIPPED.rsplit_once("COMMIT;").expect("it ends with COMMIT");
    format!("{body}{before_commit}\nCOMMIT;\n")
}

fn run(clinic: &Clinic, words: &[&str]) -> Ran {
    clinic.call("vet", &[&["run", "iamvet", "--yes"], words].concat())
}

/// The five tables, and whether they are there.
fn tables(clinic: &Clinic) -> String {
    let names = "('veterinarians', 'veterinary_students', 'hospitals', \
                 'hospital_treatment_animals', 'hospital_treatment_specialties')";
    clinic
        .cluster
        .value("vet", &format!("SELECT count(*) FROM pg_tables WHERE tablename IN {names}"))
}

/// G1.03: somebody is still connected.
#[test]
fn a_session_of_the_application_that_is_still_there_is_named() {
    let clinic = clinic();
    let mut web = Gate::to(&clinic.cluster.url("vet"), "iamvet-web");
    web.done();
    let before = fingerprint(&clinic.cluster, "vet");
    run(&clinic, &[]).exits(1).shows("G1.03.1").shows("iamvet-web");
    assert_eq!(fingerprint(&clinic.cluster, "vet"), before);
    web.open();
}

/// G1.06: a server that is too old for the playbook is named with its version before anything.
#[test]
fn a_server_of_the_wrong_version_is_named_before_anything_happens() {
    let clinic = clinic();
    let text = include_str!("../../playbooks/iamvet.rhai");
    let newer =
        text.replace("connection_and_version(\">=13\")", "connection_and_version(\">=99\")");
    assert_ne!(newer, text);
    clinic.project.playbook("iamvet", &newer);
    let before = fingerprint(&clinic.cluster, "vet");
    let ran = run(&clinic, &[]);
    ran.exits(1).shows("G1.06").shows(">=99").shows(&clinic.cluster.major().to_string());
    assert_eq!(fingerprint(&clinic.cluster, "vet"), before);
    assert!(!clinic.project.path().join("backups").exists(), "no backup was begun");
}

/// G1.04: a log table of another shape; G1.06: rights that are missing; nothing is stopped.
#[test]
fn what_does_not_fit_is_found_before_the_application_is_stopped() {
    let clinic = clinic();
    clinic.project.file("runsheet.toml", "[commands]\nallow = [\"touch\"]\n");
    let stop = ["--set", "stop=[\"touch\",\"stopped\"]"];
    clinic.cluster.sql("vet", "CREATE TABLE migration_log (id int, note text)");
    let before = fingerprint(&clinic.cluster, "vet");
    run(&clinic, &stop).exits(1).shows("G1.04").shows("migration_name");
    assert_eq!(fingerprint(&clinic.cluster, "vet"), before);
    clinic.cluster.sql(
        "vet",
        "DROP TABLE migration_log; DROP SCHEMA runsheet CASCADE; CREATE ROLE clerk LOGIN",
    );
    clinic.cluster.sql("vet", "GRANT CREATE ON DATABASE vet TO clerk");
    let url = clinic.cluster.url("vet").replace("user=postgres", "user=clerk");
    let words = ["run", "iamvet", "--yes", "--lang", "ko", "--url", &url];
    let ran = clinic.project.run(&[&words, &stop[..]].concat());
    ran.shows("GRANT");
    assert_ne!(ran.code, 0);
    assert!(!clinic.project.path().join("stopped").exists());
    assert_eq!(tables(&clinic), "0");
}

/// G1.07, G1.14: an error in the file: its line, its cause, and nothing of it stands.
#[test]
fn an_error_in_the_file_leaves_nothing_of_it() {
    let clinic = clinic();
    clinic.project.file("sql/mine.sql", &with("INSERT INTO hospitals SELECT * FROM hospitals;"));
    run(&clinic, &["--set", "sql=sql/mine.sql"]).exits(5).shows("G1.07").shows("sql/mine.sql:");
    assert_eq!(tables(&clinic), "0");
}

/// G1.14: each class of error has its own remedy, and leaves nothing.
#[test]
fn memory_disk_and_rights_that_run_out_are_explained() {
    let clinic = clinic();
    for (code, words) in [
        ("53200", "work_mem을 줄이거나"),
        ("53100", "디스크 공간 부족입니다"),
        ("42501", "CREATE, ALTER, INSERT, UPDATE, DELETE 권한이 있는지"),
        ("23514", "서버가 말한 키의 행을 users에서 바로잡고"),
    ] {
        let fails =
            format!("DO $$ BEGIN RAISE EXCEPTION 'it ran out' USING ERRCODE = '{code}'; END $$;");
        clinic.project.file("sql/mine.sql", &with(&fails));
        let ran = run(&clinic, &["--again", "--set", "sql=sql/mine.sql"]);
        ran.exits(5).shows("G1.07").shows(code).shows(words);
        assert_eq!(tables(&clinic), "0", "{code}");
    }
}

/// G1.08, G1.09: a hospital is lost on the way: both counts, its key, and ROLLBACK.
#[test]
fn a_lost_hospital_is_named_and_the_whole_transaction_is_taken_back() {
    let clinic = clinic();
    let lost = "DELETE FROM hospitals WHERE id = (SELECT min(id) FROM hospitals);";
    clinic.project.file("sql/mine.sql", &with(lost));
    let all = "SELECT count(*) FROM users WHERE \"userType\" = 'HOSPITAL' AND \"isActive\"";
    let all: u32 = clinic.cluster.value("vet", all).parse().unwrap();
    let ran = run(&clinic, &["--set", "sql=sql/mine.sql"]);
    ran.exits(5).shows("HOSPITAL").shows(&all.to_string()).shows(&(all - 1).to_string());
    assert_eq!(tables(&clinic), "0");
}

/// G1.10, G1.11: what only the verification finds: the row of the log, a constraint.
#[test]
fn a_missing_log_row_or_constraint_is_found_after_the_commit() {
    for (spoiled, words) in [
        ("DELETE FROM migration_log WHERE migration_name LIKE '003%';", "G1.10"),
        ("ALTER TABLE hospitals DROP CONSTRAINT \"hospitals_businessNumber_check\";", "G1.11"),
    ] {
        let clinic = clinic();
        clinic.project.file("sql/mine.sql", &with(spoiled));
        run(&clinic, &["--set", "sql=sql/mine.sql"]).exits(6).shows(words);
        assert_eq!(tables(&clinic), "5", "the changes stand, and the exit code says so");
    }
}

/// G1.12, G1.16: the application does not come up: the service is stopped first.
#[test]
fn an_application_that_does_not_come_up_is_stopped_at_once() {
    let clinic = clinic();
    clinic.project.file("runsheet.toml", "[commands]\nallow = [\"touch\", \"rm\"]\n");
    let closed = crate::support::listener::closed_port();
    let health = format!("health=http://127.0.0.1:{closed}/health");
    let text = std::fs::read_to_string("playbooks/iamvet.rhai").expect("the playbook");
    let quick = text.replace(
        "tries: 30, every: \"2s\" }));\n}\nmanual",
        "tries: 2, every: \"1ms\" }));\n}\nmanual",
    );
    assert_ne!(quick, text);
    clinic.project.playbook("iamvet", &quick);
    clinic.project.file("running", "");
    let words = [
        "--set",
        &health,
        "--set",
        "stop=[\"rm\",\"-f\",\"running\"]",
        "--set",
        "start=[\"touch\",\"running\"]",
    ];
    run(&clinic, &words).exits(6).shows("G1.12").shows("G1.16.1").shows("DB 관리자");
    assert!(!clinic.project.path().join("running").exists());
    assert_eq!(tables(&clinic), "5");
}

/// G1.17: production without a rehearsal.
#[test]
fn production_refuses_without_a_rehearsal() {
    let clinic = clinic();
    let before = fingerprint(&clinic.cluster, "vet");
    let url = clinic.cluster.url("vet");
    let toml = format!("[environments.production]\nurl = \"{url}\"\nprotected = true\n");
    clinic.project.file("runsheet.toml", &toml);
    let code = clinic.project.approved(&["iamvet"]);
    // Its manual items want somebody at a terminal first.
    let Some(ran) = clinic.project.run_at_a_terminal(&["run", "iamvet", "--approve", &code]) else {
        return;
    };
    ran.exits(4).shows("no-receipt");
    assert_eq!(fingerprint(&clinic.cluster, "vet"), before);
}

/// G1.18: the file is another one than that which was reviewed.
#[test]
fn a_file_that_changed_after_its_review_is_not_run() {
    let clinic = clinic();
    clinic.project.file("runsheet.toml", "[commands]\nallow = [\"cp\"]\n");
    clinic.project.file("sql/mine.sql", SHIPPED).file("sql/other.sql", &with("SELECT 1;"));
    let words =
        ["--set", "sql=sql/mine.sql", "--set", "stop=[\"cp\",\"sql/other.sql\",\"sql/mine.sql\"]"];
    let ran = run(&clinic, &words);
    ran.shows("검토한 뒤로 바뀌지 않은 SQL 파일");
    assert_ne!(ran.code, 0);
    assert_eq!(tables(&clinic), "0");
}

/// G1.05: too little room on the server's disk: both numbers, before anything is touched.
#[test]
fn too_little_room_stops_before_the_backup() {
    let clinic = clinic();
    clinic.project.file("runsheet.toml", "[server]\nfree_bytes_query = \"SELECT 4096\"\n");
    let before = fingerprint(&clinic.cluster, "vet");
    run(&clinic, &[]).exits(1).shows("G1.05").shows("4.0 KiB").shows("MiB");
    assert_eq!(fingerprint(&clinic.cluster, "vet"), before);
    assert!(!clinic.project.path().join("backups").exists(), "no backup was begun");
}

/// G1.02: a dump that is whole and cannot be restored: a CHECK asks a function that finds its
/// table through the search path, which is empty in a restore.
#[test]
fn a_backup_that_does_not_restore_is_found_before_the_migration() {
    let clinic = clinic();
    clinic.cluster.sql(
        "vet",
        "CREATE FUNCTION known(text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM users WHERE id = $1)';
         CREATE TABLE notes (user_id text CHECK (known(user_id)));
         INSERT INTO notes SELECT min(id) FROM users",
    );
    run(&clinic, &[]).exits(1).shows("G1.02").shows("users").shows("G1.01.1");
    assert_eq!(tables(&clinic), "0");
    let left = "SELECT count(*) FROM pg_database WHERE datname = 'iamvet_test'";
    assert_eq!(clinic.cluster.value("postgres", left), "0", "the scratch database is gone");
}

/// G1.01: a dump that lost its end, or all of it, after it was made: it is read before it is
/// needed, and nothing is changed without it.
#[test]
fn a_backup_that_is_cut_short_or_empty_is_found_before_the_migration() {
    for left in ["half", "nothing"] {
        let clinic = clinic();
        run(&clinic, &["--until", "G1.01 전체 백업"]).exits(0);
        let dump = clinic.project.dumps().pop().expect("a dump");
        let whole = std::fs::read(&dump).unwrap();
        let kept = if left == "half" { &whole[..whole.len() / 2] } else { &[][..] };
        std::fs::write(&dump, kept).unwrap();
        let ran = clinic.call("vet", &["resume", "--yes"]);
        ran.shows("G1.01.1").shows(dump.file_name().unwrap().to_str().unwrap());
        assert!([1, 5].contains(&ran.code), "{left}: exit code {}", ran.code);
        assert_eq!(tables(&clinic), "0", "{left}");
    }
}
