//! Puts rows in, one by one, and finds out from the server's refusals what a table wants.

use std::collections::BTreeMap;

use super::check::instead;
use super::shape::{Column, Shape, shapes};
use super::value::value;
use crate::model::quote_ident;
use crate::postgres::{DbError, Session};

/// A table that got no row, and what the server said to the last try.
pub(in crate::rehearsal) type Unseeded = (String, String);

/// So many refusals are answered for one row.
const PATIENCE: usize = 12;

/// Puts up to `rows` rows into each of these tables (by oid), inside of the open transaction.
/// Gives the tables that got none.
///
/// # Errors
/// The connection's; what the server refuses is no error.
pub(in crate::rehearsal) async fn fill(
    session: &Session,
    tables: &[i64],
    rows: u64,
) -> Result<Vec<Unseeded>, DbError> {
    let mut unseeded = Vec::new();
    session.batch("SET CONSTRAINTS ALL IMMEDIATE").await?;
    for shape in shapes(session, tables).await? {
        let mut table = Filling { session, shape: &shape, chosen: BTreeMap::new(), sparing: false };
        let there = table.count().await?;
        let (mut done, mut why) = (0, String::new());
        for row in 1..=rows {
            match table.row(there + row).await? {
                None => done += 1,
                Some(refused) => why = refused,
            }
        }
        if done == 0 {
            unseeded.push((shape.name.clone(), why));
        }
    }
    Ok(unseeded)
}

struct Filling<'a> {
    session: &'a Session,
    shape: &'a Shape,
    /// What a refusal has taught, by the column's number.
    chosen: BTreeMap<i64, String>,
    /// Defaults and NULLs where they are allowed.
    sparing: bool,
}

impl Filling<'_> {
    async fn count(&self) -> Result<u64, DbError> {
        let found = self.session.simple(&format!("SELECT count(*) FROM {}", self.shape.name)).await;
        let found = found?;
        let cell = found.first().and_then(|one| one.value().map(String::from));
        Ok(cell.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// One row; what the server said where it takes none.
    async fn row(&mut self, row: u64) -> Result<Option<String>, DbError> {
        let mut number = row;
        let mut last = String::new();
        for _ in 0..PATIENCE {
            let Err(error) = self.insert(number, &[], "").await? else {
                return self.keep().await.map(|()| None);
            };
            last.clone_from(&error.message);
            match error.sqlstate.as_deref() {
                Some("23514") if self.learn(number, &error).await? => {}
                Some("23505" | "23P01") if number < row + 400 => number += 101,
                _ if !self.sparing => self.sparing = true,
                _ => break,
            }
        }
        // Triggers that want more than a row: they are left out, as a restore does it.
        let quiet = "SET LOCAL session_replication_role = replica; ";
        match self.insert(row, &[], quiet).await? {
            Ok(()) => self.keep().await.map(|()| None),
            Err(_) => Ok(Some(last)),
        }
    }

    async fn keep(&self) -> Result<(), DbError> {
        let quiet = "SET LOCAL session_replication_role = origin";
        self.session.batch(&format!("{quiet}; RELEASE SAVEPOINT runsheet_row")).await
    }

    async fn take_out(&self) -> Result<(), DbError> {
        let back = "ROLLBACK TO SAVEPOINT runsheet_row; RELEASE SAVEPOINT runsheet_row";
        self.session.batch(back).await
    }

    /// Tries what a CHECK may want; true where one of its tries leads further.
    async fn learn(&mut self, row: u64, error: &DbError) -> Result<bool, DbError> {
        let refused = error.constraint.clone().unwrap_or_default();
        let all = || self.shape.checks.iter().chain(&self.shape.domains);
        let Some(check) = all().find(|check| check.name == refused) else { return Ok(false) };
        for other in instead(self.shape, check) {
            let same = match self.insert(row, &other, "").await? {
                Ok(()) => {
                    self.take_out().await?;
                    false
                }
                Err(error) => {
                    error.constraint.as_deref() == Some(&refused)
                        || matches!(
                            error.sqlstate.as_deref(),
                            Some("22001" | "22P02" | "22003" | "23502")
                        )
                }
            };
            if !same {
                self.chosen.extend(other);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The savepoint stays where it went well, so that the row can be taken out again.
    async fn insert(
        &self,
        row: u64,
        instead: &[(i64, String)],
        first: &str,
    ) -> Result<Result<(), DbError>, DbError> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in self.shape.columns.iter().filter(|column| !column.generated) {
            let own = instead.iter().find(|(number, _)| *number == column.number);
            let own = own.map(|(_, text)| text).or_else(|| self.chosen.get(&column.number));
            let text = match own {
                Some(text) => text.clone(),
                None => self.cell(column, row),
            };
            names.push(quote_ident(&column.name));
            values.push(text);
        }
        let sql = match names.is_empty() {
            true => format!("INSERT INTO {} DEFAULT VALUES", self.shape.name),
            false => format!(
                "INSERT INTO {} ({}) VALUES ({})",
                self.shape.name,
                names.join(", "),
                values.join(", ")
            ),
        };
        let message = format!("SAVEPOINT runsheet_row; {first}{sql}");
        match self.session.batch(&message).await {
            Ok(()) => Ok(Ok(())),
            Err(error) if error.connection_lost => Err(error),
            Err(error) => {
                self.take_out().await?;
                Ok(Err(error))
            }
        }
    }

    fn cell(&self, column: &Column, row: u64) -> String {
        if column.counts_itself() {
            return "DEFAULT".into();
        }
        if let Some(text) = self.reference(column, row) {
            return text;
        }
        if self.sparing && (column.default.is_some() || !column.not_null) {
            return "DEFAULT".into();
        }
        value(column, row).unwrap_or_else(|| "DEFAULT".into())
    }

    /// A value that the other table has, all columns of one key from one row of it.
    fn reference(&self, column: &Column, row: u64) -> Option<String> {
        let of = |key: &&super::shape::Foreign| key.columns.contains(&column.number);
        let key = self.shape.keys.iter().find(of)?;
        let at = key.columns.iter().position(|number| *number == column.number)?;
        let (wanted, table) = (key.wanted.get(at)?, &key.name);
        let order = key.wanted.join(", ");
        let skipped = format!("{} % greatest((SELECT count(*) FROM {table}), 1)", row - 1);
        Some(format!("(SELECT {wanted} FROM {table} ORDER BY {order} OFFSET {skipped} LIMIT 1)"))
    }
}
