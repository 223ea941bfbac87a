//! The examples of the verbs' pages are playbooks that the check accepts.

use runsheet::config::Config;
use runsheet::engine::{Severity, check};

use crate::support::Project;

/// Verbs that examples may use before they are built.
const ANNOUNCED: &[&str] = &[
    "app::healthy",
    "app::run",
    "app::watch_health",
    "db::backfill",
    "db::compare",
    "db::counts",
    "db::exec",
    "db::expect_no_orphans",
    "db::expect_same_count",
    "db::expect_same_counts",
    "db::expect_same_rows",
    "db::fingerprint",
    "db::has_table",
    "db::identity",
    "db::index_concurrently",
    "db::read_only",
    "db::require_no_sessions",
    "db::require_privileges",
    "db::require_version",
    "db::setting",
    "db::size",
    "db::snapshot_table",
    "db::restore_table",
    "db::wait_ready",
    "fs::sha256",
    "fs::require_free",
    "http::get",
    "pg::dump",
    "pg::restore",
    "pg::restore_test",
    "pg::verify",
    "report::table",
    "report::text",
    "sql::review",
    "sql::run_rollback_section",
];

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
                    .filter(|finding| {
                        let fault = &finding.fault;
                        fault.code != "unknown-verb" && fault.code != "unknown-namespace"
                            || !ANNOUNCED.iter().any(|verb| {
                                let room = verb.split("::").next().unwrap_or("");
                                let place = fault.places.first();
                                let line = place.map_or("", |place| place.source.as_str());
                                line.contains(verb) && fault.message.contains(room)
                            })
                    })
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
