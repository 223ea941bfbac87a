//! `--on`: the copy on a server that is given.

use super::{GOOD, rehearse, report};
use crate::faults::Desk;
use crate::support::gate::WAITS_FOR_A_LOCK;
use crate::support::wait::soon;
use crate::support::{Cluster, Gate};

/// Databases that rehearsals have made.
const MADE: &str = "SELECT count(*) FROM pg_database d JOIN pg_shdescription c ON c.objoid = d.oid \
    WHERE c.description LIKE 'runsheet/rehearsal/%'";

#[test]
fn the_copy_is_made_on_another_server_and_nothing_of_it_stays() {
    let desk = Desk::new(GOOD);
    let staging = Cluster::start();
    staging.sql("postgres", "CREATE ROLE maker LOGIN CREATEDB");
    staging.create_database("shop");
    let on = staging.url("postgres").replace("user=postgres", "user=maker");
    let ran = rehearse(&desk, &["--on", &on]);
    ran.exits(0).stdout_shows("proven: after the undo steps everything is as it was");
    ran.stderr_shows("the given server").stdout_shows("the copy is worked on as maker");
    assert_eq!(report(&desk)["size"][1], 20);
    desk.unchanged().nothing_is_left();
    assert_eq!(staging.value("postgres", MADE), "0");
    let names = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database";
    assert_eq!(staging.value("postgres", names), "postgres shop template0 template1");
    // What was there under the source's name was not touched.
    assert_eq!(
        staging.value("shop", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        "0"
    );
}

#[test]
fn on_the_sources_own_server_its_files_are_copied_unless_somebody_is_connected() {
    let desk = Desk::new(GOOD);
    let on = desk.cluster.url("postgres");
    rehearse(&desk, &["--on", &on]).exits(0).stderr_shows("(template)");
    assert_eq!(report(&desk)["size"][1], 20);
    let mut other = Gate::to(&desk.url(), "shop-web");
    other.tell("SELECT 1;\n");
    desk.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'shop-web')",
    );
    let ran = rehearse(&desk, &["--on", &on]);
    ran.exits(0).stderr_shows("cannot be taken as a template").stderr_shows("shop");
    other.open();
    desk.unchanged().nothing_is_left();
    assert_eq!(desk.cluster.value("postgres", MADE), "0");
}

#[test]
fn what_a_killed_rehearsal_left_goes_with_the_next_one_and_a_living_one_keeps_its_own() {
    let desk = Desk::new(GOOD);
    desk.sql("COMMENT ON DATABASE shop IS 'runsheet'");
    for (name, mark) in [("dead", "dead"), ("living", "living")] {
        desk.cluster.create_database(name);
        let comment = format!("COMMENT ON DATABASE {name} IS 'runsheet/rehearsal/{mark}'");
        desk.cluster.sql("postgres", &comment);
    }
    let mut alive = Gate::to(&desk.cluster.url("postgres"), "runsheet/rehearsal/living");
    alive.tell("SELECT 1;\n");
    desk.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'runsheet/rehearsal/living')",
    );
    rehearse(&desk, &["--on", &desk.cluster.url("postgres")]).exits(0);
    alive.open();
    let names =
        "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate";
    assert_eq!(desk.cluster.value("postgres", names), "living postgres shop");
}

#[test]
fn a_protected_server_and_a_role_without_the_right_are_refused() {
    let desk = Desk::new(GOOD);
    desk.cluster.sql("postgres", "CREATE ROLE nobody LOGIN");
    let weak = desk.cluster.url("postgres").replace("user=postgres", "user=nobody");
    let ran = rehearse(&desk, &["--on", &weak]);
    ran.exits(2).shows("rehearsal-on-refused").shows("nobody").shows("CREATEDB");
    rehearse(&desk, &["--on", &weak, "--crash"]).exits(2).shows("--crash");

    let toml = format!(
        "[environments.prod]\nurl = \"{}\"\nprotected = true\n[environments.here]\nurl = \"{}\"\n",
        desk.url(),
        desk.url()
    );
    desk.project.file("runsheet.toml", &toml);
    let ran = desk.project.run(&["rehearse", "it", "--env", "here", "--on", "prod"]);
    ran.exits(2).shows("rehearsal-on-protected").shows("prod");
    // Under another name it is the same server.
    let on = desk.cluster.url("postgres");
    for from in [&[][..], &["--from", "schema-only"], &["--from", "generated"]] {
        let words = [&["rehearse", "it", "--env", "prod", "--on", &on], from].concat();
        desk.project.run(&words).exits(2).shows("rehearsal-on-protected");
    }
    assert_eq!(desk.cluster.value("postgres", MADE), "0");
    desk.unchanged();
}

/// On a server that others use as well a step may wait for a lock: the rehearsal says for how long,
/// beside the lock.
#[test]
fn how_long_a_step_waited_for_a_lock_stands_beside_the_lock() {
    // Goes on when somebody holds a lock on items, or has said that it is over (77).
    const MEET: &str = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks l WHERE l.granted \
        AND (l.mode = 'ShareLock' AND l.relation = 'items'::regclass AND l.database = \
            (SELECT oid FROM pg_database WHERE datname = current_database()) \
        OR l.locktype = 'advisory' AND l.objid = 77)) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$";
    let desk = Desk::new(&format!(
        r#"step("meet", #{{ undo: || () }}, || db::exec("{MEET}"));
        step("alter", #{{ undo: || db::exec("ALTER TABLE items DROP COLUMN more") }},
            || db::exec("ALTER TABLE items ADD COLUMN more int"));"#
    ));
    if desk.cluster.major() < 14 {
        println!("skipped: PostgreSQL 13 does not say since when a session waits");
        return;
    }
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"60s\"\n");
    let staging = Cluster::start();
    let run = desk.start(&["rehearse", "it", "--on", &staging.url("postgres")]);
    let at_work =
        "FROM pg_stat_activity WHERE query LIKE '%pg_sleep(0.01)%' AND datname <> 'postgres'";
    soon("the copy is worked on", || {
        staging.value("postgres", &format!("SELECT EXISTS (SELECT {at_work})")) == "t"
    });
    let copy = staging.value("postgres", &format!("SELECT datname {at_work}"));
    let mut over = Gate::to(&staging.url("postgres"), "over");
    let holder = Gate::holding(&staging.url(&copy), "import", "LOCK TABLE items IN SHARE MODE");
    soon("the step waits", || staging.value("postgres", WAITS_FOR_A_LOCK) == "t");
    over.tell("SELECT pg_advisory_lock(77);\n");
    soon("it is over", || {
        let said =
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 77)";
        staging.value("postgres", said) == "t"
    });
    holder.open();
    let ran = run.wait();
    ran.exits(0).stdout_shows("alter: waited at least ");
    over.open();
    let report = report(&desk);
    let steps = &report["forward"]["steps"];
    assert_eq!(steps[0]["waits"], serde_json::json!([]));
    let lock = &steps[1]["measured"]["locks"][0];
    assert_eq!(lock["table"], "public.items");
    assert!(lock["waited_ms"].as_u64().unwrap() >= 250, "{lock}");
    assert_eq!(steps[1]["waits"][0]["waited_ms"], lock["waited_ms"]);
    assert_eq!(report["again"]["steps"][1]["measured"]["locks"][0]["waited_ms"], 0);
}
