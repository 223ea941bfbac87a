//! list: what playbooks there are. Compiles nothing and connects to nothing.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::model::{Fault, Risk};
use crate::msg;
use crate::playbook::{Listed, Origin};
use crate::report::Table;

/// `runsheet list`
pub(super) fn list(desk: &Desk) -> Result<u8, Fault> {
    let all = crate::playbook::list(&desk.project);
    if desk.common.json {
        desk.json(&Value::Array(all.iter().map(as_json).collect()));
        return Ok(0);
    }
    let mut table = Table::new([
        msg!("cli.column.playbook"),
        msg!("cli.column.risk"),
        msg!("cli.column.from"),
        msg!("cli.column.title"),
    ]);
    for one in &all {
        let risk = one.risk.map(Risk::word).unwrap_or_default();
        table.row([one.name.as_str(), risk, &origin_word(one.origin), &told(one)]);
    }
    if !table.is_empty() {
        desk.out(&table.text(desk.width()));
    }
    if !all.iter().any(|one| one.origin == Origin::Project) {
        desk.talk(&msg!("cli.no-playbooks"));
    }
    Ok(0)
}

/// Its title, else what its first comment says; a problem is said first.
fn told(one: &Listed) -> String {
    let title = one.title.as_ref().or(one.description.as_ref()).cloned().unwrap_or_default();
    match &one.problem {
        Some(problem) => format!("! {problem}  {title}").trim_end().to_string(),
        None => title,
    }
}

pub(super) fn origin_word(origin: Origin) -> String {
    match origin {
        Origin::Project => msg!("cli.from.project"),
        Origin::Shipped => msg!("cli.from.shipped"),
    }
}

fn as_json(one: &Listed) -> Value {
    json!({
        "name": one.name,
        "id": one.id,
        "title": one.title,
        "risk": one.risk,
        "origin": if one.origin == Origin::Shipped { "shipped" } else { "project" },
        "description": one.description,
        "problem": one.problem,
    })
}
