#![allow(clippy::unwrap_used)]

use super::*;

fn locks(statement: &str) -> Vec<String> {
    classify(statement).locks.iter().map(ToString::to_string).collect()
}

#[test]
fn risks_follow_the_table() {
    use Risk::{High, Low, Medium, VeryHigh};
    for (statement, risk) in [
        ("CREATE TABLE t (a int)", Low),
        ("ALTER TABLE t ADD COLUMN a text", Low),
        ("ALTER TABLE t ADD COLUMN a timestamptz NOT NULL DEFAULT now()", Low),
        ("ALTER TABLE t ADD COLUMN a int NOT NULL", High),
        ("ALTER TABLE t ADD COLUMN a uuid DEFAULT gen_random_uuid()", High),
        ("ALTER TABLE t ADD COLUMN a bigserial", High),
        ("ALTER TABLE t ADD COLUMN a int GENERATED ALWAYS AS (b * 2) STORED", High),
        ("ALTER TABLE t ADD COLUMN a int REFERENCES u (id)", Medium),
        ("ALTER TABLE t ADD COLUMN a int, DROP COLUMN b", VeryHigh),
        ("ALTER TABLE t ALTER COLUMN a TYPE bigint", High),
        ("ALTER TABLE t ALTER a SET NOT NULL", High),
        ("ALTER TABLE t ALTER a DROP NOT NULL", Low),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", High),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID", Low),
        ("ALTER TABLE t VALIDATE CONSTRAINT c", Medium),
        ("ALTER TABLE t ADD UNIQUE (a)", High),
        ("ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX i", Medium),
        ("ALTER TABLE t RENAME TO u", High),
        ("ALTER TABLE t RENAME COLUMN a TO b", High),
        ("ALTER VIEW v RENAME TO w", High),
        ("CREATE INDEX ON t (a)", Medium),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", Medium),
        ("DROP INDEX i", Medium),
        ("DROP TABLE t", VeryHigh),
        ("DROP TYPE x", High),
        ("DROP TYPE x CASCADE", VeryHigh),
        ("DROP VIEW v", Medium),
        ("DROP FUNCTION f(int) CASCADE", High),
        ("TRUNCATE t", VeryHigh),
        ("INSERT INTO t VALUES (1)", Low),
        ("INSERT INTO t SELECT * FROM u", Medium),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2", High),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", Low),
        ("UPDATE t SET a = 1 WHERE b", VeryHigh),
        ("DELETE FROM t WHERE a", VeryHigh),
        ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE", VeryHigh),
        ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", VeryHigh),
        ("DO $$ begin end $$", Low),
        ("DO $$ begin if true then alter table t alter a type bigint; end if; end $$", High),
        ("DO $$ begin execute 'create index on t (a)'; end $$", Medium),
        ("DO $$ begin execute format('drop table %I', 'x'); end $$", VeryHigh),
        ("DO $$ begin selec 1; end $$", VeryHigh),
        ("DO LANGUAGE plpython3u $$ plpy.execute('x') $$", VeryHigh),
        ("SELECT my_function()", Medium),
        ("SELECT setval('s', 1)", Medium),
        ("ALTER TABLE t ADD COLUMN a date DEFAULT to_date('2020', 'YYYY')", Low),
        ("CALL p()", VeryHigh),
        ("selec 2", VeryHigh),
        ("COMMENT ON TABLE t IS 'x'", Low),
        ("GRANT SELECT ON t TO u", Low),
        ("SELECT 1", Low),
        ("SET x = 1", Low),
        ("EXPLAIN DELETE FROM t", Low),
        ("EXPLAIN ANALYZE DELETE FROM t", VeryHigh),
        ("EXPLAIN (ANALYZE) DELETE FROM t", VeryHigh),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DELETE FROM t $$", Low),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC DELETE FROM t; SELECT 1; END", Low),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", Medium),
        ("ALTER TYPE e ADD VALUE 'x'", Medium),
        ("COPY t FROM stdin", Medium),
        ("COPY t FROM PROGRAM 'x'", VeryHigh),
        ("VACUUM FULL t", High),
        ("VACUUM t", Low),
    ] {
        let info = classify(statement);
        assert_eq!(info.risk, risk, "{statement}: {}", info.reason);
        assert!(!info.reason.starts_with("sql."), "{statement}: {}", info.reason);
    }
}

#[test]
fn what_is_lost_is_destructive() {
    for statement in [
        "DROP TABLE t",
        "ALTER TABLE t DROP COLUMN a",
        "TRUNCATE t",
        "DELETE FROM t WHERE a",
        "UPDATE t SET a = 1",
        "DROP SCHEMA s CASCADE",
        "WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x",
        "DO $$ BEGIN DROP TABLE t; END $$",
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = 1",
    ] {
        assert!(classify(statement).destructive, "{statement}");
    }
    for statement in [
        "CREATE TABLE t ()",
        "UPDATE t SET a = 1 WHERE b",
        "DROP INDEX i",
        "INSERT INTO t VALUES (1)",
    ] {
        assert!(!classify(statement).destructive, "{statement}");
    }
}

#[test]
fn objects_are_what_is_written_and_reads_the_rest() {
    for (statement, objects, reads) in [
        ("CREATE TABLE App.\"User\" (a int REFERENCES r)", "app.\"User\"", "r"),
        ("ALTER TABLE ONLY \"users\" ADD a int", "users", ""),
        ("CREATE INDEX i ON s.t (lower(a))", "s.t", ""),
        ("CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", "t", ""),
        ("DROP TABLE IF EXISTS a, b.C CASCADE", "a b.c", ""),
        ("DROP FUNCTION f(int), g()", "f g", ""),
        ("DROP TRIGGER tr ON t", "t", ""),
        ("INSERT INTO t SELECT * FROM u JOIN v USING (id)", "t", "u v"),
        ("UPDATE t SET a = (SELECT 1 FROM z) FROM y", "t", "z y"),
        ("WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x", "b a", ""),
        ("SELECT * FROM a, LATERAL (SELECT * FROM b) q", "", "a b"),
        ("SELECT * INTO n FROM a", "n", "a"),
        ("CREATE TABLE n AS SELECT * FROM a", "n", "a"),
        ("COMMENT ON COLUMN s.t.c IS 'x'", "s.t", ""),
        ("COPY t (a) FROM stdin", "t", ""),
        ("COPY (SELECT * FROM t) TO '/x'", "", "t"),
        ("ALTER TABLE p ATTACH PARTITION q FOR VALUES IN (1)", "p q", ""),
        ("TRUNCATE a, b", "a b", ""),
        ("CREATE SCHEMA IF NOT EXISTS x", "x", ""),
        ("CREATE EXTENSION \"uuid-ossp\"", "\"uuid-ossp\"", ""),
        ("CREATE UNLOGGED TABLE IF NOT EXISTS 회원 (a int)", "회원", ""),
        ("GRANT SELECT ON a TO b", "a", ""),
        ("INSERT INTO \"Project\" (a, b) VALUES (1, 'x; y')", "\"Project\"", ""),
    ] {
        let info = classify(statement);
        assert!(!info.opaque, "{statement}");
        assert_eq!(info.objects.join(" "), objects, "{statement}");
        assert_eq!(info.reads.join(" "), reads, "{statement}");
    }
}

#[test]
fn locks_follow_the_manual() {
    for (statement, wanted) in [
        ("CREATE INDEX ON t (a)", vec!["SHARE on t"]),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", vec!["SHARE UPDATE EXCLUSIVE on t"]),
        ("ALTER TABLE t ADD a int", vec!["ACCESS EXCLUSIVE on t"]),
        ("ALTER TABLE t VALIDATE CONSTRAINT c", vec!["SHARE UPDATE EXCLUSIVE on t"]),
        (
            "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id)",
            vec!["SHARE ROW EXCLUSIVE on t", "SHARE ROW EXCLUSIVE on u"],
        ),
        (
            "ALTER TABLE t VALIDATE CONSTRAINT c, ADD b int REFERENCES u",
            vec!["ACCESS EXCLUSIVE on t", "SHARE ROW EXCLUSIVE on u"],
        ),
        ("CREATE TABLE n (a int REFERENCES r)", vec!["SHARE ROW EXCLUSIVE on r"]),
        ("CREATE TABLE n (a int)", vec![]),
        ("UPDATE t SET a = 1 FROM u", vec!["ROW EXCLUSIVE on t"]),
        ("SELECT * FROM t FOR UPDATE", vec!["ROW SHARE on t"]),
        ("SELECT * FROM t", vec![]),
        ("TRUNCATE a", vec!["ACCESS EXCLUSIVE on a"]),
        (
            "LOCK a, b IN SHARE ROW EXCLUSIVE MODE",
            vec!["SHARE ROW EXCLUSIVE on a", "SHARE ROW EXCLUSIVE on b"],
        ),
        ("LOCK a", vec!["ACCESS EXCLUSIVE on a"]),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", vec!["EXCLUSIVE on v"]),
        ("INSERT INTO s.t VALUES (1)", vec!["ROW EXCLUSIVE on s.t"]),
    ] {
        assert_eq!(locks(statement), wanted, "{statement}");
    }
}

#[test]
fn readers_do_not_write_but_may_call_functions() {
    for (statement, writes, calls) in [
        ("SELECT count(*), lower(a) FROM t", false, false),
        ("SELECT my_function(1)", false, true),
        ("SELECT pg_catalog.setval('s', 1)", true, true),
        ("WITH x AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM x", true, false),
        ("SHOW work_mem", false, false),
        ("EXPLAIN DELETE FROM t", false, false),
        ("EXPLAIN ANALYZE DELETE FROM t", true, false),
        ("SELECT * INTO n FROM a", true, false),
        ("INSERT INTO t VALUES (now(), f(1))", true, true),
        ("INSERT INTO t VALUES (now())", true, false),
        ("VALUES (1)", false, false),
        ("BEGIN", false, false),
    ] {
        let info = classify(statement);
        assert_eq!((info.writes, info.calls_functions), (writes, calls), "{statement}");
    }
}

#[test]
fn probes_name_what_has_to_be_looked_for() {
    let probe = |statement: &str| classify(statement).probe;
    assert_eq!(
        probe("CREATE INDEX CONCURRENTLY IF NOT EXISTS \"I\" ON S.t (a)"),
        Some(Probe::CreateIndexConcurrently {
            schema: Some("s".into()),
            name: Some("I".into()),
            table: "s.t".into(),
            if_not_exists: true
        })
    );
    assert_eq!(
        probe("DROP INDEX CONCURRENTLY s.i, j"),
        Some(Probe::DropIndexConcurrently {
            names: vec!["s.i".into(), "j".into()],
            if_exists: false
        })
    );
    assert_eq!(
        probe("REINDEX TABLE CONCURRENTLY t"),
        Some(Probe::Reindex { what: "table".into(), target: "t".into(), concurrently: true })
    );
    assert_eq!(
        probe("ALTER TYPE s.e ADD VALUE IF NOT EXISTS 'it''s' BEFORE 'y'"),
        Some(Probe::AlterTypeAddValue {
            type_name: "s.e".into(),
            value: "it's".into(),
            if_not_exists: true
        })
    );
    assert_eq!(
        probe("ALTER TABLE t DETACH PARTITION p CONCURRENTLY"),
        Some(Probe::DetachPartitionConcurrently { table: "t".into(), partition: "p".into() })
    );
    assert_eq!(
        probe("ALTER TABLE t VALIDATE CONSTRAINT C"),
        Some(Probe::ValidateConstraint { table: "t".into(), name: "c".into() })
    );
    assert_eq!(probe("CREATE DATABASE D"), Some(Probe::CreateDatabase { name: "d".into() }));
    assert_eq!(
        probe("DROP DATABASE IF EXISTS d"),
        Some(Probe::DropDatabase { name: "d".into(), if_exists: true })
    );
    assert_eq!(probe("VACUUM (FULL) t"), Some(Probe::Vacuum));
    assert_eq!(probe("CREATE INDEX i ON t (a)"), None);
}

#[test]
fn the_quick_way_and_the_parser_agree_about_inserts() {
    for statement in [
        "INSERT INTO t VALUES (1, 'a')",
        "insert into s.\"T\" (a, b) values (1, now()), (2, my_f(3))",
        "INSERT INTO t (a) VALUES (ARRAY[1, 2]::int[]), (E'x\\'y')",
    ] {
        let quick = plain_insert(statement).unwrap();
        let quick_words = quick_kind(statement);
        let slow =
            with_tree(statement, |stmt| describe(stmt, &quick_words, &Seen::default())).unwrap();
        assert_eq!(quick, slow, "{statement}");
    }
    for statement in [
        "INSERT INTO t SELECT 1",
        "INSERT INTO t VALUES ((SELECT 1 FROM u))",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1",
        "INSERT INTO t VALUES (1) RETURNING a",
        "INSERT INTO t DEFAULT VALUES",
        "INSERT INTO t VALUES (1",
    ] {
        assert!(plain_insert(statement).is_none(), "{statement}");
    }
}

#[test]
fn hostile_depth_is_opaque_and_does_not_overflow() {
    let deep = format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(classify(&deep).opaque);
    let chain = format!("UPDATE t SET a = 1 WHERE b = 0{}", " OR b = 1".repeat(20_000));
    assert_eq!(classify(&chain).kind, "update");
    let nots = format!("SELECT {} true", "NOT ".repeat(20_000));
    assert_eq!(classify(&nots).kind, "select");
}

#[test]
fn a_function_body_that_does_not_parse_is_the_functions_affair() {
    let statement = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ selec oops $$";
    assert!(!classify(statement).opaque);
    assert!(classify("SELECT 1; SELECT 2").opaque);
}

/// Real migrations, where they have been laid out: every file of a folder tree.
#[test]
fn real_migrations_split_and_parse() {
    let Some(root) = std::env::var_os("RUNSHEET_CORPORA") else { return };
    let mut folders = vec![std::path::PathBuf::from(root)];
    let (mut files, mut statements, mut opaque) = (0, 0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "sql") {
                files += 1;
                let text = std::fs::read(&path).unwrap();
                for piece in crate::sql::Splitter::new("", text.as_slice()) {
                    let crate::sql::Piece::Statement(one) = piece.unwrap() else { continue };
                    statements += 1;
                    let info = classify(&one.text);
                    if info.opaque && !matches!(info.kind.as_str(), "do" | "call" | "execute") {
                        opaque.push(format!("{}:{} {}", path.display(), one.line, one.text));
                    }
                }
            }
        }
    }
    let lost = opaque.iter().map(|one| one.chars().take(300).collect::<String>());
    let lost: Vec<_> = lost.collect();
    assert!(lost.is_empty(), "{files} files, {statements} statements:\n{}", lost.join("\n"));
}
