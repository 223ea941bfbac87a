//! The static check: each thing that it finds, at its place, and nothing in what is right.

mod items;
mod names;

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
