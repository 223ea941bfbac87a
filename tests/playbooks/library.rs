//! The library's own functions (`stdlib/`), each on the good case and on what it is there for.
//! `std/alembic` and `std/prisma` have files of their own; the shipped playbooks go through the rest.

use runsheet::model::EventKind;
use serde_json::{Value, json};

use crate::support::{Cluster, Gate, Stage};

/// A small table, and one of more than 8 KiB.
fn shop() -> (Cluster, Stage) {
    let cluster = Cluster::start();
    cluster.create_database("shop");
    cluster.sql(
        "shop",
        "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'a');
         CREATE TABLE orders (id int PRIMARY KEY, user_id int, symbol text, price int);
         INSERT INTO orders SELECT n, 1, 'KRX', n FROM generate_series(1, 2000) AS n",
    );
    let stage = Stage::on(&cluster, "shop");
    (cluster, stage)
}

const UP: &str = "ALTER TABLE users ADD COLUMN phone text;
CREATE INDEX CONCURRENTLY orders_user ON orders (user_id);
CREATE INDEX orders_symbol ON orders (symbol);
ALTER TABLE orders ALTER COLUMN price TYPE bigint;
UPDATE users SET name = 'b';
ALTER TABLE users DROP COLUMN name;
DO $$ BEGIN EXECUTE 'DROP TABLE ' || 'users'; END $$;
CREATE INDEX users_phone ON users (phone);
";

/// Each function of `std/review` picks its lines of the file.
#[test]
fn a_review_is_asked_for_what_loses_data_stops_others_or_wants_a_reader() {
    let (_cluster, stage) = shop();
    let stage = stage.file("sql/up.sql", UP);
    let text = r#"import "std/review" as review;
        fn lines(statements) { let all = []; for one in statements { all.push(one.line); } all }
        let found = sql::review("sql/up.sql");
        check("destructive", || lines(review::destructive(found)));
        check("rows", || lines(review::row_changes(found)));
        check("stops", || lines(review::stops_others(found)));
        check("gentler", || lines(review::with_gentler_form(found)));
        check("blocking", || lines(review::blocking_indexes(found, 65536)));
        check("all blocking", || lines(review::blocking_indexes(found, 0)));
        check("read", || lines(review::to_be_read(found, 65536)));
        check("nothing small", || lines(review::to_be_read(found, 0)));
        check("place", || review::place(found.statements[3]));"#;
    for played in [stage.run(text), stage.plan(text)] {
        played.ok();
        let lines = |title: &str| played.value(title);
        assert_eq!(lines("destructive"), json!([5, 6]), "what is overwritten is lost as well");
        assert_eq!(lines("rows"), json!([5]));
        assert_eq!(lines("stops"), json!([3, 4, 8]));
        assert_eq!(lines("gentler"), json!([4]));
        assert_eq!(lines("blocking"), json!([3]), "not CONCURRENTLY, and the table is large");
        assert_eq!(lines("all blocking"), json!([3, 8]));
        assert_eq!(lines("read"), json!([3, 4, 5, 6, 7]), "an index may go by itself");
        assert_eq!(lines("nothing small"), json!([3, 4, 5, 6, 7, 8]));
        assert_eq!(lines("place"), "sql/up.sql:4");
    }
}

#[test]
fn the_table_of_a_review_has_the_headings_that_were_asked_for() {
    let stage = Stage::bare().file("sql/up.sql", "DROP TABLE users;\n");
    let text = r#"import "std/review" as review;
        check("table", || review::statements_report("위험도", sql::review("sql/up.sql"), #{ line: "줄", risk: "위험" }));"#;
    let tables = stage.run(text).fine().all(|kind| match kind {
        EventKind::Table { title, rows } => Some((title.clone(), rows.clone())),
        _ => None,
    });
    let (title, rows) = &tables[0];
    assert_eq!(title, "위험도");
    let row = rows[0].as_object().expect("a row");
    let heads: Vec<&str> = row.keys().map(String::as_str).collect();
    assert_eq!(heads, ["줄", "kind", "target", "위험", "reason"]);
    assert_eq!((&row["줄"], &row["위험"]), (&json!(1), &json!("very_high")));
}

/// Who works, who waits, and for whom; the run itself is not among them.
#[test]
fn the_sessions_beside_the_run_are_told_apart() {
    let (cluster, stage) = shop();
    let holder = Gate::holding(&cluster.url("shop"), "holder", "LOCK TABLE orders");
    let mut waiter = Gate::to(&cluster.url("shop"), "waiter");
    waiter.tell("SELECT count(*) FROM orders;\n");
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)";
    cluster.wait_until("shop", waits);
    let text =
        r#"import "std/preflight" as preflight; check("sessions", || preflight::sessions());"#;
    let played = stage.run(text).fine();
    let found = played.value("sessions");
    let names = |which: &str| -> Vec<String> {
        let all = found[which].as_array().expect("a list").iter();
        let mut all: Vec<_> = all.map(|one| one["application"].as_str().unwrap().into()).collect();
        all.sort();
        all
    };
    assert_eq!(names("all"), ["holder", "waiter"]);
    assert_eq!(names("active"), ["waiter"], "the holder is idle in its transaction");
    assert_eq!(names("waiting"), ["waiter"]);
    let holding = found["all"].as_array().unwrap().iter().find(|one| one["blocked_by"] == "{}");
    let pid = holding.expect("the holder")["pid"].to_string();
    assert_eq!(found["waiting"][0]["blocked_by"], format!("{{{pid}}}"));
    holder.open();
    waiter.open();
}

#[test]
fn whoever_holds_an_advisory_lock_is_counted() {
    let (cluster, stage) = shop();
    let mut other = Gate::to(&cluster.url("shop"), "other");
    other.tell("SELECT pg_advisory_lock(43), pg_advisory_lock_shared(-44);\n");
    other.done();
    let text = r#"import "std/preflight" as preflight;
        lock(42);
        check("ours", || preflight::advisory_lock(42));
        check("theirs", || preflight::advisory_lock(43));
        check("negative", || preflight::advisory_lock(-44));
        check("nobody's", || preflight::advisory_lock(45));"#;
    let played = stage.run(text).fine();
    assert_eq!(played.value("ours"), json!({ "ours": 1, "others": 0 }));
    assert_eq!(played.value("theirs"), json!({ "ours": 0, "others": 1 }));
    assert_eq!(played.value("negative"), json!({ "ours": 0, "others": 1 }));
    assert_eq!(played.value("nobody's"), json!({ "ours": 0, "others": 0 }));
    other.open();
}

#[test]
fn what_has_to_be_zero_is_asked_for_query_by_query() {
    let (cluster, stage) = shop();
    let text = r#"import "std/verify" as proof;
        check("data", || proof::all_zero([
            #{ what: "nameless", sql: "SELECT count(*) FROM users WHERE name IS NULL" },
            #{ what: "orphans", sql: "SELECT count(*) FROM orders WHERE user_id NOT IN (SELECT id FROM users)" },
        ]));"#;
    assert_eq!(stage.run(text).fine().value("data"), json!(2));
    cluster.sql("shop", "UPDATE orders SET user_id = 7 WHERE id < 4");
    let played = stage.run(text);
    assert_eq!(played.exit, 1);
    assert_eq!(played.compared().last().expect("a comparison").0, "orphans");
}

#[test]
fn rows_may_be_lost_up_to_what_is_allowed() {
    let stage = Stage::bare();
    let text = r#"import "std/verify" as proof;
        let before = #{ orders: 500, users: 9, tags: 3 };
        let now = #{ orders: 480, users: 10, tags: 3 };
        check("none", || proof::lost_rows(before, now, #{}));
        check("as many", || proof::lost_rows(before, now, #{ orders: 20 }));
        check("fewer", || proof::lost_rows(before, now, #{ orders: 19, users: 1 }));"#;
    let played = stage.run(text).fine();
    let lost: Value = json!([{ "table": "orders", "before": 500, "now": 480, "lost": 20 }]);
    assert_eq!(played.value("none"), lost);
    assert_eq!(played.value("as many"), json!([]));
    assert_eq!(played.value("fewer"), lost);
}
