//! The static check: each thing that it finds, at its place, and nothing in what is right.

use runsheet::config::Config;
use runsheet::engine::{Finding, Severity, check};
use runsheet::message::{Language, in_language};

use crate::support::Project;

const BEGIN: &str = "let p = playbook(\"x\", #{ title: \"X\" });\n";

fn findings(project: &Project, text: &str) -> Vec<Finding> {
    project.playbook("x", text);
    let playbook = runsheet::playbook::find(project.path(), "x").expect("the playbook");
    let config = Config::load(project.path()).expect("a configuration");
    check(project.path(), &playbook, &config)
}

fn project() -> Project {
    let project = Project::new();
    project.file("sql/up.sql", "SELECT 1;");
    project
}

/// What a finding underlines.
fn underlined(finding: &Finding) -> String {
    let place = finding.fault.places.first().expect("a place");
    let from = place.column.saturating_sub(1) as usize;
    place.source.chars().skip(from).take(place.length as usize).collect()
}

fn shown(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let place = finding.fault.places.first();
        let (line, column) = place.map_or((0, 0), |place| (place.line, place.column));
        format!("{line}:{column} {} {:?}", finding.fault.code, finding.fault)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn clean_in(project: &Project, text: &str) {
    let found = findings(project, text);
    assert!(found.is_empty(), "{text}\n{}", shown(&found));
}

#[track_caller]
fn clean(body: &str) {
    clean_in(&project(), &format!("{BEGIN}{body}"));
}

#[track_caller]
fn only_in(project: &Project, text: &str, code: &str, at: &str) -> Finding {
    let mut found = findings(project, text);
    assert_eq!(found.len(), 1, "{text}\n{}", shown(&found));
    let found = found.remove(0);
    assert_eq!(found.fault.code, code, "{text}\n{:?}", found.fault);
    assert_eq!(underlined(&found), at, "{text}\n{:?}", found.fault);
    found
}

/// The one finding of a playbook's body.
#[track_caller]
fn only(body: &str, code: &str, at: &str) -> Finding {
    only_in(&project(), &format!("{BEGIN}{body}"), code, at)
}

#[track_caller]
fn remedy(finding: &Finding, wanted: &str) {
    let remedy = finding.fault.remedy.clone().unwrap_or_default();
    assert!(remedy.contains(wanted), "{remedy:?} should name {wanted:?}");
}

#[test]
fn a_playbook_that_is_right_has_no_findings() {
    clean(
        r#"
        const TABLES = ["users", "orders"];
        fn counted(table) { db::count(table) }
        fn all() { for t in global::TABLES { expect(counted(t) > 0, `${t} is empty`); } }
        section("1");
        check("filled", #{ takes: "1m..2m", retry: #{ tries: 3, every: "2s" } }, || all());
        lock("x/y", #{ wait: "30s" });
        let before = counted("users");
        let done = step("up", #{ undo: || sql::run_file("sql/up.sql"), timeout: "5m" }, || {
            let list = [];
            for n in 0..3 { list.push(n); }
            list.map(|n| n + 1).filter(|n| n > 1);
            sql::run_file("sql/up.sql")
        });
        if done.rows > 3 { note("many"); }
        for (table, n) in TABLES { verify(`same ${table}`, || counted(table) >= n); }
        try { expect_zero("none", 0); } catch (e) { note(e.message); }
        manual("look", #{ when: "production" }, ["a", "b"]);
        let body = || 5;
        note(body.call());
        always("end", || note(`${p.id} ${p.database} ${p.env} ${p.run_id} ${before}`));
        "#,
    );
}

#[test]
fn several_mistakes_are_found_at_once_in_the_order_of_their_lines() {
    let text = format!("{BEGIN}note(cont);\ndb::cuont(\"users\");\nexit();\n");
    let codes: Vec<_> =
        findings(&project(), &text).into_iter().map(|found| found.fault.code).collect();
    assert_eq!(codes, ["unknown-variable", "unknown-verb", "no-exit"]);
}

#[test]
fn a_syntax_error_has_its_place() {
    let found = only("let x = ;\n", "syntax", ";");
    assert_eq!(found.fault.places[0].line, 2);
}

#[test]
fn a_reserved_word_as_a_key_is_explained() {
    for text in ["let m = #{ default: 1 };", "let m = #{ with: 1 };", "let with = 1;"] {
        let found = findings(&project(), &format!("{BEGIN}{text}"));
        assert_eq!(found.len(), 1, "{}", shown(&found));
        assert_eq!(found[0].fault.code, "syntax");
        let word = if text.contains("with") { "with" } else { "default" };
        remedy(&found[0], &format!("\"{word}\""));
    }
    clean(r#"let m = #{ "default": 1, "with": 2 }; note(m["default"]);"#);
}

#[test]
fn a_mistyped_verb_is_named_with_its_neighbour() {
    remedy(&only("db::cuont(\"users\");", "unknown-verb", "db::cuont"), "`db::count`");
    remedy(&only("sectoin(\"1\");", "unknown-verb", "sectoin"), "`section`");
    remedy(&only("count(\"users\");", "unknown-verb", "count"), "`db::count`");
    remedy(&only("sql::count(\"users\");", "unknown-verb", "sql::count"), "`db::count`");
    remedy(&only("fn helper() { 1 }\nnote(helpr());", "unknown-verb", "helpr"), "`helper`");
    remedy(&only("let f = || 1;\nnote(f());", "unknown-verb", "f"), "f.call(");
}

#[test]
fn an_unknown_namespace_is_found() {
    remedy(&only("dbb::count(\"users\");", "unknown-namespace", "dbb::count"), "`db::`");
    only("zzz::count(\"users\");", "unknown-namespace", "zzz::count");
}

#[test]
fn an_unknown_method_is_found_and_one_of_the_language_is_not() {
    remedy(&only("let l = [1]; l.psuh(2);", "unknown-verb", "psuh"), "`push`");
    only("let l = [1]; l.push();", "wrong-arity", "push");
    clean("let m = #{ twice: |x| x * 2 }; note(m.twice(4)); note(\"a\".to_upper());");
}

#[test]
fn a_wrong_number_of_arguments_shows_the_usage() {
    remedy(&only("db::count();", "wrong-arity", "db::count"), "db::count(sql_or_table, [params])");
    remedy(&only("fn f(a, b) { a + b }\nnote(f(1));", "wrong-arity", "f"), "f(a, b)");
    only("step(\"no body\");", "wrong-arity", "step");
    only("note(len());", "wrong-arity", "len");
}

#[test]
fn a_literal_of_the_wrong_type_is_found() {
    remedy(&only("db::count(5);", "wrong-argument", "5"), "db::count(");
    only("check(\"a\", 1);", "wrong-argument", "1");
    only("step(\"a\", #{}, \"body\");", "wrong-argument", "\"body\"");
    only("manual(\"a\", #{ when: \"x\" });", "wrong-argument", "#");
    clean(
        "lock(12345);\nlet b = || true;\ncheck(\"a\", b);\nlet o = #{};\ncheck(\"b\", o, || true);",
    );
}

#[test]
fn an_unknown_option_is_named_with_its_neighbour() {
    remedy(&only("step(\"a\", #{ tkes: \"5m\" }, || 1);", "unknown-option", "tkes"), "`takes`");
    remedy(&only("step(\"a\", #{ undoo: || 1 }, || 1);", "unknown-option", "undoo"), "`undo`");
    remedy(&only("lock(\"a\", #{ wit: \"5s\" });", "unknown-option", "wit"), "`wait`");
    let text = "playbook(\"x\", #{ titel: \"X\" });";
    remedy(&only_in(&project(), text, "unknown-option", "titel"), "`title`");
    only("check(\"a\", #{ undo: || 1 }, || true);", "wrong-option", "undo");
    only("step(\"a\", #{ undo: 5 }, || 1);", "wrong-option", "undo");
}

#[test]
fn wrong_option_values_are_found() {
    for (option, value) in [
        ("takes", "\"5 apples\""),
        ("takes", "\"9m..2m\""),
        ("timeout", "\"soon\""),
        ("lock_timeout", "5"),
        ("isolation", "\"dirty\""),
        ("optional", "\"yes\""),
    ] {
        let body = format!("step(\"a\", #{{ {option}: {value} }}, || 1);");
        only(&body, "wrong-option", value);
    }
    only("lock(\"a\", #{ wait: \"later\" });", "wrong-option", "\"later\"");
    clean("let t = \"5m\"; step(\"a\", #{ takes: t, timeout: \"1h 5m\" }, || 1);");
    let text = "playbook(\"x\", #{ risk: \"hihg\" });";
    remedy(&only_in(&project(), text, "wrong-option", "\"hihg\""), "`high`");
    only_in(&project(), "playbook(\"x\", #{ takes: \"x\" });", "wrong-option", "\"x\"");
}

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

#[test]
fn an_unknown_variable_is_found_and_named() {
    remedy(&only("let total = 1;\nnote(totl);", "unknown-variable", "totl"), "`total`");
    only("fn f() { p }\nnote(f());", "unknown-variable", "p");
    only("check(\"a\", || missing > 1);", "unknown-variable", "missing");
}

#[test]
fn an_unknown_parameter_is_found() {
    let text = "let p = playbook(\"x\", #{ params: #{ table: \"users\" } });\n";
    let project = project();
    let found = only_in(&project, &format!("{text}note(p.tabel);"), "unknown-parameter", "tabel");
    remedy(&found, "`table`");
    clean_in(&project, &format!("{text}note(p.table.len()); note(p.env);"));
}

#[test]
fn parameters_are_looked_at() {
    let with = |params: &str| format!("let p = playbook(\"x\", #{{ params: #{{ {params} }} }});");
    for name in ["id", "database", "env", "run_id"] {
        only_in(&project(), &with(&format!("{name}: 1")), "reserved-parameter", name);
    }
    only_in(&project(), &with("a: #{ valu: 1, help: \"h\" }"), "parameter-key", "valu");
    clean_in(&project(), &with("a: #{ value: 1, help: \"h\" }, b: #{ left: 1 }"));
}

#[test]
fn modules_are_imported_by_plain_paths_and_exist() {
    let project = project();
    project.file("playbooks/lib.rhai", "fn twice(x) { x * 2 }\nprivate fn hidden() { 1 }");
    let main = |body: &str| format!("import \"lib\" as lib;\n{BEGIN}{body}");
    clean_in(&project, &main("note(lib::twice(2));"));
    remedy(&only_in(&project, &main("lib::twcie(2);"), "unknown-verb", "lib::twcie"), "lib::twice");
    only_in(&project, &main("lib::hidden();"), "unknown-verb", "lib::hidden");
    remedy(&only_in(&project, &main("lib::twice();"), "wrong-arity", "lib::twice"), "twice(x)");
    let text = format!("import \"lob\" as lib;\n{BEGIN}");
    only_in(&project, &text, "import-unknown", "\"lob\"");
    let text = format!("import \"../lib\" as lib;\n{BEGIN}");
    only_in(&project, &text, "path-refused", "\"../lib\"");
    let text = format!("import \"l\" + \"ib\" as lib;\n{BEGIN}");
    assert_eq!(findings(&project, &text)[0].fault.code, "import-not-literal");
    only_in(&project, &format!("import \"lib\" as db;\n{BEGIN}"), "hidden-namespace", "\"lib\"");
}

#[test]
fn a_mistake_in_a_module_is_found_in_its_own_file() {
    let project = project();
    let main = format!("import \"lib\" as lib;\n{BEGIN}lib::f();");
    project.file("playbooks/lib.rhai", "fn f() {\n    db::cuont(\"t\")\n}");
    let found = only_in(&project, &main, "unknown-verb", "db::cuont");
    assert_eq!(found.fault.places[0].file, "playbooks/lib.rhai");
    assert_eq!(found.fault.places[0].line, 2);
    project.file("playbooks/lib.rhai", "fn f() {\n    let = 1;\n}");
    let found = findings(&project, &main);
    assert_eq!(found[0].fault.code, "syntax");
    assert_eq!(found[0].fault.places[0].file, "playbooks/lib.rhai");
    project.file("playbooks/lib.rhai", "import \"other\" as o;\nfn f() { o::g() }");
    project.file("playbooks/other.rhai", "import \"lib\" as l;\nfn g() { 1 }");
    let found = only_in(&project, &main, "import-circle", "\"lib\"");
    assert_eq!(found.fault.places[0].file, "playbooks/other.rhai");
}

#[test]
fn a_write_in_a_module_is_followed() {
    let project = project();
    project.file("playbooks/lib.rhai", "fn up() { sql::run_file(\"sql/up.sql\") }");
    let main = |body: &str| format!("import \"lib\" as lib;\n{BEGIN}{body}");
    let found = only_in(&project, &main("lib::up();"), "write-outside-step", "sql::run_file");
    assert_eq!(found.fault.places[0].file, "playbooks/lib.rhai");
    assert_eq!(found.fault.places[1].file, "playbooks/x.rhai");
    clean_in(&project, &main("step(\"a\", || lib::up());"));
}

#[test]
fn a_body_is_not_handed_to_a_module() {
    let project = project();
    project.file("playbooks/lib.rhai", "fn run(x) { x }\nfn two(x, y) { x }");
    let main = |body: &str| format!("import \"lib\" as lib;\n{BEGIN}let n = 1;\n{body}");
    only_in(&project, &main("lib::run(|| 1);"), "closure-to-module", "|");
    only_in(&project, &main("lib::two(1, || n);"), "closure-to-module", "|");
    let found = findings(&project, &main("lib::run(#{ body: || 1 });"));
    assert_eq!(found[0].fault.code, "closure-to-module");
    clean_in(&project, &main("lib::run(#{ body: n });\nfn own(f) { f.call() }\nnote(own(|| n));"));
}

#[test]
fn a_function_that_hides_a_verb_is_found() {
    let found = only("fn step(a, b) { 1 }", "redefined-verb", "step");
    assert_eq!(found.fault.places[0].line, 2);
    clean("fn steps(a, b) { 1 }");
}

#[test]
fn eval_and_exit_are_found() {
    only("eval(\"1\");", "no-eval", "eval");
    only("exit(1);", "no-exit", "exit");
}

#[test]
fn switch_and_in_on_what_a_step_gives_are_found() {
    let step = "let r = step(\"a\", || 1);\n";
    for (body, at) in [
        ("switch r { 1 => note(1), _ => note(2) }", "switch"),
        ("switch r.kind { 1 => note(1), _ => note(2) }", "switch"),
        ("let s = r.files;\nif 1 in s { note(1); }", "in"),
        ("if r in [1, 2] { note(1); }", "in"),
    ] {
        let found = only(&format!("{step}{body}"), "planned-switch", at);
        assert_eq!(found.severity, Severity::Warning);
    }
    clean(&format!(
        "{step}if r == 1 {{ note(1); }}\nlet k = 2;\nswitch k {{ 1 => note(1), _ => note(2) }}"
    ));
}

#[test]
fn a_missing_sql_file_is_found_also_behind_a_parameter() {
    let project = project();
    let missing = "step(\"a\", || sql::run_file(\"sql/upp.sql\"));";
    let found = only_in(&project, &format!("{BEGIN}{missing}"), "file-unknown", "\"sql/upp.sql\"");
    remedy(&found, "sql/up.sql");
    let text = |default: &str| {
        format!(
            "let p = playbook(\"x\", #{{ params: #{{ sql: {default} }} }});\n\
             step(\"a\", || sql::run_file(p.sql));"
        )
    };
    only_in(&project, &text("\"sql/no.sql\""), "file-unknown", "p.sql");
    only_in(&project, &text("#{ value: \"sql/no.sql\" }"), "file-unknown", "p.sql");
    clean_in(&project, &text("\"sql/up.sql\""));
    clean_in(&project, &text("\"\""));
    project.file("runsheet.toml", "[playbook.x.params]\nsql = \"sql/up.sql\"\n");
    clean_in(&project, &text("\"sql/no.sql\""));
}

#[test]
fn a_secret_in_the_script_is_found_and_not_shown() {
    let address = "let url = \"postgres://me:hunter22@db/shop\";\nnote(url);";
    let found = findings(&project(), &format!("{BEGIN}{address}"));
    assert_eq!(found.len(), 1, "{}", shown(&found));
    assert_eq!(found[0].fault.code, "secret-in-script");
    assert!(!format!("{found:?}").contains("hunter22"), "{found:?}");
    let with = |params: &str| format!("let p = playbook(\"x\", #{{ params: #{{ {params} }} }});");
    for params in ["password: \"hunter22\"", "api_token: #{ value: \"hunter22\", help: \"h\" }"] {
        let found = findings(&project(), &with(params));
        assert_eq!(found.len(), 1, "{}", shown(&found));
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(!format!("{found:?}").contains("hunter22"), "{found:?}");
    }
    let body = "step(\"a\", || app::run([\"pm2\"], #{ env: #{ PGPASSWORD: \"hunter22\" } }));";
    assert!(!format!("{:?}", only(body, "secret-in-script", "\"********\"")).contains("hunter22"));
    clean_in(&project(), &with("password: #{ env: \"PW\", required: true, secret: true }"));
    clean_in(&project(), &with("url: \"postgres://me@db/shop\""));
}

#[test]
fn a_risky_step_without_a_way_back_is_found() {
    let text = |risk: &str, undo: &str| {
        format!(
            "playbook(\"x\", #{{ risk: \"{risk}\" }});\n\
             step(\"a\", #{{ takes: \"1m\"{undo} }}, || sql::run_file(\"sql/up.sql\"));\n\
             step(\"b\", || note(1));"
        )
    };
    let found = only_in(&project(), &text("very_high", ""), "no-undo", "step");
    assert_eq!(found.severity, Severity::Warning);
    clean_in(&project(), &text("medium", ""));
    clean_in(&project(), &text("high", ", undo: || sql::run_file(\"sql/up.sql\")"));
}

#[test]
fn findings_speak_korean() {
    let found = in_language(Language::Korean, || {
        findings(&project(), &format!("{BEGIN}eval(\"1\");\nlock(\"a\", #{{ wit: 1 }});"))
    });
    let said: Vec<String> = found.iter().map(|one| one.fault.to_string()).collect();
    assert!(said.iter().all(|text| text.chars().any(|c| ('가'..='힣').contains(&c))), "{said:?}");
}

#[test]
fn a_long_playbook_is_checked_in_a_blink() {
    let mut text = String::from(BEGIN);
    for n in 0..300 {
        text.push_str(&format!(
            "fn f{n}(x) {{ if x > 1 {{ db::count(\"t{n}\") }} else {{ f{n}(x - 1) }} }}\n\
             step(\"s{n}\", #{{ takes: \"1m\" }}, || {{ f{n}({n}); sql::run_file(\"sql/up.sql\") }});\n"
        ));
    }
    let project = project();
    project.playbook("x", &text);
    let playbook = runsheet::playbook::find(project.path(), "x").expect("the playbook");
    let config = Config::load(project.path()).expect("a configuration");
    assert!(check(project.path(), &playbook, &config).is_empty());
    let best = (0..5)
        .map(|_| {
            let started = std::time::Instant::now();
            check(project.path(), &playbook, &config);
            started.elapsed()
        })
        .min()
        .expect("five times");
    println!("300 steps checked in {best:?}");
    // Twenty times what an unoptimised build takes on a quiet machine.
    assert!(best.as_secs() < 5, "{best:?}");
}
