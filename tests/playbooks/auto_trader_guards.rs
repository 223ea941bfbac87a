//! What `auto-trader` guards against: sessions in the way, failures, lost rows, nobody to approve, old
//! code.

use std::process::Command;

use super::trading_floor::{COMPOSE, Floor};
use crate::support::Gate;

/// A session waits for a lock on a table.
const WAITS: &str =
    "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted)";

/// G3.06, G3.13: the failure stops the application, the maintenance page goes, and the same command
/// does the rest after a repair by hand.
#[test]
fn a_failure_stops_the_application_and_can_be_tried_again_after_a_repair() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    floor.project.file(".stand-in/services/app", "");
    let words = [
        "--set",
        COMPOSE,
        "--set",
        "maintenance_on=[\"touch\",\"maintenance\"]",
        "--set",
        "maintenance_off=[\"rm\",\"maintenance\"]",
    ];
    let up = "ALTER TABLE users ADD COLUMN phone text;\n\
              ALTER TABLE users ADD CONSTRAINT one_name UNIQUE (name);";
    let down = "ALTER TABLE users DROP CONSTRAINT one_name;\nALTER TABLE users DROP COLUMN phone;";
    let ran = floor.own("--manual-migrate", up, down, &words);
    ran.shows("own.sql:2").shows("G3.13").shows("G3.06");
    assert_ne!(ran.code, 0);
    assert!(!floor.project.path().join(".stand-in/services/app").exists(), "stopped");
    assert!(!floor.project.path().join("maintenance").exists(), "the page is gone");
    assert_eq!(floor.fingerprint(), before);
    assert_eq!(floor.revision(), "base");

    floor.cluster.sql("trader", "UPDATE users SET name = name || ' ' || id");
    floor.own("--manual-migrate", up, down, &words).exits(0);
    assert_eq!(floor.revision(), "own");
    assert!(floor.project.path().join(".stand-in/services/app").exists(), "up again");
    assert!(!floor.project.path().join("maintenance").exists());
}

/// G3.11: who blocks whom.
#[test]
fn a_blocked_session_stops_the_deployment_and_is_named_with_its_blocker() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    let holder =
        Gate::holding(&floor.url(), "holder", "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let mut waiter = Gate::to(&floor.url(), "waiter");
    waiter.tell("SELECT count(*) FROM orders;\n");
    floor.cluster.wait_until("trader", WAITS);
    let ids = floor.cluster.query(
        "trader",
        "SELECT pid::text, pg_blocking_pids(pid)::text FROM pg_stat_activity \
         WHERE cardinality(pg_blocking_pids(pid)) > 0",
    );
    let (pid, by) = (ids[0][0].clone().unwrap(), ids[0][1].clone().unwrap());
    let ran = floor.change("--auto-migrate", "001_low", &[]);
    ran.exits(1).shows("G3.11").shows(&format!("세션 {pid}이(가) {by}을(를) 기다립니다"));
    holder.open();
    waiter.open();
    assert_eq!(floor.fingerprint(), before);
}

/// G3.11: somebody takes the table while the deployment is under way: the step gives up after its
/// lock_timeout, says who holds what, and leaves the database as it was.
#[test]
fn a_lock_taken_in_mid_run_ends_the_step_and_its_holder_is_named() {
    let mut floor = Floor::new();
    let before = floor.fingerprint();
    // The maintenance page goes up behind the checks and in front of the migration: there the
    // run waits until somebody else has the table.
    let page = "#!/bin/sh\n[ \"$1\" = on ] || exit 0\necho > page-is-up\nread word < go\n";
    floor.project.program("page", page);
    let pipe = Command::new("mkfifo").arg(floor.project.path().join("go")).status();
    assert!(pipe.is_ok_and(|status| status.success()), "a pipe");
    floor.project.file("runsheet.toml", "[commands]\nallow = [\"page\"]\n");
    let url = floor.url();
    let words = ["deploy", "auto-trader", "--auto-migrate", "--yes", "--lang", "ko", "--url", &url];
    let sets = [
        "--set",
        "maintenance_on=[\"page\",\"on\"]",
        "--set",
        "maintenance_off=[\"page\",\"off\"]",
    ];
    let running = floor.project.spawn(&[&words[..], &sets].concat());
    super::wait_for_file(&floor.project.path().join("page-is-up"));
    let gate = Gate::holding(&floor.url(), "report-job", "SELECT count(*) FROM users");
    floor.project.file("go", "now\n");
    let ran = running.wait();
    ran.shows("G3.04").shows("55P03").shows("report-job").shows("001_low.sql:2").shows("G3.13");
    assert_eq!(ran.code, 5, "the page stands, the migration does not\n{}", ran.stderr);
    gate.open();
    assert_eq!(floor.fingerprint(), before);
    assert_eq!(floor.revision(), "base");
}

/// G3.14: rows are gone: the service stops, and the backup is restored beside.
#[test]
fn lost_rows_stop_the_service_and_the_backup_brings_them_back() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    floor.project.file(".stand-in/services/app", "");
    let words = ["--set", COMPOSE];
    let up = "DELETE FROM orders WHERE status = 'rejected';";
    floor
        .own("--manual-migrate", up, "SELECT 1;", &words)
        .exits(6)
        .shows("G3.14.1")
        .shows("orders에서 20행이 사라졌습니다 (500 -> 480)")
        .shows("--restore");
    assert!(!floor.project.path().join(".stand-in/services/app").exists(), "stopped");
    let run = floor.project.newest_run();
    floor.call("rollback", &run, &["--restore"]).exits(0);
    assert_eq!(floor.value("SELECT count(*) FROM orders"), "500");
    assert_eq!(floor.fingerprint(), before);
}

/// G3.16: nobody there to approve; signed, but never rehearsed in a protected environment.
#[test]
fn by_hand_without_a_person_or_a_rehearsal_is_refused() {
    let floor = Floor::new();
    let before = floor.fingerprint();
    let url = floor.url();
    let high =
        ["--set", "sql=playbooks/auto-trader/sql/003_high.sql", "--set", "revision=003_high"];
    let begin = ["deploy", "auto-trader", "--manual-migrate"];
    let ran = floor.project.run(&[&begin, &high[..], &["--url", &url]].concat());
    ran.exits(4).shows("G3.16");
    floor.project.file(
        "runsheet.toml",
        &format!("[environments.production]\nurl = \"{url}\"\nprotected = true\n"),
    );
    let mode = ["auto-trader", "--set", "mode=manual"];
    let code = floor.project.approved(&[&mode, &high[..]].concat());
    let words = ["--yes", "--approve", &code];
    let ran = floor.project.run(&[&["run"], &mode[..], &high, &words].concat());
    ran.exits(4).shows("no-receipt").shows("runsheet rehearse auto-trader");
    assert_eq!(floor.fingerprint(), before);
}

/// G3.17: code that was not pulled.
#[test]
fn a_folder_with_changes_of_its_own_is_not_deployed() {
    let floor = Floor::new();
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@t.example"]).args(words);
        let done = command.current_dir(floor.project.path()).output();
        assert!(done.is_ok_and(|done| done.status.success()), "{words:?}");
    };
    floor.project.file(".gitignore", "home\nbin\n.runsheet\nbackups\n");
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    floor.change("--auto-migrate", "001_low", &["--set", "git=true"]).exits(0);
    floor.project.file("runsheet.toml", "[commands]\nallow = [\"git\"]\n");
    let before = floor.fingerprint();
    let ran = floor.change("--auto-migrate", "002_medium", &["--set", "git=true"]);
    ran.exits(1).shows("G3.17").shows("git가 상태 1로");
    // What was committed elsewhere and not pulled.
    git(&["commit", "-q", "-a", "-m", "two"]);
    git(&["branch", "production"]);
    git(&["reset", "-q", "--hard", "HEAD~1"]);
    let words = ["--set", "git=true", "--set", "branch=production"];
    floor.change("--auto-migrate", "002_medium", &words).exits(1).shows("git가 상태 1로");
    assert_eq!(floor.fingerprint(), before);
}
