//! F22: a network that loses packets and closes nothing. In every direction, in a long statement
//! and at COMMIT, on one connection and on all: the run ends within its limits, says how the
//! database stands, and is gone on with once.

use std::time::{Duration, Instant};

use super::Desk;
use crate::chaos::proxy::{Cut, Lost, Proxy};
use crate::support::Ran;
use crate::support::wait::SOON;

/// The second step may take three seconds; how long its statement works, `pace` says.
const STEPS: &str = r#"step("one", || db::exec("INSERT INTO items VALUES (101, 'one')"));
step("two", #{ timeout: "3s" }, || {
    db::exec("INSERT INTO items VALUES (102, 'two')");
    db::exec("SELECT pg_sleep(seconds), 'long' FROM pace");
});"#;
const ADDED: &str =
    "SELECT coalesce(string_agg(name, ' ' ORDER BY id), '') FROM items WHERE id > 100";
const LONG: &[&str] = &["pg_sleep(seconds), 'long'"];
const COMMIT: &[&str] = &["COMMIT", "'two'"];
/// What a run may need beyond its limits: to ask, to be left unanswered, to look.
const BEYOND: Duration = SOON;

/// In every direction, all at once: most of the time is waited.
fn in_every_direction(test: impl Fn(Lost) + Sync) {
    std::thread::scope(|scope| {
        for lost in [Lost::ToServer, Lost::ToClient, Lost::Both] {
            let test = &test;
            scope.spawn(move || test(lost));
        }
    });
}

struct Silent {
    desk: Desk,
    ran: Ran,
}

/// A run whose connection goes silent at that message.
fn run(at: &'static [&'static str], cut: Cut) -> Silent {
    let desk = Desk::new(STEPS);
    let seconds = if at == LONG { 1 } else { 0 };
    desk.sql(&format!("CREATE TABLE pace AS SELECT {seconds} AS seconds"));
    desk.project.file("runsheet.toml", "[run]\nconnect_tries = 2\nconnect_every = \"100ms\"\n");
    let proxy = Proxy::start(desk.cluster.port());
    proxy.plan_at(at, cut);
    let url = format!("{}&connect_timeout=2", proxy.url("shop"));
    let since = Instant::now();
    let ran = desk.project.run(&["run", "it", "--yes", "--url", &url]);
    println!("{at:?} {cut:?}: exit {} after {:.1?}", ran.code, since.elapsed());
    assert!(proxy.has_cut(), "{}{}", ran.stdout, ran.stderr);
    assert!(since.elapsed() < BEYOND, "{:?}: {}{}", since.elapsed(), ran.stdout, ran.stderr);
    Silent { desk, ran }
}

impl Silent {
    /// Whoever goes on finds each step done once, and nothing in the way.
    fn goes_on(&self, words: &[&str]) {
        // Whoever goes on has all of the time for it.
        self.desk.sql("UPDATE pace SET seconds = 0");
        self.desk.call(words).exits(0);
        assert_eq!(self.desk.value(ADDED), "one two");
        self.desk.call(&["run", "it", "--yes"]).exits(0);
        self.desk.nothing_is_left();
    }
}

/// One connection goes silent in a statement: its time is over, what it did is rolled back, and no
/// ghost of it holds the next run up.
#[test]
fn f22_a_long_statement_in_a_connection_that_went_silent_ends_with_its_time() {
    in_every_direction(|lost| {
        let silent = run(LONG, Cut::Silent(lost));
        silent.ran.exits(5).shows("one").shows("runsheet resume");
        assert_eq!(silent.desk.value(ADDED), "one", "{lost:?}");
        assert_eq!(silent.desk.value("SELECT state FROM runsheet.run"), "failed", "{lost:?}");
        silent.goes_on(&["resume", "--yes", "--no-wait"]);
    });
}

/// The whole network is gone: the same is said, and it is true because no COMMIT was sent. The
/// server may keep the session for a while; whoever takes over ends it.
#[test]
fn f22_a_long_statement_whose_network_went_down_ends_with_its_time() {
    in_every_direction(|lost| {
        let silent = run(LONG, Cut::NetworkDown(lost));
        silent.ran.exits(5).shows("one").shows("runsheet resume");
        assert_eq!(silent.desk.value(ADDED), "one", "{lost:?}");
        silent.goes_on(&["resume", "--yes", "--take-over"]);
    });
}

/// F05: the message with COMMIT, or its answer, is swallowed, and nobody closes the connection. The
/// runner notices, ends its own ghost, looks, and goes on.
#[test]
fn f22_a_commit_in_a_connection_that_went_silent_is_looked_up() {
    in_every_direction(|lost| {
        let silent = run(COMMIT, Cut::Silent(lost));
        silent.ran.exits(0);
        let found = if lost == Lost::ToClient { "had taken effect" } else { "did not take effect" };
        silent.ran.shows(found);
        assert_eq!(silent.desk.value(ADDED), "one two", "{lost:?}");
        silent.goes_on(&["run", "it", "--yes"]);
    });
}

/// Nobody can say whether a COMMIT arrived in a network that is gone, so nobody says it.
#[test]
fn f22_a_commit_whose_network_went_down_is_unknown_until_somebody_looks() {
    in_every_direction(|lost| {
        let silent = run(COMMIT, Cut::NetworkDown(lost));
        silent.ran.exits(5).shows("runsheet resume");
        let said = silent.ran.stdout.contains("unknown") || silent.ran.stderr.contains("not known");
        assert!(said, "{}{}", silent.ran.stdout, silent.ran.stderr);
        let there = if lost == Lost::ToClient { "one two" } else { "one" };
        assert_eq!(silent.desk.value(ADDED), there, "{lost:?}");
        silent.goes_on(&["resume", "--yes", "--take-over"]);
    });
}
