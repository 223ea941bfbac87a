//! fingerprint and diff: databases beside each other, in one snapshot of each, by several sessions.

use serde_json::json;

use super::desk::Desk;
use crate::model::Fault;
use crate::msg;
use crate::postgres::{Difference, Fingerprint, Look, Target, compare};
use crate::rehearsal::lines;
use crate::system::{Cancel, runtime};

/// More sessions than this are a load and no help.
const MOST_JOBS: usize = 32;

/// `runsheet fingerprint [ENV|URL]`
pub(super) fn fingerprint(desk: &Desk, place: Option<&str>, jobs: usize) -> Result<u8, Fault> {
    let target = target(desk, place)?;
    let ledger = &desk.config.ledger_schema;
    let print = waited(async {
        let look = Look::open(&target, "runsheet/fingerprint", jobs.clamp(1, MOST_JOBS)).await?;
        Ok(look.fingerprint(ledger, true).await?)
    })?;
    if desk.common.json {
        desk.json(&json!({
            "digest": print.digest, "schema": print.schema_digest(),
            "database": target.display(), "objects": print.schema.len(), "tables": print.tables,
        }));
        return Ok(0);
    }
    desk.out(&format!("{}\n", print.digest));
    let (tables, rows) = (print.tables.len(), print.rows());
    desk.talk(&msg!("cli.fingerprint.of", target = target.display(), tables = tables, rows = rows));
    if desk.common.verbose {
        let mut table = crate::report::Table::new([
            msg!("cli.fingerprint.table"),
            msg!("cli.fingerprint.rows"),
        ])
        .right(1);
        for (name, sum) in &print.tables {
            table.row([name.clone(), sum.rows.to_string()]);
        }
        desk.out(&table.text(desk.width()));
    }
    Ok(0)
}

/// `runsheet diff ENV|URL ENV|URL`: exit code 1 where they differ.
pub(super) fn diff(
    desk: &Desk,
    left: &str,
    right: &str,
    jobs: usize,
    samples: usize,
) -> Result<u8, Fault> {
    let (left, right) = (target(desk, Some(left))?, target(desk, Some(right))?);
    let (prints, difference) = differing(desk, (&left, &right), jobs, samples)?;
    if desk.common.json {
        desk.json(&json!({
            "same": difference.is_empty(),
            "left": { "database": left.display(), "digest": prints.0.digest },
            "right": { "database": right.display(), "digest": prints.1.digest },
            "objects": difference.objects, "tables": difference.tables,
        }));
        return Ok(u8::from(!difference.is_empty()));
    }
    if difference.is_empty() {
        let (tables, rows) = (prints.0.tables.len(), prints.0.rows());
        desk.out(&format!("{}\n", msg!("cli.diff.same", tables = tables, rows = rows)));
        return Ok(0);
    }
    desk.talk(&msg!("cli.diff.sides", left = left.display(), right = right.display()));
    for line in lines(&difference) {
        desk.out(&format!("{}\n", crate::report::harmless(&line)));
    }
    Ok(1)
}

fn differing(
    desk: &Desk,
    sides: (&Target, &Target),
    jobs: usize,
    samples: usize,
) -> Result<((Fingerprint, Fingerprint), Difference), Fault> {
    let ledger = &desk.config.ledger_schema;
    let jobs = jobs.clamp(1, MOST_JOBS);
    waited(async {
        let open = |target| Look::open(target, "runsheet/diff", jobs);
        let looks = futures_util::future::try_join(open(sides.0), open(sides.1)).await?;
        let print = |look| async move { Look::fingerprint(look, ledger, true).await };
        let prints = futures_util::future::try_join(print(&looks.0), print(&looks.1)).await?;
        let both = (&looks.0, &looks.1);
        let difference = compare(both, (&prints.0, &prints.1), samples).await?;
        Ok((prints, difference))
    })
}

/// An environment's name, an address, or what the command line says anyway.
pub(super) fn target(desk: &Desk, place: Option<&str>) -> Result<Target, Fault> {
    let Some(word) = place else { return desk.target(true).map(|(_, target)| target) };
    let mut common = desk.common.clone();
    if desk.config.environments.contains_key(word) {
        (common.env, common.url) = (Some(word.into()), None);
        return Desk::open(&common, &desk.redactor)?.target(true).map(|(_, target)| target);
    }
    super::desk::learn(word, &desk.redactor);
    let target = Target::parse(word, &|name| std::env::var(name).ok())?;
    target.teach(&desk.redactor);
    Ok(target)
}

/// Waits for an answer, or for Ctrl-C.
pub(super) fn waited<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let cancel = Cancel::install()?;
    let runtime = runtime()?;
    runtime.block_on(async {
        tokio::select! {
            done = work => done,
            reason = cancel.cancelled() => Err(reason.fault()),
        }
    })
}
