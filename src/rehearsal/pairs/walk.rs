//! The order of it: one private server, two databases, one migration after the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use futures_util::future::try_join;

use super::chain::{Chain, Scripts};
use super::read::Pair;
use super::told::{PairTold, PairsTold, Schema, Word};
use crate::model::Fault;
use crate::postgres::programs::Programs;
use crate::postgres::scratch::{ScratchOptions, ScratchServer};
use crate::system::{Cancel, runtime};

/// What is to be walked, and where.
pub struct Asked {
    /// The migrations, in order.
    pub pairs: Vec<Pair>,
    /// Where the programs of PostgreSQL are.
    pub programs: Programs,
    /// The folder for the private server.
    pub scratch: PathBuf,
    /// Stops it.
    pub cancel: Cancel,
}

/// Walks all of them; `tell` hears of each as it is done.
///
/// # Errors
/// Those of a private server; Ctrl-C. How the migrations fare is in what it gives.
pub fn walk(asked: &Asked, tell: &mut dyn FnMut(&PairTold)) -> Result<PairsTold, Fault> {
    let started = Instant::now();
    let mut options = ScratchOptions::new(asked.programs.clone(), &asked.scratch, "pairs");
    // What is asked between migrations is asked thousands of times; nothing here has to last.
    let settings = [
        ("jit", "off"),
        ("synchronous_commit", "off"),
        ("autovacuum", "off"),
        ("plan_cache_mode", "force_generic_plan"),
        ("max_locks_per_transaction", "1024"),
    ];
    options.settings = settings.map(|(name, value)| (name.into(), value.into())).into();
    let server = ScratchServer::start(&options)?;
    let (major, minor) = server.version();
    let runtime = runtime()?;
    let pairs = runtime.block_on(async {
        tokio::select! {
            done = all(&server, asked, tell) => done,
            reason = asked.cancel.cancelled() => Err(reason.fault()),
        }
    })?;
    let took_ms = started.elapsed().as_millis() as u64;
    Ok(PairsTold { pairs, version: format!("{major}.{minor}"), took_ms })
}

async fn all(
    server: &ScratchServer,
    asked: &Asked,
    tell: &mut dyn FnMut(&PairTold),
) -> Result<Vec<PairTold>, Fault> {
    let mut bare = Chain::new(server, "pairs_bare", false).await?;
    let mut full = Chain::new(server, "pairs_rows", true).await?;
    let mut done = Vec::with_capacity(asked.pairs.len());
    for pair in &asked.pairs {
        let started = Instant::now();
        let scripts = Scripts::of(pair);
        let (mut told, mut with_rows) = (blank(pair), blank(pair));
        // Two databases, two processes of the server: neither waits for the other.
        let (applied, applied_with_rows) =
            try_join(bare.step(&scripts, &mut told), full.step(&scripts, &mut with_rows)).await?;
        told.up_rows = with_rows.up_rows;
        told.down_rows = with_rows.down_rows;
        told.rows = with_rows.rows;
        told.tables = with_rows.tables;
        told.unseeded = with_rows.unseeded;
        told.errors.extend(with_rows.errors);
        if applied != applied_with_rows {
            full.made_from(&mut bare).await?;
        }
        told.took_ms = started.elapsed().as_millis() as u64;
        tell(&told);
        done.push(told);
    }
    Ok(done)
}

fn blank(pair: &Pair) -> PairTold {
    PairTold {
        name: pair.name.clone(),
        layout: pair.layout,
        up: Word::Unknown,
        down: if pair.down.is_some() { Word::Unknown } else { Word::None },
        schema: Schema::Unknown,
        again: Word::Unknown,
        up_rows: Word::Unknown,
        down_rows: if pair.down.is_some() { Word::Unknown } else { Word::None },
        rows: String::new(),
        objects: Vec::new(),
        tables: Vec::new(),
        errors: BTreeMap::new(),
        unseeded: BTreeMap::new(),
        took_ms: 0,
    }
}
