//! A transaction pooler between the runner and its server.

use super::Desk;
use crate::support::Pooler;

const TWO: &str = r#"step("one", || db::exec("INSERT INTO log (step) VALUES ($1)", [1]));
check("counted", || db::count("log") == 1);
step("two", || db::exec("INSERT INTO log (step) VALUES (2)"));"#;

fn desk(body: &str) -> Option<(Desk, Pooler)> {
    let desk = Desk::new(body);
    desk.sql("CREATE TABLE log (n serial, step int)");
    let pooler = Pooler::start(desk.cluster.port(), 3)?;
    Some((desk, pooler))
}

/// F21: found out, refused with the remedy.
#[test]
fn a_pooler_is_refused_with_the_remedy() {
    let Some((desk, pooler)) = desk(TWO) else { return };
    let url = pooler.url("shop");
    let ran = desk.project.run(&["run", "it", "--yes", "--url", &url]);
    ran.exits(2).shows("direct URL").shows("--allow-pooler");
    assert_eq!(desk.value("SELECT to_regclass('runsheet.lease') IS NULL"), "t");
}

/// F21, F31: several runners through it: each step once, and on the pool's sessions, which belong
/// to everybody, neither a lock nor a setting stays.
#[test]
fn runs_through_a_pooler_leave_no_lock_and_no_setting_on_its_sessions() {
    let Some((desk, pooler)) = desk(TWO) else { return };
    let url = pooler.url("shop");
    let words = ["run", "it", "--yes", "--allow-pooler", "--url", &url];
    let all: Vec<_> = (0..4).map(|_| desk.project.spawn(&words)).collect();
    for ran in all.into_iter().map(|run| run.wait()) {
        ran.exits(0);
    }
    assert_eq!(desk.value("SELECT string_agg(step::text, '' ORDER BY n) FROM log"), "12");
    let pooled = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'shop'";
    assert_ne!(desk.value(&format!("SELECT count(*) {pooled}")), "0");
    assert_eq!(desk.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
    for _ in 0..6 {
        let shown = crate::support::cluster::query(
            &url,
            "SELECT current_setting('lock_timeout') || current_setting('synchronous_commit')",
        );
        assert_eq!(shown.unwrap()[0][0].as_deref(), Some("0on"));
    }
}

/// F21: what needs a session of its own is refused, and nothing of it has happened.
#[test]
fn what_needs_a_session_of_its_own_is_refused_behind_a_pooler() {
    for body in [
        r#"step("i", #{ transaction: false }, || db::exec("CREATE INDEX CONCURRENTLY i ON items (name)"));"#,
        r#"lock("shop");"#,
    ] {
        let Some((desk, pooler)) = desk(body) else { return };
        let url = pooler.url("shop");
        let ran = desk.project.run(&["run", "it", "--yes", "--allow-pooler", "--url", &url]);
        ran.exits(2).shows("session of its own");
        assert_eq!(desk.value("SELECT count(*) FROM pg_indexes WHERE indexname = 'i'"), "0");
        assert_eq!(desk.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
    }
}

/// F21: a run through the pooler and a direct one respect each other.
#[test]
fn a_direct_run_waits_for_one_behind_a_pooler_and_the_other_way_round() {
    let body = r#"step("slow", || { db::exec("SELECT pg_advisory_xact_lock(42)"); });
step("count", || db::exec("INSERT INTO log (step) VALUES (1)"));"#;
    for direct_first in [true, false] {
        let Some((desk, pooler)) = desk(body) else { return };
        let url = pooler.url("shop");
        let pooled = ["run", "it", "--yes", "--allow-pooler", "--url", &url];
        let direct = ["run", "it", "--yes"];
        let gate = super::lease::Gate::closed(&desk);
        let first = match direct_first {
            true => desk.start(&direct),
            false => desk.project.spawn(&pooled),
        };
        desk.wait_for_statement("pg_advisory_xact_lock(42)");
        let second = match direct_first {
            true => desk.project.run(&[&pooled[..], &["--no-wait"]].concat()),
            false => desk.call(&[&direct[..], &["--no-wait"]].concat()),
        };
        second.exits(3).shows(&desk.value("SELECT run FROM runsheet.lease"));
        gate.open();
        first.wait().exits(0);
        assert_eq!(desk.value("SELECT count(*) FROM log"), "1");
    }
}
