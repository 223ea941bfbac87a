//! rehearse --pairs: a folder of migrations, whatever tool they were written for, and what of their
//! ways back is true.

use std::path::Path;

use serde_json::json;

use super::desk::{Desk, write_out};
use crate::model::{Fault, format_span};
use crate::msg;
use crate::postgres::Difference;
use crate::postgres::programs::Programs;
use crate::rehearsal::lines;
use crate::rehearsal::pairs::{Asked, PairTold, PairsTold, Word, read, walk};
use crate::report::{Table, harmless};
use crate::system::Cancel;

/// So many lines of what is lost are shown of each pair.
const MOST: usize = 8;

/// `runsheet rehearse --pairs DIR`
pub(super) fn pairs(desk: &Desk, folder: &Path) -> Result<u8, Fault> {
    let pairs = read(folder)?;
    let state = desk.state()?;
    let programs = Programs::new(desk.config.postgres_bin.as_deref(), Some(state.root()));
    let (json, count) = (desk.common.json, pairs.len());
    let scratch = state.folder("scratch")?;
    let asked = Asked { pairs, programs, scratch, cancel: Cancel::install()? };
    let mut done = 0;
    let told = walk(&asked, &mut |pair| {
        done += 1;
        if json {
            line(desk, &json!({ "event": "pair", "pair": pair, "broken": pair.is_broken() }));
        } else if pair.is_broken() || !pair.up.went_well() {
            desk.talk(&msg!("pairs.found", done = done, count = count, name = pair.name));
        }
    })?;
    if json {
        line(desk, &summary(&told, folder));
    } else {
        show(desk, &told);
    }
    Ok(told.exit())
}

fn line(desk: &Desk, value: &serde_json::Value) {
    write_out(&desk.redactor.clean(&format!("{value}\n")));
}

fn summary(told: &PairsTold, folder: &Path) -> serde_json::Value {
    let broken: Vec<&str> =
        told.pairs.iter().filter(|pair| pair.is_broken()).map(|pair| pair.name.as_str()).collect();
    json!({
        "event": "pairs", "state": if told.exit() == 0 { "done" } else { "failed" },
        "changed": false, "pairs": told.pairs.len(), "version": told.version,
        "took_ms": told.took_ms, "broken": broken,
        "next": format!("runsheet rehearse --pairs {}", folder.display()),
    })
}

fn show(desk: &Desk, told: &PairsTold) {
    let headings = [
        msg!("pairs.column.name"),
        msg!("pairs.column.up"),
        msg!("pairs.column.down"),
        msg!("pairs.column.schema"),
        msg!("pairs.column.again"),
        msg!("pairs.column.up-rows"),
        msg!("pairs.column.down-rows"),
        msg!("pairs.column.rows"),
    ];
    let mut table = Table::new(headings);
    for pair in &told.pairs {
        let rows = if pair.rows.is_empty() { "-" } else { &pair.rows };
        table.row([
            pair.name.as_str(),
            pair.up.word(),
            pair.down.word(),
            pair.schema.word(),
            pair.again.word(),
            pair.up_rows.word(),
            pair.down_rows.word(),
            rows,
        ]);
    }
    desk.out(&table.text(desk.width()));
    for pair in &told.pairs {
        for line in details(pair) {
            desk.out(&format!("{}\n", harmless(&line)));
        }
    }
    if let Some(last) = told.pairs.last().filter(|pair| !pair.unseeded.is_empty()) {
        desk.out(&format!("{}\n", msg!("pairs.unseeded")));
        for (name, why) in &last.unseeded {
            desk.out(&format!("    {name}: {}\n", harmless(why)));
        }
    }
    desk.out(&format!("{}\n", counted(told)));
}

/// What is wrong with one pair, the name first; nothing where nothing is.
fn details(pair: &PairTold) -> Vec<String> {
    if !pair.is_broken() && pair.errors.is_empty() && pair.up != Word::Outside {
        return Vec::new();
    }
    let mut found = Vec::new();
    if pair.up == Word::Outside {
        found.push(msg!("pairs.outside"));
    }
    for (what, why) in &pair.errors {
        let what = match *what {
            "up" => msg!("pairs.failed.up", why = why),
            "down" => msg!("pairs.failed.down", why = why),
            "again" => msg!("pairs.failed.again", why = why),
            "up_rows" => msg!("pairs.failed.up-rows", why = why),
            _ => msg!("pairs.failed.down-rows", why = why),
        };
        found.push(what);
    }
    if pair.down == Word::Empty && pair.is_broken() {
        found.push(msg!("pairs.empty"));
    }
    let difference = Difference { objects: pair.objects.clone(), tables: pair.tables.clone() };
    let all = lines(&difference);
    let more = all.len().saturating_sub(MOST);
    found.extend(all.into_iter().take(MOST));
    if more > 0 {
        found.push(msg!("pairs.more", count = more));
    }
    let mut lines = vec![pair.name.clone()];
    lines.extend(found.into_iter().map(|line| format!("    {line}")));
    lines
}

fn counted(told: &PairsTold) -> String {
    let written = told.count(|pair| pair.down != Word::None);
    let took = format_span(std::time::Duration::from_millis(told.took_ms));
    let first = msg!(
        "pairs.counted",
        count = told.pairs.len(),
        up = told.count(|pair| pair.up.went_well()),
        outside = told.count(|pair| pair.up == Word::Outside),
        version = told.version,
        took = took
    );
    let second = msg!(
        "pairs.counted.down",
        written = written,
        back = told.count(|pair| pair.down.went_well() && !pair.is_broken()),
        failed = told.count(|pair| pair.down == Word::Failed || pair.down_rows == Word::Failed),
        schema = told.count(|pair| pair.schema.word() == "differs"),
        order = told.count(|pair| pair.schema.word() == "order"),
        again = told.count(|pair| pair.again == Word::Failed),
        rows = told.count(|pair| !matches!(pair.rows.as_str(), "" | "same"))
    );
    if written == 0 {
        format!("{first}\n{}", msg!("pairs.counted.none"))
    } else {
        format!("{first}\n{second}")
    }
}
