//! A plan sends no statement that writes, whatever the playbook does.

use crate::faults::Desk;

#[test]
fn a_plan_of_everything_that_writes_sends_none_of_it() {
    let desk = Desk::with(
        &[("log_statement", "all")],
        r#"let before = db::count("items");
check("enough", || before == 20);
step("sql", || { db::exec("DELETE FROM items WHERE id = 1"); db::exec("INSERT INTO items VALUES (99, 'x')") });
step("file", || sql::run_file("sql/up.sql"));
step("alone", #{ transaction: false }, || db::exec("CREATE INDEX CONCURRENTLY items_name ON items (name)"));
step("copy", || db::snapshot_table("items"));
step("dump", || pg::dump());
verify("counts", || db::count("items") == 20);
always("tidy", || db::exec("DROP TABLE IF EXISTS tidy"));
"#,
    );
    desk.project.file("sql/up.sql", "UPDATE items SET name = 'y';\nCREATE TABLE made (id int);\n");
    let (xid, length) =
        (desk.value("SELECT pg_snapshot_xmax(pg_current_snapshot())"), desk.cluster.log().len());
    desk.call(&["plan", "it"]).exits(0).shows("DELETE FROM items").shows("CREATE TABLE made");
    let log = desk.cluster.log()[length..].to_string();
    for word in ["DELETE", "INSERT", "UPDATE", "CREATE", "DROP", "LOCK", "GRANT"] {
        let sent: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("statement:") || line.contains("execute "))
            .filter(|line| line.contains(&format!(" {word} ")))
            .collect();
        assert!(sent.is_empty(), "{sent:#?}");
    }
    assert_eq!(desk.value("SELECT pg_snapshot_xmax(pg_current_snapshot())"), xid);
    assert!(!desk.project.path().join("backups").exists());
    desk.unchanged().nothing_is_left();
}
