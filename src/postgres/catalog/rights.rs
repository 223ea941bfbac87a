//! Which rights are missing, and the statement that grants each of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::session::Session;
use super::{ask, no_such, no_such_table, unquoted};
use crate::model::{Fault, quote_name};
use crate::msg;

/// A right that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The right, as it was asked for: `INSERT`.
    pub right: String,
    /// What it is missing on, as SQL: `public.users`, `SCHEMA public`.
    pub object: String,
    /// The statement that gives it.
    pub grant: String,
}

/// The rights that can be looked up: on tables, on the schema, on the database, of the role.
/// `ALTER` and `DROP` are no rights of their own in PostgreSQL: they belong to the owner.
pub const RIGHTS: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "ALTER",
    "DROP",
    "CREATE",
    "USAGE",
    "CREATE SCHEMA",
    "CONNECT",
    "TEMPORARY",
    "SUPERUSER",
    "CREATEDB",
    "CREATEROLE",
    "REPLICATION",
    "BYPASSRLS",
];

const ON_TABLES: &[&str] =
    &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "ALTER", "DROP"];

/// The rights that a role lacks, each with its GRANT.
///
/// Without `schema`: the first one of the search path. Without `tables`: all of that schema.
/// Without `role`: the current one. A right on a table implies USAGE of its schema, which is
/// looked at too. Rights are upper or lower case.
///
/// # Errors
/// `unknown-right` (usage), `no-such-table`, `no-such-name` for a missing role or schema.
pub async fn missing_privileges(
    session: &Session,
    rights: &[&str],
    schema: Option<&str>,
    tables: &[&str],
    role: Option<&str>,
) -> Result<Vec<Missing>, Fault> {
    let rights: Vec<String> = rights.iter().map(|right| right.trim().to_uppercase()).collect();
    if let Some(right) = rights.iter().find(|right| !RIGHTS.contains(&right.as_str())) {
        return Err(Fault::usage("unknown-right", msg!("postgres.unknown-right", right = right))
            .remedy(msg!("postgres.unknown-right-remedy", rights = RIGHTS.join(", "))));
    }
    let text = |name: Option<&str>| name.map_or(Value::Null, |name| unquoted(name).into());
    let quoted: Vec<String> = tables.iter().map(|table| quote_name(table)).collect();
    let scope = [text(role), text(schema), quoted.into()];
    check_names(session, &scope, role, schema, tables).await?;
    let on_tables: Vec<&str> = ON_TABLES.to_vec();
    let [role, schema, quoted] = scope;
    ask(session, MISSING, &[role, schema, quoted, rights.into(), on_tables.into()]).await
}

#[derive(Deserialize)]
struct Absent {
    role: bool,
    schema: bool,
    current_schema: bool,
    tables: Vec<i64>,
}

async fn check_names(
    session: &Session,
    scope: &[Value; 3],
    role: Option<&str>,
    schema: Option<&str>,
    tables: &[&str],
) -> Result<(), Fault> {
    let sql = "SELECT json_build_object(\
        'role', $1::text IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), \
        'schema', $2::text IS NOT NULL AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = $2), \
        'current_schema', current_schema() IS NULL, \
        'tables', (SELECT coalesce(json_agg(n), '[]') FROM unnest($3::text[]) WITH ORDINALITY t(name, n) \
            WHERE to_regclass(CASE WHEN $2 IS NULL OR array_length(parse_ident(name), 1) > 1 \
                THEN name ELSE quote_ident($2) || '.' || name END) IS NULL))";
    let absent: Absent = ask(session, sql, scope).await?;
    if absent.role {
        return Err(no_such(msg!("postgres.no-such-role", role = role.unwrap_or_default())));
    }
    if absent.schema {
        return Err(no_such(msg!("postgres.no-such-schema", schema = schema.unwrap_or_default())));
    }
    if schema.is_none() && absent.current_schema && tables.is_empty() {
        return Err(Fault::failed("no-such-name", msg!("postgres.no-schema"))
            .remedy(msg!("postgres.no-schema-remedy")));
    }
    let first = absent.tables.first().and_then(|n| usize::try_from(n - 1).ok());
    match first.and_then(|at| tables.get(at)) {
        Some(table) => Err(no_such_table(table)),
        None => Ok(()),
    }
}

/// $1 role, $2 schema, $3 tables (quoted), $4 rights, $5 the rights that are on tables.
const MISSING: &str = "
WITH who AS (SELECT r.* FROM pg_roles r WHERE r.rolname = coalesce($1::text, current_user)),
place AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = coalesce($2::text, current_schema())),
wanted AS (SELECT w AS r, n FROM unnest($4::text[]) WITH ORDINALITY AS u(w, n)),
named AS (
    SELECT to_regclass(CASE WHEN $2 IS NULL OR array_length(parse_ident(name), 1) > 1 THEN name
        ELSE quote_ident($2) || '.' || name END)::oid AS oid
    FROM unnest($3::text[]) AS t(name)),
things AS (
    SELECT c.oid, c.relowner, n.oid AS schema_oid, n.nspname,
        quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE CASE WHEN cardinality($3::text[]) > 0 THEN c.oid IN (SELECT oid FROM named)
        ELSE n.oid = (SELECT oid FROM place) AND c.relkind IN ('r', 'p') END),
schemas AS (
    SELECT oid, nspname FROM place WHERE cardinality($3::text[]) = 0 OR $2 IS NOT NULL
    UNION SELECT schema_oid, nspname FROM things),
lacks AS (
    SELECT w.n AS n, w.r AS r, t.name AS object, CASE WHEN w.r IN ('ALTER', 'DROP')
        THEN format('ALTER TABLE %s OWNER TO %I', t.name, who.rolname)
        ELSE format('GRANT %s ON %s TO %I', w.r, t.name, who.rolname) END AS give
    FROM wanted w, who, things t
    WHERE w.r = ANY ($5::text[]) AND NOT CASE WHEN w.r IN ('ALTER', 'DROP')
        THEN pg_has_role(who.oid, t.relowner, 'USAGE')
        ELSE has_table_privilege(who.oid, t.oid, CASE WHEN w.r IN ('ALTER', 'DROP')
            THEN 'SELECT' ELSE w.r END) END
    UNION ALL
    SELECT w.n, w.r, format('SCHEMA %I', s.nspname),
        format('GRANT %s ON SCHEMA %I TO %I', w.r, s.nspname, who.rolname)
    FROM wanted w, who, schemas s WHERE w.r IN ('CREATE', 'USAGE')
        AND NOT has_schema_privilege(who.oid, s.oid, CASE w.r WHEN 'CREATE' THEN 'CREATE' ELSE 'USAGE' END)
    UNION ALL
    SELECT 0, 'USAGE', format('SCHEMA %I', s.nspname),
        format('GRANT USAGE ON SCHEMA %I TO %I', s.nspname, who.rolname)
    FROM who, schemas s WHERE NOT has_schema_privilege(who.oid, s.oid, 'USAGE')
        AND NOT 'USAGE' = ANY ($4::text[])
    UNION ALL
    SELECT w.n, w.r, format('DATABASE %I', current_database()),
        format('GRANT %s ON DATABASE %I TO %I', d.word, current_database(), who.rolname)
    FROM wanted w
    JOIN (VALUES ('CREATE SCHEMA', 'CREATE'), ('CONNECT', 'CONNECT'), ('TEMPORARY', 'TEMPORARY'))
        AS d(r, word) ON d.r = w.r, who
    WHERE NOT has_database_privilege(who.oid, current_database(), d.word)
    UNION ALL
    SELECT w.n, w.r, format('ROLE %I', who.rolname), format('ALTER ROLE %I %s', who.rolname, w.r)
    FROM wanted w, who WHERE NOT CASE w.r WHEN 'SUPERUSER' THEN rolsuper
        WHEN 'CREATEDB' THEN rolcreatedb OR rolsuper WHEN 'CREATEROLE' THEN rolcreaterole OR rolsuper
        WHEN 'REPLICATION' THEN rolreplication OR rolsuper
        WHEN 'BYPASSRLS' THEN rolbypassrls OR rolsuper ELSE true END)
SELECT coalesce(json_agg(json_build_object('right', r, 'object', object, 'grant', give)
    ORDER BY n, object), '[]') FROM lacks";

/// True where the current role is a superuser.
///
/// # Errors
/// Those of the query.
pub async fn is_superuser(session: &Session) -> Result<bool, Fault> {
    let sql = "SELECT to_json(rolsuper) FROM pg_roles WHERE rolname = current_user";
    ask(session, sql, &[]).await
}
