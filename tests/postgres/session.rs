//! Statements, notices, COPY, cancelling, and losing the session.

use runsheet::model::FaultKind;
use runsheet::postgres::SimpleResult;
use serde_json::json;

use super::{cancel_its_sleep, open, wait};
use crate::support::Cluster;
use crate::support::wait::SOON;

#[test]
fn rows_come_with_their_columns_and_execute_counts() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        session.batch("CREATE TABLE t (id int, tags text[], doc jsonb, mood text)").await.unwrap();
        let insert = "INSERT INTO t VALUES ($1, $2, $3, $4)";
        let params = [json!(1), json!(["a", "b"]), json!({"k": [1]}), json!(null)];
        assert_eq!(session.execute(insert, &params).await.unwrap(), 1);
        let params = [json!(2), json!(null), json!("[true]"), json!("it's")];
        assert_eq!(session.execute(insert, &params).await.unwrap(), 1);
        let rows = session.query("SELECT * FROM t ORDER BY id", &[]).await.unwrap();
        assert_eq!(rows.columns, ["id", "tags", "doc", "mood"]);
        assert_eq!(rows.rows[0], [json!(1), json!(["a", "b"]), json!({"k": [1]}), json!(null)]);
        assert_eq!(rows.rows[1], [json!(2), json!(null), json!([true]), json!("it's")]);
        let any = "SELECT id FROM t WHERE id = ANY ($1)";
        let rows = session.query(any, &[json!([2, 7])]).await.unwrap();
        assert_eq!(rows.into_objects(), [json!({"id": 2})]);
        assert_eq!(session.execute("DELETE FROM t WHERE id > $1", &[json!(0)]).await.unwrap(), 2);
        let created = session.execute("CREATE TYPE mood AS ENUM ('ok', 'bad')", &[]).await.unwrap();
        assert_eq!(created, 0);
        let enums = session.query("SELECT $1::mood AS m", &[json!("ok")]).await.unwrap();
        assert_eq!(enums.rows, [[json!("ok")]]);
    });
}

#[test]
fn a_simple_message_gives_one_result_for_each_statement() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        let sql = "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (NULL); \
                   SELECT a, 'x' AS b FROM t; SELECT 1 WHERE false";
        let results = session.simple(sql).await.unwrap();
        assert_eq!(results.len(), 4);
        assert_eq!(results[1], SimpleResult { rows: Some(2), ..SimpleResult::default() });
        assert_eq!(results[2].columns, ["a", "b"]);
        let cells = [[Some("1".to_string()), Some("x".into())], [None, Some("x".into())]];
        assert_eq!(results[2].cells, cells);
        assert_eq!((results[3].columns.len(), results[3].cells.len()), (1, 0));
        let error = session.simple("SELECT 1; SELECT 1/0; SELECT 2").await.unwrap_err();
        assert!(error.is("22012"));
        assert_eq!(session.simple("SELECT 'a\0b'").await.unwrap_err().code, Some("nul-byte"));
        assert_eq!(session.simple("").await.unwrap().len(), 1);
    });
}

#[test]
fn an_error_says_where_and_what() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        let error = session.query("SELECT '한글', nosuch", &[]).await.unwrap_err();
        assert_eq!((error.sqlstate.as_deref(), error.position), (Some("42703"), Some(14)));
        session
            .batch("CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1)")
            .await
            .unwrap();
        let error = session.execute("INSERT INTO p VALUES ($1)", &[json!(1)]).await.unwrap_err();
        assert_eq!(error.constraint.as_deref(), Some("p_pkey"));
        assert_eq!(error.table.as_deref(), Some("p"));
        let fault = error.into_fault();
        assert_eq!((fault.kind, fault.sqlstate.as_deref()), (FaultKind::Failed, Some("23505")));
        assert!(fault.detail.unwrap().contains("(id)=(1)"));
        let error = session.execute("SELECT $1, $2", &[json!(1)]).await.unwrap_err();
        assert!(error.is("08P01") && !error.connection_lost);
        let inner = "DO $$ BEGIN PERFORM nosuch FROM pg_class; END $$";
        let error = session.batch(inner).await.unwrap_err();
        assert!(error.internal_query.is_some() && error.where_.is_some());
        assert_eq!(session.query("SELECT 1", &[]).await.unwrap().first(), Some(&json!(1)));
    });
}

#[test]
fn notices_are_kept_until_they_are_taken() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        let sql = "DO $$ BEGIN RAISE NOTICE 'first %', 1; RAISE WARNING 'second' \
                   USING DETAIL = 'more'; END $$";
        session.batch(sql).await.unwrap();
        let notices = session.take_notices();
        let texts: Vec<&str> = notices.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(texts, ["first 1", "second"]);
        assert_eq!(notices[1].severity, "WARNING");
        assert_eq!(notices[1].detail.as_deref(), Some("more"));
        assert!(session.take_notices().is_empty());
    });
}

#[test]
fn copy_goes_both_ways_and_leaves_nothing_when_it_is_dropped() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        session.batch("CREATE TABLE t (a int, b text)").await.unwrap();
        let mut sink = session.copy_in("COPY t FROM STDIN").await.unwrap();
        for piece in ["1\tone\n2\t", "둘\n"] {
            sink.send(piece.as_bytes().to_vec()).await.unwrap();
        }
        assert_eq!(sink.finish().await.unwrap(), 2);
        let mut out = Vec::new();
        let copy = "COPY (SELECT * FROM t ORDER BY a) TO STDOUT";
        session.copy_out(copy, &mut |data| out.extend_from_slice(data)).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "1\tone\n2\t둘\n");

        let mut sink = session.copy_in("COPY t FROM STDIN").await.unwrap();
        sink.send(b"x\ty\n".to_vec()).await.unwrap();
        assert!(sink.finish().await.unwrap_err().is("22P02"));
        let mut sink = session.copy_in("COPY t FROM STDIN").await.unwrap();
        sink.send(b"3\tthree\n".to_vec()).await.unwrap();
        drop(sink);
        let count = session.query("SELECT count(*) FROM t", &[]).await.unwrap();
        assert_eq!(count.first(), Some(&json!(2)));
    });
}

#[test]
fn a_running_statement_can_be_cancelled_from_another_thread() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        let other = cancel_its_sleep(&cluster, &session);
        let error = session.simple("SELECT pg_sleep(120)").await.unwrap_err();
        assert!(error.is("57014") && !error.connection_lost);
        other.join().unwrap();
        assert!(!session.is_closed());
    });
}

#[test]
fn a_terminated_session_says_so_and_stays_closed() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        let killer = open(&cluster.url("postgres")).await;
        let pid: serde_json::Value = session.backend_pid().into();
        let kill = "SELECT pg_terminate_backend($1)";
        killer.query(kill, std::slice::from_ref(&pid)).await.unwrap();
        // Asked in this thread: meanwhile the session hears why it was ended.
        let there = "SELECT 1 FROM pg_stat_activity WHERE pid = $1";
        let gone = async {
            while killer.query(there, std::slice::from_ref(&pid)).await.unwrap().first().is_some() {
            }
        };
        tokio::time::timeout(SOON, gone).await.expect("it is gone");
        let error = session.query("SELECT 1", &[]).await.unwrap_err();
        assert!(error.connection_lost, "{error:?}");
        assert_eq!(error.clone().into_fault().kind, FaultKind::NoConnection);
        let again = session.simple("SELECT 1").await.unwrap_err();
        assert!(again.connection_lost);
        assert!(again.is("57P01"), "the reason is remembered: {again:?}");
        assert!(session.is_closed());
    });
}

#[test]
fn a_crash_of_the_server_is_a_lost_connection() {
    let mut cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        cluster.crash();
        let error = session.execute("SELECT 1", &[]).await.unwrap_err();
        assert!(error.connection_lost, "{error:?}");
        assert_eq!(error.into_fault().kind, FaultKind::NoConnection);
    });
}
