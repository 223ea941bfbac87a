//! Rows of the ledger's tables as the structs that everybody else sees. Asks nothing.

use serde_json::Value;

use super::{IntentRow, IntentState, RunRow, RunState, StepRow, StepState};
use crate::postgres::SimpleResult;

pub(super) fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        _ => String::new(),
    }
}

/// Columns that hold no text but a number or JSON.
const PARSED: &[&str] = &[
    "action", "before", "effects", "epoch", "inputs", "number", "ordinal", "seq", "took_ms",
    "value",
];

/// Rows of the ledger as the server prints them, with their values.
pub(super) fn printed(SimpleResult { columns, cells, .. }: SimpleResult) -> Vec<Vec<Value>> {
    let value = |(column, cell): (&String, Option<String>)| match cell {
        Some(cell) if PARSED.contains(&column.as_str()) => {
            serde_json::from_str(&cell).unwrap_or(Value::Null)
        }
        cell => cell.map_or(Value::Null, Value::String),
    };
    cells.into_iter().map(|row| columns.iter().zip(row).map(value).collect()).collect()
}

pub(super) fn run_row(row: Vec<Value>) -> RunRow {
    let mut row = row.into_iter();
    let mut next = || row.next().unwrap_or(Value::Null);
    RunRow {
        run: text(next()),
        playbook: text(next()),
        title: text(next()),
        file: text(next()),
        state: serde_json::from_value(next()).unwrap_or(RunState::Failed),
        inputs: next(),
        started_by: text(next()),
        environment: next().as_str().map(String::from),
        started_at: text(next()),
        finished_at: next().as_str().map(String::from),
        head: text(next()),
        steps: next().as_i64().unwrap_or(0),
    }
}

pub(super) fn step_row(row: Vec<Value>) -> StepRow {
    let mut row = row.into_iter();
    let mut next = || row.next().unwrap_or(Value::Null);
    StepRow {
        key: text(next()),
        number: next().as_i64().unwrap_or(0),
        title: text(next()),
        kind: text(next()),
        state: serde_json::from_value(next()).unwrap_or(StepState::Done),
        value: next(),
        before: serde_json::from_value(next()).unwrap_or_default(),
        inputs: next(),
        effects: serde_json::from_value(next()).unwrap_or_default(),
        took_ms: next().as_i64().unwrap_or(0),
        head: text(next()),
    }
}

pub(super) fn intent_row(row: Vec<Value>) -> IntentRow {
    let mut row = row.into_iter();
    let mut next = || row.next().unwrap_or(Value::Null);
    IntentRow {
        key: text(next()),
        ordinal: next().as_u64().unwrap_or(0) as u32,
        action: next(),
        state: serde_json::from_value(next()).unwrap_or(IntentState::Open),
        value: next(),
    }
}
