//! The sums of rows: what is another value is another sum.

use std::fmt::Write as _;

use runsheet::postgres::Look;

use super::{target, wait};
use crate::support::Cluster;

/// A type, and two values of it that are not the same.
const PAIRS: &[(&str, &str, &str)] = &[
    ("int", "0", "NULL"),
    ("smallint", "1", "-1"),
    ("bigint", "0", "4294967297"),
    ("bigint", "-1", "NULL"),
    ("bigint", "9223372036854775807", "-9223372036854775808"),
    ("boolean", "false", "NULL"),
    ("boolean", "false", "true"),
    ("text", "''", "NULL"),
    ("text", "'a'", "'a '"),
    ("varchar(5)", "'a'", "'A'"),
    ("text COLLATE whatever", "'a'", "'A'"),
    ("char(3)", "'a'", "NULL"),
    ("bpchar", "'a'", "'a '"),
    ("name", "'a'", "'b'"),
    ("numeric", "1", "-1"),
    ("numeric", "1.0", "1.00"),
    ("numeric", "'NaN'", "NULL"),
    ("float8", "0", "'-0'"),
    ("float8", "0.1", "0.10000000000000002"),
    ("date", "'infinity'", "'-infinity'"),
    ("date", "'2000-01-01'", "NULL"),
    ("timestamptz", "'2026-01-01 00:00Z'", "'2026-01-01 01:11:34.967297Z'"),
    ("timestamp", "'2000-01-01'", "NULL"),
    ("time", "'00:00'", "'24:00'"),
    ("interval", "'1 mon'", "'30 days'"),
    ("uuid", "'00000000-0000-0000-0000-000000000000'", "NULL"),
    ("bytea", "''", "NULL"),
    ("bytea", r"'\x00'", r"'\x01'"),
    ("mood", "'sad'", "'happy'"),
    ("email", "'a@b'", "'a@c'"),
    ("jsonb", "'{\"a\": 1}'", "'{\"a\": 1.0}'"),
    ("json", "'{\"a\":1}'", "'{\"a\": 1}'"),
    ("int[]", "'{1,2}'", "'[0:1]={1,2}'"),
    ("point", "'(1,2)'", "'(2,1)'"),
];

#[test]
fn what_is_another_value_is_another_sum() {
    let cluster = Cluster::start();
    cluster.create_database("shop");
    let mut sql = String::from(
        "CREATE TYPE mood AS ENUM ('sad', 'happy'); \
         CREATE DOMAIN email AS text CHECK (VALUE ~ '@');",
    );
    let collates = cluster.knows_icu();
    if collates {
        sql.push_str(
            "CREATE COLLATION whatever \
             (provider = icu, locale = 'und-u-ks-level2', deterministic = false);",
        );
    }
    let pairs = PAIRS.iter().filter(|(kind, ..)| collates || !kind.contains("COLLATE"));
    let pairs: Vec<_> = pairs.collect();
    for (at, (kind, one, other)) in pairs.iter().enumerate() {
        for (side, value) in [("l", one), ("r", other)] {
            let _ = write!(
                sql,
                "CREATE TABLE {side}{at} (v {kind}); INSERT INTO {side}{at} VALUES ({value}); \
                 CREATE TABLE {side}{at}_in_row (id int, v {kind}, last text); \
                 INSERT INTO {side}{at}_in_row VALUES (1, {value}, 'z');"
            );
        }
    }
    // Values that change places between rows, or between columns.
    for kind in ["int", "bigint", "text", "timestamptz", "numeric"] {
        let value = |n: u8| match kind {
            "timestamptz" => format!("'2026-01-0{n}Z'"),
            _ => format!("'{n}'"),
        };
        let (a, b, c, d) = (value(1), value(2), value(3), value(4));
        let _ = write!(
            sql,
            "CREATE TABLE l_rows_{kind} (a {kind}, b {kind}); \
             CREATE TABLE r_rows_{kind} (a {kind}, b {kind}); \
             INSERT INTO l_rows_{kind} VALUES ({a}, {b}), ({c}, {d}); \
             INSERT INTO r_rows_{kind} VALUES ({a}, {d}), ({c}, {b}); \
             CREATE TABLE l_columns_{kind} AS SELECT a, b FROM l_rows_{kind}; \
             CREATE TABLE r_columns_{kind} AS SELECT b, a FROM l_rows_{kind};"
        );
    }
    sql.push_str(
        "CREATE TABLE l_twice (a int); INSERT INTO l_twice VALUES (1), (1); \
         CREATE TABLE r_twice (a int); INSERT INTO r_twice VALUES (2), (2);",
    );
    cluster.sql("shop", &sql);
    let tables = sums(&cluster);
    let mut compared = 0;
    for (name, left) in tables.iter().filter(|(name, _)| name.starts_with("public.l")) {
        let other = name.replacen("public.l", "public.r", 1);
        assert_ne!(*left, tables[&other], "{name}");
        compared += 1;
    }
    assert_eq!(compared, 2 * pairs.len() + 11);
}

#[test]
fn the_same_values_in_a_wider_type_and_in_another_order_are_the_same_sum() {
    let cluster = Cluster::start();
    cluster.create_database("shop");
    let wide = (0..300).map(|at| format!("{at} AS c{at}")).collect::<Vec<_>>().join(", ");
    cluster.sql(
        "shop",
        &format!(
            "CREATE TABLE narrow (a int, b varchar(9), c smallint); \
             INSERT INTO narrow VALUES (1, 'x', -7), (-2147483648, NULL, NULL), (2147483647, '', 3); \
             CREATE TABLE wide (a bigint, b text, c int); \
             INSERT INTO wide SELECT * FROM narrow ORDER BY a DESC; \
             ALTER TABLE wide ADD d text NOT NULL DEFAULT ''; ALTER TABLE narrow ADD d text DEFAULT ''; \
             CREATE TABLE many AS SELECT {wide}; CREATE TABLE again AS TABLE many; \
             CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES"
        ),
    );
    let tables = sums(&cluster);
    assert_eq!(tables["public.narrow"], tables["public.wide"]);
    assert_eq!(tables["public.many"], tables["public.again"]);
    assert!(tables["public.nothing"].starts_with("[1,"));
    cluster.sql("shop", "UPDATE again SET c299 = 0");
    assert_ne!(tables["public.many"], sums(&cluster)["public.again"]);
}

fn sums(cluster: &Cluster) -> std::collections::BTreeMap<String, String> {
    let target = target(&cluster.url("shop"));
    let print = wait(async {
        let look = Look::open(&target, "test", 2).await.unwrap();
        let print = look.fingerprint("runsheet", true).await.unwrap();
        look.close().await;
        print
    });
    print.tables.into_iter().map(|(name, table)| (name, table.sum)).collect()
}
