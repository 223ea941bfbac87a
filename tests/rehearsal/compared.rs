//! `runsheet fingerprint` and `runsheet diff`.

use serde_json::Value;

use crate::faults::Desk;

#[test]
fn the_commands_fingerprint_is_the_verbs() {
    let desk = Desk::new(r#"check("f", || note("is " + db::fingerprint()));"#);
    let told = desk.call(&["fingerprint"]).exits(0).stdout.trim().to_string();
    assert_eq!(told.len(), 64);
    desk.call(&["run", "it"]).exits(0).shows(&format!("is {told}"));
    let one = desk.call(&["fingerprint", "--jobs", "1", "--json"]);
    let one: Value = serde_json::from_str(&one.exits(0).stdout).unwrap();
    assert_eq!(one["digest"], told.as_str());
    assert_eq!(one["tables"]["public.items"]["rows"], 20);
    desk.sql("UPDATE items SET name = 'other' WHERE id = 20");
    assert_ne!(desk.call(&["fingerprint"]).stdout.trim(), told);
}

#[test]
fn two_databases_are_compared_by_object_row_and_column() {
    let desk = Desk::new("");
    desk.sql("CREATE TABLE loose (a int, b text); INSERT INTO loose VALUES (1, 'x'), (1, 'x'), (2, NULL)");
    desk.cluster.sql("postgres", "CREATE DATABASE other TEMPLATE shop");
    let other = desk.cluster.url("other");
    let url = desk.url();
    let diff = |more: &[&str]| desk.project.run(&[&["diff", &url, &other], more].concat());
    diff(&[]).exits(0).stdout_shows("the same: 2 tables, 23 rows");
    desk.cluster.sql(
        "other",
        "DELETE FROM items WHERE id = 4; INSERT INTO items VALUES (99, 'new'); \
         UPDATE items SET name = 'changed' WHERE id IN (5, 6); DELETE FROM loose WHERE ctid = '(0,1)'; \
         CREATE VIEW seen AS SELECT 1 AS one",
    );
    let ran = diff(&["--jobs", "2"]);
    ran.exits(1).stdout_shows("public.items: 1 row is gone (id=4)");
    ran.stdout_shows("public.items: 1 row is left over (id=99)");
    ran.stdout_shows("public.items.name: values of 2 rows are lost or other ones (id=5; id=6)");
    ran.stdout_shows("public.loose: 1 row is gone ({1,x})")
        .stdout_shows("table public.seen is left");
    let told: Value = serde_json::from_str(&diff(&["--json", "--samples", "1"]).stdout).unwrap();
    assert_eq!(told["tables"][0]["different"], 2);
    assert_eq!(told["tables"][0]["samples"].as_array().unwrap().len(), 1);
}
