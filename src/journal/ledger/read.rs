//! What the ledger knows, read: runs, steps, announced effects. Changes nothing.

use serde_json::{Value, json};

use super::rows::{run_row, step_row, text};
use super::{IntentRow, IntentState, Known, Ledger, RunRow, RunState, StepRow};
use crate::postgres::{DbError, Session};

impl Ledger {
    /// The runs of a playbook, newest first, their steps not counted: what a run looks at first, on
    /// a server session that has just begun. None where there is no ledger.
    pub async fn runs_uncounted(
        &self,
        session: &Session,
        playbook: &str,
    ) -> Result<Option<Vec<RunRow>>, DbError> {
        let sql = format!(
            "SELECT run, playbook, title, file, state, inputs, started_by, environment,
                started_at::text, finished_at::text, head
             FROM {}.run WHERE playbook = $1 ORDER BY seq DESC",
            self.schema
        );
        match session.ask(&sql, &[json!(playbook)]).await {
            Ok(found) => Ok(Some(found.rows.into_iter().map(run_row).collect())),
            Err(error) if error.is("42P01") || error.is("3F000") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a run looks at first, all of it in one round trip. None where there is no ledger.
    ///
    /// # Errors
    /// The server's.
    pub async fn known(&self, session: &Session, playbook: &str) -> Result<Option<Known>, DbError> {
        // A run that is not over is looked at with its steps counted, under the lease.
        let done = format!(
            "(SELECT run FROM (SELECT run, state FROM {}.run WHERE playbook = $1 \
             AND state <> 'rolled_back' ORDER BY seq DESC LIMIT 1) newest WHERE state = 'done')",
            self.schema
        );
        let (runs, steps, intents) = futures_util::future::join3(
            self.runs_uncounted(session, playbook),
            self.steps_of(session, &done, playbook),
            self.intents_of(session, &done, playbook),
        )
        .await;
        let Some(runs) = runs? else { return Ok(None) };
        let standing = runs.iter().find(|run| run.state != RunState::RolledBack);
        let done = match standing.filter(|run| run.state == RunState::Done) {
            Some(run) => Some((run.run.clone(), steps?, intents?)),
            None => None,
        };
        Ok(Some(Known { playbook: playbook.into(), runs: Some(runs), done }))
    }

    /// Is the newest run of a playbook that was not taken back a finished one?
    ///
    /// # Errors
    /// The server's; a ledger that is not there is no error.
    pub async fn is_done(&self, session: &Session, playbook: &str) -> Result<bool, DbError> {
        let sql = format!(
            "SELECT state = 'done' FROM {}.run WHERE playbook = $1 AND state <> 'rolled_back' \
             ORDER BY seq DESC LIMIT 1",
            self.schema
        );
        match session.ask(&sql, &[json!(playbook)]).await {
            Ok(found) => Ok(found.first() == Some(&Value::Bool(true))),
            Err(error) if error.is("42P01") || error.is("3F000") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The runs of this database, newest first; of one playbook, or of all.
    pub async fn runs(
        &self,
        session: &Session,
        playbook: Option<&str>,
    ) -> Result<Vec<RunRow>, DbError> {
        let sql = format!(
            "SELECT r.run, r.playbook, r.title, r.file, r.state, r.inputs, r.started_by,
                r.environment, r.started_at::text, r.finished_at::text, r.head,
                (SELECT count(*) FROM {0}.step s WHERE s.run = r.run AND s.state = 'done'
                    AND s.kind IN ('step', 'manual', 'approve'))
                + (SELECT count(DISTINCT i.key) FROM {0}.intent i WHERE i.run = r.run
                    AND i.state IN ('open', 'done') AND NOT EXISTS
                    (SELECT FROM {0}.step s WHERE s.run = r.run AND s.key = i.key))
             FROM {0}.run r WHERE $1::text IS NULL OR r.playbook = $1
             ORDER BY r.seq DESC",
            self.schema
        );
        let rows = session.ask(&sql, &[json!(playbook)]).await?.rows;
        Ok(rows.into_iter().map(run_row).collect())
    }

    /// Every line of a run's file that the database knows, as [`super::Recorder::head`] wrote it.
    pub async fn heads(&self, session: &Session, run: &str) -> Result<Vec<String>, DbError> {
        let sql = format!(
            "SELECT head FROM {0}.step WHERE run = $1 AND head <> ''
             UNION SELECT head FROM {0}.run WHERE run = $1 AND head <> ''",
            self.schema
        );
        let rows = session.ask(&sql, &[json!(run)]).await?.rows;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next()).map(text).collect())
    }

    /// Titles of steps that the run's own report, kept in the ledger, calls done and that have no
    /// row: somebody deleted rows.
    pub async fn missing_steps(
        &self,
        session: &Session,
        run: &str,
    ) -> Result<Vec<String>, DbError> {
        let sql = format!(
            "SELECT i->'item'->>'title' FROM {0}.run r,
                jsonb_path_query(r.report, '$.sections[*].items[*]') i
             WHERE r.run = $1 AND i->'item'->>'kind' IN ('step', 'manual', 'approve')
                AND i->'outcome'->>'state' IN ('done', 'replayed', 'not_attested')
                AND i->'item'->>'title' NOT LIKE '%******%'
                AND NOT EXISTS (SELECT FROM {0}.step s
                    WHERE s.run = r.run AND s.title = i->'item'->>'title')",
            self.schema
        );
        let rows = session.ask(&sql, &[json!(run)]).await?.rows;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next()).map(text).collect())
    }

    /// The stored report of a run.
    pub async fn report(&self, session: &Session, run: &str) -> Result<Option<Value>, DbError> {
        let sql = format!("SELECT report FROM {}.run WHERE run = $1", self.schema);
        let rows = session.ask(&sql, &[json!(run)]).await?.rows;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).filter(|v| !v.is_null()))
    }

    /// Says of a manual item or an approval who attested it afterwards, and keeps the report that
    /// says so too. Gives how many rows there were.
    pub async fn tick(
        &self,
        session: &Session,
        run: &str,
        title: &str,
        patch: &Value,
        report: &Value,
    ) -> Result<u64, DbError> {
        let sql = format!(
            "WITH ticked AS (UPDATE {0}.step SET value = value || $3::jsonb
                WHERE run = $1 AND title = $2 AND kind IN ('manual', 'approve') RETURNING run)
             UPDATE {0}.run SET report = $4::jsonb WHERE run IN (SELECT run FROM ticked)",
            self.schema
        );
        let values = [json!(run), json!(title), patch.clone(), report.clone()];
        session.execute(&sql, &values).await
    }

    /// The steps of a run in their order.
    pub async fn steps(&self, session: &Session, run: &str) -> Result<Vec<StepRow>, DbError> {
        self.steps_of(session, "$1", run).await
    }

    /// As [`Ledger::steps`]; `which` is the run as SQL has it, made of `$1`.
    async fn steps_of(
        &self,
        session: &Session,
        which: &str,
        given: &str,
    ) -> Result<Vec<StepRow>, DbError> {
        let sql = format!(
            "SELECT key, number, title, kind, state, value, before, inputs, effects, took_ms, head
             FROM {}.step WHERE run = {which} ORDER BY number, epoch, key",
            self.schema
        );
        let rows = session.ask(&sql, &[json!(given)]).await?.rows;
        Ok(rows.into_iter().map(step_row).collect())
    }

    /// The announced effects of a run.
    pub async fn intents(&self, session: &Session, run: &str) -> Result<Vec<IntentRow>, DbError> {
        self.intents_of(session, "$1", run).await
    }

    async fn intents_of(
        &self,
        session: &Session,
        which: &str,
        given: &str,
    ) -> Result<Vec<IntentRow>, DbError> {
        let sql = format!(
            "SELECT key, ordinal, action, state, value FROM {}.intent WHERE run = {which}
             ORDER BY key, ordinal",
            self.schema
        );
        let rows = session.ask(&sql, &[json!(given)]).await?.rows;
        Ok(rows
            .into_iter()
            .map(|row| {
                let mut row = row.into_iter();
                let mut next = || row.next().unwrap_or(Value::Null);
                IntentRow {
                    key: text(next()),
                    ordinal: next().as_u64().unwrap_or(0) as u32,
                    action: next(),
                    state: serde_json::from_value(next()).unwrap_or(IntentState::Open),
                    value: next(),
                }
            })
            .collect())
    }
}
