//! What a reader of SQL files wants to know of the database that they are for: its schema as
//! statements, and how large its tables are.

use std::collections::BTreeMap;

use super::super::session::Session;
use super::ask;
use crate::model::{Fault, TableSize};

const SCHEMA: &str = include_str!("surroundings/schema.sql");

/// The schema as statements: types, functions, tables, constraints, indexes, views, triggers. Not
/// for a restore. Names are as this session's search path shows them.
///
/// # Errors
/// Those of the query.
pub async fn schema_statements(session: &Session, ledger: &str) -> Result<Vec<String>, Fault> {
    ask(session, SCHEMA, &[ledger.into()]).await
}

/// The size of each table that this session may see, by its name as in SQL.
///
/// # Errors
/// Those of the query.
pub async fn table_sizes(session: &Session) -> Result<BTreeMap<String, TableSize>, Fault> {
    let sql = "SELECT coalesce(json_object_agg(c.oid::regclass::text, json_build_object( \
            'rows', CASE WHEN t.counted THEN t.rows END, 'bytes', t.bytes)), '{}') \
         FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
            AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
         CROSS JOIN LATERAL (SELECT coalesce(bool_and(p.reltuples >= 0 \
                AND (p.reltuples > 0 OR p.relpages = 0 AND pg_relation_size(p.oid) = 0)), false) AS counted, \
            coalesce(sum(greatest(p.reltuples, 0)), 0)::bigint AS rows, \
            coalesce(sum(pg_total_relation_size(p.oid)), 0)::bigint AS bytes \
            FROM pg_catalog.pg_class p WHERE p.relkind IN ('r', 'm') AND (p.oid = c.oid \
                OR c.relkind = 'p' AND p.oid IN (SELECT relid FROM pg_partition_tree(c.oid)))) t \
         WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'";
    ask(session, sql, &[]).await
}
