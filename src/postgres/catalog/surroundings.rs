//! What a reader of SQL files wants to know of the database that they are for: its schema as
//! statements, and how large its tables are; and how the settings of one are given to another.

use std::collections::BTreeMap;

use super::super::session::Session;
use super::ask;
use crate::model::{Fault, TableSize};

const SCHEMA: &str = include_str!("surroundings/schema.sql");

/// The value of a setting as `ALTER .. SET .. TO` takes it, where `c` is "name=value" of pg_db_role_setting.
/// Lists such as search_path are stored as SQL already, but for the empty one, which is stored as a
/// name that SQL does not take; every other value is one text.
pub const SETTING_VALUE: &str = "CASE WHEN split_part(c, '=', 1) IN ('search_path', \
    'temp_tablespaces', 'session_preload_libraries', 'local_preload_libraries') \
    THEN coalesce(nullif(substr(c, strpos(c, '=') + 1), '\"\"'), '''''') \
    ELSE quote_literal(substr(c, strpos(c, '=') + 1)) END";

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
