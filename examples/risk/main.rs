//! `cargo run --example risk -- FOLDER [--squawk PROGRAM] [--eugene PROGRAM]`: lints every SQL file
//! below a folder and prints the figures of docs/risk.md: statements by risk, how many stay unknown,
//! for how many a way back is known; with squawk's program (2.68.0, the version of the rules) also
//! which findings only one of both has; with eugene's (0.8.3) which of its hints are found here.
//! Ends with 1 where a statement is unknown that holds no dynamic SQL.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod eugene;
mod squawk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use runsheet::sql::{Linted, Undo, lint_file};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = words.first() else {
        eprintln!("usage: risk FOLDER [--squawk PROGRAM] [--eugene PROGRAM]");
        return ExitCode::FAILURE;
    };
    let program = |option: &str| {
        words.iter().position(|word| word == option).and_then(|at| words.get(at + 1)).cloned()
    };
    let mut files = Vec::new();
    below(Path::new(folder), &mut files);
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
    if let Some(program) = program("--squawk") {
        squawk::compare(&program, &files, &linted);
    }
    if let Some(program) = program("--eugene") {
        eugene::compare(&program, &files, &linted);
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
