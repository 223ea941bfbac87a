//! `runsheet lint PATH..`: reads the files on all cores, shows them in their order, decides the
//! exit code.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{files, machine, people};
use crate::cli::args::{LintFormat, RiskLevel};
use crate::cli::compared::{target, waited};
use crate::cli::desk::Desk;
use crate::message::{in_language, language};
use crate::model::{Fault, Risk};
use crate::msg;
use crate::postgres::catalog::{schema_statements, table_sizes};
use crate::postgres::{ConnectOptions, connect};
use crate::sql::{Examiner, Finding, Level, Linted, lint_beside};

/// Files behind one thread; fewer are not worth starting one.
const WORTH_A_THREAD: usize = 8;

/// `runsheet lint PATH.. [--against ENV|URL] [--max-risk LEVEL] [--format FORMAT]`
///
/// # Errors
/// A path that is not there or cannot be read; a database that cannot be asked.
pub(in crate::cli) fn lint(
    desk: &Desk,
    paths: &[String],
    against: Option<&str>,
    (max_risk, format): (Option<RiskLevel>, LintFormat),
) -> Result<u8, Fault> {
    let paths = files::named(paths)?;
    let known = match against {
        Some(place) => known(desk, place)?,
        None => Examiner::default(),
    };
    let mut linted = read_all(&paths, &known)?;
    if let Some(max) = max_risk {
        let max = Risk::from(max);
        linted.iter_mut().for_each(|file| above(file, max));
    }
    let format = if desk.common.json { LintFormat::Json } else { format };
    match format {
        LintFormat::Text => people::show(desk, &linted),
        LintFormat::Json => desk.json(&machine::json(&linted)),
        LintFormat::Sarif => desk.json(&machine::sarif(&linted)),
        LintFormat::Github => desk.out(&machine::github(&linted)),
    }
    let wrong = linted.iter().flat_map(|file| &file.findings).any(counts);
    Ok(u8::from(wrong))
}

/// Errors that no comment accepts decide the exit code.
pub(super) fn counts(finding: &Finding) -> bool {
    finding.level == Level::Error && finding.allowed.is_none()
}

/// The schema and the sizes of a database.
fn known(desk: &Desk, place: &str) -> Result<Examiner, Fault> {
    let target = target(desk, Some(place))?;
    let ledger = &desk.config.ledger_schema;
    let options = ConnectOptions { pin: false, ..ConnectOptions::default() };
    let (schema, sizes) = waited(async {
        let session = connect(&target, &options).await?;
        Ok((schema_statements(&session, ledger).await?, table_sizes(&session).await?))
    })?;
    Ok(Examiner::beside(&schema, sizes))
}

fn read_all(paths: &[PathBuf], known: &Examiner) -> Result<Vec<Linted>, Fault> {
    let one = |path: &PathBuf| -> Result<Linted, Fault> {
        Ok(lint_beside(&path.to_string_lossy(), &files::read(path)?, known))
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(paths.len() / WORTH_A_THREAD).max(1);
    if threads == 1 {
        return paths.iter().map(one).collect();
    }
    let next = AtomicUsize::new(0);
    let language = language();
    let work = || {
        in_language(language, || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(path) = paths.get(at) else { return done };
                done.push((at, one(path)));
            }
        })
    };
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect::<Vec<_>>()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, linted)| linted).collect()
}

/// Adds a finding for every statement above the level, unless a comment accepts it.
fn above(file: &mut Linted, max: Risk) {
    let accepted: Vec<u32> = file
        .findings
        .iter()
        .filter(|finding| finding.rule == "max-risk")
        .map(|finding| finding.line)
        .collect();
    for one in file.statements.iter().filter(|one| one.risk > max) {
        if accepted.contains(&one.line) {
            continue;
        }
        file.findings.push(Finding {
            rule: "max-risk".into(),
            level: Level::Error,
            file: file.file.clone(),
            line: one.line,
            column: one.column,
            message: msg!(
                "lint.max-risk",
                risk = one.risk.word(),
                max = max.word(),
                why = one.reason
            ),
            help: None,
            allowed: None,
        });
    }
    file.findings.sort_by_key(|finding| (finding.line, finding.column));
}
