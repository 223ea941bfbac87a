//! What a rehearsal leaves as its receipt: what it was bound to, and what it proved of that.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::night::Night;
use super::passes::Passed;
use crate::journal::{ProvenStep, Receipt, object_hash, started_by};
use crate::model::{EventKind, Fault, RunEvent, RunId, quote_ident};
use crate::playbook::resolve_sql;
use crate::postgres::Fingerprint;
use crate::system::moment;

impl Night<'_> {
    /// The receipt of what went well.
    ///
    /// # Errors
    /// The copy's ledger cannot be asked.
    pub(super) fn receipt(
        &self,
        forward: &Passed,
        again: &Passed,
        done: &Fingerprint,
        touched: BTreeSet<String>,
    ) -> Result<Receipt, Fault> {
        let inputs = forward.events.iter().find_map(|event| match &event.kind {
            EventKind::Inputs { inputs } => Some(inputs.clone()),
            _ => None,
        });
        let inputs = inputs.unwrap_or_default();
        let mut files: BTreeMap<String, String> =
            serde_json::from_value(inputs["files"].clone()).unwrap_or_default();
        files.extend(self.used_files(&again.run)?);
        let outcome = &self.outcome;
        let back = outcome.restore.as_ref().or(outcome.back.as_ref());
        let outside = |title: &String| {
            self.outside.iter().any(|item| item.strip_prefix("undo: ").unwrap_or(item) == title)
        };
        let steps = forward.told.steps.iter().map(|step| ProvenStep {
            title: step.title.clone(),
            took_ms: step.took_ms,
            outside: outside(&step.title),
            back_ms: back
                .and_then(|back| back.steps.iter().find(|undo| undo.title == step.title))
                .map(|undo| undo.took_ms),
        });
        let hashed = self.copy.schema.schema.iter();
        let (major, minor) = self.copy.version();
        Ok(Receipt {
            rehearsal: outcome.rehearsal.clone(),
            playbook: outcome.playbook.clone(),
            at: moment(),
            by: started_by(),
            environment: outcome.environment.clone(),
            source: outcome.source.clone(),
            origin: self.copy.origin.clone(),
            with_rows: outcome.with_rows,
            server: self.copy.source_version,
            copy_server: major * 10_000 + minor,
            files,
            params: inputs["params"].clone(),
            schema: hashed.map(|(name, body)| (name.clone(), object_hash(body))).collect(),
            touched: touched.into_iter().collect(),
            made: done
                .schema
                .keys()
                .filter(|name| !self.start.schema.contains_key(*name))
                .cloned()
                .collect(),
            way_back: outcome.way_back,
            lost: outcome.lost.clone(),
            repeatable: outcome.repeatable,
            forward_ms: forward.told.took_ms,
            back_ms: back.map(|back| back.took_ms),
            disk: outcome.disk.clone(),
            steps: steps.collect(),
            checksum: String::new(),
        })
    }

    /// SQL files that the steps really used, those included by others too.
    fn used_files(&self, run: &RunId) -> Result<BTreeMap<String, String>, Fault> {
        let schema = quote_ident(&self.wanted.config.ledger_schema);
        let sql = format!(
            "SELECT coalesce(json_object_agg(substr(e.key, 6), e.value), '{{}}') \
             FROM {schema}.step s, jsonb_each_text(s.inputs) e \
             WHERE s.run = $1 AND e.key LIKE 'file:%'"
        );
        let found = self.ask(&sql, &[json!(run.0)])?;
        let found: BTreeMap<String, String> = serde_json::from_value(found).unwrap_or_default();
        let wanted = self.wanted;
        let still = |(path, hash): &(String, String)| {
            let source = resolve_sql(&wanted.project, &wanted.playbook, path).ok();
            source.and_then(|source| source.hash().ok()).as_ref() == Some(hash)
        };
        Ok(found.into_iter().filter(still).collect())
    }
}

/// Tables that were written, or locked so that readers or writers had to wait.
pub(super) fn touched(events: &[RunEvent]) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    for event in events {
        let EventKind::Measured { measured, .. } = &event.kind else { continue };
        tables.extend(measured.rows.iter().map(|row| row.table.clone()));
        let weak = ["AccessShareLock", "RowShareLock"];
        let locks = measured.locks.iter().filter(|lock| !weak.contains(&lock.mode.as_str()));
        tables.extend(locks.map(|lock| lock.table.clone()));
    }
    tables
}
