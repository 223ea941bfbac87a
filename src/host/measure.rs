//! What a step does to the copy in a rehearsal: one question before it, one just before its COMMIT,
//! both on the run's own connection, which sees what nobody else sees yet.

use std::rc::Rc;

use serde_json::{Value, json};

use super::gate::Host;
use super::scope::Transaction;
use super::stop::Trouble;
use crate::model::{EventKind, ItemKind, Measured};

/// Where a step began.
pub struct Before {
    wal: String,
    files: Value,
    rows: Value,
}

/// Tables, partitioned tables and materialized views that are nobody's but the user's.
const OURS: &str = "c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' \
    AND n.nspname NOT IN ('information_schema', $1)";

/// What this session wrote: the server counts per session, and tells the others later.
const ROWS: &str = "SELECT coalesce(json_agg(json_build_object('table', \
    format('%I.%I', s.schemaname, s.relname), 'inserted', s.n_tup_ins, 'updated', s.n_tup_upd, \
    'deleted', s.n_tup_del) ORDER BY 1), '[]') FROM pg_stat_xact_user_tables s \
    WHERE s.schemaname <> $1 AND s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0";

/// From the weakest to the strongest.
const MODES: &str = "ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', \
    'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', \
    'AccessExclusiveLock']";

impl Host {
    /// Before a step of a rehearsal.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn measure_from_here(self: &Rc<Self>, kind: ItemKind) -> Result<(), Trouble> {
        self.before_step.take();
        let measured = matches!(kind, ItemKind::Step | ItemKind::Undo);
        if self.setup.rehearsal.is_none() || !measured || self.worker.borrow().is_none() {
            return Ok(());
        }
        let session = self.session()?;
        let ledger = json!(self.setup.config.ledger_schema);
        let found = self.wait(async {
            if session.server_version() >= 150_000 {
                // What earlier steps wrote is told now, and is not counted as this one's.
                session.batch("SELECT pg_stat_force_next_flush()").await?;
            }
            let sql = format!(
                "SELECT json_build_object('wal', pg_current_wal_insert_lsn()::text, \
                 'rows', ({ROWS}), 'files', (SELECT coalesce(json_object_agg(c.oid, c.relfilenode), \
                 '{{}}') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS}))"
            );
            session.query(&sql, std::slice::from_ref(&ledger)).await
        })?;
        let found = found.map_err(|error| self.db_fault(error))?;
        let found = found.first().cloned().unwrap_or(Value::Null);
        *self.before_step.borrow_mut() = Some(Before {
            wal: found["wal"].as_str().unwrap_or("0/0").to_string(),
            files: found["files"].clone(),
            rows: found["rows"].clone(),
        });
        Ok(())
    }

    /// Just before the COMMIT of a step of a rehearsal.
    ///
    /// # Errors
    /// The server's; `journal-write`.
    pub(super) fn measure_to_here(self: &Rc<Self>, title: &str) -> Result<(), Trouble> {
        let Some(before) = self.before_step.take() else { return Ok(()) };
        let open =
            self.frames.borrow().last().is_some_and(|frame| frame.transaction != Transaction::None);
        let session = self.session()?;
        // Outside of a transaction there are no locks left to ask for; the rest is the same.
        let locks = if open {
            format!(
                "SELECT coalesce(json_agg(json_build_object('table', name, 'mode', ({MODES})[m]) \
                 ORDER BY name), '[]') FROM (SELECT format('%I.%I', n.nspname, c.relname) AS name, \
                 max(array_position({MODES}, l.mode)) AS m FROM pg_locks l \
                 JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE l.locktype = 'relation' AND l.pid = pg_backend_pid() AND l.granted AND {OURS} \
                 AND $3::json ->> c.oid::text IS NOT NULL GROUP BY 1) AS held"
            )
        } else {
            "'[]'::json".into()
        };
        let sql = format!(
            "SELECT json_build_object(\
             'wal_bytes', pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $2::text::pg_lsn)::bigint, \
             'rows', ({ROWS}), 'locks', ({locks}), \
             'rewritten', (SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname) ORDER BY 1), '[]') \
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} \
                AND $3::json ->> c.oid::text <> c.relfilenode::text))"
        );
        let values = [
            json!(self.setup.config.ledger_schema),
            json!(before.wal),
            json!(before.files.to_string()),
        ];
        let found = self.wait(session.query(&sql, &values))?;
        let found = found.map_err(|error| self.db_fault(error))?;
        let found = found.first().cloned().unwrap_or(Value::Null);
        let mut measured: Measured = serde_json::from_value(found).unwrap_or_default();
        if session.server_version() < 150_000 {
            without(&mut measured, &before.rows);
        }
        self.emit(EventKind::Measured { item: title.into(), measured }).map_err(Into::into)
    }
}

/// Older servers tell what a session wrote from time to time: what was counted before and is still
/// in the count is not this step's.
fn without(measured: &mut Measured, before: &Value) {
    let Ok(before) = serde_json::from_value::<Vec<crate::model::TableRows>>(before.clone()) else {
        return;
    };
    for was in before {
        let Some(now) = measured.rows.iter_mut().find(|now| now.table == was.table) else {
            continue;
        };
        let told =
            now.inserted < was.inserted || now.updated < was.updated || now.deleted < was.deleted;
        if !told {
            now.inserted -= was.inserted;
            now.updated -= was.updated;
            now.deleted -= was.deleted;
        }
    }
    measured.rows.retain(|row| row.inserted + row.updated + row.deleted > 0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::TableRows;

    #[test]
    fn what_an_earlier_step_wrote_is_not_counted_twice() {
        let row = |table: &str, inserted| TableRows {
            table: table.into(),
            inserted,
            ..TableRows::default()
        };
        let mut measured =
            Measured { rows: vec![row("a", 7), row("b", 2), row("c", 3)], ..Measured::default() };
        without(&mut measured, &json!([row("a", 5), row("b", 9), row("c", 3)]));
        assert_eq!(measured.rows, vec![row("a", 2), row("b", 2)]);
    }
}
