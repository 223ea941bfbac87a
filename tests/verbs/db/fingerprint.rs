//! `db::fingerprint`.

use runsheet::model::ItemState;

use super::{reader, shop};
use crate::support::Stage;

const SCHEMA: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE t (id serial PRIMARY KEY, price numeric, info json, place point, at timestamptz, m mood);
    INSERT INTO t (price, info, place, at) VALUES (300, '{"a":1}', '(1,2)', '2026-01-01Z'), (1, NULL, NULL, NULL);
    CREATE TABLE twice (a int); INSERT INTO twice VALUES (1), (1), (2);
    CREATE TABLE parts (a int) PARTITION BY LIST (a);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); INSERT INTO parts VALUES (1);
    CREATE VIEW v AS SELECT id FROM t;
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER touched BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE ROLE app"#;

fn taken(stage: &Stage, call: &str) -> String {
    let played = stage.run(&format!(r#"check("f", || {call});"#));
    played.ok().value("f").as_str().unwrap().to_string()
}

#[test]
fn a_fingerprint_changes_with_every_change_and_comes_back_with_it() {
    let (cluster, stage) = shop(SCHEMA);
    let first = taken(&stage, "db::fingerprint()");
    assert_eq!(first.len(), 64);
    assert_eq!(first, taken(&stage, "db::fingerprint()"));
    for (change, back) in [
        (
            "UPDATE t SET price = 300.00 WHERE price = 300",
            "UPDATE t SET price = 300 WHERE price = 300",
        ),
        (
            r#"UPDATE t SET info = '{"a": 1}' WHERE id = 1"#,
            r#"UPDATE t SET info = '{"a":1}' WHERE id = 1"#,
        ),
        ("UPDATE t SET place = '(1,3)' WHERE id = 1", "UPDATE t SET place = '(1,2)' WHERE id = 1"),
        (
            "INSERT INTO twice VALUES (2), (2)",
            "DELETE FROM twice; INSERT INTO twice VALUES (2), (1), (1)",
        ),
        ("INSERT INTO parts VALUES (1)", "DELETE FROM parts; INSERT INTO parts VALUES (1)"),
        ("ALTER TABLE t ALTER price SET NOT NULL", "ALTER TABLE t ALTER price DROP NOT NULL"),
        ("ALTER TABLE t ALTER price SET DEFAULT 1", "ALTER TABLE t ALTER price DROP DEFAULT"),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (price > 0)", "ALTER TABLE t DROP CONSTRAINT c"),
        ("CREATE INDEX i ON t (price)", "DROP INDEX i"),
        ("COMMENT ON COLUMN t.price IS 'x'", "COMMENT ON COLUMN t.price IS NULL"),
        ("GRANT SELECT ON t TO app", "REVOKE SELECT ON t FROM app"),
        ("ALTER TABLE t DISABLE TRIGGER touched", "ALTER TABLE t ENABLE TRIGGER touched"),
        (
            "CREATE OR REPLACE VIEW v AS SELECT id + 0 AS id FROM t",
            "CREATE OR REPLACE VIEW v AS SELECT id FROM t",
        ),
        (
            "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
            "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ),
        (
            "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
            "ALTER TYPE mood RENAME VALUE 'blue' TO 'sad'",
        ),
        ("CREATE SCHEMA s", "DROP SCHEMA s"),
        ("CREATE SEQUENCE q", "DROP SEQUENCE q"),
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "ALTER TABLE t DISABLE ROW LEVEL SECURITY"),
    ] {
        cluster.sql("shop", change);
        assert_ne!(first, taken(&stage, "db::fingerprint()"), "{change}");
        cluster.sql("shop", back);
        assert_eq!(first, taken(&stage, "db::fingerprint()"), "{back}");
    }
    // The order of rows, a moved sequence and the asker's settings are no difference.
    cluster.sql("shop", "CREATE TABLE c AS TABLE twice ORDER BY a DESC; DELETE FROM twice; \
        INSERT INTO twice TABLE c; DROP TABLE c; SELECT nextval('t_id_seq'); \
        ALTER DATABASE shop SET timezone = 'Asia/Seoul'; ALTER DATABASE shop SET datestyle = 'German'");
    assert_eq!(first, taken(&stage, "db::fingerprint()"));
}

#[test]
fn some_tables_are_compared_alone_and_inside_a_step() {
    let (cluster, stage) = shop(SCHEMA);
    let call = r#"db::fingerprint(["twice", "parts"])"#;
    let first = taken(&stage, call);
    cluster.sql("shop", "UPDATE t SET price = 5; CREATE TABLE other (a int)");
    assert_eq!(first, taken(&stage, call));
    let played = stage.run(&format!(
        r#"let before = {call};
           step("there and back", || {{
               db::exec("SET LOCAL TimeZone = 'Asia/Seoul'");
               db::exec("INSERT INTO twice VALUES (9)");
               let changed = {call} != before;
               db::exec("DELETE FROM twice WHERE a = 9");
               [changed, {call} == before, db::value("SELECT current_setting('TimeZone')")]
           }});"#
    ));
    assert_eq!(played.ok().value("there and back"), serde_json::json!([true, true, "Asia/Seoul"]));
    stage.run(r#"check("f", || db::fingerprint("absent"));"#).fails("no-such-table");
    cluster.sql("shop", "REVOKE ALL ON t FROM app; INSERT INTO parts VALUES (1)");
    assert_ne!(first, taken(&stage, call));
}

#[test]
fn a_plan_takes_a_fingerprint_without_rights_to_write_and_not_after_a_recorded_write() {
    let (cluster, stage) = shop(SCHEMA);
    let here = taken(&stage, "db::fingerprint(\"twice\")");
    cluster.sql("shop", "DROP ROLE app");
    let played = stage.plan(
        r#"check("before", || db::fingerprint("twice"));
           step("change", || db::exec("DELETE FROM twice"));
           verify("after", || db::fingerprint());"#,
    );
    assert_eq!(played.ok().value("before"), here);
    assert_eq!(played.outcome("after"), ItemState::WillCheck);
    let mine = reader(&cluster);
    mine.plan(r#"check("f", || db::fingerprint("twice"));"#).ok();
}
