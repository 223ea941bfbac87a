//! `expect_same_count`, `compare`, `expect_same_rows`.

use runsheet::model::ItemState;
use serde_json::json;

use super::{reader, shop};

const ORDERS: &str = r#"
    CREATE TABLE old (id int PRIMARY KEY, total int, info json, place point);
    CREATE TABLE new (id bigint PRIMARY KEY, total numeric(10,2), info json, place point);
    INSERT INTO old SELECT n, n * 100, '{"a": 1, "b": 2}', point(n, n) FROM generate_series(1, 10) n;
    INSERT INTO new SELECT n, n * 100, '{"b":2,"a":1}', point(n, n) FROM generate_series(1, 10) n"#;

#[test]
fn counts_are_values_of_aggregates_or_numbers_of_rows() {
    let (cluster, stage) = shop(ORDERS);
    let text = r#"
        check("aggregates", || db::expect_same_count("orders", "SELECT count(*) FROM old;", "SELECT count(*)::numeric FROM new -- all"));
        check("rows", || db::expect_same_count("orders", "SELECT id FROM old WHERE id = 1", "SELECT count(*) FROM new WHERE id < 2"));
        check("tables", || db::expect_same_count("orders", "old", "new"));
        check("sums", || db::expect_same_count("totals", "SELECT sum(total) FROM old", "SELECT sum(total) FROM new"));
        check("keys", || db::expect_same_count("orders", "SELECT id FROM old", "SELECT id FROM new", #{ key: "id" }));"#;
    for played in [stage.run(text), reader(&cluster).plan(text)] {
        assert_eq!(played.ok().compared().len(), 5);
    }
    cluster.sql("shop", "DELETE FROM new WHERE id IN (3, 4); INSERT INTO new VALUES (11)");
    let played =
        stage.run(r#"check("c", || db::expect_same_count("orders", "old", "SELECT * FROM new"));"#);
    let fault = played.fails("not-equal");
    assert_eq!(fault.message, "orders: 10 is not 9");
    assert_eq!(played.compared(), [("orders".into(), json!(10), json!(9), false)]);
    let fault = stage
        .run(r#"check("c", || db::expect_same_count("orders", "SELECT id FROM old", "SELECT id FROM new", #{ key: ["id"] }));"#)
        .fails("not-equal");
    assert_eq!(fault.detail.unwrap(), "only in the first: 3; 4\nonly in the second: 11");
    cluster.sql("shop", "INSERT INTO new VALUES (12)");
    let fault = stage
        .run(r#"check("c", || db::expect_same_count("orders", "SELECT id FROM old", "SELECT id FROM new", #{ key: "id" }));"#)
        .fails("not-equal");
    assert!(fault.message.contains("not with the same keys"), "{fault}");
}

#[test]
fn rows_are_compared_as_sql_compares_them() {
    let (cluster, stage) = shop(ORDERS);
    let text = r#"check("same", || db::compare("SELECT * FROM old;", "SELECT * FROM new -- all", #{ key: "id" }));
        check("expected", || db::expect_same_rows("orders", "SELECT * FROM old", "SELECT * FROM new", #{ key: ["id"] }));"#;
    for played in [stage.run(text), reader(&cluster).plan(text)] {
        let result = played.ok().value("same");
        assert_eq!(result["same"], json!(10));
        assert_eq!(result["accuracy"], json!(100.0));
        assert_eq!(result["sample"], json!([]));
    }
    cluster.sql(
        "shop",
        "DELETE FROM new WHERE id = 1; INSERT INTO new VALUES (11, NULL); \
         UPDATE new SET total = NULL WHERE id = 5; UPDATE new SET place = '(0,0)' WHERE id = 6",
    );
    let played = stage.run(text);
    let result = played.value("same");
    let numbers =
        ["left", "right", "same", "missing", "extra", "different"].map(|name| result[name].clone());
    assert_eq!(numbers, [10, 10, 7, 1, 1, 2].map(|n| json!(n)));
    assert!((result["accuracy"].as_f64().unwrap() - 700.0 / 11.0).abs() < 1e-9);
    let sample = result["sample"].as_array().unwrap();
    assert_eq!(sample.len(), 4);
    let changed = json!({"what": "different", "key": {"id": "5"}, "left": {"total": "500"}, "right": {"total": null}});
    assert!(sample.contains(&changed), "{sample:#?}");
    let fault = played.fails("rows-differ");
    assert_eq!(fault.message, "orders: the rows are not the same (63.63 %)");
    let detail = fault.detail.unwrap();
    assert!(detail.contains("different: id=5: total=500 | total=NULL"), "{detail}");
    assert!(detail.contains("only in the second: id=11"), "{detail}");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let (_cluster, stage) = shop(ORDERS);
    let text = r#"check("c", || db::compare("SELECT id, total FROM old", "SELECT id FROM new", #{ key: "id" }));"#;
    assert!(stage.run(text).fails("columns-differ").detail.unwrap().contains("id, total"));
    stage
        .run(r#"check("c", || db::compare("SELECT 1 AS id UNION ALL SELECT 1", "SELECT 1 AS id", #{ key: "id" }));"#)
        .fails("duplicate-keys");
    stage
        .run(r#"check("c", || db::compare("old", "new", #{ keys: "id" }));"#)
        .fails("unknown-option");
    let played = stage.run(
        r#"check("empty", || db::compare("SELECT id FROM old WHERE false", "SELECT id FROM new WHERE false", #{ key: "id" }));"#,
    );
    assert_eq!(played.ok().value("empty")["accuracy"], json!(100.0));
    let played = stage.plan(
        r#"step("change", || db::exec("UPDATE new SET total = 0"));
           verify("later", || db::expect_same_rows("x", "SELECT id FROM old", "SELECT id FROM new", #{ key: "id" }));"#,
    );
    assert_eq!(played.ok().outcome("later"), ItemState::WillCheck);
}
