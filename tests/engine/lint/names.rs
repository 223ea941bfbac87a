//! Names and files: variables, parameters, modules, SQL files, secrets; and the whole.

use runsheet::config::Config;
use runsheet::engine::{Severity, check};
use runsheet::message::{Language, in_language};

use super::{BEGIN, clean, clean_in, findings, only, only_in, project, remedy, shown};

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
