//! Values on their way back: as JSON, or as the text that the server prints.

use serde_json::{Value, json};

use super::{open, wait};
use crate::support::Cluster;
use crate::support::cluster::query;

#[test]
fn every_type_has_its_json() {
    let cluster = Cluster::start();
    let xml = query(&cluster.url("postgres"), "SELECT '<a/>'::xml").is_ok();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        session
            .batch(
                "CREATE TYPE mood AS ENUM ('ok', '나쁨'); CREATE DOMAIN small AS int CHECK (VALUE < 10); \
                 CREATE DOMAIN money_amount AS numeric(10, 2); CREATE TYPE pair AS (a int, b text); \
                 SET TimeZone = 'Asia/Seoul'",
            )
            .await
            .unwrap();
        let decimal = |text: &str| json!({"$decimal": text});
        for (sql, wanted) in [
            ("true", json!(true)),
            ("1::int2", json!(1)),
            ("(-2147483648)::int4", json!(-2147483648i64)),
            ("9223372036854775807::int8", json!(i64::MAX)),
            ("4294967295::oid", json!(4294967295u32)),
            ("0.1::float4", json!(0.1)),
            ("1e300::float8", json!(1e300)),
            ("'NaN'::float8", json!("NaN")),
            ("'-Infinity'::float4", json!("-Infinity")),
            ("1.50::numeric", decimal("1.50")),
            ("150::numeric", json!(150)),
            ("-0.00012::numeric", decimal("-0.00012")),
            ("12345678901234567890::numeric", decimal("12345678901234567890")),
            ("123456789.123456789::numeric", decimal("123456789.123456789")),
            ("1e20::numeric", decimal("100000000000000000000")),
            ("'NaN'::numeric", json!("NaN")),
            ("7.5::money_amount", decimal("7.50")),
            ("3::small", json!(3)),
            ("'텍스트'::text", json!("텍스트")),
            ("'x'::varchar(5)", json!("x")),
            ("'x'::char(3)", json!("x  ")),
            ("'x'::name", json!("x")),
            ("'r'::\"char\"", json!("r")),
            ("'나쁨'::mood", json!("나쁨")),
            ("ARRAY['ok']::mood[]", json!(["ok"])),
            ("'{\"a\": [1, null]}'::json", json!({"a": [1, null]})),
            ("'[1, {\"b\": 2}]'::jsonb", json!([1, {"b": 2}])),
            (
                "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
                json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ),
            ("'2026-01-02'::date", json!("2026-01-02")),
            ("'0044-03-15 BC'::date", json!("0044-03-15 BC")),
            ("'infinity'::date", json!("infinity")),
            ("'03:04:05.060'::time", json!("03:04:05.06")),
            ("'2026-01-02 03:04:05'::timestamp", json!("2026-01-02 03:04:05")),
            ("'2026-01-02 12:04:05.5+09'::timestamptz", json!("2026-01-02 03:04:05.5+00")),
            ("'-infinity'::timestamptz", json!("-infinity")),
            ("'\\xdead'::bytea", json!("\\xdead")),
            ("'16/B374D848'::pg_lsn", json!("16/B374D848")),
            ("'7'::xid8", json!(7)),
            ("ARRAY[[1, 2], [3, NULL]]", json!([[1, 2], [3, null]])),
            ("'{}'::text[]", json!([])),
            ("ARRAY[1.5, 2]::numeric[]", json!([{"$decimal": "1.5"}, 2])),
            ("'10.0.0.1'::inet", json!("10.0.0.1")),
            ("'10.0.0.0/8'::inet", json!("10.0.0.0/8")),
            ("'10.0.0.1'::cidr", json!("10.0.0.1/32")),
            ("'fe80::1/64'::inet", json!("fe80::1/64")),
            ("ARRAY['::ffff:10.0.0.1'::inet]", json!(["::ffff:10.0.0.1"])),
            ("pg_sleep(0)", json!(null)),
            ("NULL::int", json!(null)),
            // No decoder: the query is rewritten, and the server prints them.
            ("interval '1 day 2 hours'", json!("1 day 02:00:00")),
            ("int4range(1, 5)", json!("[1,5)")),
            ("(1, 'x')::pair", json!("(1,x)")),
            ("point(1, 2)", json!("(1,2)")),
            ("'<a/>'::xml", json!("<a/>")),
            ("12.5::money", json!("$12.50")),
            ("'a b'::tsvector", json!("'a' 'b'")),
            ("'12:00+09'::timetz", json!("12:00:00+09")),
            ("'pg_class'::regclass", json!("pg_class")),
            ("ARRAY[int4range(1, 5)]", json!("{\"[1,5)\"}")),
        ] {
            if sql.ends_with("::xml") && !xml {
                eprintln!("skipped: this PostgreSQL was built without XML");
                continue;
            }
            let rows = session.query(&format!("SELECT {sql} AS \"v 1\" -- {sql}"), &[]).await;
            let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(rows.columns, ["v 1"], "{sql}");
            // Floats as text: json!(0.1) is the same number, but -0 and 1e300 print alike only so.
            assert_eq!(rows.first().map(Value::to_string), Some(wanted.to_string()), "{sql}");
        }
    });
}

#[test]
fn numerics_are_exact_for_any_digits() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        let sql = "SELECT n, n::text FROM (SELECT (random() * 10 ^ (i % 40))::numeric(60, 20) \
                   / (10 ^ (i % 17))::numeric AS n FROM generate_series(1, 500) AS i \
                   UNION ALL SELECT (10 ^ i)::numeric FROM generate_series(-30, 30) AS i) AS s";
        for row in session.query(sql, &[]).await.unwrap().rows {
            let got = match &row[0] {
                Value::Number(number) => number.to_string(),
                value => value["$decimal"].as_str().unwrap().to_string(),
            };
            assert_eq!(Some(got.as_str()), row[1].as_str());
        }
    });
}

#[test]
fn days_are_those_of_the_server_over_its_whole_range() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        session.batch("SET TimeZone = 'UTC'").await.unwrap();
        let sql = "SELECT d, d::text, d::timestamp, d::timestamp::text FROM (\
                   SELECT date '4713-01-01 BC' + i * 977 AS d FROM generate_series(0, 7000) AS i) AS s \
                   UNION ALL SELECT d, d::text, NULL, NULL FROM (VALUES (date '5874897-12-31')) AS v(d)";
        for row in session.query(sql, &[]).await.unwrap().rows {
            assert_eq!(row[0], row[1]);
            assert_eq!(row[2], row[3]);
        }
    });
}

#[test]
fn what_writes_is_never_rewritten_or_run_twice() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        session.batch("CREATE TABLE t (id serial, at point); BEGIN").await.unwrap();
        let sql = "INSERT INTO t (at) VALUES ('(1,2)') RETURNING id, at";
        let error = session.query(sql, &[]).await.unwrap_err();
        assert_eq!(error.code, Some("unsupported-type"));
        assert!(error.message.contains("at") && error.remedy.is_some());
        // Refused before it ran, and the transaction goes on.
        let rows = session.query("SELECT count(*) FROM t", &[]).await.unwrap();
        assert_eq!(rows.first(), Some(&json!(0)));
        let sql = "INSERT INTO t (at) VALUES ('(1,2)') RETURNING id, at::text";
        assert_eq!(session.query(sql, &[]).await.unwrap().rows, [[json!(1), json!("(1,2)")]]);
        let sql = "SELECT at, nextval('t_id_seq') AS n, at FROM t WHERE id = $1 ; -- once";
        let rows = session.query(sql, &[json!(1)]).await.unwrap();
        assert_eq!(rows.columns, ["at", "n", "at"]);
        assert_eq!(rows.rows, [[json!("(1,2)"), json!(2), json!("(1,2)")]]);
        let sql = "WITH x AS (SELECT at FROM t FOR UPDATE) SELECT x.at, 1 / (id - 1) FROM x, t";
        assert!(session.query(sql, &[]).await.is_err());
    });
}

#[test]
fn parameters_of_every_kind_come_back_as_they_went() {
    let cluster = Cluster::start();
    wait(async {
        let session = open(&cluster.url("postgres")).await;
        for (ty, value) in [
            ("int", json!(-5)),
            ("bigint", json!(i64::MIN)),
            ("numeric", json!({"$decimal": "1.10"})),
            ("float8", json!(0.1)),
            ("bool", json!(false)),
            ("text", json!("a\\b'c\n한글")),
            ("text[]", json!(["a,b", "{", "\"", null, "", "NULL"])),
            ("int[]", json!([[1, 2], [3, 4]])),
            ("jsonb", json!({"a": {"b": [1, "x", null]}})),
            ("jsonb[]", json!([{"a": 1}, [2]])),
            ("json", json!([1, 2])),
            ("date", json!("2026-01-02")),
            ("uuid", json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
            ("bytea", json!("\\x00ff")),
            ("inet", json!("10.0.0.1")),
        ] {
            let sql = format!("SELECT $1::{ty}");
            let rows = session.query(&sql, std::slice::from_ref(&value)).await.unwrap();
            assert_eq!(rows.first(), Some(&value), "{ty}");
        }
    });
}
