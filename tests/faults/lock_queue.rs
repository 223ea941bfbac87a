//! Locks that somebody else has: how long others are kept waiting, and what is tried again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::Desk;
use super::lease::Gate;
use crate::support::cluster;
use crate::support::wait::{SOON, soon};
use runsheet::postgres::programs::Programs;

/// F28, P5: a long reader has the table; an ALTER waits behind it, and everybody else behind the
/// ALTER. Nobody waits longer than lock_timeout for it, and in the end it is done.
#[test]
fn readers_behind_a_waiting_alter_wait_no_longer_than_twice_the_lock_timeout() {
    // Long beside what a busy machine needs to connect: that is measured too.
    const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
    let desk = Desk::new(
        r#"step("alter", || db::exec("ALTER TABLE items ADD COLUMN more int, ADD COLUMN most int"));"#,
    );
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"2s\"\n");
    let long_reader = Gate::holding(&desk.url(), "psql", "SELECT count(*) FROM items");
    let (over, url) = (AtomicBool::new(false), desk.url());
    let reads: [AtomicU32; 4] = Default::default();
    let limit = Instant::now() + SOON;
    let run = desk.start(&["run", "it", "--yes"]);
    let (ran, worst) = std::thread::scope(|scope| {
        let readers: Vec<_> = reads
            .iter()
            .map(|reads| {
                let (over, url) = (&over, &url);
                scope.spawn(move || {
                    let mut worst = Duration::ZERO;
                    while !over.load(Ordering::SeqCst) && Instant::now() < limit {
                        let since = Instant::now();
                        cluster::query(url, "SELECT count(*) FROM items").unwrap();
                        worst = worst.max(since.elapsed());
                        reads.fetch_add(1, Ordering::SeqCst);
                    }
                    worst
                })
            })
            .collect();
        // Two tries fail behind the long reader, and behind each of them everybody reads again.
        for tries in 1..=2 {
            desk.wait_for_events(tries, &["\"event\":\"retry\""]);
            let before: Vec<u32> = reads.iter().map(|one| one.load(Ordering::SeqCst)).collect();
            soon("every reader reads again", || {
                reads.iter().zip(&before).all(|(one, before)| one.load(Ordering::SeqCst) > *before)
            });
        }
        long_reader.open();
        let ran = run.wait();
        over.store(true, Ordering::SeqCst);
        (ran, readers.into_iter().map(|reader| reader.join().unwrap()).max().unwrap())
    });
    ran.exits(0).shows("attempt 2 of 5").shows("lock timeout");
    let reads: u32 = reads.into_iter().map(AtomicU32::into_inner).sum();
    println!("lock_timeout {LOCK_TIMEOUT:?}: worst of {reads} reads {worst:.0?}");
    assert!(worst < 2 * LOCK_TIMEOUT, "{worst:?}");
    assert_eq!(
        desk.value("SELECT count(*) FROM information_schema.columns WHERE table_name = 'items'"),
        "4"
    );
}

/// F28, F29: somebody who never lets go (a nightly dump): the tries are bounded, and the message
/// names the state.
#[test]
fn a_lock_that_never_comes_ends_the_run_with_the_database_as_it_was() {
    let desk = Desk::new(r#"step("alter", || db::exec("ALTER TABLE items ADD COLUMN more int"));"#);
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"100ms\"\n");
    let dump = Gate::reading(&desk.url(), "LOCK TABLE items IN ACCESS SHARE MODE");
    desk.run().exits(1).shows("55P03").shows("5");
    dump.open();
    desk.unchanged().nothing_is_left();
}

/// F29: a real dump is under way, and writes to somebody who does not read: the step's tries end,
/// and the dump is named as what is in the way.
#[test]
fn a_dump_that_is_under_way_is_named_and_not_disturbed() {
    let desk = Desk::new(r#"step("alter", || db::exec("ALTER TABLE items ADD COLUMN more int"));"#);
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"200ms\"\n");
    desk.sql("INSERT INTO items SELECT g, repeat('x', 200) FROM generate_series(1000, 30000) g");
    let program = Programs::new(None, None).find("pg_dump", Some(desk.cluster.major())).unwrap();
    let mut dump = std::process::Command::new(program.path)
        .args(["--table=items", &desk.url()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    desk.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pg_dump'
            AND query LIKE 'COPY public.items%')",
    );
    let ran = desk.run();
    ran.exits(1).shows("55P03").shows("pg_dump").shows("as before");
    let dumped = std::io::read_to_string(dump.stdout.take().unwrap()).unwrap();
    assert!(dump.wait().unwrap().success(), "the dump went on");
    assert!(dumped.lines().count() > 29_000);
    desk.run().exits(0);
}

/// F30: the victim of a deadlock tries its whole step again.
#[test]
fn a_deadlocked_step_is_tried_again_as_a_whole() {
    let desk = Desk::new(
        r#"step("cross", || {
    db::exec("UPDATE items SET name = name || '!' WHERE id = 1");
    db::exec("SELECT pg_advisory_xact_lock(42)");
    db::exec("UPDATE items SET name = name || '!' WHERE id = 2");
});"#,
    );
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"60s\"\n");
    let mut gate = Gate::closed(&desk);
    let mut other = Gate::idle(&desk);
    // The other one is patient, so that the run is the victim.
    other.tell("SET deadlock_timeout = '120s'; BEGIN; UPDATE items SET name = 'x' WHERE id = 2;\n");
    desk.wait_until(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'items'::regclass AND granted
            AND mode = 'RowExclusiveLock')",
    );
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    other.tell("UPDATE items SET name = 'x' WHERE id = 1; COMMIT;\n");
    desk.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'transactionid'
            AND query LIKE 'UPDATE items SET name = ''x'' WHERE id = 1%')",
    );
    gate.tell("SELECT pg_advisory_unlock(42);\n");
    run.wait().exits(0).shows("attempt 1 of 5").shows("deadlock detected");
    gate.open();
    other.open();
    let names = desk.value("SELECT string_agg(name, ' ' ORDER BY id) FROM items WHERE id < 3");
    assert_eq!(names, "x! x!");
    desk.nothing_is_left();
}

/// F30: a serialization failure likewise.
#[test]
fn a_step_that_could_not_be_serialized_is_tried_again_as_a_whole() {
    let desk = Desk::new(
        r#"step("read and write", #{ isolation: "repeatable read" }, || {
    db::exec("SELECT pg_advisory_xact_lock(42)");
    db::exec("UPDATE items SET name = name || '!' WHERE id = 1");
});"#,
    );
    desk.project.file("runsheet.toml", "[run]\nlock_timeout = \"60s\"\n");
    let gate = Gate::closed(&desk);
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_for_statement("pg_advisory_xact_lock(42)");
    desk.sql("UPDATE items SET name = 'x' WHERE id = 1");
    gate.open();
    run.wait().exits(0).shows("attempt 1 of 5").shows("could not serialize");
    assert_eq!(desk.value("SELECT name FROM items WHERE id = 1"), "x!");
    desk.nothing_is_left();
}
