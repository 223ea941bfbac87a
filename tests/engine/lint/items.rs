//! Items: titles, effects where they may not be, what a body may touch.

use runsheet::engine::Severity;

use super::{BEGIN, clean, clean_in, only, only_in, project, remedy};

#[test]
fn two_items_with_one_title_are_found() {
    let found = only("check(\"a\", || true);\nverify(\"a\", || true);", "duplicate-title", "\"a\"");
    assert_eq!(found.fault.places[0].line, 3);
    only("fn f() { check(\"a\", || true); }\nf();\nf();", "duplicate-title", "\"a\"");
    clean("section(\"a\");\ncheck(\"a\", || true);");
    clean("if p.id == \"x\" { check(\"a\", || true); } else { check(\"a\", || true); }");
    let found = only("for t in [1, 2] { check(\"a\", || t > 0); }", "title-in-loop", "\"a\"");
    assert_eq!(found.severity, Severity::Warning);
}

#[test]
fn titles_that_cannot_be_typed_are_found() {
    only("check(\" a\", || true);", "title-spaces", "\" a\"");
    only("check(\"\", || true);", "empty-title", "\"\"");
}

#[test]
fn playbook_stands_first_and_once() {
    only_in(&project(), "note(1);\n", "no-playbook", "note");
    only_in(&project(), "let x = 1;\n", "no-playbook", "let x = 1;");
    only_in(&project(), &format!("section(\"1\");\n{BEGIN}"), "no-playbook", "section");
    only("playbook(\"y\");", "playbook-twice", "playbook");
    clean_in(&project(), &format!("const A = [1];\nfn f() {{ 1 }}\n{BEGIN}"));
}

#[test]
fn a_write_outside_of_a_step_is_found_also_through_functions() {
    only("sql::run_file(\"sql/up.sql\");", "write-outside-step", "sql::run_file");
    let body = "fn up() { sql::run_file(\"sql/up.sql\") }\nfn both() { up() }\nboth();";
    let found = only(body, "write-outside-step", "sql::run_file");
    assert_eq!(found.fault.places.len(), 2);
    assert_eq!(found.fault.places[1].line, 4);
    only("for t in [1] { sql::run_file(\"sql/up.sql\"); }", "write-outside-step", "sql::run_file");
    only("[1].for_each(|t| sql::run_file(\"sql/up.sql\"));", "write-outside-step", "sql::run_file");
    clean(
        "fn up() { sql::run_file(\"sql/up.sql\") }
        step(\"a\", || up());
        always(\"b\", || up());
        on_failure(\"c\", || up());
        fn items() { step(\"d\", || up()); }
        items();
        let body = || up();
        step(\"e\", body);",
    );
}

#[test]
fn a_write_in_a_check_is_found() {
    only("check(\"a\", || sql::run_file(\"sql/up.sql\"));", "write-in-check", "sql::run_file");
    let body = "fn up() { sql::run_file(\"sql/up.sql\") }\nverify(\"a\", #{ takes: \"1m\" }, || { let n = up(); n.rows > 0 });";
    let found = only(body, "write-in-check", "sql::run_file");
    assert_eq!(found.fault.places[1].line, 3);
}

#[test]
fn two_kinds_of_effects_in_one_step_are_found() {
    let up = "sql::run_file(\"sql/up.sql\");";
    let stop = "app::run([\"pm2\", \"stop\", \"x\"]);";
    only(&format!("step(\"a\", || {{ {up} {stop} }});"), "mixed-effects", "app::run");
    let functions = format!("fn up() {{ {up} }}\nfn stop() {{ {stop} }}\n");
    let found = only(
        &format!("{functions}step(\"a\", || {{ stop(); up(); }});"),
        "mixed-effects",
        "app::run",
    );
    assert_eq!(found.fault.places[0].line, 3);
    assert_eq!(found.fault.places[1].line, 2);
    clean(&format!(
        "{functions}step(\"a\", #{{ undo: || stop() }}, || up());\nstep(\"b\", || stop());"
    ));
    only(stop, "write-outside-step", "app::run");
}

#[test]
fn a_command_is_an_array_of_words() {
    let found = only("step(\"a\", || app::run(\"pm2 stop x\"));", "not-an-argv", "\"pm2 stop x\"");
    remedy(&found, "[\"pm2\", \"stop\", \"x\"]");
}

#[test]
fn an_item_inside_an_item_is_found() {
    only("step(\"a\", || { check(\"b\", || true); });", "nested-item", "check");
    let body = "fn inner() { verify(\"b\", || true); }\nstep(\"a\", || inner());";
    only(body, "nested-item", "verify");
}

#[test]
fn an_assignment_to_an_outer_variable_is_found() {
    for change in
        ["x = 5", "x += 1", "x.push(1)", "x[0] = 1", "x.y = 1", "x.y.push(1)", "push(x, 1)"]
    {
        let body = format!("let x = [];\nstep(\"a\", || {{ {change}; }});");
        only(&body, "outer-assignment", "x");
    }
    for change in ["let x = 5; x = 6", "let x = []; x.push(1)", "let y = x; y.len()", "x.len()"] {
        clean(&format!("let x = [];\nstep(\"a\", || {{ {change}; }});"));
    }
    only("let x = 0;\nstep(\"a\", || [1].for_each(|n| { x += n; }));", "outer-assignment", "x");
    only("let x = 0;\nstep(\"a\", #{ undo: || { x = 1; } }, || 1);", "outer-assignment", "x");
    clean(
        "let x = 0;\nx += 1;\nnote(x);\nstep(\"a\", || { let n = 0; [1].for_each(|i| { n += i; }); n });",
    );
}
