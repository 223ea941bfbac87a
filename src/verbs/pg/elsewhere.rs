//! Other databases of the run's server: made, marked as ours, renamed, dropped.
//!
//! A session of its own works here; the run's own stays where it is.

use std::rc::Rc;

use serde_json::{Value, json};

use super::tools::same_host;
use crate::host::{Host, Trouble};
use crate::model::{Fault, quote_ident, quote_literal};
use crate::msg;
use crate::postgres::catalog::SETTING_VALUE;
use crate::postgres::{ConnectOptions, DbError, Session, Target, connect};

/// How the comment of a database begins that is only a passing one of ours.
pub(super) const SCRATCH: &str = "runsheet scratch database";

/// The server, seen from the run's own database.
pub(super) struct Elsewhere {
    host: Rc<Host>,
    session: Session,
    /// The run's own target with one host.
    pub(super) target: Target,
    /// False behind a pooler.
    pub(super) direct: bool,
    /// 150018 for 15.18.
    pub(super) server: u32,
}

/// A database of the server.
pub(super) struct Found {
    /// Its comment.
    pub(super) comment: String,
}

impl Elsewhere {
    /// Opens the session.
    ///
    /// # Errors
    /// Those of connecting.
    pub(super) fn open(host: &Rc<Host>) -> Result<Self, Trouble> {
        let (target, _) = same_host(host)?;
        Self::at(host, target)
    }

    /// Opens the session in a database that is neither the run's own nor `but`: a database's name
    /// cannot be changed from inside.
    ///
    /// # Errors
    /// `no-other-database` with what was tried.
    pub(super) fn aside(host: &Rc<Host>, but: &str) -> Result<Self, Trouble> {
        let (target, _) = same_host(host)?;
        let sql = "SELECT coalesce(json_agg(datname ORDER BY datname <> 'postgres', datname), '[]') \
            FROM pg_database WHERE datallowconn AND datname NOT IN (current_database(), $1) \
            AND has_database_privilege(oid, 'CONNECT')";
        let names = host.query(sql, &[json!(but)])?.first().cloned().unwrap_or(Value::Null);
        let names: Vec<String> = serde_json::from_value(names).unwrap_or_default();
        for name in &names {
            if let Ok(there) = Self::at(host, target.with_database(name)) {
                return Ok(there);
            }
        }
        Err(Fault::failed("no-other-database", msg!("verbs.pg.no-other-database"))
            .detail(names.join(", "))
            .cause(msg!("verbs.pg.no-other-database.cause"))
            .into())
    }

    fn at(host: &Rc<Host>, target: Target) -> Result<Self, Trouble> {
        let server = host.identity()?.version_number;
        let (_, direct) = same_host(host)?;
        let options = ConnectOptions {
            application_name: format!("runsheet/{}/databases", host.run_id()),
            ..ConnectOptions::default()
        };
        let session = host.wait(connect(&target, &options))??;
        Ok(Self { host: host.clone(), session, target, direct, server })
    }

    fn answer<T>(&self, answer: Result<T, DbError>) -> Result<T, Trouble> {
        answer.map_err(|error| self.host.db_fault(error).into())
    }

    fn value(&self, sql: &str, params: &[Value]) -> Result<Value, Trouble> {
        let rows = self.answer(self.host.wait(self.session.query(sql, params))?)?;
        Ok(rows.first().cloned().unwrap_or(Value::Null))
    }

    /// One statement, by itself.
    pub(super) fn execute(&self, sql: &str) -> Result<(), Trouble> {
        self.answer(self.host.wait(self.session.batch(sql))?)
    }

    /// As [`Elsewhere::execute`], with the server's own error.
    pub(super) fn attempt(&self, sql: &str) -> Result<Result<(), DbError>, Trouble> {
        self.host.wait(self.session.batch(sql))
    }

    /// As [`Elsewhere::attempt`], to its end also after Ctrl-C: nobody may be left not knowing
    /// whether it happened.
    pub(super) fn attempt_to_its_end(&self, sql: &str) -> Result<(), DbError> {
        self.host.wait_out(self.session.batch(sql))
    }

    /// The database of this name.
    pub(super) fn find(&self, name: &str) -> Result<Option<Found>, Trouble> {
        let sql = "SELECT json_build_object('comment', \
            coalesce(shobj_description(oid, 'pg_database'), '')) \
            FROM pg_database WHERE datname = $1";
        let found = self.value(sql, &[json!(name)])?;
        let comment = found.get("comment").and_then(Value::as_str);
        Ok(comment.map(|comment| Found { comment: comment.to_string() }))
    }

    /// The roles of a list that this server does not have.
    pub(super) fn missing_roles(&self, roles: &[String]) -> Result<Vec<String>, Trouble> {
        let sql = "SELECT coalesce(json_agg(name), '[]') FROM unnest($1::text[]) AS name \
            WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)";
        Ok(serde_json::from_value(self.value(sql, &[json!(roles)])?).unwrap_or_default())
    }

    /// May this role make a database, and change the name of that one?
    pub(super) fn may_exchange(&self, name: &str) -> Result<bool, Trouble> {
        let sql = "SELECT r.rolsuper OR (r.rolcreatedb AND pg_has_role(d.datdba, 'USAGE')) \
            FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = $1";
        Ok(self.value(sql, &[json!(name)])? == Value::Bool(true))
    }

    /// The sessions of a database that are not this run's, one a line.
    pub(super) fn others(&self, name: &str) -> Result<Vec<String>, Trouble> {
        let sql = "SELECT coalesce(json_agg(concat_ws(' ', 'pid ' || pid, usename, \
            nullif(application_name, ''), coalesce(host(client_addr), 'local'), \
            'since ' || to_char(backend_start, 'HH24:MI:SS')) ORDER BY pid), '[]') \
            FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() \
            AND backend_type = 'client backend' AND NOT starts_with(application_name, $2)";
        let own = format!("runsheet/{}", self.host.run_id());
        Ok(serde_json::from_value(self.value(sql, &[json!(name), json!(own)])?).unwrap_or_default())
    }

    /// An empty database with encoding and locale of the run's own, marked as a passing one.
    pub(super) fn create(&self, name: &str) -> Result<(), Trouble> {
        let sql = "SELECT to_json(d) || json_build_object('encoding_name', \
            pg_encoding_to_char(encoding))::jsonb FROM (SELECT to_jsonb(d) AS d, encoding \
            FROM pg_database d WHERE datname = current_database()) AS one";
        let sql = sql.replacen("to_json(d)", "d", 1);
        let own = self.value(&sql, &[])?;
        let text = |field: &str| own.get(field).and_then(Value::as_str).unwrap_or("").to_string();
        let mut create = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING {}",
            quote_ident(name),
            quote_literal(&text("encoding_name"))
        );
        let collations = [("LC_COLLATE", text("datcollate")), ("LC_CTYPE", text("datctype"))];
        for (word, value) in collations.iter().filter(|(_, value)| !value.is_empty()) {
            create.push_str(&format!(" {word} {}", quote_literal(value)));
        }
        // Since 15; the name of the locale's column changed in 17.
        let locale = [text("daticulocale"), text("datlocale")].concat();
        match text("datlocprovider").as_str() {
            "i" => create
                .push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", quote_literal(&locale))),
            "b" => create.push_str(&format!(
                " LOCALE_PROVIDER builtin BUILTIN_LOCALE {}",
                quote_literal(&locale)
            )),
            _ => {}
        }
        // Not torn by Ctrl-C: one without its mark would be nobody's.
        self.host.tidying(|| self.execute(&create))?;
        self.comment(name, &format!("{SCRATCH} of {}", self.host.run_id()))
    }

    /// Sets a database's comment, also after Ctrl-C.
    pub(super) fn comment(&self, name: &str, text: &str) -> Result<(), Trouble> {
        let (name, text) = (quote_ident(name), quote_literal(text));
        let sql = format!("COMMENT ON DATABASE {name} IS {text}");
        self.host.tidying(|| self.execute(&sql))
    }

    /// Drops a database of ours and whatever is still connected to it, also after Ctrl-C and at
    /// the end of an item's time: nobody else would.
    pub(super) fn drop_database(&self, name: &str) -> Result<(), Trouble> {
        // FORCE is younger than the oldest server that we know.
        let force = if self.server >= 130_000 { " WITH (FORCE)" } else { "" };
        let sql = format!("DROP DATABASE IF EXISTS {}{force}", quote_ident(name));
        self.host.tidying(|| self.execute(&sql))
    }

    /// Gives a new database what belongs to a database and not to its contents: owner, rights,
    /// connection limit and settings.
    pub(super) fn dress_as(&self, new: &str, old: &str) -> Result<(), Trouble> {
        let statements =
            self.value(&DRESS.replace("SETTING_VALUE", SETTING_VALUE), &[json!(old), json!(new)])?;
        let statements: Vec<String> = serde_json::from_value(statements).unwrap_or_default();
        if statements.is_empty() { Ok(()) } else { self.execute(&statements.join("; ")) }
    }

    /// Ends every session of a database.
    pub(super) fn end_sessions(&self, name: &str) -> Result<u64, Trouble> {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
            WHERE datname = $1 AND pid <> pg_backend_pid()";
        Ok(self.value(sql, &[json!(name)])?.as_u64().unwrap_or(0))
    }
}

/// The statements that make database $2 look like $1.
const DRESS: &str = r"
SELECT json_agg(statement ORDER BY n) FROM (
    SELECT 1 AS n, format('ALTER DATABASE %I OWNER TO %I', $2::text, pg_get_userbyid(datdba)) AS statement
    FROM pg_database WHERE datname = $1
    UNION ALL
    SELECT 2, format('ALTER DATABASE %I CONNECTION LIMIT %s', $2::text, datconnlimit)
    FROM pg_database WHERE datname = $1 AND datconnlimit <> -1
    UNION ALL
    SELECT 3, format('REVOKE ALL ON DATABASE %I FROM PUBLIC', $2::text)
    FROM pg_database WHERE datname = $1 AND datacl IS NOT NULL
    UNION ALL
    SELECT 4, format('GRANT %s ON DATABASE %I TO %s%s', a.privilege_type, $2::text,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = $1
    UNION ALL
    SELECT 5, format('ALTER %s SET %I TO %s',
        CASE s.setrole WHEN 0 THEN format('DATABASE %I', $2::text)
        ELSE format('ROLE %I IN DATABASE %I', pg_get_userbyid(s.setrole), $2::text) END,
        split_part(c, '=', 1), SETTING_VALUE)
    FROM pg_database d JOIN pg_db_role_setting s ON s.setdatabase = d.oid, unnest(s.setconfig) c
    WHERE d.datname = $1
) AS all_of_them WHERE statement IS NOT NULL";
