//! What the first words say.
use super::*;

fn control(statement: &str) -> Option<Control> {
    quick_kind(statement).control
}

#[test]
fn kinds_are_read_off_the_first_words() {
    for (statement, kind) in [
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "create index"),
        ("create or replace view v as select 1", "create view"),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", "create materialized view"),
        ("create temp table x as select 1", "create table"),
        ("/* a */ -- b\nINSERT INTO t VALUES (1)", "insert"),
        ("alter default privileges grant select on tables to x", "alter default privileges"),
        ("CREATE CONSTRAINT TRIGGER t AFTER INSERT ON x", "create trigger"),
        ("COMMENT ON COLUMN a.b IS 'x'", "comment column"),
        ("comment on constraint c on t is 'x'", "comment constraint"),
        ("(select 1)", "select"),
        ("selec 2", "statement"),
    ] {
        assert_eq!(quick_kind(statement).kind(), kind, "{statement}");
    }
}

#[test]
fn transaction_control_is_told_apart() {
    for (statement, wanted) in [
        ("BEGIN", Control::Begin),
        ("start transaction read write", Control::Begin),
        ("END", Control::Commit),
        ("commit work", Control::Commit),
        ("COMMIT AND CHAIN", Control::Chain),
        ("commit and no chain", Control::Commit),
        ("ABORT", Control::Rollback),
        ("ROLLBACK TO SAVEPOINT a", Control::RollbackTo),
        ("rollback to a", Control::RollbackTo),
        ("ROLLBACK PREPARED 'x'", Control::Prepared),
        ("PREPARE TRANSACTION 'x'", Control::PrepareTransaction),
        ("savepoint a", Control::Savepoint),
        ("RELEASE a", Control::Release),
        ("SET TRANSACTION READ ONLY", Control::SetTransaction),
    ] {
        assert_eq!(control(statement), Some(wanted), "{statement}");
    }
    assert_eq!(control("PREPARE p AS SELECT 1"), None);
    assert_eq!(control("CREATE TABLE begin (a int)"), None);
}

#[test]
fn what_refuses_a_transaction_is_known() {
    for statement in [
        "CREATE INDEX CONCURRENTLY ON t (a)",
        "drop index concurrently i",
        "REINDEX TABLE CONCURRENTLY t",
        "reindex (verbose) database x",
        "VACUUM t",
        "CREATE DATABASE x",
        "ALTER SYSTEM SET a = 1",
        "CLUSTER",
        "cluster verbose",
        "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        "ALTER DATABASE x SET TABLESPACE y",
        "DISCARD ALL",
        "create subscription s connection 'x' publication p",
    ] {
        assert!(!quick_kind(statement).transactional, "{statement}");
    }
    for statement in [
        "CREATE INDEX i ON t (a)",
        "REINDEX TABLE t",
        "CLUSTER t USING i",
        "ALTER DATABASE x SET work_mem = '1MB'",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        "ALTER TYPE t ADD VALUE 'x'",
        "ALTER TABLE t DETACH PARTITION p",
        "create subscription s connection 'x' publication p with (connect = false)",
        "discard plans",
    ] {
        assert!(quick_kind(statement).transactional, "{statement}");
    }
}

#[test]
fn what_stays_in_the_session_is_known() {
    for statement in [
        "SET search_path = x",
        "RESET ALL",
        "DO $$ begin end $$",
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "create temp table x (a int)",
        "select pg_advisory_lock(1)",
    ] {
        assert!(quick_kind(statement).session_dirty, "{statement}");
    }
    for statement in ["SET LOCAL x = 1", "select a_b from t", "show x", "create table x ()"] {
        assert!(!quick_kind(statement).session_dirty, "{statement}");
    }
    assert!(quick_kind("SELECT pg_catalog.set_config('search_path', '', false)").setting);
    assert!(!quick_kind("SELECT set_config('a', b, false) FROM t").setting);
    assert!(quick_kind("select pg_advisory_unlock_all()").unlocks_all);
    assert!(quick_kind("COPY (SELECT a FROM t) TO STDOUT WITH CSV").copy_to_stdout);
    assert!(!quick_kind("COPY t TO '/tmp/stdout'").copy_to_stdout);
}
