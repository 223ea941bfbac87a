//! What is done to a copy before anybody looks at it: columns masked, a part of the rows kept, or
//! rows made where only the schema was copied.

use std::collections::BTreeMap;

use tokio::runtime::Runtime;

use super::home::Home;
use super::seed::fill;
use crate::model::{Fault, quote_ident, quote_literal, quote_name};
use crate::msg;
use crate::postgres::{ConnectOptions, Target, connect};

/// Rows that are made for each table.
pub(super) const GENERATED: u64 = 100;
/// Tables with at most so many rows are kept whole by a sample.
const WHOLE: u32 = 1_000;

/// Keeps a part of the rows, and every row that a kept one refers to, however far away; all rows of
/// an extension's own tables, which are its data and nobody's. Triggers and foreign keys sleep
/// meanwhile, for the whole is sound again at the end.
const SAMPLE: &str = r#"SET session_replication_role = replica;
DO $sample$ DECLARE one record; grown bigint; added bigint; BEGIN
CREATE TEMP TABLE runsheet_kept (tab oid, at tid, PRIMARY KEY (tab, at));
FOR one IN SELECT c.oid, c.oid::regclass AS name, EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS of_extension
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
    AND n.nspname NOT IN ('information_schema', LEDGER) LOOP
  EXECUTE format('INSERT INTO runsheet_kept SELECT %s, r.ctid FROM ONLY %s AS r WHERE %s OR
    (SELECT count(*) FROM (SELECT FROM ONLY %s LIMIT WHOLE + 1) AS few) <= WHOLE
    OR abs(hashtext(r::text)::bigint) %% 10000 < PARTS', one.oid, one.name, one.of_extension::text, one.name);
END LOOP;
LOOP grown := 0;
  FOR one IN SELECT k.confrelid AS parent_oid, k.conrelid AS child_oid, k.confrelid::regclass AS parent,
      k.conrelid::regclass AS child, (SELECT string_agg(format('p.%I = c.%I', pa.attname, ca.attname), ' AND ')
        FROM unnest(k.confkey, k.conkey) AS pair(parent, child)
        JOIN pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = pair.parent
        JOIN pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = pair.child) AS rule
      FROM pg_constraint k WHERE k.contype = 'f' LOOP
    EXECUTE format('INSERT INTO runsheet_kept SELECT DISTINCT %s::oid, p.ctid FROM ONLY %s AS p
      JOIN ONLY %s AS c ON %s JOIN runsheet_kept AS kept ON kept.tab = %s AND kept.at = c.ctid
      ON CONFLICT DO NOTHING', one.parent_oid, one.parent, one.child, one.rule, one.child_oid);
    GET DIAGNOSTICS added = ROW_COUNT;
    grown := grown + added;
  END LOOP;
  EXIT WHEN grown = 0;
END LOOP;
FOR one IN SELECT c.oid, c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
    AND n.nspname NOT IN ('information_schema', LEDGER) LOOP
  EXECUTE format('DELETE FROM ONLY %s AS r WHERE NOT EXISTS (SELECT FROM runsheet_kept AS kept
    WHERE kept.tab = %s AND kept.at = r.ctid)', one.name, one.oid);
END LOOP;
DROP TABLE runsheet_kept; END $sample$"#;

/// Keeps `percent` of the rows of large tables.
///
/// # Errors
/// `scratch-sql-failed`.
pub(super) fn sample(
    server: &Home,
    database: &str,
    percent: f64,
    ledger: &str,
) -> Result<(), Fault> {
    let parts = (percent * 100.0).round() as u32;
    let sql = SAMPLE
        .replace("LEDGER", &quote_literal(ledger))
        .replace("WHOLE", &WHOLE.to_string())
        .replace("PARTS", &parts.to_string());
    server.execute(database, &sql)?;
    server.execute(database, "VACUUM FULL")
}

/// Puts something else into columns; what was in them is in no file of the table any more.
///
/// # Errors
/// `rehearsal-mask` with the table and what the server said: a rule that does not fit would leave
/// what it should hide.
pub(super) fn mask(
    server: &Home,
    database: &str,
    rules: &BTreeMap<String, String>,
) -> Result<(), Fault> {
    let mut tables: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (column, expression) in rules {
        let (table, column) = column.rsplit_once('.').unwrap_or((column, ""));
        let part = format!("{} = ({expression}\n)", quote_ident(column));
        tables.entry(table).or_default().push(part);
    }
    for (table, parts) in tables {
        let name = quote_name(table);
        let quiet = "SET session_replication_role = replica";
        let update = format!("{quiet}; UPDATE {name} SET {}", parts.join(", "));
        let done = server
            .execute(database, &update)
            .and_then(|()| server.execute(database, &format!("VACUUM FULL {name}")));
        done.map_err(|fault| {
            Fault::failed("rehearsal-mask", msg!("rehearsal.mask-failed", table = table))
                .detail(fault.detail.unwrap_or(fault.message))
                .remedy(msg!("rehearsal.mask-failed.remedy"))
        })?;
    }
    Ok(())
}

/// In the order in which they were restored, and so can be filled; one that cannot is emptied.
const REFRESH: &str = "DO $$ DECLARE one regclass; BEGIN \
    FOR one IN SELECT oid::regclass FROM pg_class WHERE relkind = 'm' AND relispopulated \
        ORDER BY pg_class.oid LOOP \
    BEGIN EXECUTE format('REFRESH MATERIALIZED VIEW %s', one); \
    EXCEPTION WHEN OTHERS THEN \
        EXECUTE format('REFRESH MATERIALIZED VIEW %s WITH NO DATA', one); END; END LOOP; END $$";

/// Fills materialized views anew: they hold what was made of the rows as they were.
///
/// # Errors
/// `scratch-sql-failed`.
pub(super) fn refresh(server: &Home, database: &str) -> Result<(), Fault> {
    server.execute(database, REFRESH)
}

/// Makes rows for every table. Gives those that got none, and why.
///
/// # Errors
/// Those of connecting; the server's.
pub(super) fn generate(
    runtime: &Runtime,
    target: &Target,
    ledger: &str,
) -> Result<Vec<(String, String)>, Fault> {
    runtime.block_on(async {
        let session = connect(target, &ConnectOptions::default()).await?;
        let sql = "SELECT coalesce(json_agg(c.oid::bigint), '[]') FROM pg_class c \
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') \
            AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' \
            AND n.nspname NOT IN ('information_schema', $1) \
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
                AND d.objid = c.oid AND d.deptype = 'e')";
        let found = session.query(sql, &[ledger.into()]).await?;
        let found = found.first().cloned().unwrap_or_default();
        let tables: Vec<i64> = serde_json::from_value(found).unwrap_or_default();
        session.batch("BEGIN").await?;
        let without = fill(&session, &tables, GENERATED).await?;
        session.batch("COMMIT").await?;
        Ok(without)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::postgres::programs::Programs;
    use crate::postgres::scratch::{ScratchOptions, ScratchServer};

    #[test]
    fn what_an_extension_brings_along_is_no_sample() {
        let folder = tempfile::tempdir().unwrap();
        let options = ScratchOptions::new(Programs::new(None, None), folder.path(), "sample");
        let server = ScratchServer::start(&options).unwrap();
        server.create_database("shop").unwrap();
        let server = Home::Private(server);
        let run = |sql: &str| server.execute("shop", sql).unwrap();
        run("CREATE TABLE known AS SELECT n FROM generate_series(1, 3000) n; \
            CREATE TABLE rows AS SELECT n FROM generate_series(1, 3000) n; \
            ALTER EXTENSION plpgsql ADD TABLE known");
        sample(&server, "shop", 1.0, "runsheet").unwrap();
        run("DO $$ BEGIN ASSERT (SELECT count(*) FROM known) = 3000; \
            ASSERT (SELECT count(*) FROM rows) < 1000; END $$");
    }
}
