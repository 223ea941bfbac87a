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
