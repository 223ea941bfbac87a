//! The examples of the verbs' pages and of the library are playbooks that the check accepts.

use runsheet::config::Config;
use runsheet::engine::{Severity, check};

use crate::support::Project;

fn examples(page: &str) -> Vec<String> {
    let blocks = page.split("```rhai\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap_or("").to_string()).collect()
}

#[test]
fn the_examples_of_all_pages_pass_the_check() {
    let mut wrong = Vec::new();
    for verb in runsheet::verbs::ALL {
        let found = examples(verb.page);
        assert!(!found.is_empty(), "{} has no example", verb.name);
        for example in found {
            let project = Project::new();
            for path in example.split('"').filter(|path| path.ends_with(".sql")) {
                project.file(path, "SELECT 1;");
            }
            let begins = example.contains("playbook(");
            let header = if begins { "" } else { "let p = playbook(\"x\", #{ title: \"X\" });\n" };
            // A change may stand alone in an example, and stands in a step in a playbook.
            let alone = format!("{header}{example}");
            let inside = format!("{header}step(\"the example\", || {{\n{example}\n}});");
            let config = Config::default_for(project.path());
            let errors = |text: &str| {
                project.playbook("x", text);
                let playbook = runsheet::playbook::find(project.path(), "x").expect("the playbook");
                let found = check(project.path(), &playbook, &config).into_iter();
                found
                    .filter(|finding| finding.severity == Severity::Error)
                    .map(|finding| format!("{}: {}", finding.fault.code, finding.fault))
                    .collect::<Vec<_>>()
            };
            let found = errors(&alone);
            let only_outside = !found.is_empty()
                && found.iter().all(|text| text.starts_with("write-outside-step"));
            let found = if only_outside && !begins { errors(&inside) } else { found };
            if !found.is_empty() {
                wrong.push(format!("{}\n{example}{}\n", verb.name, found.join("\n")));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What the examples of the library speak of.
const AROUND: &str = r#"
import "std/alembic" as alembic;
import "std/postdeploy" as postdeploy;
import "std/preflight" as preflight;
import "std/prisma" as prisma;
import "std/review" as review;
import "std/service" as service;
import "std/staged" as staged;
import "std/verify" as proof;
let p = playbook("x", #{ title: "X", params: #{ url: #{ value: "", secret: true } } });
"#;

/// Every public function has a page with an example, and the example passes the check.
#[test]
fn every_function_of_the_library_has_an_example_that_passes_the_check() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the library") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "rhai") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a module");
        let name = path.file_name().expect("its name").to_string_lossy().into_owned();
        let mut page = String::new();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("///") {
                page.push_str(comment.strip_prefix(' ').unwrap_or(comment));
                page.push('\n');
            } else if line.starts_with("fn ") {
                let found = examples(&page);
                if found.is_empty() {
                    wrong.push(format!("{name}: {line} has no example"));
                }
                let mistakes = found.iter().flat_map(|example| mistakes(example));
                wrong.extend(mistakes.map(|mistake| format!("{name}: {line} {mistake}")));
                page.clear();
            } else {
                page.clear();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What the check says against an example.
fn mistakes(example: &str) -> Vec<String> {
    let project = Project::new();
    for path in example.split('"').filter(|path| path.ends_with(".sql")) {
        project.file(path, "SELECT 1;");
    }
    project.playbook("x", &format!("{AROUND}{example}"));
    let playbook = runsheet::playbook::find(project.path(), "x").expect("the playbook");
    let found = check(project.path(), &playbook, &Config::default_for(project.path())).into_iter();
    found
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{}: {}", finding.fault.code, finding.fault))
        .collect()
}

#[test]
fn the_shipped_playbooks_pass_the_check() {
    let project = Project::new();
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for listed in runsheet::playbook::list(project.path()) {
        let playbook =
            runsheet::playbook::find(project.path(), &listed.name).expect("it is listed");
        let config = Config::default_for(project.path());
        for finding in check(project.path(), &playbook, &config) {
            wrong.push(format!("{}: {:?}", finding.fault.code, finding.fault));
        }
        looked_at += 1;
    }
    assert!(looked_at > 0);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
