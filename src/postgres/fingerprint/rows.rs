//! The rows of a relation as a number and a sum of hashes, the same on every version of the server.
//!
//! The server's own hash of a record would be shorter to write, and is no proof: it calls 1.0 and
//! 1.00 the same, and 1 and -1 as numerics, folds the halves of a bigint onto each other, and two
//! values that change places between two rows do not change the sum of their hashes.

use serde_json::{Value, json};

use crate::postgres::{DbError, Session};

/// $1 the tables asked for, or NULL; $2 the ledger's schema.
const RELATIONS: &str = include_str!("rows.sql");

/// Of relations that are named: $1 their names.
const NAMED: &str = "SELECT 'ONLY ' || wanted, COLUMNS_OF_C, BYTES_OF_C FROM unnest($1::text[]) AS wanted \
    JOIN pg_class c ON c.oid = wanted::regclass";

/// Quoted name, type (a domain's is the one below it), modifier of each column of `c`, in order, and
/// whether it may hold NULL; a NOT NULL that was never validated promises nothing.
const COLUMNS: &str = "(SELECT coalesce(json_agg(json_build_array(quote_ident(a.attname), \
    CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END::int8, \
    CASE WHEN t.typtype = 'd' THEN -1 ELSE a.atttypmod END, NOT a.attnotnull OR EXISTS (SELECT \
    FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND NOT k.convalidated \
    AND a.attnum = ANY (k.conkey))) ORDER BY a.attnum), '[]') \
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)";

/// Of `c`; nothing where it was dropped meanwhile.
const BYTES: &str = "coalesce(pg_relation_size(c.oid), 0)";

/// Columns that have a link of their own in the chain; more would nest too deep for the server.
const LINKS: usize = 200;
/// Bits of an integer that say which of the columns are NULL.
const BITS: usize = 30;

/// Name, type, modifier, and whether it may hold NULL.
type Column = (String, u32, i32, bool);

/// A relation whose rows count.
#[derive(Debug)]
pub(crate) struct Relation {
    /// Quoted and qualified, behind ONLY where its children count for themselves.
    pub(crate) name: String,
    /// The hash of one of its rows, as an expression.
    hash: String,
    /// How large its rows are, in bytes.
    pub(crate) bytes: u64,
}

impl Relation {
    fn of(cells: &[Value]) -> Result<Self, DbError> {
        let (name, columns, bytes) = serde_json::from_value(json!(cells))
            .map_err(|error| DbError::own("internal", format!("columns of a table: {error}")))?;
        let columns: Vec<Column> = columns;
        Ok(Self { name, hash: row_hash(&columns), bytes })
    }

    /// The number of rows, and the sum of their hashes. A sum, not XOR: a row that is there twice
    /// must not vanish.
    pub(crate) async fn sum(&self, session: &Session) -> Result<Vec<Value>, DbError> {
        let sql = format!("SELECT count(*), sum({})::text FROM {}", self.hash, self.name);
        Ok(session.query(&sql, &[]).await?.rows.into_iter().next().unwrap_or_default())
    }
}

/// All relations of a database, or those with the wanted oids.
pub(crate) async fn relations(
    session: &Session,
    wanted: Value,
    ledger: &str,
) -> Result<Vec<Relation>, DbError> {
    asked(session, RELATIONS, &[wanted, ledger.into()]).await
}

/// Relations by their quoted, qualified names.
pub(crate) async fn named(
    session: &Session,
    names: impl Iterator<Item = &String>,
) -> Result<Vec<Relation>, DbError> {
    asked(session, NAMED, &[json!(names.collect::<Vec<_>>())]).await
}

async fn asked(session: &Session, sql: &str, given: &[Value]) -> Result<Vec<Relation>, DbError> {
    let sql = sql.replace("COLUMNS_OF_C", COLUMNS).replace("BYTES_OF_C", BYTES);
    let found = session.query(&sql, given).await?;
    found.rows.iter().map(|cells| Relation::of(cells)).collect()
}

/// The hash of a column is the seed of the next one's, so that a value counts for its row and for
/// its column. Types whose equal values are one and the same are hashed as they are, all others by
/// their text, in one link. The innermost seed says which columns are NULL.
fn row_hash(columns: &[Column]) -> String {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (name, kind, modifier, nullable) in columns {
        match link(name, *kind, *modifier).filter(|_| own.len() < LINKS) {
            Some(link) => own.push((name, link, nullable)),
            None => others.push(name.as_str()),
        }
    }
    let mut hash = String::from("0");
    for part in own.chunks(BITS) {
        // A column without NULLs has its place, and no bit to ask for.
        let asked = part.iter().enumerate().filter(|(_, (_, _, nullable))| **nullable);
        let bits = asked.map(|(at, (name, ..))| {
            format!("CASE WHEN {name} IS NULL THEN {} ELSE 0 END", 1_u32 << at)
        });
        let bits = bits.collect::<Vec<_>>().join(" | ");
        let bits = if bits.is_empty() { "0".into() } else { bits };
        hash = format!("hashint4extended({bits}, {hash})");
    }
    for (_, (function, rest), _) in &own {
        hash = format!("{function}, {hash}{rest})");
    }
    if !others.is_empty() || own.is_empty() {
        // One column in brackets is no row, and a relation may have none.
        let text = format!("ROW({})::text COLLATE \"C\"", others.join(", "));
        hash = format!("hashtextextended({text}, {hash})");
    }
    hash
}

/// What stands before a link's seed and what behind it; None for a type that goes by its text.
fn link(name: &str, kind: u32, modifier: i32) -> Option<(String, String)> {
    let of = |function: &str, value: String| Some((format!("{function}({value}"), String::new()));
    let sent = |function: &str| of("hash_array_extended", format!("ARRAY[{function}({name})]"));
    match kind {
        // bool
        16 => of("hashint4extended", format!("coalesce({name}::bool::int4, 0)")),
        // bytea
        17 => of("hash_array_extended", format!("ARRAY[{name}::bytea]")),
        // int8: what the fold of its halves loses goes into the seed. Small values are hashed as
        // an int4's, whose type may have been widened meanwhile.
        20 => {
            let lost = format!(" # coalesce(({name}::int8 >> 31) # ({name}::int8 >> 63), 0)");
            Some((format!("hashint8extended(coalesce({name}::int8, 0)"), lost))
        }
        // int2, int4
        21 | 23 => of("hashint4extended", format!("coalesce({name}::int4, 0)")),
        // char(n): all values have the same length, and their blanks say nothing.
        1042 if modifier >= 0 => {
            of("hashbpcharextended", format!("coalesce({name}::bpchar, '') COLLATE \"C\""))
        }
        // name, text, varchar; json, float4, float8, time, interval, timetz, numeric, jsonb: whose
        // cast is the text that the server writes, without the quotes of a row around it.
        19 | 25 | 1043 | 114 | 700 | 701 | 1083 | 1186 | 1266 | 1700 | 3802 => {
            of("hashtextextended", format!("coalesce({name}::text, '') COLLATE \"C\""))
        }
        1082 => sent("date_send"),
        1114 => sent("timestamp_send"),
        1184 => sent("timestamptz_send"),
        2950 => {
            let nobody = "'00000000-0000-0000-0000-000000000000'";
            of("uuid_hash_extended", format!("coalesce({name}::uuid, {nobody})"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_seed_of_the_next_one() {
        let columns = [
            ("id".into(), 23, -1, false),
            ("name".into(), 25, -1, true),
            ("price".into(), 1700, -1, true),
            ("mood".into(), 16_500, -1, true),
        ];
        assert_eq!(
            row_hash(&columns),
            "hashtextextended(ROW(mood)::text COLLATE \"C\", \
             hashtextextended(coalesce(price::text, '') COLLATE \"C\", \
             hashtextextended(coalesce(name::text, '') COLLATE \"C\", \
             hashint4extended(coalesce(id::int4, 0), \
             hashint4extended(CASE WHEN name IS NULL THEN 2 ELSE 0 END | \
             CASE WHEN price IS NULL THEN 4 ELSE 0 END, 0)))))"
        );
    }

    #[test]
    fn a_wide_row_does_not_nest_deeper_than_the_server_reads() {
        let columns: Vec<Column> = (0..1600).map(|at| (format!("c{at}"), 23, -1, true)).collect();
        let hash = row_hash(&columns);
        assert!(hash.matches("extended(").count() <= LINKS + LINKS / BITS + 2, "{hash}");
        assert!(hash.contains("c1599"));
    }
}
