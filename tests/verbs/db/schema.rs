//! `db::schema` and `db::schema_changes`.

use serde_json::{Value, json};

use super::shop;

#[test]
fn what_came_went_and_changed_is_named_with_its_definition() {
    let (_cluster, stage) = shop(
        "CREATE TYPE size AS ENUM ('S', 'M'); CREATE TABLE t (a int, b text); CREATE TABLE old (a int); \
         CREATE VIEW v AS SELECT a FROM t",
    );
    let text = r#"
        let before = check("before", || db::schema());
        step("change", || db::exec("DROP TABLE old; ALTER TABLE t ALTER b SET NOT NULL; ALTER TABLE t ADD c size DEFAULT 'S'; \
            CREATE TABLE fresh (id int PRIMARY KEY, t_a int); CREATE INDEX fresh_t_a ON fresh (t_a); COMMENT ON TABLE t IS 'x'"));
        let inside = step("inside", || { db::exec("DROP VIEW v"); let n = db::schema_changes(before).len(); db::exec("CREATE VIEW v AS SELECT a FROM t"); n });
        verify("changes", || db::schema_changes(before));"#;
    let played = stage.run(&text.replace("\\\n            ", ""));
    let rows = played.ok().value("changes");
    let short = |row: &Value| -> String {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_string();
        [text("change"), text("kind"), text("name"), text("after")].join(" ").trim().to_string()
    };
    let rows: Vec<String> = rows.as_array().unwrap().iter().map(short).collect();
    let expected = [
        "added table fresh id integer not null, t_a integer",
        "removed table old",
        "changed table t",
        "changed column t.b text not null",
        "added column t.c size default 'S'::public.size",
        "added constraint fresh.fresh_pkey PRIMARY KEY (id)",
        "added index fresh_t_a CREATE INDEX fresh_t_a ON public.fresh USING btree (t_a)",
    ];
    assert_eq!(rows.len(), expected.len(), "{rows:#?}");
    for (row, wanted) in rows.iter().zip(expected) {
        assert!(row.starts_with(wanted), "{row} is not {wanted}");
    }
    // The view that was gone at that moment is one more.
    assert_eq!(played.value("inside"), json!(8));
}

#[test]
fn only_what_schema_gave_can_be_compared() {
    let (_cluster, stage) = shop("");
    stage.run(r#"check("c", || db::schema_changes(#{ a: 1 }));"#).fails_with("wrong-argument");
    stage
        .run(r#"check("c", || expect_equal("changes", db::schema_changes(db::schema()), []));"#)
        .ok();
}
