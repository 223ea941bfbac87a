//! `runsheet run misopin`: the items of the guide (G4.01 to G4.18) on the good case, and on what
//! each of them guards against.

use super::ground::{Ground, shipped};
use crate::support::Listener;

const UP: &str = "001_add_services_and_timeslots.sql";
const DOWN: &str = "001_add_services_and_timeslots.rollback.sql";

fn clinic() -> Ground {
    Ground::new("misopin", &[])
}

/// The clinic's server: a schema file, and a program that deploys, generates and restarts.
fn deployed(script: &str) -> Ground {
    let mut ground = clinic();
    ground.program("cms", &format!("#!/bin/sh\necho \"$1\" >> cms.log\n{script}\n"));
    ground.project.file("prisma/schema.prisma", "model reservations {\n}\n");
    let toml = "[commands]\nallow = [\"cms\"]\n[playbook.misopin.params]\ndeploy = [\"cms\", \"deploy\"]\n\
        generate = [\"cms\", \"generate\"]\nrestart = [\"cms\", \"restart\"]\n";
    ground.project.file("runsheet.toml", toml);
    ground
}

/// G4.01, G4.02, G4.03, G4.06, G4.08, G4.11: the four reservations of the guide, to the letter.
#[test]
fn the_guides_four_reservations_are_converted_and_rolled_back() {
    let ground = clinic();
    ground.call(&["plan", "misopin"]).exits(0).shows("G4.01").shows("services");
    ground.unchanged();
    ground.run(&[]).exits(0);
    let rows = ground.cluster.query(
        "app",
        "SELECT concat_ws(' ', \"preferredTime\", period, \"timeSlotStart\", \"timeSlotEnd\", \"serviceName\", \
            \"estimatedDuration\") FROM reservations ORDER BY id",
    );
    let rows: Vec<String> = rows.into_iter().map(|mut row| row.remove(0).unwrap()).collect();
    assert_eq!(
        rows,
        [
            "09:30 MORNING 09:30 10:00 주름 보톡스 30",
            "14:00 AFTERNOON 14:00 14:30 주름 보톡스 30",
            "15:00 AFTERNOON 15:00 15:30 주름 보톡스 30",
            "16:00 AFTERNOON 16:00 16:30 주름 보톡스 30",
        ]
    );
    let counts = "SELECT concat_ws(' ', (SELECT count(*) FROM services), (SELECT count(*) FROM clinic_time_slots))";
    assert_eq!(ground.value(counts), "1 10");
    let after = ground.fingerprint();

    ground.run(&[]).exits(0).shows("할 일 없음");
    assert_eq!(ground.fingerprint(), after);
    ground.back(&[]).exits(0);
    ground.unchanged();
}

/// G4.02: run by hand first, run twice: still one service and ten time slots.
#[test]
fn what_was_run_already_is_not_run_again() {
    let mut ground = clinic();
    ground.psql(&shipped("misopin", UP), &[]);
    let counts = "SELECT concat_ws(' ', (SELECT count(*) FROM services), (SELECT count(*) FROM clinic_time_slots))";
    assert!(!ground.cluster.psql_ends("app", &shipped("misopin", UP), &[]).status.success());
    assert_eq!(ground.value(counts), "1 10");
    ground.remember();
    ground.run(&[]).exits(1).shows("G4.01.1").shows("services 테이블이 이미 있습니다");
    ground.unchanged();
    ground.psql(&shipped("misopin", DOWN), &[]);
    assert_eq!(ground.value("SELECT to_regclass('services') IS NULL"), "t");
}

/// G4.03: a reservation that cannot be converted is shown before anything is changed.
#[test]
fn a_reservation_that_cannot_be_converted_is_shown() {
    for (dirt, words) in [
        ("lunch", "진료 시간 밖의 예약: clr0000001"),
        ("words", "오후 두 시쯤"),
        ("late", "17:45"),
        ("service", "SKIN_CARE"),
    ] {
        let mut ground = clinic();
        ground.psql(&shipped("misopin", "dirty.sql"), &[&format!("dirt={dirt}")]);
        ground.remember();
        ground.run(&[]).exits(1).shows("G4.03.1").shows(words);
        ground.unchanged();
        assert!(!ground.project.path().join("backups").exists());
    }
}

/// G4.03: where the conversion itself is wrong, the rows are compared before COMMIT.
#[test]
fn a_wrong_conversion_leaves_nothing() {
    let ground = Ground::new("misopin", &["rows=60"]);
    ground.spoiled(
        "001_convert_reservations.sql",
        "period              = t.period",
        "period = 'MORNING'",
    );
    ground.copied(UP);
    let up = format!("sql/{UP}");
    ground.run(&["--set", &format!("sql={up}")]).exits(1).shows("예약 변환").shows("AFTERNOON");
    ground.unchanged();
}

/// G4.05, G4.06, G4.12, G4.13: rehearsed, run, and every part of the guide's report is there.
#[test]
fn the_report_has_every_part_of_the_guides_document() {
    let ground = clinic();
    ground.call(&["rehearse", "misopin", "--set", "rehearsed=true"]).exits(0).shows("검증됨");
    ground.unchanged();
    ground.run(&["--set", "rehearsed=true"]).exits(0);
    ground.report_shows(&[
        "## 요약",
        "### 스키마 변경 (실행 전후를 비교해 찾은 것)",
        "enum (MORNING, AFTERNOON)",
        "reservations.\"estimatedDuration\"",
        "FOREIGN KEY (\"serviceId\")",
        "### 마이그레이션 실행 결과",
        "### 데이터 변환 검증",
        "| 09:30         | MORNING   | 09:30         | 10:00       | 주름 보톡스 |                30 | ✅ OK |",
        "| 변환 정확도                  | 100.0%",
        "## 백업",
        "| custom |",
        "복원 확인: 복원해서 비교함",
        "pg_restore --exit-on-error",
        "### 롤백 검증",
        "✅ 구조와 모든 행이 실행 전과 같음",
        "| 롤백 시간",
        "### 실행 전 확인 목록",
        "[ ] 파일 없음",
        "### 실행 명령",
        "### 다운타임 (잰 값)",
        "AccessExclusiveLock",
        "### 위험도 평가",
        "**낮음**",
        "**주의**",
        "**권장 사항**",
        "## 다음 단계",
        "- [ ] G4.12 남은 일",
        "CMS 개발팀",
    ]);
    // Every part that the report has is written for people, not for a parser.
    assert!(!ground.report().contains("\\n"), "{}", ground.report());
    // A file that includes another one was reviewed and is no changed file.
    assert!(!ground.report().contains("## 경고"), "{}", ground.report());
}

/// G4.05: with `rehearsed=true` nothing is run that was never rehearsed.
#[test]
fn without_a_rehearsal_a_strict_run_stops() {
    let ground = clinic();
    ground.run(&["--set", "rehearsed=true"]).exits(1).shows("G4.05").shows("runsheet rehearse");
    ground.unchanged();
}

/// G4.06: a rollback that loses rows is found in the rehearsal, in a playbook taken over.
#[test]
fn a_rollback_that_loses_rows_is_found_in_the_rehearsal() {
    let ground = clinic();
    ground.project.run(&["new", "mine", "--from", "misopin"]).exits(0);
    let last = "DROP TYPE IF EXISTS \"DayOfWeek\";";
    let down = ground.spoiled(
        DOWN,
        last,
        &format!("{last}\nDELETE FROM reservations WHERE \"preferredTime\" = '16:00';"),
    );
    ground
        .call(&["rehearse", "mine", "--set", &format!("down={down}")])
        .exits(6)
        .shows("public.reservations");
    ground.unchanged();
}

/// G4.07: an open point on the list stops the run before anything is changed.
#[test]
fn an_open_point_of_the_list_stops_the_run() {
    let ground = clinic();
    ground.call(&["run", "misopin"]).exits(4).shows("G4.07.1");
    ground.unchanged();
}

/// G4.10: a lock that is held for longer than allowed is measured, and nothing is committed.
#[test]
fn a_lock_that_lasts_too_long_is_not_committed() {
    let ground = clinic();
    let ran = ground.run(&["--set", "max_lock_ms=0"]);
    ran.exits(1).shows("reservations: AccessExclusiveLock").shows("허용된 0 ms보다 깁니다");
    ground.unchanged();
}

/// G4.10: a session in the way is named, and the queue behind it ends after three seconds.
#[test]
fn whoever_holds_reservations_is_named() {
    let ground = clinic();
    let _holder = ground.holder("SELECT * FROM reservations FOR UPDATE");
    ground.run(&[]).exits(1).shows("55P03").shows("holder").shows("긴 트랜잭션을 끝내고");
    ground.unchanged();
}

/// G4.11: an emergency rollback that fails half-way leaves nothing half-done.
#[test]
fn a_rollback_that_fails_in_the_middle_takes_nothing_back() {
    let mut ground = clinic();
    ground.run(&[]).exits(0);
    ground.sql("CREATE VIEW price_list AS SELECT name, \"durationMinutes\" FROM services");
    let before = std::mem::take(&mut ground.before);
    ground.remember();
    ground.back(&[]).exits(5).shows("2BP01").shows("price_list");
    ground.unchanged();
    ground.sql("DROP VIEW price_list");
    ground.before = before;
    ground.back(&[]).exits(0);
    ground.unchanged();
}

/// G4.09, G4.15, G4.17: deployed, what came meanwhile converted, and everything taken back.
#[test]
fn what_the_old_code_wrote_meanwhile_is_converted_and_the_way_back_takes_the_code_along() {
    let mut ground = deployed("");
    let url = ground.cluster.url("app");
    ground.program(
        "cms",
        &format!(
            "#!/bin/sh\nset -e\necho \"$1\" >> cms.log\n[ \"$1\" = deploy ] || exit 0\n\
             echo 'model services {{' >> prisma/schema.prisma\n\
             psql -Xq -d '{url}' -c \"INSERT INTO reservations (id, \\\"patientName\\\", phone, service, \\\"preferredDate\\\", \
             \\\"preferredTime\\\", \\\"updatedAt\\\") VALUES ('clr9', '김민준', '010-0000-0009', 'WRINKLE_BOTOX', '2025-11-10', '10:30', now())\"\n"
        ),
    );
    let toml = "[commands]\nallow = [\"cms\"]\n[playbook.misopin.params]\ndeploy = [\"cms\", \"deploy\"]\n\
        generate = [\"cms\", \"generate\"]\nrestart = [\"cms\", \"restart\"]\n";
    ground.project.file("runsheet.toml", toml);
    ground.run(&[]).exits(0);
    let late = "SELECT concat_ws(' ', period, \"timeSlotStart\", \"timeSlotEnd\") FROM reservations WHERE id = 'clr9'";
    assert_eq!(ground.value(late), "MORNING 10:30 11:00");
    ground.report_shows(&["| 배포 사이에 들어와 바뀐 예약 | 1건"]);

    ground.back(&[]).exits(0);
    assert_eq!(ground.project.read("prisma/schema.prisma"), "model reservations {\n}\n");
    assert_eq!(ground.project.read("cms.log"), "deploy\ngenerate\nrestart\ngenerate\nrestart\n");
    // The late reservation is kept, old columns and all.
    ground.sql("DELETE FROM reservations WHERE id = 'clr9'");
    ground.unchanged();
}

/// G4.15: the database is not rolled back while the service could not be.
#[test]
fn a_service_that_does_not_come_back_keeps_the_database_as_it_is() {
    let mut ground = deployed("[ -e broken ] && [ \"$1\" = restart ] && exit 1\nexit 0");
    ground.run(&[]).exits(0);
    ground.remember();
    ground.project.file("broken", "");
    ground.back(&[]).exits(5).shows("G4.09").shows("cms");
    ground.unchanged();
}

/// G4.15: the database alone is half a rollback, and refused as one.
#[test]
fn the_database_alone_is_half_a_rollback() {
    let mut ground = clinic();
    let old = "model reservations {\n}\n";
    ground.project.file("prisma/schema.prisma", old);
    // It ends before the deployment; then somebody puts the new file in its place by hand.
    ground.copied("001_convert_reservations.sql");
    let up = ground.spoiled(UP, "ON DELETE SET NULL", "ON DELETE CASCADE");
    let sql = format!("sql={up}");
    ground.run(&["--set", &sql]).exits(6);
    ground.project.file("prisma/schema.prisma", "model services {\n}\n");
    let before = std::mem::take(&mut ground.before);
    ground.remember();
    ground.back(&["--set", &sql]).exits(5).shows("반만 된 롤백").shows("prisma/schema.prisma");
    ground.unchanged();
    ground.project.file("prisma/schema.prisma", old);
    ground.before = before;
    ground.back(&["--set", &sql]).exits(0);
    ground.unchanged();
}

/// G4.14: health that turns bad after the deployment says so, and offers the way back.
#[test]
fn health_that_turns_bad_offers_the_rollback() {
    let ground = clinic();
    let server = Listener::start(|n, _| (if n < 4 { 200 } else { 500 }, "error".into()));
    let health = format!("health={}", server.url("/health"));
    let set = ["--set", &health, "--set", "watch=5s", "--set", "watch_every=5ms"];
    let ran = ground.run(&set);
    ran.exits(6).shows("G4.14").shows("runsheet rollback").shows("500");
    ground.back(&set).exits(0);
    ground.unchanged();
}

/// G4.16: a foreign key with another action is not what was asked for.
#[test]
fn another_action_on_delete_is_found() {
    let ground = clinic();
    ground.copied("001_convert_reservations.sql");
    let up = ground.spoiled(UP, "ON DELETE SET NULL", "ON DELETE CASCADE");
    let sql = format!("sql={up}");
    ground.run(&["--set", &sql]).exits(6).shows("G4.16").shows("runsheet rollback");
    ground.back(&["--set", &sql]).exits(0);
    ground.unchanged();
}

/// G4.18: run as superuser, the application's role still owns and uses what is new.
#[test]
fn the_applications_role_can_use_what_a_superuser_made() {
    let roles = "CREATE ROLE misopin_app LOGIN";
    let ground = Ground::prepared("misopin", roles, &["app_role=misopin_app"]);
    ground.run(&["--set", "app_role=misopin_app"]).exits(0);
    ground.sql("SET ROLE misopin_app; INSERT INTO services (id, code, name, \"durationMinutes\") VALUES ('x', 'X', 'x', 5)");
    assert_eq!(ground.value("SELECT count(*) FROM pg_type WHERE typname IN ('Period', 'DayOfWeek') AND typowner = 'misopin_app'::regrole"), "2");
}

/// G4.18: a file that forgets it is found before the application is.
#[test]
fn a_table_that_belongs_to_somebody_else_is_found() {
    let roles = "CREATE ROLE misopin_app LOGIN";
    let ground = Ground::prepared("misopin", roles, &["app_role=misopin_app"]);
    ground.copied("001_convert_reservations.sql");
    let up = ground.spoiled(UP, "AND c.relowner <> current_user::regrole", "AND false");
    let ran = ground.run(&["--set", &format!("sql={up}"), "--set", "app_role=misopin_app"]);
    ran.exits(6).shows("G4.18").shows("misopin_app");
}
