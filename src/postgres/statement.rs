//! Statements on a session: with parameters, by the simple protocol, and COPY both ways.

use std::io::Cursor;
use std::pin::{Pin, pin};

use futures_util::{SinkExt, TryStreamExt};
use serde_json::Value;
use tokio_postgres::types::{Kind, ToSql, Type};
use tokio_postgres::{CopyInSink, Row, SimpleQueryMessage, Statement};

use super::error::DbError;
use super::session::{Session, unsupported};
use super::value::{Cell, Parameter, is_plain, is_readable};
use super::wrap;
use crate::msg;

/// The rows of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Names of the columns, in order; they may repeat.
    pub columns: Vec<String>,
    /// Values by row and column.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// The first column of the first row.
    pub fn first(&self) -> Option<&Value> {
        self.rows.first()?.first()
    }

    /// Each row as a JSON object; of columns with the same name, the last one counts.
    pub fn into_objects(self) -> Vec<Value> {
        let columns = self.columns;
        self.rows
            .into_iter()
            .map(|row| Value::Object(columns.iter().cloned().zip(row).collect()))
            .collect()
    }
}

/// What one statement of a simple message gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimpleResult {
    /// Rows touched or given, as the command tag says; 0 for commands without rows; None where
    /// the statement did not finish.
    pub rows: Option<u64>,
    /// Names of the columns, where there are any.
    pub columns: Vec<String>,
    /// The cells as the server prints them; None is NULL.
    pub cells: Vec<Vec<Option<String>>>,
}

impl SimpleResult {
    /// The cells of the first row; none where there is no row.
    pub fn first(&self) -> &[Option<String>] {
        self.cells.first().map_or(&[], Vec::as_slice)
    }

    /// The first cell of the first row; None where it is NULL, or not there.
    pub fn value(&self) -> Option<&str> {
        self.first().first()?.as_deref()
    }
}

impl Session {
    /// Runs one statement with parameters `$1 ..` and gives its rows.
    ///
    /// # Errors
    /// The server's; `unsupported-type` where a column has no JSON form and the statement cannot
    /// be rewritten to give text (a statement that writes, with RETURNING).
    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Rows, DbError> {
        if self.behind_pooler() {
            return self.query_unprepared(sql, params).await;
        }
        let (statement, shift) = self.prepare_readable(sql).await?;
        let stream = self.client.query_raw(&statement, params.iter().map(Parameter)).await;
        let rows = match stream {
            Ok(stream) => stream.try_collect::<Vec<Row>>().await,
            Err(error) => Err(error),
        };
        let rows = rows.map_err(|error| {
            let mut error = self.error(error);
            error.position = error.position.map(|at| at.saturating_sub(shift)).filter(|at| *at > 0);
            error
        })?;
        let columns = statement.columns().iter().map(|column| column.name().to_string()).collect();
        Ok(Rows {
            columns,
            rows: rows.iter().map(|row| self.cells(row)).collect::<Result<_, _>>()?,
        })
    }

    /// As [`Session::query`], in one round trip: for our own questions, whose parameters are scalars
    /// and whose columns can all be read.
    ///
    /// # Errors
    /// The server's.
    pub async fn ask(&self, sql: &str, params: &[Value]) -> Result<Rows, DbError> {
        let rows = self.ask_once(sql, params).await?;
        let columns = rows.first().map(Row::columns).unwrap_or_default();
        let columns = columns.iter().map(|column| column.name().to_string()).collect();
        Ok(Rows {
            columns,
            rows: rows.iter().map(|row| self.cells(row)).collect::<Result<_, _>>()?,
        })
    }

    fn cells(&self, row: &Row) -> Result<Vec<Value>, DbError> {
        let cell = |at| row.try_get::<_, Cell>(at).map(|cell| cell.0);
        (0..row.len()).map(cell).collect::<Result<_, _>>().map_err(|error| self.error(error))
    }

    /// A query in one message: a pooler may give each message another server session, where a
    /// prepared statement is not known, or is somebody else's. An array parameter is sent as JSON,
    /// for its type is not known beforehand.
    async fn query_unprepared(&self, sql: &str, params: &[Value]) -> Result<Rows, DbError> {
        let mut rows = self.ask_once(sql, params).await?;
        let columns: Vec<(String, bool)> = rows.first().map_or_else(Vec::new, |row| {
            let bad = |ty: &Type| !is_readable(ty);
            row.columns().iter().map(|c| (c.name().to_string(), bad(c.type_()))).collect()
        });
        if columns.iter().any(|(_, bad)| *bad) {
            let list: Vec<(&str, bool)> = columns.iter().map(|(n, bad)| (&**n, *bad)).collect();
            let Some(wrapped) = wrap::as_text(sql, &list) else {
                let name = list.iter().find(|(_, bad)| *bad).map_or("", |(name, _)| name);
                return Err(unsupported(name, "?"));
            };
            rows = self.ask_once(&wrapped.sql, params).await?;
        }
        let names = columns.into_iter().map(|(name, _)| name).collect();
        Ok(Rows {
            columns: names,
            rows: rows.iter().map(|row| self.cells(row)).collect::<Result<_, _>>()?,
        })
    }

    async fn ask_once(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, DbError> {
        let inferred = inferred();
        let parameters: Vec<Parameter<'_>> = params.iter().map(Parameter).collect();
        let typed = parameters.iter().map(|p| (p as &(dyn ToSql + Sync), inferred.clone()));
        let stream = self.client.query_typed_raw(sql, typed).await;
        let rows = match stream {
            Ok(stream) => stream.try_collect::<Vec<Row>>().await,
            Err(error) => Err(error),
        };
        rows.map_err(|error| self.error(error))
    }

    /// Prepares a query whose columns can all be read; and the characters put in front of it.
    async fn prepare_readable(&self, sql: &str) -> Result<(Statement, u32), DbError> {
        let failed = |error| self.error(error);
        let statement = self.client.prepare(sql).await.map_err(failed)?;
        let columns: Vec<(&str, bool)> = statement
            .columns()
            .iter()
            .map(|column| (column.name(), !is_readable(column.type_())))
            .collect();
        let Some(bad) = statement.columns().iter().find(|column| !is_readable(column.type_()))
        else {
            return Ok((statement, 0));
        };
        let Some(wrapped) = wrap::as_text(sql, &columns) else {
            return Err(unsupported(bad.name(), bad.type_().name()));
        };
        let prepared = self.client.prepare_typed(&wrapped.sql, statement.params()).await;
        Ok((prepared.map_err(failed)?, wrapped.prefix))
    }

    /// Runs one statement with parameters `$1 ..` and gives the number of rows touched.
    ///
    /// One round trip where all parameters are scalars: their types are left to the server.
    ///
    /// # Errors
    /// The server's.
    pub async fn execute(&self, sql: &str, params: &[Value]) -> Result<u64, DbError> {
        let parameters: Vec<Parameter<'_>> = params.iter().map(Parameter).collect();
        let done = if self.behind_pooler() || params.iter().all(is_plain) {
            let inferred = inferred();
            let list: Vec<(&(dyn ToSql + Sync), Type)> =
                parameters.iter().map(|p| (p as &(dyn ToSql + Sync), inferred.clone())).collect();
            self.client.execute_typed(sql, &list).await
        } else {
            self.client.execute_raw(sql, parameters.iter().map(|p| p as &(dyn ToSql + Sync))).await
        };
        done.map_err(|error| self.error(error))
    }

    /// Runs one message of the simple protocol: statements without parameters, which the server
    /// takes as one transaction unless they say otherwise.
    ///
    /// # Errors
    /// The server's, for the first statement that failed.
    pub async fn simple(&self, sql: &str) -> Result<Vec<SimpleResult>, DbError> {
        refuse_nul(sql)?;
        let failed = |error| self.error(error);
        let mut stream = pin!(self.client.simple_query_raw(sql).await.map_err(failed)?);
        let mut results = Vec::new();
        let mut current = SimpleResult::default();
        while let Some(message) = stream.try_next().await.map_err(failed)? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    current.columns = columns.iter().map(|c| c.name().to_string()).collect();
                }
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|at| row.get(at).map(str::to_string));
                    current.cells.push(cells.collect());
                }
                SimpleQueryMessage::CommandComplete(rows) => {
                    current.rows = Some(rows);
                    results.push(std::mem::take(&mut current));
                }
                _ => {}
            }
        }
        Ok(results)
    }

    /// As [`Session::simple`], without the results.
    ///
    /// # Errors
    /// The server's, for the first statement that failed.
    pub async fn batch(&self, sql: &str) -> Result<(), DbError> {
        refuse_nul(sql)?;
        self.client.batch_execute(sql).await.map_err(|error| self.error(error))
    }

    /// Begins `COPY .. FROM STDIN`.
    ///
    /// # Errors
    /// The server's, where it refuses the statement.
    pub async fn copy_in(&self, sql: &str) -> Result<CopySink<'_>, DbError> {
        let sink = self.client.copy_in(sql).await.map_err(|error| self.error(error))?;
        Ok(CopySink { session: self, sink: Box::pin(sink) })
    }

    /// Runs `COPY .. TO STDOUT` and hands out its data as it arrives.
    ///
    /// # Errors
    /// The server's.
    pub async fn copy_out(&self, sql: &str, receive: &mut dyn FnMut(&[u8])) -> Result<(), DbError> {
        let failed = |error| self.error(error);
        let mut stream = pin!(self.client.copy_out(sql).await.map_err(failed)?);
        while let Some(data) = stream.try_next().await.map_err(failed)? {
            receive(&data);
        }
        Ok(())
    }
}

/// A running `COPY .. FROM STDIN`. Dropped without [`CopySink::finish`], it is aborted: nothing of
/// it stays.
pub struct CopySink<'a> {
    session: &'a Session,
    sink: Pin<Box<CopyInSink<Cursor<Vec<u8>>>>>,
}

impl CopySink<'_> {
    /// Sends a piece; pieces need not end at a line.
    ///
    /// # Errors
    /// The server's, for what was sent before.
    pub async fn send(&mut self, data: Vec<u8>) -> Result<(), DbError> {
        let sent = self.sink.send(Cursor::new(data)).await;
        sent.map_err(|error| self.session.error(error))
    }

    /// Ends the copy and gives the number of rows.
    ///
    /// # Errors
    /// The server's: a broken line, a broken constraint.
    pub async fn finish(mut self) -> Result<u64, DbError> {
        let done = self.sink.as_mut().finish().await;
        done.map_err(|error| self.session.error(error))
    }
}

impl std::fmt::Debug for CopySink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CopySink")
    }
}

/// The protocol's type 0 asks the server to infer the type.
fn inferred() -> Type {
    Type::new(String::new(), 0, Kind::Simple, String::new())
}

/// The protocol ends a statement at a NUL byte.
fn refuse_nul(sql: &str) -> Result<(), DbError> {
    match sql.find('\0') {
        Some(_) => Err(DbError::own("nul-byte", msg!("postgres.nul-byte"))),
        None => Ok(()),
    }
}
