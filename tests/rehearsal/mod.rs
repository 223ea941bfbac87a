//! `runsheet rehearse` on real servers, and the commands that compare databases.

mod bad_input;
mod compared;
mod copy;
mod disk;
mod forward;
mod given;
mod outside;
mod pairs;
mod physical;
mod receipt;
mod shaped;
mod shipped;
mod source;
mod way_back;

use std::path::PathBuf;

use serde_json::Value;

use crate::faults::Desk;
use crate::support::Ran;

/// A playbook that goes forward and back without a trace.
pub const GOOD: &str = r#"check("rows are there", || db::count("items") > 0);
step("add", #{ undo: || db::exec("ALTER TABLE items DROP COLUMN price") },
    || db::exec("ALTER TABLE items ADD COLUMN price numeric"));
step("fill", #{ undo: || () }, || db::exec("UPDATE items SET price = id * 1.5"));
verify("prices are there", || expect_zero("without a price", db::count("SELECT count(*) FROM items WHERE price IS NULL")));"#;

/// Rehearses `it`, with more words.
pub fn rehearse(desk: &Desk, more: &[&str]) -> Ran {
    desk.call(&[&["rehearse", "it"], more].concat())
}

/// The receipts of a project, oldest first.
pub fn receipts(desk: &Desk) -> Vec<PathBuf> {
    let folder = desk.project.path().join(".runsheet/receipts");
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The report of the newest rehearsal, as data.
pub fn report(desk: &Desk) -> Value {
    let folder = desk.project.path().join(".runsheet/rehearsals");
    let newest = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).max();
    let text = std::fs::read_to_string(newest.unwrap().join("report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}
