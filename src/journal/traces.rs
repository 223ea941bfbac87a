//! What a step leaves beside its row: the tables that its transaction changed or locked, and the
//! snapshot at its end. With it a later process can count the rows that others wrote since.
//!
//! The tables are those on which the transaction holds a lock that writers or DDL take, so they
//! are exact: triggers and functions included, and no text of a statement is believed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{IntentState, Ledger};
use crate::model::quote_literal;
use crate::postgres::{DbError, Session};

/// What the steps of a run left, for one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The step, or the undo of one, that touched it last: behind it all rows of the run are seen,
    /// those of savepoints too, whose transaction numbers nobody can tell from other people's.
    pub step: String,
    /// When that step ended, `2026-11-21 03:15:42 +09:00`.
    pub at: String,
    /// The table's oid.
    pub table: u32,
    /// Its name then, qualified.
    pub name: String,
    /// The transaction that wrote the step's row, 64 bits.
    pub xid: u64,
    /// The snapshot behind the step's COMMIT, or inside of it, as `pg_current_snapshot()` prints it.
    pub snapshot: String,
}

/// What the steps of a run left.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// The tables of the steps that stand, each once.
    pub tables: Vec<Trace>,
    /// The run's own transactions, 32 bits as the server prints an `xmin`.
    pub own: Vec<String>,
    /// Steps that changed something and left no trace: written by an older version.
    pub blind: Vec<String>,
}

impl Ledger {
    /// What is added to the inputs of a step's row. A function of the ledger: planned in place, it
    /// would take longer than a small step.
    pub(super) fn since_sql(&self) -> String {
        format!("{}.since()", self.schema())
    }

    /// Adds the snapshot behind a step's COMMIT to its row.
    pub fn after_sql(&self, run: &str, key: &str, snapshot: &str) -> String {
        let (run, key) = (quote_literal(run), quote_literal(key));
        let after = quote_literal(&json!({ "after": snapshot }).to_string());
        format!(
            "UPDATE {}.step SET inputs = pg_catalog.jsonb_set(inputs, '{{since}}', \
             (inputs -> 'since') || {after}::jsonb) WHERE run = {run} AND key = {key} \
             AND pg_catalog.jsonb_typeof(inputs -> 'since') = 'object'",
            self.schema()
        )
    }

    /// Settles the effect that was announced last, inside of its own transaction.
    pub fn mark_sql(&self, run: &str, key: &str, ordinal: u32) -> String {
        let value = json!({ "rows": 0 });
        let settled = self.settle_sql(run, key, Some(ordinal), IntentState::Done, &value);
        // Not in the value, which is the script's.
        let touched = format!("{}.touched()", self.schema());
        let traced =
            format!("SET action = action || pg_catalog.jsonb_build_object('touched', {touched}), ");
        settled.replacen("SET ", &traced, 1)
    }

    /// The traces of the steps of a run that stand, first steps first.
    ///
    /// # Errors
    /// The server's answer.
    pub async fn traces(&self, session: &Session, run: &str) -> Result<Traces, DbError> {
        let sql = format!(
            "SELECT pg_catalog.json_build_object(
                'steps', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                    'title', s.title, 'xid', s.xid, 'stands', s.kind = 'step' AND s.state = 'done',
                    'at', pg_catalog.to_char(s.at, 'YYYY-MM-DD HH24:MI:SS TZH:TZM'),
                    'since', s.inputs -> 'since', 'changes', s.inputs -> 'changes',
                    'after', n.inputs -> 'prior' -> 'after',
                    'more', (SELECT coalesce(pg_catalog.json_agg(i.action -> 'touched'), '[]')
                        FROM {0}.intent i WHERE i.run = s.run AND i.key = s.key
                        AND pg_catalog.jsonb_typeof(i.action -> 'touched') = 'object')
                ) ORDER BY s.at), '[]') FROM {0}.step s LEFT JOIN {0}.step n
                    ON n.run = s.run AND n.inputs -> 'prior' ->> 'key' = s.key
                    WHERE s.run = $1 AND s.kind IN ('step', 'undo')),
                'own', (SELECT coalesce(pg_catalog.json_agg((xid::bigint & 4294967295)::text), '[]')
                    FROM {0}.step WHERE run = $1 AND xid IS NOT NULL))",
            self.schema()
        );
        let rows = session.ask(&sql, &[json!(run)]).await?;
        Ok(traces_of(rows.first().unwrap_or(&Value::Null)))
    }
}

fn traces_of(found: &Value) -> Traces {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let own = list(&found["own"]).iter().map(text).collect();
    let mut traces = Traces { own, ..Traces::default() };
    let steps = list(&found["steps"]);
    let mut wanted: BTreeSet<u32> = BTreeSet::new();
    for step in &steps {
        let stands = step["stands"] == Value::Bool(true);
        let since = &step["since"];
        if since.is_null() {
            if stands && step["changes"] != Value::Bool(false) {
                traces.blind.push(text(&step["title"]));
            }
            continue;
        }
        let mut touched = since["tables"].as_object().cloned().unwrap_or_default();
        for more in list(&step["more"]) {
            touched.extend(more.as_object().cloned().unwrap_or_default());
        }
        for (oid, name) in touched {
            let Ok(table) = oid.parse() else { continue };
            if stands {
                wanted.insert(table);
            }
            traces.tables.retain(|known| known.table != table);
            traces.tables.push(Trace {
                step: text(&step["title"]),
                at: text(&step["at"]),
                table,
                name: text(&name),
                xid: step["xid"].as_str().and_then(|xid| xid.parse().ok()).unwrap_or(0),
                snapshot: snapshot_of(step),
            });
        }
    }
    traces.tables.retain(|trace| wanted.contains(&trace.table));
    traces
}

/// The one behind the COMMIT, which the next step's row or the end of the run wrote; else the one
/// from inside the step.
fn snapshot_of(step: &Value) -> String {
    let since = &step["since"];
    let known = [&since["after"], &step["after"], &since["snapshot"]];
    known.iter().find_map(|value| value.as_str()).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_traced_to_the_last_step_that_touched_it_and_only_while_one_of_them_stands() {
        let step = |title: &str, stands: bool, tables: Value| {
            json!({ "title": title, "xid": "760", "at": "then", "changes": true, "more": [],
                    "stands": stands, "since": { "snapshot": "760:761:", "tables": tables } })
        };
        let mut old = step("old", true, json!({}));
        old["since"] = Value::Null;
        let found = json!({ "own": ["760"], "steps": [
            step("one", true, json!({ "16384": "public.a" })),
            step("two", false, json!({ "16384": "public.a", "16390": "public.b" })),
            old,
        ]});
        let traces = traces_of(&found);
        let seen: Vec<_> =
            traces.tables.iter().map(|t| (t.name.as_str(), t.step.as_str())).collect();
        assert_eq!(seen, [("public.a", "two")]);
        assert_eq!(traces.blind, ["old"]);
        assert_eq!(traces.tables[0].xid, 760);
    }
}
