//! What a table asks of a row: columns, keys and checks, from the catalog.

use serde::Deserialize;
use serde_json::Value;

use crate::postgres::{DbError, Session};

/// $tables: oids. Domains are followed to the type below them.
const SHAPES: &str = "SELECT json_build_object( \
    'oid', c.oid::bigint, \
    'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname), \
    'columns', (SELECT coalesce(json_agg(json_build_object( \
        'number', a.attnum, 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), \
        'base', b.typname, 'category', b.typcategory, 'kind', b.typtype, \
        'modifier', CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, \
        'element', e.typname, \
        'labels', (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l \
            WHERE l.enumtypid = coalesce(e.oid, b.oid)), \
        'not_null', a.attnotnull OR t.typnotnull, \
        'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END, \
        'identity', a.attidentity <> '', 'generated', a.attgenerated <> '') \
        ORDER BY a.attnum), '[]') \
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
        JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
        LEFT JOIN pg_type e ON e.oid = b.typelem AND b.typcategory = 'A' \
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
    'keys', (SELECT coalesce(json_agg(json_build_object('columns', k.conkey, \
        'table', k.confrelid::bigint, 'name', k.confrelid::regclass::text, \
        'wanted', (SELECT json_agg(quote_ident(r.attname) ORDER BY array_position(k.confkey, r.attnum)) \
            FROM pg_attribute r WHERE r.attrelid = k.confrelid AND r.attnum = ANY (k.confkey))) \
        ORDER BY k.conname), '[]') FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'), \
    'checks', (SELECT coalesce(json_agg(json_build_object('name', k.conname, \
        'columns', coalesce(k.conkey, '{}'), 'text', pg_get_constraintdef(k.oid))), '[]') \
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'), \
    'domains', (SELECT coalesce(json_agg(json_build_object('name', k.conname, \
        'columns', json_build_array(a.attnum), 'text', pg_get_constraintdef(k.oid))), '[]') \
        FROM pg_attribute a JOIN pg_constraint k ON k.contypid = a.atttypid AND k.contype = 'c' \
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))::text \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.oid IN (TABLES) AND NOT c.relispartition ORDER BY c.oid";

/// One column.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Column {
    pub(super) number: i64,
    pub(super) name: String,
    /// As it is written in SQL.
    #[serde(rename = "type")]
    pub(super) sql_type: String,
    /// The type below a domain.
    pub(super) base: String,
    pub(super) category: String,
    pub(super) kind: String,
    pub(super) modifier: i64,
    /// Of an array.
    pub(super) element: Option<String>,
    /// Of an enum, or an array of it.
    pub(super) labels: Option<Vec<String>>,
    pub(super) not_null: bool,
    pub(super) default: Option<String>,
    pub(super) identity: bool,
    pub(super) generated: bool,
}

impl Column {
    /// Does the server count it up by itself?
    pub(super) fn counts_itself(&self) -> bool {
        self.identity || self.default.as_deref().is_some_and(|text| text.contains("nextval("))
    }
}

/// A foreign key.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Foreign {
    pub(super) columns: Vec<i64>,
    pub(super) table: i64,
    pub(super) name: String,
    pub(super) wanted: Vec<String>,
}

/// A CHECK.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) columns: Vec<i64>,
    pub(super) text: String,
}

/// One table.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Shape {
    pub(super) oid: i64,
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) keys: Vec<Foreign>,
    pub(super) checks: Vec<Check>,
    pub(super) domains: Vec<Check>,
}

/// The shapes of tables, those that others refer to first. Partitions are filled through their
/// parents.
///
/// # Errors
/// The server's.
pub(super) async fn shapes(session: &Session, tables: &[i64]) -> Result<Vec<Shape>, DbError> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<String> = tables.iter().map(i64::to_string).collect();
    let sql = SHAPES.replace("TABLES", &list.join(","));
    let pins = crate::postgres::fingerprint::PINS;
    let message = format!(
        "SAVEPOINT runsheet_look; {pins}; {sql}; ROLLBACK TO SAVEPOINT runsheet_look; \
         RELEASE SAVEPOINT runsheet_look"
    );
    let mut found = Vec::new();
    for result in session.simple(&message).await? {
        for row in result.cells {
            let text = row.into_iter().next().flatten().unwrap_or_default();
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            if let Ok(shape) = serde_json::from_value::<Shape>(value) {
                found.push(shape);
            }
        }
    }
    Ok(in_order(found))
}

/// Parents before children; in a ring, whoever comes first.
fn in_order(mut left: Vec<Shape>) -> Vec<Shape> {
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |shape: &Shape| {
            shape.keys.iter().any(|key| {
                key.table != shape.oid && left.iter().any(|other| other.oid == key.table)
            })
        };
        // A ring is opened where most of its keys may be NULL.
        let may_begin = |shape: &Shape| {
            shape
                .keys
                .iter()
                .flat_map(|key| &key.columns)
                .filter(|number| {
                    shape.columns.iter().any(|column| column.number == **number && column.not_null)
                })
                .count()
        };
        let at = left
            .iter()
            .position(|shape| !waits(shape))
            .unwrap_or_else(|| (0..left.len()).min_by_key(|at| may_begin(&left[*at])).unwrap_or(0));
        ordered.push(left.remove(at));
    }
    ordered
}
