//! Real migrations, where RUNSHEET_SHARED names a folder with some laid out: every statement is
//! classified, and only what a file puts together when it runs stays unknown.

use std::path::{Path, PathBuf};

use runsheet::sql::lint_file;

/// Files of other people that PostgreSQL does not parse either, by the end of their name and line.
const BROKEN: &[(&str, u32)] =
    &[("change_timestamp_fields.down.sql", 2), ("add_timestamp_fields_to_indexes.down.sql", 6)];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "sql") {
            found.push(path);
        }
    }
}

#[test]
fn every_statement_of_real_migrations_is_classified() {
    let Some(root) = std::env::var_os("RUNSHEET_SHARED") else {
        eprintln!("skipped: RUNSHEET_SHARED names no folder with migrations");
        return;
    };
    let mut all = Vec::new();
    files(Path::new(&root), &mut all);
    let (mut statements, mut dynamic, mut wrong) = (0, 0, Vec::new());
    for path in &all {
        let name = path.to_string_lossy();
        let linted = lint_file(&name, &std::fs::read(path).unwrap());
        statements += linted.statements.len();
        let broken = |line| BROKEN.iter().any(|(end, at)| name.ends_with(end) && *at == line);
        for finding in &linted.findings {
            match finding.rule.as_str() {
                "dynamic-sql" => dynamic += 1,
                "unparsable" | "unreadable" | "unreadable-body" if !broken(finding.line) => {
                    wrong.push(format!("{name}:{} {}", finding.line, finding.message));
                }
                _ => {}
            }
        }
        for one in linted.statements.iter().filter(|one| one.unknown && !broken(one.line)) {
            if !matches!(one.kind.as_str(), "do" | "call" | "execute" | "select") {
                wrong.push(format!("{name}:{} {} is unknown", one.line, one.kind));
            }
        }
    }
    println!("{} files, {statements} statements, {dynamic} with dynamic SQL", all.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
