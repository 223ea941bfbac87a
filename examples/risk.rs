//! `cargo run --example risk -- FOLDER [--squawk PROGRAM]`: lints every SQL file below a folder and
//! prints the figures of docs/risk.md: statements by risk, how many stay unknown, for how many a way
//! back is known; with squawk's program (2.68.0, the version of the rules) also which findings only
//! one of both has. Ends with 1 where a statement is unknown that holds no dynamic SQL.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use runsheet::sql::{Linted, Undo, lint_file};

/// (file, line, column, rule)
type Mark = (String, u64, u64, String);

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(folder) = words.next() else {
        eprintln!("usage: risk FOLDER [--squawk PROGRAM]");
        return ExitCode::FAILURE;
    };
    let squawk = words.next().filter(|word| word == "--squawk").and_then(|_| words.next());
    let mut files = Vec::new();
    below(Path::new(&folder), &mut files);
    let started = Instant::now();
    let linted: Vec<Linted> = files
        .iter()
        .filter_map(|path| Some(lint_file(&path.to_string_lossy(), &std::fs::read(path).ok()?)))
        .collect();
    let took = started.elapsed();
    let statements: Vec<_> = linted.iter().flat_map(|file| &file.statements).collect();
    println!("{} files, {} statements in {took:.2?}", linted.len(), statements.len());

    let mut risks: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ways: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &statements {
        *risks.entry(one.risk.word()).or_default() += 1;
        let way = match one.undo {
            Undo::NotNeeded => "not needed",
            Undo::By(_) => "by a statement",
            Undo::Lost => "lost",
            Undo::Never => "never",
            Undo::Unknown => "not in the file",
        };
        *ways.entry(way).or_default() += 1;
    }
    println!("risk: {risks:?}\nundo: {ways:?}");

    let found =
        |rule: &str| linted.iter().flat_map(|f| &f.findings).filter(|f| f.rule == rule).count();
    let (unparsable, dynamic) = (found("unparsable") + found("unreadable"), found("dynamic-sql"));
    let unknown = statements.iter().filter(|one| one.unknown).count();
    println!("unknown: {unknown}; unparsable {unparsable}, findings of dynamic SQL {dynamic}");
    if let Some(program) = squawk {
        compare(&program, &files, &linted);
    }
    let only_dynamic = statements
        .iter()
        .filter(|one| one.unknown)
        .all(|one| matches!(one.kind.as_str(), "do" | "call" | "execute" | "select"));
    ExitCode::from(u8::from(!only_dynamic && unparsable == 0))
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            below(&path, files);
        } else if path.extension().is_some_and(|end| end == "sql") {
            files.push(path);
        }
    }
}

/// Our own rules, which squawk does not have.
const OWN: &[&str] = &[
    "allow-reason",
    "allow-unused",
    "data-loss",
    "dynamic-sql",
    "held-lock",
    "max-risk",
    "refused-in-transaction",
    "table-rewrite",
    "unknown-effect",
    "unparsable",
    "unreadable",
    "unreadable-body",
];

fn compare(program: &str, files: &[PathBuf], linted: &[Linted]) {
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
