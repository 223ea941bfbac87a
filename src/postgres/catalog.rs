//! What is in the database: identity, tables, columns, indexes, constraints, rights, sessions.
//!
//! Each question is one query whose answer is one JSON value. Names may be schema-qualified and
//! quoted; their case is kept (`Project` is not `project`); without a schema they are looked up
//! along the search path. Asking for something absent never raises on the server, so that an open
//! transaction goes on.

mod activity;
mod blockers;
mod objects;
mod rights;
mod surroundings;
mod watch;

pub use activity::Orphans;
pub use activity::{Activity, orphans, sessions, waiting};
pub use blockers::{Blocker, Standstill, holders, standstill};
pub use objects::{
    Column, ForeignKey, Index, columns, foreign_keys, has_column, has_constraint, has_index,
    has_table, has_type, index, row_count, table_size, tables,
};
pub use rights::{Missing, RIGHTS, is_superuser, missing_privileges};
pub use surroundings::{SETTING_VALUE, schema_statements, table_sizes};
pub use watch::{Awaited, awaited, watched};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conninfo::HostSpec;
use super::error::DbError;
use super::session::Session;
use super::statement::SimpleResult;
use super::value::is_plain;
use crate::model::Fault;
use crate::msg;

/// Which database this is. A physical copy shares the system identifier: compare all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Host name, address or socket directory, as in the target.
    #[serde(default)]
    pub host: String,
    /// Port, as in the target.
    #[serde(default)]
    pub port: u16,
    /// The database.
    pub database: String,
    /// The database's oid: another one where it was dropped and made anew.
    pub oid: u32,
    /// The role that acts (`current_user`).
    pub user: String,
    /// The cluster's identifier, decimal digits; None where this role may not see it.
    pub system_identifier: Option<String>,
    /// The timeline that is being written, or replayed on a standby; None where not visible.
    pub timeline: Option<u32>,
    /// "15.18 (Debian ..)".
    pub version: String,
    /// 150018 for 15.18.
    pub version_number: u32,
    /// True on a standby.
    pub standby: bool,
    /// True where the session may not write (standby or default_transaction_read_only).
    pub read_only: bool,
    /// When the server started, with its zone.
    pub server_started: String,
    /// The database's encoding, `UTF8`.
    pub encoding: String,
}

/// Which database the session is in.
///
/// # Errors
/// Those of the query.
pub async fn identity(session: &Session) -> Result<Identity, Fault> {
    // By signature: a name is found by an index, where a search would read the catalog.
    let functions = ["pg_control_system", "pg_control_checkpoint", "pg_current_wal_insert_lsn"]
        .map(|name| format!("has_function_privilege('pg_catalog.{name}()', 'EXECUTE')"));
    let sql = format!("SELECT to_json({})", functions.join(" AND "));
    let all = ask::<bool>(session, &sql, &[]).await?;
    identity_where(session, all).await.map_err(DbError::into_fault)
}

/// As [`identity`], for a session outside of any transaction: one question where the role may see
/// all of it, as most roles may.
///
/// # Errors
/// Those of the query.
pub async fn identity_at_start(session: &Session) -> Result<Identity, Fault> {
    let answer = match identity_where(session, true).await {
        Err(error) if error.is("42501") => identity_where(session, false).await,
        answer => answer,
    };
    answer.map_err(DbError::into_fault)
}

/// As [`identity`], for a role of which is known whether it may see `all` of it: one question.
///
/// # Errors
/// Those of the query.
pub async fn identity_as_known(session: &Session, all: bool) -> Result<Identity, Fault> {
    identity_where(session, all).await.map_err(DbError::into_fault)
}

async fn identity_where(session: &Session, all: bool) -> Result<Identity, DbError> {
    let answer = session.simple(&identity_sql(all)).await?;
    Ok(identity_of(session, &answer.into_iter().next().unwrap_or_default()))
}

/// The question behind [`identity`]: one statement. `all` needs rights that most roles have.
pub fn identity_sql(all: bool) -> String {
    // Plain columns of built-in functions: on a session that has just begun, JSON and a look into
    // pg_database would take as long as all the rest. The path is `base/OID/FILE` or
    // `pg_tblspc/../OID/FILE`.
    let base = "current_database(), current_user, current_setting('server_version'), \
        current_setting('server_version_num'), pg_is_in_recovery(), \
        current_setting('transaction_read_only'), pg_postmaster_start_time(), \
        current_setting('server_encoding'), pg_relation_filepath('pg_catalog.pg_class'::regclass)";
    // The control file's timeline is that of the last checkpoint: right on a standby, late on a
    // primary that was promoted just now.
    let control = "(pg_control_system()).system_identifier, CASE WHEN pg_is_in_recovery() \
        THEN (pg_control_checkpoint()).timeline_id::text \
        ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END";
    let more = if all { control } else { "NULL, NULL" };
    format!("SELECT {base}, {more}")
}

/// What was answered to [`identity_sql`].
pub fn identity_of(session: &Session, answer: &SimpleResult) -> Identity {
    let cell = |at: usize| answer.first().get(at).cloned().flatten();
    let text = |at: usize| cell(at).unwrap_or_default();
    let standby = text(4) == "t";
    let timeline = match standby {
        true => cell(10).and_then(|number| number.parse().ok()),
        false => cell(10).and_then(|start| u32::from_str_radix(&start, 16).ok()),
    };
    let mut found = Identity {
        host: String::new(),
        port: 0,
        database: text(0),
        oid: text(8).rsplit('/').nth(1).and_then(|oid| oid.parse().ok()).unwrap_or(0),
        user: text(1),
        system_identifier: cell(9),
        timeline,
        version: text(2),
        version_number: text(3).parse().unwrap_or(0),
        standby,
        read_only: text(5) == "on",
        server_started: text(6),
        encoding: text(7),
    };
    let (host, port) = &session.target().hosts[session.host_index()];
    found.host = match host {
        HostSpec::Tcp(name) => name.clone(),
        HostSpec::Unix(directory) => directory.display().to_string(),
    };
    found.port = *port;
    found
}

/// Bytes of the whole database.
///
/// # Errors
/// Those of the query.
pub async fn database_size(session: &Session) -> Result<u64, Fault> {
    ask(session, "SELECT to_json(pg_database_size(current_database()))", &[]).await
}

/// A setting as the session sees it; None where the server does not know it, or hides it.
///
/// # Errors
/// Those of the query.
pub async fn setting(session: &Session, name: &str) -> Result<Option<String>, Fault> {
    // pg_settings leaves out what this role may not see; current_setting() would raise. It knows
    // no settings of the user's own (`app.tenant`), current_setting() does.
    let sql = "SELECT to_json(CASE WHEN strpos($1, '.') > 0 THEN current_setting($1, true) \
        WHEN EXISTS (SELECT FROM pg_settings WHERE name = lower($1) AND setting IS NOT NULL) \
        THEN current_setting($1, true) END)";
    ask(session, sql, &[name.into()]).await
}

/// The server's data directory, where this role may see it.
///
/// # Errors
/// Those of the query.
pub async fn data_directory(session: &Session) -> Result<Option<String>, Fault> {
    setting(session, "data_directory").await
}

/// One query, one JSON value. SQL NULL is JSON null.
async fn ask<T: DeserializeOwned>(
    session: &Session,
    sql: &str,
    params: &[Value],
) -> Result<T, Fault> {
    // Lists and maps have no type that the server could infer.
    let rows = match params.iter().all(is_plain) {
        true => session.ask(sql, params).await?,
        false => session.query(sql, params).await?,
    };
    let answer = rows.first().cloned().unwrap_or(Value::Null);
    serde_json::from_value(answer).map_err(|error| {
        Fault::failed("bad-answer", msg!("postgres.bad-answer")).detail(error.to_string())
    })
}

fn no_such_table(table: &str) -> Fault {
    Fault::failed("no-such-table", msg!("postgres.no-such-table", table = table))
        .remedy(msg!("postgres.no-such-table-remedy"))
}

fn no_such(message: String) -> Fault {
    Fault::failed("no-such-name", message).remedy(msg!("postgres.no-such-name-remedy"))
}

/// One name (of a column, constraint, schema or role), whatever dots it has; it may be given in its
/// quotes.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_string(),
    }
}
