//! Playbook, imports, SQL files and parameters of an unfinished run: any change stops a resume.

use crate::faults::Desk;

const BODY: &str = r#"import "tool" as tool;
let p = playbook("it", #{ params: #{ name: "one" } });
step("first", || { db::exec("INSERT INTO items VALUES (101, $1)", [p.name]); sql::run_file("sql/up.sql") });
step("second", || { db::exec(`INSERT INTO items VALUES (${tool::number()}, 'two')`); expect(p.name != "one" || db::has_table("go"), "not yet") });
"#;

#[test]
fn every_changed_input_is_refused_by_name_and_the_old_ones_go_on() {
    let desk = Desk::new(BODY);
    let (tool, up) = ("fn number() { 103 }\n", "INSERT INTO items VALUES (102, 'file');\n");
    desk.project.file("playbooks/tool.rhai", tool).file("sql/up.sql", up);
    desk.run().exits(5).shows("not yet");
    desk.sql("CREATE TABLE go ()");
    let resume = ["resume", "--yes"];
    let stands =
        || desk.value("SELECT string_agg(id::text, ' ' ORDER BY id) FROM items WHERE id > 100");

    desk.body(&BODY.replace("'two'", "'deux'"));
    desk.call(&resume).exits(2).shows("playbooks/it.rhai").shows("--accept-changes");
    desk.body(BODY);
    desk.project.file("playbooks/tool.rhai", "fn number() { 104 }\n");
    desk.call(&resume).exits(2).shows("playbooks/tool.rhai").shows("--accept-changes");
    desk.project.file("playbooks/tool.rhai", tool);
    desk.project.file("sql/up.sql", "INSERT INTO items VALUES (105, 'file');\n");
    desk.call(&resume).exits(2).shows("sql/up.sql").shows("\"first\"");
    desk.project.file("sql/up.sql", up);
    desk.call(&["resume", "--yes", "--set", "name=zwei"]).exits(2).shows("name");
    assert_eq!(stands(), "101 102");

    // Line ends and a byte order mark are no change.
    desk.body(&BODY.replace('\n', "\r\n"));
    desk.project.file("sql/up.sql", &format!("\u{feff}{up}"));
    desk.call(&resume).exits(0);
    assert_eq!(stands(), "101 102 103");
}
