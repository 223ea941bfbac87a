//! `runsheet run auto-trader-staged`: a column changed in five runs.

use super::application::Application;
use super::trading_floor::Floor;

/// G3.10: five runs that know each other, while people trade.
#[test]
fn five_stages_go_in_their_order_and_back_in_the_other() {
    let floor = Floor::new();
    let stage = |n: u8, words: &[&str]| {
        let set = format!("stage={n}");
        floor.call("run", "auto-trader-staged", &[&["--set", &set], words].concat())
    };
    let before = floor.fingerprint();
    stage(3, &[]).exits(1).shows("stage 1 (add the column) comes first");
    assert_eq!(floor.fingerprint(), before);

    let mut site = Application::start(
        &floor.url(),
        "SELECT count(*) FROM orders",
        "INSERT INTO users (email, name) VALUES (gen_random_uuid()::text, 'new')",
    );
    site.open();
    stage(1, &[]).exits(0);
    let mut runs = vec![floor.project.newest_run()];
    stage(1, &[]).exits(0).shows("할 일이 없습니다");
    stage(2, &["--set", "apart=1 day"]).exits(1).shows("1 day later");
    stage(2, &[]).exits(0);
    runs.push(floor.project.newest_run());
    stage(4, &[]).exits(1).shows("stage 3 (move the data) comes first");
    stage(3, &["--set", "batch=100"]).exits(0);
    runs.push(floor.project.newest_run());
    assert_eq!(
        floor.value("SELECT count(*) FROM orders WHERE instrument = replace(symbol, ':', '/')"),
        "500"
    );
    stage(4, &[]).exits(0);
    runs.push(floor.project.newest_run());
    let rows = "SELECT string_agg(symbol, ',' ORDER BY id) FROM orders";
    let symbols = floor.value(rows);
    stage(5, &[]).exits(0);
    runs.push(floor.project.newest_run());
    let gone = "SELECT count(*) FROM information_schema.columns \
                WHERE table_name = 'orders' AND column_name = 'symbol'";
    assert_eq!(floor.value(gone), "0");

    // The fourth before the fifth is refused, and changes nothing.
    assert_eq!(site.close(), 0, "nobody was sent away");
    let after = floor.fingerprint();
    let refused = floor.call("rollback", &runs[3], &[]);
    refused.shows("stage 5 is done; take its run back first");
    assert_ne!(refused.code, 0);
    assert_eq!(floor.fingerprint(), after);
    // All five, the last one first; behind the last one nothing is left of them.
    for (at, run) in runs.iter().enumerate().rev() {
        assert_eq!(floor.value("SELECT max(stage) FROM staged_changes"), (at + 1).to_string());
        floor.call("rollback", run, &[]).exits(0);
        assert_eq!(floor.value(rows), symbols);
    }
    assert_eq!(floor.value("SELECT to_regclass('staged_changes') IS NULL"), "t");
    // The rows' text differs: the old column stands behind the others now.
    let schema = |fingerprint: &str| {
        let lines = fingerprint.lines().filter(|line| !line.starts_with("table "));
        lines.map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(schema(&floor.fingerprint()), schema(&before));
}
