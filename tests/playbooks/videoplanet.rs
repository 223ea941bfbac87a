//! `runsheet run videoplanet`: the items of the guide (G0.01 to G0.21) on the good case, and on
//! what each of them guards against.

use super::ground::{Ground, shipped};
use super::prisma;
use crate::support::cluster::query;

const UP: &str = "unified-migration-safe.sql";
const FROZEN: &str = "SELECT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase \
    WHERE d.datname = 'app' AND s.setconfig::text LIKE '%default_transaction_read_only=on%')";

fn studio() -> Ground {
    Ground::new("videoplanet", &["rows=40"])
}

/// With Prisma's stand-in; schema.prisma is what it pulls from the database as it is.
fn with_prisma() -> Ground {
    let mut ground = studio();
    prisma::stand_in(&mut ground);
    let toml =
        "[commands]\nallow = [\"prisma\"]\n[playbook.videoplanet.params]\nprisma = [\"prisma\"]\n";
    ground.project.file("runsheet.toml", toml);
    ground.project.file("prisma/schema.prisma", "");
    let url = ground.cluster.tcp_url("app");
    let script = ground.project.path().join("bin/prisma");
    let pulled = std::process::Command::new(script)
        .args(["db", "pull"])
        .env("DATABASE_URL", url)
        .current_dir(ground.project.path())
        .status();
    assert!(pulled.is_ok_and(|status| status.success()));
    ground
}

/// G0.01, G0.05 to G0.13, G0.19: there and back, with Prisma's file.
#[test]
fn the_plan_changes_nothing_the_run_links_and_the_rollback_section_takes_it_back() {
    let ground = with_prisma();
    let file = ground.project.read("prisma/schema.prisma");
    ground.call(&["plan", "videoplanet"]).exits(0).shows("G0.07.1").shows("Scenario");
    ground.unchanged();
    ground.run(&[]).exits(0);
    assert_eq!(ground.value(FROZEN), "f");
    assert_ne!(ground.project.read("prisma/schema.prisma"), file);
    ground.report_shows(&[
        "### 시나리오 연결",
        "### 스키마 변경",
        "```diff",
        "  keywords _text",
        "Backend Lead",
        "G0.07.1",
        "5m..10m",
        ".dump",
    ]);
    let after = ground.fingerprint();
    ground.run(&[]).exits(0).shows("할 일 없음");
    assert_eq!(ground.fingerprint(), after);
    ground.back(&[]).exits(0);
    ground.unchanged();
    assert_eq!(ground.project.read("prisma/schema.prisma"), file);
}

/// The same with the real Prisma, where it is here.
#[test]
fn the_real_prisma_pulls_before_and_after() {
    let mut ground = studio();
    if !prisma::real(&mut ground) {
        return;
    }
    let toml =
        "[commands]\nallow = [\"prisma\"]\n[playbook.videoplanet.params]\nprisma = [\"prisma\"]\n";
    ground.project.file("runsheet.toml", toml);
    let base = "generator client {\n  provider = \"prisma-client-js\"\n}\n\ndatasource db {\n  provider = \"postgresql\"\n  url      = env(\"DATABASE_URL\")\n}\n";
    ground.project.file("prisma/schema.prisma", base);
    ground.project.file("prisma/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
    // What is not pulled yet is a difference, and stops the run; the pulled file is the right one.
    ground.run(&[]).exits(1).shows("G0.05.2");
    ground.unchanged();
    assert_eq!(ground.project.read("prisma/schema.prisma"), base);
    let url = ground.cluster.tcp_url("app");
    let mut pull = std::process::Command::new(ground.project.path().join("bin/prisma"));
    let pull =
        pull.args(["db", "pull"]).env("DATABASE_URL", url).current_dir(ground.project.path());
    assert!(pull.output().is_ok_and(|ran| ran.status.success()));
    ground.run(&["--again"]).exits(0);
    assert!(ground.project.read("prisma/schema.prisma").contains("keywords"));
    ground.back(&[]).exits(0);
    ground.unchanged();
}

/// G0.01: where the backup fails, nothing is executed.
#[test]
fn without_a_backup_nothing_is_executed() {
    let ground = studio();
    ground.project.file("runsheet.toml", "[backup]\ndir = \"taken\"\n").file("taken", "a file");
    let ran = ground.run(&[]);
    ran.shows("G0.01");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    ground.unchanged();
}

/// G0.02: a role without the rights is told which, and how it gets them.
#[test]
fn missing_rights_are_named_with_their_grants() {
    let ground = studio();
    ground.sql("CREATE ROLE guest LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest; GRANT CREATE ON DATABASE app TO guest");
    let url = ground
        .cluster
        .url("app")
        .replace("postgres@", "guest@")
        .replace("user=postgres", "user=guest");
    let words = ["run", "videoplanet", "--yes", "--lang", "ko", "--url", &url];
    ground
        .project
        .run(&words)
        .exits(1)
        .shows("G0.02")
        .shows("GRANT")
        .shows("Scenario")
        .shows("guest");
    ground.unchanged();
}

/// G0.03, G0.21: a window that was too short is said, and whom to call.
#[test]
fn a_window_that_was_too_short_is_in_the_report() {
    let ground = studio();
    ground.run(&["--set", "window=1ms"]).exits(0);
    ground.report_shows(&["예상 시간 초과", "Backend Lead"]);
}

/// G0.04: another database than meant, a port that is closed, a name that does not exist; no
/// password is shown.
#[test]
fn a_wrong_database_is_not_touched_and_no_password_is_shown() {
    let ground = studio();
    let ran =
        ground.run(&["--set", "only_on=videoplanet", "--set", "url=postgres://u:hunter2@h/d"]);
    ran.exits(1).shows("G0.04").shows("videoplanet").shows_nowhere("hunter2");
    ground.unchanged();
    // A port on which nobody listens is tried as often as it was configured.
    ground.project.file("runsheet.toml", "[run]\nconnect_tries = 3\nconnect_every = \"10ms\"\n");
    let port = crate::support::listener::closed_port();
    let closed = format!("postgresql://postgres:hunter2@127.0.0.1:{port}/app");
    let ran =
        ground.project.run(&["run", "videoplanet", "--yes", "--lang", "ko", "--url", &closed]);
    ran.exits(7).shows("3회 중 2회째 실패").shows(&format!("127.0.0.1:{port}"));
    ran.shows_nowhere("hunter2");
    ground.unchanged();
    let nowhere = ground.cluster.tcp_url("nowhere").replace("postgres@", "postgres:hunter2@");
    let words = ["run", "videoplanet", "--yes", "--url", &nowhere];
    ground.project.run(&words).exits(7).shows("nowhere").shows_nowhere("hunter2");
}

/// G0.05: a schema that had drifted before is shown as a difference, the file is put back, stop.
#[test]
fn drift_before_the_start_is_shown_and_stops() {
    let mut ground = with_prisma();
    let file = ground.project.read("prisma/schema.prisma");
    ground.sql("ALTER TABLE \"Video\" ADD COLUMN added_by_hand text");
    ground.remember();
    ground.run(&[]).exits(1).shows("G0.05.2").shows("+   added_by_hand text?");
    ground.unchanged();
    assert_eq!(ground.project.read("prisma/schema.prisma"), file);
}

/// G0.06: a pending or failed migration of Prisma's own stops the run.
#[test]
fn a_pending_or_failed_migration_stops() {
    let mut ground = with_prisma();
    ground
        .project
        .file("prisma/migrations/20250101_tags/migration.sql", "CREATE TABLE tags (id int);");
    let ran = ground.run(&[]);
    ran.exits(1).shows("G0.06").shows("20250101_tags");
    ground.unchanged();
    ground.sql(
        "CREATE TABLE _prisma_migrations (migration_name text, started_at timestamptz DEFAULT now(), \
         finished_at timestamptz, rolled_back_at timestamptz); \
         INSERT INTO _prisma_migrations (migration_name) VALUES ('20250101_tags')",
    );
    ground.remember();
    ground.run(&["--again"]).exits(1).shows("20250101_tags");
    ground.unchanged();
}

/// G0.07, G0.16: an error in the middle of the file: where, what, why; and nothing of it stands.
#[test]
fn an_error_in_the_middle_leaves_nothing_and_says_where() {
    let ground = studio();
    let up = ground.spoiled(UP, "-- 5. 인덱스", "ALTER TABLE \"Nowhere\" ADD COLUMN x int;");
    let ran = ground.run(&["--set", &format!("sql={up}")]);
    ran.exits(1)
        .shows("G0.07.1")
        .shows("42P01")
        .shows("unified-migration-safe.sql:67")
        .shows("Nowhere");
    ran.shows("runsheet rollback").shows("Backend Lead");
    ground.unchanged();
    assert_eq!(ground.value(FROZEN), "f");
}

/// G0.08: a table that is not there.
#[test]
fn a_missing_table_is_named() {
    let mut ground = studio();
    ground.sql("ALTER TABLE \"Video\" RENAME TO videos");
    ground.remember();
    ground.run(&[]).exits(1).shows("Video");
    ground.unchanged();
}

/// G0.09: a row of an earlier attempt that says otherwise is not passed over.
#[test]
fn a_log_row_without_success_is_found() {
    let ground = studio();
    ground.sql(
        "CREATE TABLE \"MigrationLog\" (migration_id text PRIMARY KEY, status text NOT NULL, description text, \
         executed_at timestamp(3) NOT NULL DEFAULT now()); \
         INSERT INTO \"MigrationLog\" VALUES ('unified_migration_2025_01_18', 'failed')",
    );
    ground.run(&[]).exits(6).shows("G0.09").shows("failed").shows("runsheet rollback");
}

/// G0.10: scenarios that would lose their project are counted before COMMIT.
#[test]
fn more_unlinked_scenarios_than_before_are_not_committed() {
    let ground = studio();
    let up =
        ground.spoiled(UP, "-- 4. 외래 키.", "UPDATE \"Scenario\" SET project_id = NULL;\n-- 4.");
    ground.run(&["--set", &format!("sql={up}")]).exits(1).shows("이어지지 않은 시나리오");
    ground.unchanged();
}

/// G0.11: a dangling reference is shown with its keys before anything is changed.
#[test]
fn a_dangling_reference_is_shown_with_its_keys() {
    let mut ground = studio();
    ground.sql("UPDATE \"Scenario\" SET project_id = 'prj-gone' WHERE id = 'scn0000003'");
    ground.remember();
    ground.run(&[]).exits(1).shows("G0.11").shows("prj-gone");
    ground.unchanged();
}

/// G0.12, G0.13, G0.19: another type, a missing index, one that is INVALID, another action.
#[test]
fn what_is_not_as_the_guide_wants_it_is_found() {
    for (piece, other, item, words) in [
        ("version integer NOT NULL", "version bigint NOT NULL", "G0.12.1", "version"),
        (
            "CREATE INDEX IF NOT EXISTS idx_video_status ON \"Video\" (status);",
            "",
            "G0.13",
            "idx_video_status",
        ),
        (
            "CREATE INDEX IF NOT EXISTS idx_video_status ON \"Video\" (status);",
            "CREATE INDEX IF NOT EXISTS idx_video_status ON \"Video\" (status);
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_video_status'::regclass;",
            "G0.13",
            "idx_video_status",
        ),
        ("ON DELETE SET NULL'", "ON DELETE CASCADE'", "G0.19", "on delete cascade"),
    ] {
        let ground = studio();
        let up = ground.spoiled(UP, piece, other);
        let sql = format!("sql={up}");
        ground.run(&["--set", &sql]).exits(6).shows(item).shows(words);
        ground.back(&["--set", &sql]).exits(0);
        ground.unchanged();
    }
}

/// G0.14: a rollback section that fails leads to the next rung, which works.
#[test]
fn a_rollback_that_fails_names_the_next_rung() {
    let mut ground = studio();
    ground.run(&[]).exits(0);
    let before = std::mem::take(&mut ground.before);
    ground.sql("CREATE VIEW clips AS SELECT id, status FROM \"Video\"");
    ground.remember();
    ground.back(&[]).exits(5).shows("clips").shows("--restore");
    ground.unchanged();
    assert_eq!(ground.value(FROZEN), "f");
    ground.before = before;
    ground.back(&["--restore"]).exits(0);
    ground.unchanged();
}

/// G0.15: a damaged dump is known before it is needed, and before anything is restored from it.
#[test]
fn a_damaged_dump_is_known_before_it_is_used() {
    let mut ground = studio();
    ground.run(&[]).exits(0);
    ground.remember();
    let dump = ground.project.dumps().pop().expect("a dump");
    let mut bytes = std::fs::read(&dump).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&dump, bytes).unwrap();
    let ran = ground.back(&["--restore"]);
    ran.shows("backup-damaged");
    assert_ne!(ran.code, 0);
    ground.unchanged();
}

/// G0.17: rows that got lost afterwards come back from the backup tables.
#[test]
fn lost_rows_come_back_from_the_backup_tables() {
    let ground = studio();
    ground.run(&[]).exits(0);
    ground.sql("DELETE FROM \"Scenario\" WHERE id < 'scn0000006'; DELETE FROM \"Prompt\" WHERE id > 'pmt0000070'");
    ground.back(&[]).exits(0);
    ground.unchanged();
}

/// G0.18: the file twice by hand, and the playbook once more: nothing changes.
#[test]
fn running_twice_changes_nothing() {
    let mut ground = studio();
    ground.run(&[]).exits(0);
    ground.remember();
    ground.psql(&shipped("videoplanet", UP), &[]);
    ground.unchanged();
    ground.run(&["--again"]).exits(0);
    ground.unchanged();
}

/// Taken over, it is the project's own playbook, with its own id in the ledger.
#[test]
fn a_playbook_taken_over_runs_under_its_own_name() {
    let ground = studio();
    ground.project.run(&["new", "unify", "--from", "videoplanet"]).exits(0);
    ground.call(&["run", "unify", "--yes", "--set", "scratch=unify_test"]).exits(0);
    assert_eq!(ground.value("SELECT playbook FROM runsheet.run"), "unify");
    ground.back(&["--set", "scratch=unify_test"]).exits(0);
    ground.unchanged();
}

/// G0.20: new writers are refused during the run; killed with -9 the database is writable again,
/// and the run is gone on with.
#[test]
fn read_only_refuses_writers_and_ends_with_a_killed_runner() {
    let ground = studio();
    let holder = ground.holder("LOCK TABLE \"Video\" IN ACCESS SHARE MODE");
    let running = ground.start(&["run", "videoplanet", "--yes", "--set", "lock_timeout=60s"]);
    let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)";
    ground.wait_until(waiting);
    assert_eq!(ground.value(FROZEN), "t");
    let write =
        "INSERT INTO \"Project\" (id, title, updated_at) VALUES ('prj-new', '새 프로젝트', now())";
    let refused =
        query(&ground.cluster.url("app"), write).expect_err("a new session may not write");
    assert!(refused.starts_with("25006"), "{refused}");

    running.signal("KILL");
    assert_eq!(running.wait().code, 137);
    ground.cluster.end_the_dead("app");
    ground.wait_until(&format!("SELECT NOT ({FROZEN})"));
    drop(holder);
    ground.wait_until(
        "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE relation = '\"Video\"'::regclass)",
    );
    ground.unchanged();
    ground.sql(&write.replace("prj-new", "prj-later"));
    ground.sql("DELETE FROM \"Project\" WHERE id = 'prj-later'");

    let run = ground.project.newest_run();
    let patient = ["--set", "lock_timeout=60s"];
    ground.call(&[&["resume", run.as_str(), "--yes"][..], &patient].concat()).exits(0);
    assert_eq!(ground.value(FROZEN), "f");
    ground.back(&patient).exits(0);
    ground.unchanged();
}
