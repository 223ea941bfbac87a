//! What belongs to a server or a database and is in no dump of one: roles, settings, owner, rights.

use serde_json::Value;

use crate::model::{Fault, quote_ident, quote_literal};
use crate::postgres::Session;
use crate::postgres::catalog::SETTING_VALUE;

/// What the copy's server and database have to be made with.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// Statements that make the roles.
    pub(super) roles: Vec<String>,
    /// `CREATE DATABASE`'s options, and the plain ones where the locale is not on this machine.
    pub(super) locale: String,
    pub(super) encoding: String,
    /// Statements that give owner, rights and settings; `{database}` is the quoted name.
    pub(super) dress: Vec<String>,
    /// Server settings that change what a migration does or costs.
    pub(super) settings: Vec<(String, String)>,
    /// Libraries that the server loads and the copy does not.
    pub(super) libraries: String,
    /// Bytes of the database.
    pub(super) size: u64,
    /// The role `postgres`, which is a superuser on every copy, is none on the source.
    pub(super) plain_postgres: bool,
    /// Foreign servers: the copy must not reach them.
    pub(super) foreign: Vec<String>,
}

/// Settings that are taken over. None of them can keep a server from starting.
const SETTINGS: &str = "ARRAY['DateStyle', 'IntervalStyle', 'TimeZone', 'bytea_output', \
    'default_text_search_config', 'default_transaction_isolation', 'maintenance_work_mem', \
    'max_locks_per_transaction', 'max_prepared_transactions', 'temp_buffers', 'wal_level', \
    'work_mem', 'xmloption']";

/// Roles and what they may; the bootstrap role of the copy is there already. Passwords stay where
/// they are.
const ROLES: &str = "SELECT coalesce(json_agg(s ORDER BY n, s), '[]') FROM ( \
    SELECT 1 AS n, format('CREATE ROLE %I %s %s %s %s %s %s %s', rolname, \
        CASE WHEN rolsuper THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END, \
        CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END, \
        CASE WHEN rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END, \
        CASE WHEN rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END, \
        CASE WHEN rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END, \
        CASE WHEN rolreplication THEN 'REPLICATION' ELSE 'NOREPLICATION' END, \
        CASE WHEN rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END) AS s \
    FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres' \
    UNION ALL SELECT 2, format('GRANT %I TO %I%s', pg_get_userbyid(roleid), \
        pg_get_userbyid(member), CASE WHEN admin_option THEN ' WITH ADMIN OPTION' ELSE '' END) \
    FROM pg_auth_members WHERE pg_get_userbyid(member) !~ '^pg_' \
    UNION ALL SELECT 3, format('ALTER ROLE %I SET %I TO %s', pg_get_userbyid(s.setrole), \
        split_part(c, '=', 1), SETTING_VALUE) \
    FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE s.setdatabase = 0 AND s.setrole <> 0 \
    ) AS all_of_them";

const DRESS: &str = "SELECT coalesce(json_agg(s ORDER BY n, s), '[]') FROM ( \
    SELECT 1 AS n, format('ALTER DATABASE {database} OWNER TO %I', pg_get_userbyid(datdba)) AS s \
    FROM pg_database WHERE datname = current_database() \
    UNION ALL SELECT 2, 'REVOKE ALL ON DATABASE {database} FROM PUBLIC' \
    FROM pg_database WHERE datname = current_database() AND datacl IS NOT NULL \
    UNION ALL SELECT 3, format('GRANT %s ON DATABASE {database} TO %s%s', a.privilege_type, \
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
    FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database() \
    UNION ALL SELECT 4, format('ALTER %s SET %I TO %s', CASE s.setrole WHEN 0 \
        THEN 'DATABASE {database}' \
        ELSE format('ROLE %I IN DATABASE {database}', pg_get_userbyid(s.setrole)) END, \
        split_part(c, '=', 1), SETTING_VALUE) \
    FROM pg_database d JOIN pg_db_role_setting s ON s.setdatabase = d.oid, unnest(s.setconfig) c \
    WHERE d.datname = current_database()) AS all_of_them";

/// Asks the source.
///
/// # Errors
/// The server's.
pub(super) async fn of_source(session: &Session) -> Result<Surroundings, Fault> {
    let strings = async |sql: &str| -> Result<Vec<String>, Fault> {
        let found = session.query(sql, &[]).await?;
        let found = found.first().cloned().unwrap_or(Value::Null);
        Ok(serde_json::from_value(found).unwrap_or_default())
    };
    let sql = format!(
        "SELECT to_jsonb(d) || jsonb_build_object('encoding_name', pg_encoding_to_char(d.encoding), \
         'size', pg_database_size(d.oid), \
         'libraries', (SELECT reset_val FROM pg_settings WHERE name = 'shared_preload_libraries'), \
         'settings', (SELECT jsonb_agg(jsonb_build_array(name, reset_val)) \
            FROM pg_settings WHERE name = ANY ({SETTINGS}) AND reset_val NOT IN ('', 'minimal')), \
         'bootstrap', (SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres'), \
         'foreign', (SELECT coalesce(jsonb_agg(srvname), '[]') FROM pg_foreign_server)) \
         FROM pg_database d WHERE d.datname = current_database()"
    );
    let own = session.query(&sql, &[]).await?.first().cloned().unwrap_or(Value::Null);
    let text = |name: &str| own[name].as_str().unwrap_or_default().to_string();
    Ok(Surroundings {
        roles: strings(&ROLES.replace("SETTING_VALUE", SETTING_VALUE)).await?,
        locale: locale(&own),
        encoding: text("encoding_name"),
        dress: strings(&DRESS.replace("SETTING_VALUE", SETTING_VALUE)).await?,
        settings: serde_json::from_value(own["settings"].clone()).unwrap_or_default(),
        libraries: text("libraries"),
        size: own["size"].as_u64().unwrap_or(0),
        plain_postgres: own["bootstrap"] == Value::Bool(false),
        foreign: serde_json::from_value(own["foreign"].clone()).unwrap_or_default(),
    })
}

fn locale(own: &Value) -> String {
    let text = |name: &str| own[name].as_str().unwrap_or_default().to_string();
    let mut options = String::new();
    for (word, value) in [("LC_COLLATE", text("datcollate")), ("LC_CTYPE", text("datctype"))] {
        if !value.is_empty() {
            options.push_str(&format!(" {word} {}", quote_literal(&value)));
        }
    }
    // Since 15; the name of the locale's column changed in 17.
    let name = quote_literal(&[text("daticulocale"), text("datlocale")].concat());
    match text("datlocprovider").as_str() {
        "i" => options.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {name}")),
        "b" => options.push_str(&format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {name}")),
        _ => {}
    }
    options
}

impl Surroundings {
    /// `CREATE DATABASE` as the source's was made; `plain` without its locale.
    pub(super) fn create(&self, name: &str, plain: bool) -> String {
        let mut sql = format!("CREATE DATABASE {} TEMPLATE template0", quote_ident(name));
        let encoding = if self.encoding.is_empty() { "UTF8" } else { &self.encoding };
        sql.push_str(&format!(" ENCODING {}", quote_literal(encoding)));
        match plain {
            true => sql.push_str(" LC_COLLATE 'C' LC_CTYPE 'C'"),
            false => sql.push_str(&self.locale),
        }
        sql
    }

    /// The statements that dress a database.
    pub(super) fn dress(&self, name: &str) -> Vec<String> {
        let name = quote_ident(name);
        self.dress.iter().map(|sql| sql.replace("{database}", &name)).collect()
    }
}

/// Cuts the copy off from other servers: without a mapping nobody gets into a foreign one.
pub(super) const CUT_OFF: &str = "DO $$ DECLARE m record; BEGIN \
    FOR m IN SELECT srvname, usename FROM pg_user_mappings LOOP \
    EXECUTE format('DROP USER MAPPING IF EXISTS FOR %s SERVER %I', \
    CASE m.usename WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(m.usename) END, m.srvname); \
    END LOOP; END $$";
