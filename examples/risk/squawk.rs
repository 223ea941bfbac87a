//! Beside squawk's own program: finding by finding, by file, line, column and rule.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use runsheet::sql::Linted;

/// (file, line, column, rule)
type Mark = (String, u64, u64, String);

/// Our own rules, which squawk does not have.
const OWN: &[&str] = &[
    "allow-reason",
    "allow-unused",
    "data-loss",
    "dynamic-sql",
    "enum-type",
    "foreign-key-index",
    "held-lock",
    "json-column",
    "max-risk",
    "primary-key-using-index",
    "refused-in-transaction",
    "several-alters",
    "statement-under-lock",
    "table-rewrite",
    "unknown-effect",
    "unparsable",
    "unreadable",
    "unreadable-body",
];

pub fn compare(program: &str, files: &[PathBuf], linted: &[Linted]) {
    let mut theirs: BTreeSet<Mark> = BTreeSet::new();
    // Below the limit of a command line.
    for part in files.chunks(200) {
        let output = Command::new(program).args(["--reporter", "Json"]).args(part).output();
        let Ok(output) = output else {
            eprintln!("{program} cannot be run");
            return;
        };
        let found: Vec<serde_json::Value> =
            serde_json::from_slice(&output.stdout).unwrap_or_default();
        theirs.extend(found.iter().map(|one| {
            let number = |name: &str| one[name].as_u64().unwrap_or(0) + 1;
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_string();
            (
                text("file").trim_start_matches("./").to_string(),
                number("line"),
                number("column"),
                text("rule_name"),
            )
        }));
    }
    let ours: BTreeSet<Mark> = linted
        .iter()
        .flat_map(|file| &file.findings)
        .filter(|one| !OWN.contains(&one.rule.as_str()))
        .map(|one| {
            (
                one.file.trim_start_matches("./").to_string(),
                one.line.into(),
                one.column.into(),
                one.rule.clone(),
            )
        })
        .collect();
    println!(
        "squawk {}, ours under its names {}, both {}",
        theirs.len(),
        ours.len(),
        ours.intersection(&theirs).count()
    );
    for (who, one, other) in [("squawk", &theirs, &ours), ("ours", &ours, &theirs)] {
        for mark in one.difference(other) {
            println!("only {who}: {}:{}:{} {}", mark.0, mark.1, mark.2, mark.3);
        }
    }
    let mut own: BTreeMap<&str, usize> = BTreeMap::new();
    for one in linted.iter().flat_map(|file| &file.findings) {
        if OWN.contains(&one.rule.as_str()) {
            *own.entry(&one.rule).or_default() += 1;
        }
    }
    println!("our own rules: {own:?}");
}
