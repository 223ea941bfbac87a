//! Beside eugene's own program: for each of its hints, how many of its findings stand here under a
//! rule of the same meaning, and which do not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use runsheet::model::Risk;
use runsheet::sql::{Judged, Linted};

/// Its hint, and the rules here that find the same.
const SAME: &[(&str, &[&str])] = &[
    ("E1", &["constraint-missing-not-valid", "adding-foreign-key-constraint"]),
    ("E2", &["adding-not-nullable-field", "adding-required-field"]),
    ("E3", &["json-column"]),
    ("E4", &["statement-under-lock", "held-lock"]),
    ("E5", &["changing-column-type", "table-rewrite"]),
    ("E6", &["require-concurrent-index-creation"]),
    ("E7", &["disallowed-unique-constraint", "adding-serial-primary-key-field"]),
    ("E8", &["constraint-missing-not-valid"]),
    ("E9", &["require-lock-timeout", "require-timeout-settings"]),
    ("E11", &["table-rewrite"]),
    ("W12", &["several-alters"]),
    ("W13", &["enum-type"]),
    ("W14", &["primary-key-using-index"]),
];

#[derive(Default)]
struct Tally {
    findings: usize,
    /// Under a rule of the same meaning at the same statement.
    same: usize,
    /// Under such a rule at another statement of the file, which speaks for both.
    elsewhere: usize,
    /// Without such a finding, but with a risk that is high or above.
    by_risk: usize,
}

/// Asks eugene about each file and prints what it has and we have not.
pub fn compare(program: &str, files: &[PathBuf], linted: &[Linted]) {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let (mut read, mut unread) = (0, 0);
    for (path, ours) in files.iter().zip(linted) {
        let output = Command::new(program).args(["lint", "-a", "-f", "json"]).arg(path).output();
        let Ok(output) = output else {
            eprintln!("{program} cannot be run");
            return;
        };
        let Ok(report) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
            unread += 1;
            continue;
        };
        read += 1;
        for theirs in report["statements"].as_array().into_iter().flatten() {
            let line = theirs["line_number"].as_u64().unwrap_or(0) as u32;
            // Its statements begin with the comments before them.
            let own = ours.statements.iter().find(|one| one.last_line >= line);
            for hint in theirs["triggered_rules"].as_array().into_iter().flatten() {
                let id = hint["id"].as_str().unwrap_or_default();
                tell(tallies.entry(id.into()).or_default(), id, own, ours, line);
            }
        }
    }
    println!("eugene: {read} files read, {unread} refused");
    for (id, t) in &tallies {
        let missed = t.findings - t.same - t.elsewhere - t.by_risk;
        println!(
            "{id}: {} findings, same statement {}, another statement {}, by its risk {}, missed {missed}",
            t.findings, t.same, t.elsewhere, t.by_risk
        );
    }
}

fn tell(tally: &mut Tally, id: &str, own: Option<&Judged>, ours: &Linted, line: u32) {
    let rules = SAME.iter().find(|(hint, _)| *hint == id).map_or(&[][..], |(_, rules)| *rules);
    let mut findings = ours.findings.iter().filter(|one| rules.contains(&one.rule.as_str()));
    let (first, last) = own.map_or((line, line), |one| (one.line, one.last_line));
    tally.findings += 1;
    if findings.clone().any(|one| (first..=last).contains(&one.line)) {
        tally.same += 1;
    } else if findings.next().is_some() {
        tally.elsewhere += 1;
    } else if own.is_some_and(|one| one.risk >= Risk::High) {
        tally.by_risk += 1;
    } else {
        println!("only eugene: {}:{line} {id}", ours.file);
    }
}
