//! Help, hints, completions, and the reference that is printed from the verbs.

use crate::support::Project;

#[test]
fn help_is_in_the_language_of_the_reader() {
    let project = Project::new();
    project.run(&["--help"]).exits(0).stdout_shows("Usage:").stdout_shows("Run a playbook");
    let ran = project.run(&["--help", "--lang", "ko"]);
    ran.exits(0).stdout_shows("사용법:").stdout_shows("플레이북을 실행합니다");
    let ran = project.run(&["run", "--help", "--lang=ko"]);
    ran.exits(0).stdout_shows("옵션:").stdout_shows("이 항목까지만");
    project.run(&["--version"]).exits(0).stdout_shows("runsheet ");
    project.run(&["nope", "--lang", "ko"]).exits(2).stderr_shows("알 수 없는 명령");
}

#[test]
fn the_words_of_other_tools_are_answered_with_ours() {
    let project = Project::new();
    for (word, ours) in [
        ("migrate", "runsheet run"),
        ("up", "runsheet run"),
        ("apply", "runsheet run"),
        ("info", "runsheet status"),
        ("validate", "runsheet check"),
        ("repair", "runsheet status"),
        ("undo", "runsheet rollback"),
        ("down", "runsheet rollback"),
        ("stauts", "status"),
    ] {
        project.run(&[word]).exits(2).stderr_shows(ours);
    }
    project.run(&["run", "x", "-v", "rows=5"]).exits(2).stderr_shows("--set rows=");
}

#[test]
fn a_verb_has_its_page_and_a_slip_is_answered() {
    let project = Project::new();
    project.run(&["verbs"]).exits(0).stdout_shows("db::count").stdout_shows("section");
    project.run(&["verbs", "db::count"]).exits(0).stdout_shows("Gives an integer");
    project.run(&["verbs", "db::cuont"]).exits(2).stderr_shows("db::count");
}

#[test]
fn completions_are_printed_for_every_shell() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish"] {
        project.run(&["completions", shell]).exits(0).stdout_shows("rollback");
    }
    project.run(&["completions", "dos"]).exits(2).stderr_shows("bash");
}

#[test]
fn the_printed_reference_is_the_one_in_the_docs() {
    let printed = Project::new().run(&["verbs", "--markdown"]);
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verbs.md");
    let kept = std::fs::read_to_string(kept).unwrap_or_default();
    assert!(
        kept == printed.stdout,
        "docs/verbs.md is old: runsheet verbs --markdown > docs/verbs.md"
    );
}
