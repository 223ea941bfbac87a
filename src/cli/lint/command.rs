//! `runsheet lint PATH..`: reads the files on all cores, shows them in their order, decides the
//! exit code.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::files::Named;
use super::{files, machine, people};
use crate::cli::args::{LintFormat, RiskLevel};
use crate::cli::compared::{target, waited};
use crate::cli::desk::{Desk, here};
use crate::config::find_project;
use crate::message::{in_language, language};
use crate::model::{Fault, Risk};
use crate::msg;
use crate::postgres::catalog::{schema_statements, table_sizes};
use crate::postgres::{ConnectOptions, connect};
use crate::sql::{Around, Examiner, Finding, Level, Linted, lint_beside, lint_within};

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
    let linted = read_all(&paths, &known, &Places::of(desk)?)?;
    let mut linted = without_parts(&paths, linted);
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

/// Below which folder the includes of a file stay.
struct Places {
    project: Around,
    root: PathBuf,
    working: PathBuf,
}

impl Places {
    fn of(desk: &Desk) -> Result<Self, Fault> {
        let working = here()?;
        let root = desk.project.canonicalize().unwrap_or_else(|_| desk.project.clone());
        Ok(Self { project: Around::new(&root, &working), root, working })
    }

    /// Those of a file inside of the project; else its own project, or the folder that was named.
    fn around(&self, file: &Named) -> Option<Around> {
        let path = file.path.canonicalize().ok()?;
        if path.starts_with(&self.root) {
            return None;
        }
        let beside = path.parent()?;
        let named = file.folder.as_deref().unwrap_or(beside);
        let project = find_project(beside);
        let root = if project.join(crate::config::FILE_NAME).is_file() { &project } else { named };
        Some(Around::new(root, &self.working))
    }
}

/// Leaves out the files of a folder that were judged as a part of others.
fn without_parts(paths: &[Named], linted: Vec<Linted>) -> Vec<Linted> {
    if linted.iter().all(|file| file.include_paths.is_empty()) {
        return linted;
    }
    let own: Vec<Option<PathBuf>> =
        paths.iter().map(|named| named.path.canonicalize().ok()).collect();
    let parts = |file: &Linted| file.include_paths.clone();
    let included: HashSet<PathBuf> = linted.iter().flat_map(parts).collect();
    let inside =
        |at: usize, all: &HashSet<PathBuf>| own[at].as_ref().is_some_and(|path| all.contains(path));
    let mut kept: Vec<bool> =
        (0..linted.len()).map(|at| paths[at].folder.is_none() || !inside(at, &included)).collect();
    let whole = linted.iter().zip(&kept).filter(|(_, kept)| **kept);
    let mut judged: HashSet<PathBuf> = whole.flat_map(|(file, _)| parts(file)).collect();
    // What is left includes itself in a circle: the first of it stands for all.
    for at in 0..linted.len() {
        if !kept[at] && !inside(at, &judged) {
            kept[at] = true;
            judged.extend(parts(&linted[at]));
        }
    }
    linted.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(file, _)| file).collect()
}

fn read_all(paths: &[Named], known: &Examiner, places: &Places) -> Result<Vec<Linted>, Fault> {
    let one = |named: &Named| -> Result<Linted, Fault> {
        let path: &Path = &named.path;
        let name = path.to_string_lossy();
        let content = files::read(path)?;
        // Where a file lies decides about what it includes only, and asking takes long.
        if !content.windows(2).any(|pair| pair == br"\i") {
            return Ok(lint_beside(&name, &content, known));
        }
        let own = places.around(named);
        let around = own.as_ref().unwrap_or(&places.project);
        Ok(lint_within((&name, path), &content, known, around))
    };
    on_all_cores(paths, one).into_iter().collect()
}

/// The same for each of many files, in their order.
pub(super) fn on_all_cores<F: Sync, T: Send>(files: &[F], one: impl Fn(&F) -> T + Sync) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(files.len() / WORTH_A_THREAD).max(1);
    if threads == 1 {
        return files.iter().map(one).collect();
    }
    let next = AtomicUsize::new(0);
    let language = language();
    let work = || {
        in_language(language, || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(at) else { return done };
                done.push((at, one(file)));
            }
        })
    };
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect::<Vec<_>>()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, made)| made).collect()
}

/// Adds a finding for every statement above the level, unless a comment accepts it.
fn above(file: &mut Linted, max: Risk) {
    let accepted: HashSet<(String, u32)> = file
        .findings
        .iter()
        .filter(|finding| finding.rule == "max-risk")
        .map(|finding| (finding.file.clone(), finding.line))
        .collect();
    for one in file.statements.iter().filter(|one| one.risk > max) {
        if accepted.contains(&(one.file.clone(), one.line)) {
            continue;
        }
        file.findings.push(Finding {
            rule: "max-risk".into(),
            level: Level::Error,
            file: one.file.clone(),
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
    file.sort();
}
