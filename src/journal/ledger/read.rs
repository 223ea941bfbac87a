//! What the ledger knows, read: runs, steps, announced effects. Changes nothing.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::rows::{intent_row, printed, run_row, step_row, text};
use super::{IntentRow, Known, Ledger, RunRow, RunState, StepRow};
use crate::model::quote_literal;
use crate::postgres::{DbError, Session, SimpleResult};

/// The columns of a run, of a step and of an intent, in the order of `rows`.
const RUN: &str = "run, playbook, title, file, state, inputs, started_by, environment, \
    started_at, finished_at, head";
const STEP: &str = "key, number, title, kind, state, value, before, inputs, effects, took_ms, head";
const INTENT: &str = "key, ordinal, action, state, value";

/// An answer of the ledger; None where there is no ledger.
fn there_is<T>(answer: Result<T, DbError>) -> Result<Option<T>, DbError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is("42P01") || error.is("3F000") => Ok(None),
        Err(error) => Err(error),
    }
}

impl Ledger {
    /// What a run looks at first: the playbook's runs, and the steps and effects of the one that is
    /// `probably` its last. One round trip; None where there is no ledger.
    ///
    /// A server session that has just begun looks everything up for the first time: each operator,
    /// each function, each table. So these are the plainest questions there are, and what is found
    /// is sorted here.
    ///
    /// # Errors
    /// The server's.
    pub async fn known(
        &self,
        session: &Session,
        playbook: &str,
        probably: Option<&str>,
    ) -> Result<Option<Known>, DbError> {
        let sql = self.known_sql(playbook, probably);
        let answers = there_is(session.simple(&sql).await)?;
        Ok(answers.map(|answers| self.known_of(answers, playbook, probably)))
    }

    /// The question behind [`Ledger::known`]: several statements.
    pub fn known_sql(&self, playbook: &str, probably: Option<&str>) -> String {
        let schema = &self.schema;
        let mut sql = format!(
            "SELECT seq, {RUN} FROM {schema}.run WHERE playbook = {}",
            quote_literal(playbook)
        );
        if let Some(run) = probably.map(quote_literal) {
            sql.push_str(&format!(
                "; SELECT epoch, {STEP} FROM {schema}.step WHERE run = {run}\
                 ; SELECT {INTENT} FROM {schema}.intent WHERE run = {run}"
            ));
        }
        sql
    }

    /// What was answered to [`Ledger::known_sql`].
    pub fn known_of(
        &self,
        answers: impl IntoIterator<Item = SimpleResult>,
        playbook: &str,
        probably: Option<&str>,
    ) -> Known {
        let mut answers = answers.into_iter().map(printed);
        let mut next = || answers.next().unwrap_or_default();
        let (mut runs, mut steps, intents) = (next(), next(), next());
        runs.sort_by_key(|row| Reverse(row[0].as_i64()));
        let runs: Vec<RunRow> = runs.into_iter().map(|mut row| run_row(row.split_off(1))).collect();
        steps.sort_by_cached_key(|row| (row[2].as_i64(), row[0].as_i64(), row[1].to_string()));
        let steps = steps.into_iter().map(|mut row| step_row(row.split_off(1)));
        let intents = intents.into_iter().map(intent_row);
        // A run that is not over is looked at with its steps counted, under the lease.
        let done = match runs.iter().find(|run| run.state != RunState::RolledBack) {
            Some(run) if run.state == RunState::Done && Some(run.run.as_str()) == probably => {
                Some((run.run.clone(), steps.collect(), intents.collect()))
            }
            _ => None,
        };
        Known { playbook: playbook.into(), runs: Some(runs), done }
    }

    /// The comment of the ledger's schema; None where there is none.
    ///
    /// # Errors
    /// The server's.
    pub async fn comment(&self, session: &Session) -> Result<Option<String>, DbError> {
        let answer = session.simple(&self.comment_sql()).await?;
        Ok(answer.first().and_then(SimpleResult::value).map(String::from))
    }

    /// The question behind [`Ledger::comment`], one statement: as obj_description asks, without its
    /// function; 2615 is pg_namespace.
    pub fn comment_sql(&self) -> String {
        format!(
            "SELECT description FROM pg_catalog.pg_description \
             WHERE objoid = pg_catalog.to_regnamespace({})::oid \
             AND classoid = 2615::oid AND objsubid = 0::int4",
            quote_literal(&self.schema)
        )
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
        let found = there_is(session.ask(&sql, &[json!(playbook)]).await)?;
        Ok(found.is_some_and(|found| found.first() == Some(&Value::Bool(true))))
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
                jsonb_path_query(r.report::jsonb, '$.sections[*].items[*]') i
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
             UPDATE {0}.run SET report = $4::json WHERE run IN (SELECT run FROM ticked)",
            self.schema
        );
        let values = [json!(run), json!(title), patch.clone(), report.clone()];
        session.execute(&sql, &values).await
    }

    /// The steps of a run in their order.
    pub async fn steps(&self, session: &Session, run: &str) -> Result<Vec<StepRow>, DbError> {
        let sql = format!(
            "SELECT {STEP} FROM {}.step WHERE run = $1 ORDER BY number, epoch, key",
            self.schema
        );
        let rows = session.ask(&sql, &[json!(run)]).await?.rows;
        Ok(rows.into_iter().map(step_row).collect())
    }

    /// The announced effects of a run.
    pub async fn intents(&self, session: &Session, run: &str) -> Result<Vec<IntentRow>, DbError> {
        let sql = format!(
            "SELECT {INTENT} FROM {}.intent WHERE run = $1 ORDER BY key, ordinal",
            self.schema
        );
        let rows = session.ask(&sql, &[json!(run)]).await?.rows;
        Ok(rows.into_iter().map(intent_row).collect())
    }
}
