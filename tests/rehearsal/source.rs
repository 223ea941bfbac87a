//! What a source may do while it is copied.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{GOOD, rehearse};
use crate::faults::Desk;
use crate::support::cluster::query;

/// Both tables get their row in one transaction: a copy that shows one without the other is none.
#[test]
fn a_source_that_is_written_to_is_copied_as_of_one_moment() {
    let desk = Desk::new(
        r#"check("as of one moment", || db::count("left_side") == db::count("right_side"));
        step("add", #{ undo: || db::exec("DROP TABLE more") }, || db::exec("CREATE TABLE more (a int)"));"#,
    );
    desk.sql(
        "CREATE TABLE left_side (id serial, fill text); CREATE TABLE right_side (id serial, fill text); \
         INSERT INTO left_side (fill) SELECT repeat('x', 200) FROM generate_series(1, 20000); \
         INSERT INTO right_side (fill) SELECT repeat('x', 200) FROM generate_series(1, 20000)",
    );
    let (url, done) = (desk.url(), AtomicBool::new(false));
    let ran = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !done.load(Ordering::Relaxed) {
                let both = "BEGIN; INSERT INTO left_side DEFAULT VALUES; \
                    INSERT INTO right_side DEFAULT VALUES; COMMIT";
                query(&url, both).unwrap();
                written += 1;
            }
            written
        });
        let ran = rehearse(&desk, &[]);
        done.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0);
        ran
    });
    ran.exits(0);
}

#[test]
fn a_source_that_goes_away_while_it_is_copied_is_said_and_nothing_is_left() {
    let desk = Desk::new(GOOD);
    desk.sql("CREATE TABLE big AS SELECT n, repeat(md5(n::text), 20) AS t FROM generate_series(1, 60000) n");
    // With it the source is dumped as any server is: a scratch server's files would be copied.
    desk.sql("CREATE UNLOGGED TABLE quick (id int)");
    let running = desk.start(&["rehearse", "it"]);
    // As soon as pg_dump reads, its session is ended: by the server itself, which looks all the
    // time, since the reading is over soon.
    desk.cluster.sql(
        "postgres",
        "SET statement_timeout = '60s';
         DO $$ DECLARE ended bigint := 0; BEGIN WHILE ended = 0 LOOP
            PERFORM pg_stat_clear_snapshot();
            SELECT count(pg_terminate_backend(pid)) INTO ended FROM pg_stat_activity
                WHERE datname = 'shop' AND state = 'active' AND query LIKE 'COPY public.big%';
         END LOOP; END $$",
    );
    let ran = running.wait();
    ran.exits(1).stderr_shows("the source could not be dumped").stderr_shows("big");
    desk.nothing_is_left();
}

/// An extension of the source that this machine lacks: listed, and the rest goes on.
#[test]
fn what_this_machine_lacks_is_listed() {
    let desk = Desk::new(GOOD);
    desk.sql(
        "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) \
         VALUES (99999, 'nowhere_to_be_found', 10, 'public'::regnamespace, false, '1.0')",
    );
    let ran = rehearse(&desk, &[]);
    ran.exits(0).stdout_shows("nowhere_to_be_found");
}
