//! The ledger: the schema `runsheet` in the database itself.
//!
//! A step's row is written last in the step's own transaction, so that it says exactly what has
//! been applied to this data. Nothing here decides; it reads and writes rows.

mod read;
mod rows;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Recorded;
use crate::model::{Fault, quote_ident, quote_literal};
use crate::msg;
use crate::postgres::{DbError, Session};

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// A process works on it, or was killed.
    Running,
    /// It failed, or was interrupted.
    Failed,
    /// Every item is done and every verify held.
    Done,
    /// Every step is done and a verify failed.
    VerifyFailed,
    /// Its rollback has begun and has not ended: some of its steps are undone.
    RollingBack,
    /// Its steps were undone.
    RolledBack,
}

impl RunState {
    /// The word in the ledger.
    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Done => "done",
            Self::VerifyFailed => "verify_failed",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// What the ledger knows of a playbook, as a run looks at it first.
#[derive(Clone, Debug)]
pub struct Known {
    /// The playbook's id.
    pub playbook: String,
    /// Its runs, newest first, their steps not counted; None once they were asked for.
    pub runs: Option<Vec<RunRow>>,
    /// The newest run that was not taken back, where it is finished, with its steps and effects.
    pub done: Option<(String, Vec<StepRow>, Vec<IntentRow>)>,
}

/// How a journaled step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// It took effect.
    Done,
    /// It was undone.
    Undone,
}

/// How an announced effect stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Announced; nobody knows whether it happened.
    Open,
    /// It happened.
    Done,
    /// A person said: do it again.
    Redo,
}

/// A run as the ledger keeps it.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// Its id.
    pub run: String,
    /// The playbook's id.
    pub playbook: String,
    /// The playbook's title.
    pub title: String,
    /// The playbook's file or name.
    pub file: String,
    /// How it stands.
    pub state: RunState,
    /// Hashes and values of what it was started with.
    pub inputs: Value,
    /// `user@host`.
    pub started_by: String,
    /// Environment's name.
    pub environment: Option<String>,
    /// When it began, as the server prints it.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Steps that stand.
    pub steps: i64,
    /// Last line of the file that the database knows.
    pub head: String,
}

impl RunRow {
    /// How many rows its steps had when it was closed; None for a run that is open.
    pub fn rows_at_end(&self) -> Option<usize> {
        self.inputs.get("rows").and_then(Value::as_u64).map(|rows| rows as usize)
    }
}

/// A journaled step.
#[derive(Clone, Debug)]
pub struct StepRow {
    /// Stable name.
    pub key: String,
    /// Its place in the order.
    pub number: i64,
    /// Title for people.
    pub title: String,
    /// `step`, `manual`, `approve`, `undo`, `always`, `on_failure`.
    pub kind: String,
    /// How it stands.
    pub state: StepState,
    /// What its body returned.
    pub value: Value,
    /// Reads and checks since the step before it.
    pub before: Vec<Recorded>,
    /// Hashes of what it used.
    pub inputs: Value,
    /// Verbs that it used.
    pub effects: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// Last line of the file when it was written.
    pub head: String,
}

/// An announced effect.
#[derive(Clone, Debug)]
pub struct IntentRow {
    /// The step's key.
    pub key: String,
    /// Number within the step, from 1.
    pub ordinal: u32,
    /// What was announced.
    pub action: Value,
    /// How it stands.
    pub state: IntentState,
    /// What it gave.
    pub value: Value,
}

/// The statements of the ledger, for one schema.
#[derive(Clone, Debug)]
pub struct Ledger {
    schema: String,
}

impl Ledger {
    /// The ledger in a schema, usually `runsheet`.
    pub fn new(schema: &str) -> Self {
        Self { schema: quote_ident(schema) }
    }

    /// The quoted schema.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Is it there?
    pub async fn exists(&self, session: &Session) -> Result<bool, DbError> {
        self.has(session, "to_regclass", "step").await
    }

    /// Is everything there that [`Ledger::create`] makes?
    ///
    /// # Errors
    /// The server's.
    pub async fn is_whole(&self, session: &Session) -> Result<bool, DbError> {
        self.has(session, "to_regproc", "record").await
    }

    /// Does a function of the server that looks names up find this one in the ledger?
    async fn has(&self, session: &Session, finds: &str, name: &str) -> Result<bool, DbError> {
        let sql = format!("SELECT {finds}($1) IS NOT NULL");
        let name = Value::from(format!("{}.{name}", self.schema));
        Ok(first(session.ask(&sql, &[name]).await?.rows) == Value::Bool(true))
    }

    /// Makes schema, tables and functions; harmless where they are there.
    ///
    /// # Errors
    /// `ledger-right` with the GRANT where the role may not make a schema.
    pub async fn create(&self, session: &Session) -> Result<(), Fault> {
        let sql = include_str!("ledger.sql")
            .replace("'{schema}'", &quote_literal(&self.schema))
            .replace("{schema}", &self.schema);
        // Fifty containers may get here at once: IF NOT EXISTS alone still collides in the catalog.
        let sql = format!("BEGIN; SELECT pg_advisory_xact_lock(7310027716305217); {sql}\nCOMMIT");
        match session.batch(&sql).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let _ = session.batch("ROLLBACK").await;
                if error.sqlstate.as_deref() != Some("42501") {
                    return Err(error.into_fault());
                }
                let who = session.ask("SELECT current_database()::text, current_user::text", &[]);
                let row = who.await.map_err(DbError::into_fault)?.rows.into_iter().next();
                let row = row.unwrap_or_default();
                let name = |at: usize| {
                    quote_ident(row.get(at).and_then(Value::as_str).unwrap_or_default())
                };
                let grant = format!("GRANT CREATE ON DATABASE {} TO {}", name(0), name(1));
                Err(Fault::failed(
                    "ledger-right",
                    msg!("journal.ledger-right", schema = self.schema),
                )
                .sqlstate("42501")
                .cause(msg!("journal.ledger-right.cause"))
                .remedy(msg!("journal.ledger-right.remedy", grant = grant)))
            }
        }
    }

    /// Opens the row of a run, or takes it up again, in the state that the row says.
    pub async fn open_run(
        &self,
        session: &Session,
        row: &RunRow,
        epoch: i64,
    ) -> Result<(), DbError> {
        let sql = format!(
            "WITH dead AS (UPDATE {0}.run SET state = 'failed', finished_at = clock_timestamp()
                WHERE state = 'running' AND run <> $1)
             INSERT INTO {0}.run AS r (run, playbook, title, file, state, inputs, started_by,
                environment, version, epoch)
             VALUES ($1, $2, $3, $4, $10, $5::jsonb, $6, $7, $8, $9::bigint)
             ON CONFLICT (run) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
                inputs = excluded.inputs, finished_at = NULL",
            self.schema
        );
        let values = [
            json!(row.run),
            json!(row.playbook),
            json!(row.title),
            json!(row.file),
            row.inputs.clone(),
            json!(row.started_by),
            json!(row.environment),
            json!(env!("CARGO_PKG_VERSION")),
            json!(epoch),
            json!(row.state),
        ];
        self.fenced(session, epoch, &sql, &values, || {}).await
    }

    /// Sets how a run stands, as a statement.
    pub fn state_sql(&self, run: &str, state: RunState) -> String {
        let (run, state) = (quote_literal(run), state.word());
        format!("UPDATE {}.run SET state = '{state}' WHERE run = {run}", self.schema)
    }

    /// One statement in a transaction that only the holder of the newest epoch can commit;
    /// `before_commit` happens while the server works.
    async fn fenced(
        &self,
        session: &Session,
        epoch: i64,
        sql: &str,
        values: &[Value],
        before_commit: impl FnOnce(),
    ) -> Result<(), DbError> {
        let work = async {
            session.batch(&format!("BEGIN; {}", self.fence_sql(epoch))).await?;
            session.execute(sql, values).await?;
            before_commit();
            session.batch("COMMIT").await
        };
        let done = work.await;
        if done.as_ref().is_err_and(|error| !error.connection_lost) {
            let _ = session.batch("ROLLBACK").await;
        }
        done
    }

    /// Says how a run stands and the last line of its file, and keeps its report, a JSON text. Not
    /// committed before `files` came back. A run that was overtaken says nothing.
    pub async fn close_run(
        &self,
        session: &Session,
        run: &str,
        (state, head): (RunState, &str),
        report: String,
        epoch: i64,
        files: impl FnOnce(),
    ) -> Result<(), DbError> {
        let sql = format!(
            "UPDATE {0}.run SET state = $2, head = $3, report = $4::json,
                inputs = inputs || jsonb_build_object('rows',
                    (SELECT count(*) FROM {0}.step WHERE run = $1)),
                finished_at = clock_timestamp() WHERE run = $1",
            self.schema
        );
        // The server's JSON has no NUL. JSON holds no bare control character: one may stand for the
        // escaped backslashes meanwhile.
        let report = match report.contains("\\u0000") {
            true => (report.replace(r"\\", "\u{1}").replace(r"\u0000", r"\ufffd"))
                .replace('\u{1}', r"\\"),
            false => report,
        };
        let values = [json!(run), json!(state), json!(head), Value::String(report)];
        self.fenced(session, epoch, &sql, &values, files).await
    }

    /// Puts a run's state back to what it was, where nothing of it was changed after all.
    pub async fn leave_run(
        &self,
        session: &Session,
        run: &str,
        state: RunState,
        head: &str,
    ) -> Result<(), DbError> {
        let sql = format!(
            "UPDATE {}.run SET state = $2, head = $3, finished_at = coalesce(finished_at,
                clock_timestamp()) WHERE run = $1",
            self.schema
        );
        session.execute(&sql, &[json!(run), json!(state), json!(head)]).await.map(drop)
    }

    /// Takes away a report that tells of steps which the database no longer has.
    pub async fn forget_report(&self, session: &Session, run: &str) -> Result<(), DbError> {
        let sql = format!("UPDATE {}.run SET report = NULL WHERE run = $1", self.schema);
        session.execute(&sql, &[json!(run)]).await.map(drop)
    }

    /// First statement of a transaction: raises unless the epoch is still ours, and keeps it so
    /// until the transaction ends. Gives the transaction's id.
    pub fn fence_sql(&self, epoch: i64) -> String {
        format!("SELECT {}.fence({epoch})", self.schema)
    }

    /// The same without looking: keeps whatever epoch there is until the transaction ends. Takes a
    /// third of the time, and [`Ledger::record_sql`] looks at the end.
    pub fn hold_sql(&self) -> String {
        format!("LOCK TABLE {}.lease IN ROW SHARE MODE", self.schema)
    }

    /// Last statement of a step's transaction: its row, where the epoch is still ours; `traced` with
    /// the tables that it touched. With `xid` it is refused in any other transaction. Gives the
    /// transaction's id.
    pub fn record_sql(
        &self,
        run: &str,
        step: &StepRow,
        epoch: i64,
        xid: Option<&str>,
        traced: bool,
    ) -> String {
        let since = if traced { format!("::jsonb || {}", self.since_sql()) } else { String::new() };
        let jsonb = |value: &Value| quote_literal(&value.to_string().replace("\\u0000", "\\ufffd"));
        let before = serde_json::to_value(&step.before).unwrap_or(Value::Null);
        let xid = xid.map_or("NULL".to_string(), quote_literal);
        format!(
            "SELECT {}.record({xid}, {}, {}, {}, {}, {}, {}, {}, {}, {}{since}, {}, {epoch}, {}, {})",
            self.schema,
            quote_literal(run),
            quote_literal(&step.key),
            step.number,
            quote_literal(&step.title),
            quote_literal(&step.kind),
            quote_literal(match step.state {
                StepState::Done => "done",
                StepState::Undone => "undone",
            }),
            jsonb(&step.value),
            jsonb(&before),
            jsonb(&step.inputs),
            jsonb(&json!(step.effects)),
            step.took_ms,
            quote_literal(&step.head),
        )
    }

    /// Marks a done step as undone, inside the undo's own transaction.
    pub fn undone_sql(&self, run: &str, key: &str) -> String {
        format!(
            "UPDATE {}.step SET state = 'undone' WHERE run = {} AND key = {}",
            self.schema,
            quote_literal(run),
            quote_literal(key)
        )
    }

    /// Announces an effect that cannot be part of a transaction.
    pub fn intent_sql(&self, run: &str, key: &str, ordinal: u32, action: &Value) -> String {
        format!(
            "INSERT INTO {}.intent (run, key, ordinal, action, state) VALUES ({}, {}, {ordinal}, {}, 'open')
             ON CONFLICT (run, key, ordinal) DO UPDATE SET state = 'open', at = clock_timestamp()",
            self.schema,
            quote_literal(run),
            quote_literal(key),
            quote_literal(&action.to_string()),
        )
    }

    /// Says that an announced effect is known to have happened, or has to be done again.
    pub fn settle_sql(
        &self,
        run: &str,
        key: &str,
        ordinal: Option<u32>,
        state: IntentState,
        value: &Value,
    ) -> String {
        let which = ordinal.map_or("state = 'open'".to_string(), |n| format!("ordinal = {n}"));
        format!(
            "UPDATE {}.intent SET state = '{}', value = {} WHERE run = {} AND key = {} AND {which}",
            self.schema,
            match state {
                IntentState::Open => "open",
                IntentState::Done => "done",
                IntentState::Redo => "redo",
            },
            quote_literal(&value.to_string()),
            quote_literal(run),
            quote_literal(key),
        )
    }
}

fn first(rows: Vec<Vec<Value>>) -> Value {
    rows.into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or(Value::Null)
}
