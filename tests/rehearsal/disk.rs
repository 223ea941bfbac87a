//! The free disk that the source will need, as a rehearsal measured it.

use serde_json::Value;

use super::{receipts, rehearse, report};
use crate::faults::Desk;

const LARGE: &str = "CREATE TABLE large (id int PRIMARY KEY, text text NOT NULL); \
    INSERT INTO large SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 20000) n; \
    CREATE TABLE old (id int PRIMARY KEY, text text NOT NULL); \
    INSERT INTO old SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 10000) n";

/// A rewrite, a table that goes, an index that is built anew, and a dump in front of them.
const HEAVY: &str = r#"step("dump", #{ undo: || () }, || pg::dump());
    step("wider", #{ undo: || db::exec("ALTER TABLE large ALTER id TYPE int") },
        || db::exec("ALTER TABLE large ALTER id TYPE bigint"));
    step("away", #{ undo: || () }, || db::exec("TRUNCATE old; DROP TABLE IF EXISTS never"));
    step("copied", #{ undo: || db::exec("DROP TABLE fresh") },
        || db::exec("CREATE TABLE fresh AS SELECT * FROM large"));
    step("sort", #{ undo: || () }, || db::exec(`SET LOCAL work_mem = '64kB';
        CREATE TEMP TABLE sorted ON COMMIT DROP AS SELECT n FROM generate_series(1, 100000) n ORDER BY -n`));"#;

fn bytes(desk: &Desk, table: &str) -> i64 {
    desk.value(&format!("SELECT pg_total_relation_size('{table}')")).parse().unwrap()
}

/// Bytes more, and bytes of old files, of a step's table.
fn space(report: &Value, step: usize, table: &str) -> (i64, i64) {
    let all = report["forward"]["steps"][step]["measured"]["space"].as_array().unwrap();
    let found = all.iter().find(|one| one["table"] == table);
    let found = found.unwrap_or_else(|| panic!("{table} is not among {all:?}"));
    (found["grown_bytes"].as_i64().unwrap(), found["replaced_bytes"].as_i64().unwrap())
}

#[test]
fn the_disk_and_the_backup_that_the_source_needs_are_told() {
    let desk = Desk::new(HEAVY);
    desk.sql(LARGE);
    let ran = rehearse(&desk, &[]);
    // What the TRUNCATE takes away does not come back.
    ran.exits(6).stdout_shows("free disk on the source: about ").stdout_shows("at least ");
    ran.stdout_shows("free disk for the backup: ");
    let report = report(&desk);
    let (large, old) = (bytes(&desk, "large"), bytes(&desk, "old"));
    let (grown, replaced) = space(&report, 1, "public.large");
    // The copy is packed as the source is: nothing was changed since its rows were written.
    assert!((replaced - large).abs() < large / 20, "{replaced} of {large}");
    assert!(grown.abs() < large / 5, "{grown}");
    let (grown, replaced) = space(&report, 2, "public.old");
    assert!(grown < -old / 2 && replaced > old / 2, "{grown} {replaced} of {old}");
    let (fresh, _) = space(&report, 3, "public.fresh");
    assert!(fresh > large / 2, "{fresh}");

    let disk = &report["disk"];
    let of = |name: &str| disk[name]["on_copy"].as_i64().unwrap();
    // The old files of the rewrite, or what is there at the end: never both.
    assert!(of("tables") >= large - large / 20 && of("tables") < large + old + fresh, "{disk}");
    let written = report["forward"]["steps"].as_array().unwrap().iter();
    let written: i64 = written.map(|step| step["measured"]["wal_bytes"].as_i64().unwrap()).sum();
    assert_eq!(of("wal"), written);
    assert!(of("backup") > 50_000, "{disk}");
    assert_eq!(disk["backup"]["on_source"], disk["backup"]["on_copy"], "all rows are in it");
    assert!(disk["backup_ms"].as_u64().unwrap() > 0);
    if desk.cluster.major() >= 15 {
        assert!(of("temporary") > 500_000, "{disk}");
    }
    let text = std::fs::read_to_string(&receipts(&desk)[0]).unwrap();
    let receipt: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(&receipt["disk"], disk);
    let folder = std::path::Path::new(report["report"].as_str().unwrap()).to_path_buf();
    let paper = std::fs::read_to_string(folder).unwrap();
    assert!(paper.contains("free disk on the source: about "), "{paper}");
}

#[test]
fn a_dropped_table_and_index_stay_on_the_disk_until_the_commit() {
    let desk = Desk::new(
        r#"step("index", #{ undo: || () }, || db::exec("DROP INDEX large_text"));
        step("anew", #{ undo: || () }, || db::exec("REINDEX INDEX large_pkey"));
        step("alone", #{ undo: || (), transaction: false }, || db::exec("VACUUM FULL large"));
        step("drop", #{ undo: || () }, || db::exec("DROP TABLE old"));"#,
    );
    desk.sql(LARGE);
    desk.sql("CREATE INDEX large_text ON large (text)");
    rehearse(&desk, &[]);
    let report = report(&desk);
    let (grown, _) = space(&report, 0, "public.large");
    let (none, index) = space(&report, 0, "public.large_text");
    assert!(grown < 0 && none == 0 && index > -grown / 2, "{report:#}");
    let (_, again) = space(&report, 1, "public.large");
    let (old, alone) = (bytes(&desk, "large_pkey"), space(&report, 2, "public.large").1);
    assert!((again - old).abs() < old / 2, "{again} of {old}");
    let table: i64 = desk.value("SELECT pg_table_size('large')").parse().unwrap();
    assert!(alone > table * 9 / 10, "{alone} of {table}");
    let (grown, replaced) = space(&report, 3, "public.old");
    assert!(grown == -replaced && replaced > bytes(&desk, "old") / 2, "{grown} {replaced}");
}

#[test]
fn a_sample_is_scaled_to_the_source_and_without_rows_nothing_is_claimed() {
    let desk = Desk::new(
        r#"step("dump", #{ undo: || () }, || pg::dump());
        step("wider", #{ undo: || db::exec("ALTER TABLE large ALTER id TYPE int") },
            || db::exec("ALTER TABLE large ALTER id TYPE bigint"));"#,
    );
    desk.sql(LARGE);
    rehearse(&desk, &["--sample", "10"]).exits(0);
    let disk = report(&desk)["disk"].clone();
    for name in ["tables", "wal", "backup"] {
        let of = |side: &str| disk[name][side].as_u64().unwrap();
        assert!(of("on_source") > 2 * of("on_copy"), "{name}: {disk}");
    }
    let ran = rehearse(&desk, &["--from", "schema-only", "--lang", "ko"]);
    ran.exits(0).stdout_shows("원본에 필요한 디스크 여유: 알 수 없음");
    assert_eq!(report(&desk)["disk"], Value::Null);
}
