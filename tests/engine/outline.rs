//! What a playbook consists of, without running it.

use runsheet::engine::{Outline, OutlineKind, outline_of};
use runsheet::model::ItemKind;

use crate::support::Project;

fn outline(project: &Project, text: &str) -> Outline {
    project.playbook("x", text);
    let playbook = runsheet::playbook::find(project.path(), "x").expect("the playbook");
    outline_of(project.path(), &playbook)
}

#[test]
fn an_outline_has_the_items_in_the_order_of_execution() {
    let project = Project::new();
    project.file("playbooks/lib.rhai", "fn ask() { approve(\"Go?\"); }");
    let outline = outline(
        &project,
        r#"
        import "lib" as lib;
        let p = playbook("id-1", #{ title: "One", params: #{ a: 1, sql: "sql/a.sql" } });
        fn late() { verify("late", || true); }
        section("S");
        check("c", || true);
        step("s", #{ undo: || 1, when: "production" }, || sql::run_file(p.sql));
        for t in [1] { step(`t ${t}`, || sql::run_file("sql/b.sql")); }
        lib::ask();
        if p.a > 1 { manual("maybe", ["x"]); }
        manual("somewhere", #{ when: "production" }, ["x"]);
        manual("always", ["x"]);
        late();
        "#,
    );
    assert_eq!(outline.id.as_deref(), Some("id-1"));
    assert_eq!(outline.title.as_deref(), Some("One"));
    assert_eq!(outline.params, ["a", "sql"]);
    let titles: Vec<_> = outline.items.iter().map(|item| item.title.as_deref()).collect();
    assert_eq!(
        titles,
        [
            Some("S"),
            Some("c"),
            Some("s"),
            None,
            Some("Go?"),
            Some("maybe"),
            Some("somewhere"),
            Some("always"),
            Some("late"),
        ]
    );
    assert_eq!(outline.items[0].kind, OutlineKind::Section);
    assert_eq!(outline.items[2].kind, OutlineKind::Item(ItemKind::Step));
    assert!(outline.items[2].has_undo && outline.items[2].when);
    assert_eq!(outline.items[8].line, 4);
    assert_eq!(outline.asks, ["Go?", "always"]);
    assert_eq!(outline.sql_files, ["sql/a.sql", "sql/b.sql"]);
    assert_eq!(outline.imports, ["lib"]);
    assert!(!outline.catches);
}

#[test]
fn caught_errors_are_seen_in_modules_too() {
    let project = Project::new();
    project.file("playbooks/lib.rhai", "fn safe() { try { db::count(\"t\") } catch { 0 } }");
    let text = "import \"lib\" as lib;\nplaybook(\"x\");\nlib::safe();";
    assert!(outline(&project, text).catches);
}

/// SQL files that nothing but a way back uses, and what else is foretold of it.
#[test]
fn a_way_back_is_told_apart_from_the_way_forward() {
    let project = Project::new();
    let all = "sql/a.down.sql";
    for (body, back) in [
        (r#"step("s", #{ undo: || sql::run_file("sql/a.down.sql") }, || 1);"#, vec![all]),
        (r#"on_failure("f", || sql::run_file("sql/a.down.sql"));"#, vec![all]),
        (
            r#"let d = "sql/a.down.sql"; step("s", #{ undo: || sql::run_file(d) }, || 1);"#,
            vec![all],
        ),
        (
            r#"fn down() { sql::run_file("sql/a.down.sql") } step("s", #{ undo: || down() }, || 1);"#,
            vec![all],
        ),
        // Used forward as well, or perhaps.
        (
            r#"step("s", #{ undo: || sql::run_file("sql/a.down.sql") }, || sql::run_file("sql/a.down.sql"));"#,
            vec![],
        ),
        (
            r#"let d = "sql/a.down.sql"; note(d); step("s", #{ undo: || sql::run_file(d) }, || 1);"#,
            vec![],
        ),
        (
            r#"fn other() { sql::run_file("sql/a.down.sql") } step("s", #{ undo: || sql::run_file("sql/a.down.sql") }, || 1);"#,
            vec![],
        ),
        (r#"step("s", || sql::run_file("sql/a.down.sql"));"#, vec![]),
    ] {
        let outline = outline(&project, &format!("let p = playbook(\"x\");\n{body}\n"));
        assert_eq!(outline.foretold.back_files, back, "{body}");
    }
    let outline = outline(
        &project,
        r#"let p = playbook("x");
step("s", #{ undo: || { db::exec("DROP TABLE a"); app::run(["y"]); pg::dump() } }, || db::exec("CREATE TABLE a ()"));
step("t", || app::run(["x"]));
step("u", #{ risk: "low" }, || app::run(["z"]));"#,
    );
    let foretold = outline.foretold;
    assert_eq!(foretold.back.len(), 1);
    assert!(foretold.back[0].risk > foretold.forward[0].risk);
    let programs: Vec<_> = foretold.commands.iter().map(|one| one.program.as_deref()).collect();
    assert_eq!(programs, [Some("x")]);
    assert!(!foretold.backs_up, "a dump on the way back is none of the way forward");
}
