//! Tables, columns, indexes, constraints and types.

use serde::{Deserialize, Serialize};

use super::super::session::Session;
use super::{ask, no_such_table, unquoted};
use crate::model::{Fault, quote_name};

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as SQL, `character varying(20)`.
    #[serde(rename = "type")]
    pub datatype: String,
    /// False where it is NOT NULL.
    pub nullable: bool,
    /// Its default as SQL.
    pub default: Option<String>,
    /// `always` or `by default` for identity columns.
    pub identity: Option<String>,
    /// True where the default is a GENERATED expression.
    pub generated: bool,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// False where there is none of this name; then all else is empty.
    pub exists: bool,
    /// False where it was left behind by a failed CREATE INDEX CONCURRENTLY.
    pub valid: bool,
    /// True where new rows are entered into it.
    pub ready: bool,
    /// True where it is unique.
    pub unique: bool,
    /// Its schema.
    pub schema: String,
    /// The table's name, without its schema.
    pub table: String,
    /// The CREATE INDEX statement.
    pub definition: String,
}

/// A foreign key of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Name of the constraint.
    pub name: String,
    /// The referencing columns, in the key's order.
    pub columns: Vec<String>,
    /// Schema of the referenced table.
    pub references_schema: String,
    /// Name of the referenced table.
    pub references: String,
    /// The referenced columns.
    pub references_columns: Vec<String>,
    /// `no action`, `restrict`, `cascade`, `set null`, `set default`.
    pub on_delete: String,
    /// As `on_delete`.
    pub on_update: String,
    /// False where it was added NOT VALID.
    pub validated: bool,
}

/// True where there is a table (plain, partitioned or foreign) of this name.
///
/// # Errors
/// Those of the query.
pub async fn has_table(session: &Session, table: &str) -> Result<bool, Fault> {
    let sql = "SELECT to_json(EXISTS (SELECT FROM pg_class \
        WHERE oid = to_regclass($1) AND relkind IN ('r', 'p', 'f')))";
    ask(session, sql, &[quote_name(table).into()]).await
}

/// True where the table (or view) has a column of this name.
///
/// # Errors
/// Those of the query.
pub async fn has_column(session: &Session, table: &str, column: &str) -> Result<bool, Fault> {
    let sql = "SELECT to_json(EXISTS (SELECT FROM pg_attribute \
        WHERE attrelid = to_regclass($1) AND attname = $2 \
        AND attnum > 0 AND NOT attisdropped))";
    ask(session, sql, &[quote_name(table).into(), unquoted(column).into()]).await
}

/// True where there is an index of this name, valid or not.
///
/// # Errors
/// Those of the query.
pub async fn has_index(session: &Session, index: &str) -> Result<bool, Fault> {
    let sql = "SELECT to_json(EXISTS (SELECT FROM pg_class \
        WHERE oid = to_regclass($1) AND relkind IN ('i', 'I')))";
    ask(session, sql, &[quote_name(index).into()]).await
}

/// True where the table has a constraint of this name.
///
/// # Errors
/// Those of the query.
pub async fn has_constraint(session: &Session, table: &str, name: &str) -> Result<bool, Fault> {
    let sql = "SELECT to_json(EXISTS (SELECT FROM pg_constraint \
        WHERE conrelid = to_regclass($1) AND conname = $2))";
    ask(session, sql, &[quote_name(table).into(), unquoted(name).into()]).await
}

/// True where there is a type of this name: one of the database's own (case kept), or an SQL name
/// of a built-in one (`integer`, `timestamp with time zone`).
///
/// # Errors
/// Those of the query.
pub async fn has_type(session: &Session, name: &str) -> Result<bool, Fault> {
    let sql = "SELECT to_json(to_regtype($1) IS NOT NULL OR EXISTS (SELECT FROM pg_type \
        WHERE typnamespace = 'pg_catalog'::regnamespace AND format_type(oid, NULL) = $2))";
    ask(session, sql, &[quote_name(name).into(), name.into()]).await
}

/// The columns of a table or view, in their order.
///
/// # Errors
/// `no-such-table`.
pub async fn columns(session: &Session, table: &str) -> Result<Vec<Column>, Fault> {
    let sql = "SELECT CASE WHEN to_regclass($1) IS NOT NULL THEN (\
        SELECT coalesce(json_agg(json_build_object(\
            'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), \
            'nullable', NOT a.attnotnull, 'default', pg_get_expr(d.adbin, d.adrelid), \
            'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END, \
            'generated', a.attgenerated <> '') ORDER BY a.attnum), '[]') \
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
        WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped) END";
    let found: Option<Vec<Column>> = ask(session, sql, &[quote_name(table).into()]).await?;
    found.ok_or_else(|| no_such_table(table))
}

/// The foreign keys of a table, by name.
///
/// # Errors
/// `no-such-table`.
pub async fn foreign_keys(session: &Session, table: &str) -> Result<Vec<ForeignKey>, Fault> {
    let sql = "WITH words(letter, word) AS (VALUES ('a', 'no action'), ('r', 'restrict'), \
            ('c', 'cascade'), ('n', 'set null'), ('d', 'set default')) \
        SELECT CASE WHEN to_regclass($1) IS NOT NULL THEN (\
        SELECT coalesce(json_agg(json_build_object(\
            'name', c.conname, 'columns', \
            (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k(num, n) \
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num), \
            'references_schema', n.nspname, 'references', r.relname, 'references_columns', \
            (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(c.confkey) WITH ORDINALITY k(num, n) \
             JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num), \
            'on_delete', (SELECT word FROM words WHERE letter = c.confdeltype::text), \
            'on_update', (SELECT word FROM words WHERE letter = c.confupdtype::text), \
            'validated', c.convalidated) ORDER BY c.conname), '[]') \
        FROM pg_constraint c JOIN pg_class r ON r.oid = c.confrelid \
        JOIN pg_namespace n ON n.oid = r.relnamespace \
        WHERE c.contype = 'f' AND c.conrelid = to_regclass($1)) END";
    let found: Option<Vec<ForeignKey>> = ask(session, sql, &[quote_name(table).into()]).await?;
    found.ok_or_else(|| no_such_table(table))
}

/// An index by its name; `exists` is false where there is none.
///
/// # Errors
/// Those of the query.
pub async fn index(session: &Session, name: &str) -> Result<Index, Fault> {
    let sql = "SELECT json_build_object('exists', true, 'valid', i.indisvalid, \
            'ready', i.indisready, 'unique', i.indisunique, 'schema', n.nspname, \
            'table', t.relname, 'definition', pg_get_indexdef(i.indexrelid)) \
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid \
        JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_class t ON t.oid = i.indrelid \
        WHERE i.indexrelid = to_regclass($1)";
    let found: Option<Index> = ask(session, sql, &[quote_name(name).into()]).await?;
    Ok(found.unwrap_or_else(|| Index {
        exists: false,
        valid: false,
        ready: false,
        unique: false,
        schema: String::new(),
        table: String::new(),
        definition: String::new(),
    }))
}

/// Bytes of a table with its indexes and TOAST; of a partitioned one with all partitions.
///
/// # Errors
/// `no-such-table`.
pub async fn table_size(session: &Session, table: &str) -> Result<u64, Fault> {
    let sql = "SELECT CASE WHEN to_regclass($1) IS NOT NULL THEN to_json((\
        SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM (\
            SELECT to_regclass($1)::oid AS oid \
            UNION SELECT relid FROM pg_partition_tree(to_regclass($1))) AS parts)) END";
    let found: Option<u64> = ask(session, sql, &[quote_name(table).into()]).await?;
    found.ok_or_else(|| no_such_table(table))
}

/// The exact number of rows of a table: reads all of it.
///
/// # Errors
/// Those of the query: 42P01 where there is no such table.
pub async fn row_count(session: &Session, table: &str) -> Result<u64, Fault> {
    let sql = format!("SELECT to_json(count(*)) FROM {}", quote_name(table));
    ask(session, &sql, &[]).await
}

/// The plain and partitioned tables of a schema by name; without a schema those of the first
/// schema of the search path. Partitions are not listed.
///
/// # Errors
/// Those of the query.
pub async fn tables(session: &Session, schema: Option<&str>) -> Result<Vec<String>, Fault> {
    let sql = "SELECT coalesce(json_agg(c.relname ORDER BY c.relname), '[]') \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = coalesce($1::text, current_schema()) \
        AND c.relkind IN ('r', 'p') AND NOT c.relispartition";
    ask(session, sql, &[schema.map_or(serde_json::Value::Null, Into::into)]).await
}
