//! What a way back would take along: rows that others wrote into the tables since a step ended.
//!
//! Counted by the transaction of each row's newest version, against the snapshot that the step
//! left in the ledger. Deleted rows leave nothing that could be counted, and a table that is gone
//! cannot be asked; both are said.

use std::rc::Rc;

use serde_json::{Value, json};

use super::gate::Host;
use super::stop::Trouble;
use crate::journal::{Trace, Traces};
use crate::model::{EventKind, Fault};
use crate::msg;
use crate::postgres::{DbError, Session};

/// A count may take so long: whoever rolls back at night wants to be told, not to wait.
const LIMIT: &str = "SET LOCAL statement_timeout = '30s'";
/// Transaction numbers of rows go round after two thousand million; near that nothing can be told.
const TOO_LONG_AGO: u64 = 2_000_000_000;

/// Rows of one table.
struct Count {
    written: u64,
    all: u64,
}

impl Host {
    /// Says what was written since into the tables of the steps that stand. Gives the
    /// number of rows.
    ///
    /// # Errors
    /// `journal-write`; the server's answer where the ledger cannot be read. A table that cannot
    /// be counted is said, and stops nothing.
    pub(super) fn tell_losses(self: &Rc<Self>) -> Result<u64, Trouble> {
        let session = self.session()?;
        let Some(ledger) = self.worker.borrow().as_ref().map(|worker| worker.ledger.clone()) else {
            return Ok(0);
        };
        let traces = self.wait(ledger.traces(&session, &self.run_id().0))?;
        let traces = traces.map_err(|error| self.db_fault(error))?;
        let mut rows = Vec::new();
        let mut lost = 0;
        for trace in &traces.tables {
            let counted = self.wait(count(&session, trace, &traces.own))?;
            let (written, all) = match counted {
                Ok(Some(count)) => {
                    lost += count.written;
                    (json!(count.written), json!(count.all))
                }
                Ok(None) => (json!(msg!("host.loss.gone")), Value::Null),
                Err(error) => {
                    let why = error.message.lines().next().unwrap_or_default().to_string();
                    (json!(msg!("host.loss.uncounted", why = why)), Value::Null)
                }
            };
            if written != json!(0) {
                rows.push(row(trace, &written, &all));
            }
        }
        self.say_losses(&traces, rows, lost)?;
        Ok(lost)
    }

    fn say_losses(&self, traces: &Traces, rows: Vec<Value>, lost: u64) -> Result<(), Fault> {
        if !rows.is_empty() {
            let title = msg!("host.loss.table");
            self.emit(EventKind::Table { title, rows: Value::Array(rows) })?;
        }
        if lost > 0 {
            self.emit(EventKind::Warning { text: msg!("host.loss.rows", rows = lost) })?;
        } else if !traces.tables.is_empty() {
            let tables = traces.tables.len();
            self.emit(EventKind::Note { text: msg!("host.loss.none", tables = tables) })?;
        }
        if !traces.tables.is_empty() {
            self.emit(EventKind::Note { text: msg!("host.loss.unseen") })?;
        }
        if !traces.blind.is_empty() {
            let steps = traces.blind.join(", ");
            self.emit(EventKind::Warning { text: msg!("host.loss.blind", steps = steps) })?;
        }
        Ok(())
    }
}

impl Host {
    /// Takes the snapshot behind a step's COMMIT out of the server's answer: in it, all of the
    /// step's own rows are seen, those of its savepoints too. It is written with the next step's
    /// row, or at the end; a process that dies before that leaves the one from inside the step.
    pub(super) fn committed(&self, step: Option<String>, seen: Option<String>) {
        *self.snapshot.borrow_mut() = step.zip(seen);
    }

    /// The statement that writes it into the step's row; once.
    pub(super) fn snapshot_sql(&self) -> Option<String> {
        let (key, snapshot) = self.snapshot.take()?;
        let worker = self.worker.borrow();
        Some(worker.as_ref()?.ledger.after_sql(&self.run_id().0, &key, &snapshot))
    }

    /// Writes it by itself, where nothing else is to be written.
    ///
    /// # Errors
    /// The server's answer.
    pub(super) fn keep_snapshot(self: &Rc<Self>) -> Result<(), Trouble> {
        self.tidied()?;
        let pending = self.snapshot.borrow().is_some() && self.has_lease();
        match pending.then(|| self.snapshot_sql()).flatten() {
            Some(sql) => self.ledger_write(|_, _| sql.clone()),
            None => Ok(()),
        }
    }
}

fn row(trace: &Trace, written: &Value, all: &Value) -> Value {
    let mut row = serde_json::Map::new();
    row.insert(msg!("host.loss.column-table"), json!(trace.name));
    row.insert(msg!("host.loss.column-written"), written.clone());
    row.insert(msg!("host.loss.column-all"), all.clone());
    row.insert(msg!("host.loss.column-step"), json!(trace.step));
    row.insert(msg!("host.loss.column-at"), json!(trace.at));
    Value::Object(row)
}

/// Counts in a READ ONLY transaction of its own; None where the table is gone.
async fn count(session: &Session, trace: &Trace, own: &[String]) -> Result<Option<Count>, DbError> {
    // A count of what row security lets one role see would look like the truth.
    session.batch(&format!("BEGIN READ ONLY; {LIMIT}; SET LOCAL row_security = off")).await?;
    let counted = count_in(session, trace, own).await;
    let ended = session.batch("ROLLBACK").await;
    let counted = counted?;
    ended.map(|()| counted)
}

async fn count_in(
    session: &Session,
    trace: &Trace,
    own: &[String],
) -> Result<Option<Count>, DbError> {
    // By its oid: the table may have been renamed since.
    let name = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::bigint::oid";
    let found = session.query(name, &[json!(trace.table)]).await?;
    let Some(table) = found.first().and_then(Value::as_str).map(String::from) else {
        return Ok(None);
    };
    let sql = format!(
        "WITH base AS MATERIALIZED (SELECT $1::bigint AS xid, \
            age((($1::bigint) & 4294967295)::text::xid)::bigint AS age, \
            age((pg_snapshot_xmin($2::pg_snapshot)::text::bigint & 4294967295)::text::xid)::bigint \
                AS oldest, \
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint - $1::bigint AS since) \
         SELECT json_build_object('since', (SELECT since FROM base), 'all', count(*), \
            'written', count(*) FILTER (WHERE CASE \
                WHEN age(t.xmin)::bigint > base.oldest THEN false \
                WHEN t.xmin::text = ANY ($3::text[]) THEN false \
                ELSE NOT pg_visible_in_snapshot( \
                    greatest(base.xid + base.age - age(t.xmin)::bigint, 3)::text::xid8, \
                    $2::pg_snapshot) END)) \
         FROM {table} AS t, base"
    );
    let values = [json!(trace.xid), json!(trace.snapshot), json!(own)];
    let rows = session.query(&sql, &values).await?;
    let found = rows.first().cloned().unwrap_or(Value::Null);
    let number = |name: &str| found.get(name).and_then(Value::as_u64).unwrap_or(0);
    if number("since") > TOO_LONG_AGO {
        // Everything may be new.
        return Ok(Some(Count { written: number("all"), all: number("all") }));
    }
    Ok(Some(Count { written: number("written"), all: number("all") }))
}
