//! Statistics of the copy, so that its plans are those of the source: table by table, by as many
//! sessions as the machine has processors.

use super::made::jobs;
use crate::model::Fault;
use crate::postgres::{ConnectOptions, DbError, Session, Target, connect, share};
use crate::system::Cancel;

/// What `ANALYZE` would take by itself, the largest last; a partitioned table stands for its
/// partitions, and a foreign table is not reached for.
const TABLES: &str = "SELECT coalesce(json_agg(c.oid::regclass::text ORDER BY CASE c.relkind \
    WHEN 'p' THEN (SELECT sum(pg_relation_size(p.relid)) FROM pg_partition_tree(c.oid) p) \
    ELSE pg_relation_size(c.oid) END), '[]') FROM pg_class c WHERE c.relkind IN ('r', 'p', 'm') \
    AND c.relpersistence <> 't' AND NOT c.relispartition AND pg_has_role(c.relowner, 'USAGE')";

/// Analyzes the whole database.
///
/// # Errors
/// Those of connecting; the server's; Ctrl-C.
pub(super) async fn analyze(target: &Target, cancel: &Cancel) -> Result<(), Fault> {
    let options =
        ConnectOptions { application_name: "runsheet/rehearsal".into(), ..Default::default() };
    let first = connect(target, &options).await?;
    let quiet = "SET search_path = ''; SET statement_timeout = 0; SET lock_timeout = '30s'";
    first.batch(quiet).await?;
    let names = first.query(TABLES, &[]).await?.first().cloned().unwrap_or_default();
    let names: Vec<String> = serde_json::from_value(names).unwrap_or_default();
    let mut sessions = vec![first];
    for _ in 1..jobs().min(names.len()) {
        let more = connect(target, &options).await?;
        more.batch(quiet).await?;
        sessions.push(more);
    }
    let one =
        async |session: &&Session, name: String| session.batch(&format!("ANALYZE {name}")).await;
    let work = share(&sessions, names, one);
    tokio::select! {
        done = work => done.map(|_| ()).map_err(DbError::into_fault),
        reason = cancel.cancelled() => Err(reason.fault()),
    }
}
