//! Playbooks with mistakes.

use std::time::Instant;

use super::Desk;
use crate::support::AT_ONCE;

const GOOD: &str = r#"step("make", || db::exec("CREATE TABLE made (id int)"));"#;

/// The playbook is refused as a mistake of its author, and nothing of it happened.
#[track_caller]
fn refused(body: &str, words: &[&str]) {
    let desk = Desk::new(body);
    let ran = desk.run();
    ran.exits(2).shows("playbooks/it.rhai:");
    for word in words {
        ran.shows(word);
    }
    desk.unchanged();
}

#[test]
fn an_unknown_verb_is_named_with_its_line() {
    refused(
        r#"step("a", || db::exce("DROP TABLE items"));"#,
        &["db::exce", "it.rhai:2:", "db::exec"],
    );
}

#[test]
fn an_unknown_verb_behind_good_steps_stops_before_the_first_of_them() {
    refused(&format!("{GOOD}\nstep(\"b\", || db::exce(\"x\"));"), &["db::exce", "it.rhai:3:"]);
}

#[test]
fn a_wrong_argument_says_what_it_must_be() {
    refused(r#"step("a", || db::exec(42));"#, &["db::exec", "it.rhai:2:", "text"]);
}

#[test]
fn a_wrong_argument_that_only_the_run_can_know_rolls_the_step_back() {
    let desk = Desk::new(
        r#"step("a", || {
    db::exec("DELETE FROM items");
    let n = db::count("items");
    db::exec(n)
});"#,
    );
    desk.run().exits(2).shows("db::exec").shows("text").shows("playbooks/it.rhai:5:");
    desk.unchanged();
}

#[test]
fn an_unknown_option_comes_with_its_neighbour() {
    refused(
        r#"step("a", #{ tkes: "5m" }, || db::exec("DELETE FROM items"));"#,
        &["tkes", "takes", "it.rhai:2:"],
    );
}

#[test]
fn two_equal_titles_are_refused_before_anything_happens() {
    refused(
        &format!("{GOOD}\ncheck(\"make\", || db::count(\"items\") > 0);"),
        &["make", "title", "it.rhai:3:"],
    );
}

#[test]
fn a_title_that_a_loop_repeats_is_refused_and_the_message_says_what_stands() {
    let desk = Desk::new(
        r#"for n in [1, 2] { let t = "again"; step(t, || db::exec("DELETE FROM items WHERE id = 1")); }"#,
    );
    desk.run().exits(2).shows("\"again\"").shows("stand");
    assert_eq!(desk.value("SELECT count(*) FROM items"), "19");
}

#[test]
fn a_write_outside_of_a_step_is_refused() {
    refused(r#"db::exec("DELETE FROM items");"#, &["db::exec", "step", "it.rhai:2:"]);
}

#[test]
fn a_write_in_a_check_is_refused() {
    refused(
        r#"check("c", || db::exec("DELETE FROM items"));"#,
        &["db::exec", "check", "it.rhai:2:"],
    );
}

#[test]
fn an_assignment_to_an_outer_variable_rolls_the_step_back() {
    refused(
        "let n = 1;\nstep(\"a\", || { db::exec(\"DELETE FROM items\"); n += 1; });",
        &["n", "let x = step"],
    );
}

#[test]
fn a_required_parameter_that_is_missing_is_named() {
    let playbook = r#"let p = playbook("it", #{ params: #{ region: #{ required: true, help: "the region" } } });
step("a", || db::exec("DELETE FROM items"));"#;
    let desk = Desk::new(playbook);
    desk.run().exits(2).shows("region").shows("--set region=").shows("the region");
    desk.unchanged();
    desk.call(&["run", "it", "--yes", "--set", "region=seoul"]).exits(0);
    assert_eq!(desk.value("SELECT count(*) FROM items"), "0");
}

#[test]
fn a_script_that_does_not_compile_is_shown_with_its_line() {
    refused("step(\"a\", || {\n  db::exec(\"DELETE FROM items\")\n", &["it.rhai:"]);
}

#[test]
fn an_import_from_outside_of_the_project_is_refused() {
    let desk = Desk::new(&format!("import \"../../outside\" as o;\n{GOOD}"));
    let outside = desk.project.path().parent().unwrap().join("outside.rhai");
    assert!(!outside.exists());
    desk.run().exits(2).shows("outside").shows("playbooks/it.rhai:2:");
    desk.unchanged();
}

#[test]
fn a_closure_given_to_a_script_module_is_refused() {
    let desk = Desk::new(
        "import \"tool\" as tool;\nlet n = 1;\nstep(\"a\", || { db::exec(\"DELETE FROM items\"); tool::apply(|| n) });",
    );
    desk.project.file("playbooks/tool.rhai", "fn apply(f) { f.call() }\n");
    desk.run().exits(2).shows("apply").shows("playbooks/it.rhai:4:");
    desk.unchanged();
}

#[test]
fn an_import_through_a_link_that_leaves_the_project_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("evil.rhai"), "fn f() { 1 }").unwrap();
    let desk = Desk::new(&format!("import \"evil\" as e;\n{GOOD}"));
    let link = desk.project.path().join("playbooks/evil.rhai");
    std::os::unix::fs::symlink(folder.path().join("evil.rhai"), link).unwrap();
    desk.run().exits(2).shows("evil");
    desk.unchanged();
}

#[test]
fn ten_million_elements_are_a_fault_and_no_crash() {
    let desk = Desk::new(
        r#"step("a", || {
    db::exec("DELETE FROM items");
    let all = [];
    all.pad(10000000, 1);
    all.len()
});"#,
    );
    desk.run().exits(1).shows("playbooks/it.rhai:").shows("limit");
    desk.unchanged().nothing_is_left();
}

#[test]
fn an_endless_loop_is_stopped_by_ctrl_c_and_its_step_rolled_back() {
    let desk =
        Desk::new("step(\"a\", || {\n    db::exec(\"DELETE FROM items\");\n    loop { }\n});");
    let run = desk.start(&["run", "it", "--yes"]);
    desk.wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'idle in transaction'
         AND application_name LIKE 'runsheet%' AND query LIKE '%DELETE%')",
    );
    let since = Instant::now();
    run.signal("INT");
    run.wait().exits(130).shows("interrupted");
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    desk.unchanged().nothing_is_left();
}
