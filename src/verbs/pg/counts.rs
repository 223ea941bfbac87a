//! The rows of every table, counted in one snapshot: what a restored copy is compared with.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::{quote_ident, quote_name};
use crate::postgres::{DbError, Session};

/// Rows by table; names are schema-qualified and quoted where SQL needs it.
pub(super) type Counts = BTreeMap<String, u64>;

/// What is known about a database in the snapshot that its dump shows.
pub(super) struct Seen {
    /// The snapshot, for `pg_dump --snapshot`.
    pub(super) snapshot: String,
    /// Rows by table.
    pub(super) counts: Counts,
    /// Names of the roles: a restored copy needs them for its policies.
    pub(super) roles: Vec<String>,
    /// Roles that own something in the database, have a right to something or stand in a policy.
    pub(super) owners: Vec<String>,
    /// Bytes of the database.
    pub(super) size: u64,
}

/// The roles without which `pg_restore` fails: none of them is in a dump of one database.
const OWNERS: &str = "SELECT coalesce(json_agg(rolname ORDER BY rolname), '[]') FROM ( \
    SELECT r.rolname FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid \
    WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype IN ('o', 'a', 'r') \
    AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    UNION SELECT pg_get_userbyid(c.relowner) FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') AS needed";

/// Opens a snapshot in a session, counts in it, and leaves it open.
pub(super) async fn look(
    session: &Session,
    only: &[String],
    without: &str,
) -> Result<Seen, DbError> {
    // Without row security: a count of what one role may see would prove nothing.
    session
        .batch(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off; \
             SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0; \
             SET LOCAL lock_timeout = '5min'",
        )
        .await?;
    let text = async |sql: &str| -> Result<Value, DbError> {
        Ok(session.query(sql, &[]).await?.first().cloned().unwrap_or(Value::Null))
    };
    let snapshot = text("SELECT pg_export_snapshot()").await?;
    let size = text("SELECT pg_database_size(current_database())").await?;
    let roles = text(
        "SELECT coalesce(json_agg(rolname ORDER BY rolname), '[]') FROM pg_roles \
         WHERE rolname !~ '^pg_'",
    )
    .await?;
    let owners = text(OWNERS).await?;
    let mut counts = tables(session, only).await?;
    counts.remove(without);
    Ok(Seen {
        snapshot: snapshot.as_str().unwrap_or_default().to_string(),
        counts: counted(session, counts).await?,
        roles: serde_json::from_value(roles).unwrap_or_default(),
        owners: serde_json::from_value(owners).unwrap_or_default(),
        size: size.as_u64().unwrap_or(0),
    })
}

/// Counts the rows of a restored database.
pub(super) async fn of_copy(session: &Session, without: &str) -> Result<Counts, DbError> {
    session.batch("SET row_security = off; SET statement_timeout = 0").await?;
    let mut counts = tables(session, &[]).await?;
    counts.remove(without);
    counted(session, counts).await
}

/// Every table whose rows a dump holds: also partitions, each by itself; no temporary and foreign
/// tables, none of extensions.
async fn tables(session: &Session, only: &[String]) -> Result<Counts, DbError> {
    let sql = "SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname)), '[]') \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.relkind = 'r' AND c.relpersistence <> 't' \
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
            AND d.objid = c.oid AND d.deptype = 'e') \
        AND (cardinality($1::text[]) = 0 OR c.oid IN \
            (SELECT to_regclass(name) FROM unnest($1::text[]) AS name))";
    let only: Vec<String> = only.iter().map(|table| quote_name(table)).collect();
    let rows = session.query(sql, &[json!(only)]).await?;
    let names = rows.first().cloned().unwrap_or(Value::Null);
    let names: Vec<String> = serde_json::from_value(names).unwrap_or_default();
    Ok(names.into_iter().map(|name| (name, 0)).collect())
}

async fn counted(session: &Session, mut counts: Counts) -> Result<Counts, DbError> {
    for (table, count) in &mut counts {
        let rows = session.query(&format!("SELECT count(*) FROM {table}"), &[]).await?;
        *count = rows.first().and_then(Value::as_u64).unwrap_or(0);
    }
    Ok(counts)
}

/// The table that no dump holds: a restored lease would name a holder that is long dead.
pub(super) fn lease_table(schema: &str) -> String {
    format!("{}.lease", quote_as_needed(schema))
}

/// As the server's `%I` writes it, for plain lower-case names.
fn quote_as_needed(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_string() } else { quote_ident(name) }
}

/// Up to ten tables whose counts differ, one a line; empty where all are equal.
pub(super) fn differences(wanted: &Counts, found: &Counts) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    let shown = |count: Option<&u64>| count.map_or("-".to_string(), u64::to_string);
    names
        .into_iter()
        .filter(|name| wanted.get(*name) != found.get(*name))
        .map(|name| {
            crate::msg!(
                "verbs.pg.count-differs",
                table = name,
                wanted = shown(wanted.get(name)),
                found = shown(found.get(name))
            )
        })
        .take(10)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_table_a_new_one_and_another_count_are_differences() {
        let counts = |list: &[(&str, u64)]| -> Counts {
            list.iter().map(|(name, count)| ((*name).to_string(), *count)).collect()
        };
        let wanted = counts(&[("public.a", 1), ("public.b", 2), ("public.c", 3)]);
        let found = counts(&[("public.b", 2), ("public.c", 4), ("public.d", 0)]);
        assert_eq!(differences(&wanted, &found).len(), 3);
        assert!(differences(&wanted, &wanted).is_empty());
    }

    #[test]
    fn the_leases_table_is_named_as_the_server_names_it() {
        assert_eq!(lease_table("runsheet"), "runsheet.lease");
        assert_eq!(lease_table("Run Sheet"), "\"Run Sheet\".lease");
    }
}
