//! One snapshot of a database, seen by several read-only sessions at once: for fingerprints and
//! comparisons of large databases, and for a dump that has to show the same.

use std::time::Duration;

use serde_json::Value;

use super::fingerprint::{Fingerprint, PINS, relations, schema_lines};
use super::share::share;
use super::{ConnectOptions, DbError, Session, Target, connect};
use crate::model::{Fault, quote_literal};

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Sessions that see the same rows, whatever others write meanwhile.
pub struct Look {
    sessions: Vec<Session>,
    snapshot: Option<String>,
}

impl Look {
    /// Opens up to `wanted` sessions (at least one) on one snapshot. A pooler, or a server that
    /// exports no snapshot, gets one.
    ///
    /// # Errors
    /// Those of connecting; the server's.
    pub async fn open(target: &Target, name: &str, wanted: usize) -> Result<Self, Fault> {
        let options =
            ConnectOptions { application_name: name.to_string(), ..ConnectOptions::default() };
        let first = connect(target, &options).await?;
        // A look may take as long as it takes, and its sessions wait for each other.
        let open = format!(
            "{BEGIN}; SET LOCAL statement_timeout = 0; \
            SET LOCAL idle_in_transaction_session_timeout = 0; {PINS}"
        );
        first.batch(&open).await?;
        let mut snapshot = None;
        if !first.behind_pooler() {
            let exported = first.query("SELECT pg_export_snapshot()", &[]).await;
            match exported {
                Ok(rows) => snapshot = rows.first().and_then(Value::as_str).map(String::from),
                Err(error) if error.connection_lost => return Err(error.into_fault()),
                Err(_) => first.batch(&format!("ROLLBACK; {open}")).await?,
            }
        }
        let mut sessions = vec![first];
        if let Some(snapshot) = &snapshot {
            let take = format!(
                "{BEGIN}; SET TRANSACTION SNAPSHOT {}; {}",
                quote_literal(snapshot),
                open.strip_prefix(BEGIN).unwrap_or_default().trim_start_matches(';')
            );
            for _ in 1..wanted {
                // Fewer connections than wanted are no failure: the server may have no more.
                let Ok(more) = connect(target, &options).await else { break };
                more.batch(&take).await?;
                sessions.push(more);
            }
        }
        Ok(Self { sessions, snapshot })
    }

    /// Ends the sessions: the server hears of it before this returns.
    pub async fn close(self) {
        for session in &self.sessions {
            let _ = session.batch("ROLLBACK").await;
        }
        drop(self.sessions);
        // Each connection is driven by a task, which says good-bye when it is polled the next time.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    /// The snapshot's name, for `pg_dump --snapshot`; None where the server exports none.
    pub fn snapshot(&self) -> Option<&str> {
        self.snapshot.as_deref()
    }

    /// The sessions; the first is the one that holds the snapshot.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// The first session.
    pub fn first(&self) -> &Session {
        &self.sessions[0]
    }

    /// The schema, and the rows where `rows` is true: tables are shared out among the sessions.
    ///
    /// # Errors
    /// The server's.
    pub async fn fingerprint(&self, ledger: &str, rows: bool) -> Result<Fingerprint, DbError> {
        let schema = schema_lines(self.first(), Value::Null, ledger).await?;
        if !rows {
            return Ok(Fingerprint::of(schema, Vec::new()));
        }
        let names = relations(self.first(), Value::Null, ledger).await?;
        // The largest first, so that no session is left with one while all others have nothing.
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|at| names[*at].bytes);
        let sum = async |session: &&Session, at: usize| {
            Ok::<_, DbError>((at, names[at].sum(session).await?))
        };
        let mut found = share(&self.sessions, order, sum).await?;
        found.sort_by_key(|(at, _)| *at);
        let found = found.into_iter().map(|(at, cells)| (names[at].name.clone(), cells)).collect();
        Ok(Fingerprint::of(schema, found))
    }
}
