//! One database through which the migrations go, one after the other. What a down and a second up
//! do is tried in savepoints of the transaction that the up is committed with; whatever cannot be
//! tried there, or fails there, is tried on a copy of the database with a COMMIT behind each.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{self, Data, Table};
use super::objects::compare;
use super::read::Pair;
use super::script::{How, Script};
use super::told::{PairTold, Schema, Word};
use crate::model::{Fault, quote_ident};
use crate::postgres::fingerprint::{of_cells, schema_question};
use crate::postgres::scratch::ScratchServer;
use crate::postgres::{ConnectOptions, DbError, ObjectChange, Session, Target, connect};
use crate::rehearsal::seed::fill;

/// What a COMMIT and a new session would do to the session's state.
const CLEAN: &str =
    "SET CONSTRAINTS ALL IMMEDIATE; RESET SESSION AUTHORIZATION; RESET ALL; DISCARD TEMP";
/// Rows for a table that has none.
const ROWS: u64 = 4;
/// Rows more for a table that has got a column.
const MORE: u64 = 2;
const ADMIN: &str = "postgres";

/// Both directions of a migration, cut.
pub(super) struct Scripts {
    up: Script,
    down: Option<Script>,
}

impl Scripts {
    pub(super) fn of(pair: &Pair) -> Self {
        Self { up: Script::new(&pair.up), down: pair.down.as_ref().map(Script::new) }
    }

    fn fit_in_one_transaction(&self) -> bool {
        self.up.plain && self.down.as_ref().is_none_or(|down| down.plain)
    }
}

/// A database with a session on it, and what is known of it.
pub(super) struct Chain<'a> {
    server: &'a ScratchServer,
    pub(super) name: &'static str,
    session: Option<Session>,
    /// Of the bare database: its objects.
    schema: BTreeMap<String, String>,
    /// Of the database with rows: all of them.
    rows: Option<Rows>,
}

#[derive(Default)]
struct Rows {
    data: Data,
    /// Columns that each table ever had, by oid.
    columns: BTreeMap<i64, u64>,
    /// Tables without rows, and why.
    unseeded: BTreeMap<String, String>,
}

impl<'a> Chain<'a> {
    /// A new, empty database.
    pub(super) async fn new(
        server: &'a ScratchServer,
        name: &'static str,
        with_rows: bool,
    ) -> Result<Self, Fault> {
        admin(server, &format!("CREATE DATABASE {}", quote_ident(name))).await?;
        let rows = with_rows.then(Rows::default);
        let mut chain = Self { server, name, session: None, schema: BTreeMap::new(), rows };
        chain.open().await?;
        chain.look_anew().await?;
        Ok(chain)
    }

    /// Is given up, and made anew from another one, which must have no session open; with new rows.
    pub(super) async fn made_from(&mut self, other: &mut Chain<'_>) -> Result<(), Fault> {
        self.session = None;
        other.session = None;
        copy(self.server, other.name, self.name).await?;
        other.open().await?;
        self.rows = Some(Rows::default());
        self.open().await?;
        let session = self.session()?;
        session.batch("BEGIN").await?;
        let tables = data::tables(session).await?;
        self.seed(&tables, true).await?;
        self.session()?.batch("COMMIT").await?;
        Ok(())
    }

    async fn open(&mut self) -> Result<(), Fault> {
        self.session = Some(session(self.server, self.name).await?);
        Ok(())
    }

    fn session(&self) -> Result<&Session, Fault> {
        self.session.as_ref().ok_or_else(|| Fault::failed("internal", "no session"))
    }

    async fn look_anew(&mut self) -> Result<(), Fault> {
        let session = self.session()?;
        session.batch("BEGIN").await?;
        let schema = schema(session).await?;
        session.batch("COMMIT").await?;
        self.schema = schema;
        Ok(())
    }

    /// One migration; what was found out is written into `told`. False where the up does not apply:
    /// then the database is as it was.
    pub(super) async fn step(
        &mut self,
        scripts: &Scripts,
        told: &mut PairTold,
    ) -> Result<bool, Fault> {
        if scripts.fit_in_one_transaction() {
            let done = match self.rows.is_some() {
                true => self.with_rows(scripts, told).await,
                false => self.bare(scripts, told).await,
            };
            match done {
                Ok(()) => return Ok(true),
                Err(error) if error.connection_lost => return Err(error.into_fault()),
                Err(_) => self.session()?.batch("ROLLBACK").await?,
            }
        }
        self.on_a_copy(scripts, told).await
    }

    /// In one transaction, without rows. Any error: it has to be tried on a copy.
    async fn bare(&mut self, scripts: &Scripts, told: &mut PairTold) -> Result<(), DbError> {
        let Some(session) = &self.session else { return Ok(()) };
        session.batch("BEGIN").await?;
        scripts.up.run(session).await?;
        session.batch(CLEAN).await?;
        let after = schema(session).await?;
        let mut found = Found { up: Word::Ok, ..Found::default() };
        if let Some(down) = &scripts.down {
            session.batch("SAVEPOINT runsheet_down").await?;
            down.run(session).await?;
            session.batch(CLEAN).await?;
            let back = match down.empty {
                true => after.clone(),
                false => schema(session).await?,
            };
            (found.schema, found.objects) = compare(&self.schema, &back);
            found.down = if down.empty { Word::Empty } else { Word::Ok };
            scripts.up.run(session).await?;
            session.batch(CLEAN).await?;
            found.again = Word::Ok;
            session.batch("ROLLBACK TO SAVEPOINT runsheet_down").await?;
        }
        session.batch(&format!("{CLEAN}; COMMIT")).await?;
        self.schema = after;
        found.tell(told, scripts);
        Ok(())
    }

    /// In one transaction, with rows.
    async fn with_rows(&mut self, scripts: &Scripts, told: &mut PairTold) -> Result<(), DbError> {
        let (Some(session), Some(rows)) = (&self.session, &self.rows) else { return Ok(()) };
        session.batch("BEGIN").await?;
        scripts.up.run(session).await?;
        session.batch(CLEAN).await?;
        let mut changes = None;
        if let Some(down) = &scripts.down {
            session.batch("SAVEPOINT runsheet_down").await?;
            down.run(session).await?;
            session.batch(CLEAN).await?;
            let tables = data::tables(session).await?;
            changes = Some(differences(session, &rows.data, &tables).await?);
            session.batch("ROLLBACK TO SAVEPOINT runsheet_down").await?;
            session.batch(CLEAN).await?;
        }
        let tables = data::tables(session).await?;
        self.seed(&tables, false).await?;
        let Some(session) = &self.session else { return Ok(()) };
        session.batch(&format!("{CLEAN}; COMMIT")).await?;
        told.up_rows = Word::Ok;
        told.down_rows = match &scripts.down {
            Some(down) if down.empty => Word::Empty,
            Some(_) => Word::Ok,
            None => Word::None,
        };
        if let Some(changes) = changes {
            told.rows = data::word(&changes);
            told.tables = changes;
        }
        told.unseeded = self.unseeded();
        Ok(())
    }

    fn unseeded(&self) -> BTreeMap<String, String> {
        self.rows.as_ref().map(|rows| rows.unseeded.clone()).unwrap_or_default()
    }

    /// Rows for tables that have none and for those with a new column; then what changed is held.
    async fn seed(&mut self, tables: &[Table], all: bool) -> Result<(), DbError> {
        let (Some(session), Some(rows)) = (&self.session, &mut self.rows) else { return Ok(()) };
        let touched: Vec<&Table> = tables.iter().filter(|table| all || table.touched).collect();
        let held = data::hold(session, &touched).await?;
        let (mut empty, mut grown) = (Vec::new(), Vec::new());
        for table in tables {
            let count = held.get(&table.name).or_else(|| rows.data.get(&table.name));
            let before = rows.columns.insert(table.oid, table.columns);
            let waits = rows.unseeded.contains_key(&table.name);
            if count.is_none_or(|held| held.count == 0) {
                if waits || all || table.touched {
                    empty.push(table.oid);
                }
            } else if before.is_some_and(|before| before < table.columns) {
                grown.push(table.oid);
            }
        }
        let there: BTreeSet<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        rows.data.retain(|name, _| there.contains(name.as_str()));
        rows.data.extend(held);
        rows.unseeded.clear();
        if empty.is_empty() && grown.is_empty() {
            return Ok(());
        }
        rows.unseeded.extend(fill(session, &empty, ROWS).await?);
        fill(session, &grown, MORE).await?;
        // Triggers may have written elsewhere as well.
        let tables = data::tables(session).await?;
        let touched: Vec<&Table> = tables.iter().filter(|table| all || table.touched).collect();
        rows.data.extend(data::hold(session, &touched).await?);
        Ok(())
    }

    /// With a COMMIT behind each direction, on a copy; then the up for good.
    async fn on_a_copy(&mut self, scripts: &Scripts, told: &mut PairTold) -> Result<bool, Fault> {
        self.session = None;
        let trial = format!("{}_trial", self.name);
        copy(self.server, self.name, &trial).await?;
        let (mut found, how) = self.trial(&trial, scripts).await?;
        drop_database(self.server, &trial).await?;
        self.open().await?;
        let mut applied = found.up.went_well();
        if applied {
            let session = self.session()?;
            if let Err(error) = carry_out(session, &scripts.up, how).await {
                applied = false;
                found.up = Word::Failed;
                found.errors.insert("up", said(&error));
            }
            // A new session, as the next migration would have.
            self.open().await?;
            if self.rows.is_some() {
                let session = self.session()?;
                session.batch("BEGIN").await?;
                let tables = data::tables(session).await?;
                self.seed(&tables, true).await?;
                self.session()?.batch("COMMIT").await?;
            } else {
                self.look_anew().await?;
            }
        }
        if self.rows.is_some() {
            found.tell_rows(told);
            told.unseeded = self.unseeded();
        } else {
            found.tell(told, scripts);
        }
        Ok(applied)
    }

    async fn trial(&self, name: &str, scripts: &Scripts) -> Result<(Found, How), Fault> {
        let mut found = Found::default();
        let open = session(self.server, name).await?;
        let (up, how, error) = attempt(&open, &scripts.up).await?;
        found.up = up;
        found.errors.extend(error.map(|error| ("up", error)));
        found.down = if scripts.down.is_none() { Word::None } else { Word::Unknown };
        let (Some(down), true) = (&scripts.down, found.up.went_well()) else {
            return Ok((found, how));
        };
        drop(open);
        let open = session(self.server, name).await?;
        let (word, _, error) = attempt(&open, down).await?;
        found.down = if down.empty && word.went_well() { Word::Empty } else { word };
        found.errors.extend(error.map(|error| ("down", error)));
        if !word.went_well() {
            return Ok((found, how));
        }
        drop(open);
        let open = session(self.server, name).await?;
        open.batch("BEGIN").await?;
        if let Some(rows) = &self.rows {
            let mut tables = data::tables(&open).await?;
            tables.iter_mut().for_each(|table| table.touched = true);
            found.tables = Some(differences(&open, &rows.data, &tables).await?);
        } else {
            let back = schema(&open).await?;
            (found.schema, found.objects) = compare(&self.schema, &back);
        }
        open.batch("COMMIT").await?;
        if self.rows.is_none() {
            let again = carry_out(&open, &scripts.up, how).await;
            found.again = if again.is_ok() { Word::Ok } else { Word::Failed };
            found.errors.extend(again.err().map(|error| ("again", said(&error))));
        }
        Ok((found, how))
    }
}

/// What one way through a database has shown.
#[derive(Default)]
struct Found {
    up: Word,
    down: Word,
    schema: Schema,
    objects: Vec<ObjectChange>,
    again: Word,
    tables: Option<Vec<crate::postgres::TableChange>>,
    errors: BTreeMap<&'static str, String>,
}

impl Found {
    fn tell(self, told: &mut PairTold, scripts: &Scripts) {
        told.up = self.up;
        told.down = if scripts.down.is_none() { Word::None } else { self.down };
        (told.schema, told.again, told.objects) = (self.schema, self.again, self.objects);
        told.errors.extend(self.errors);
    }

    fn tell_rows(self, told: &mut PairTold) {
        (told.up_rows, told.down_rows) = (self.up, self.down);
        if let Some(tables) = self.tables {
            told.rows = data::word(&tables);
            told.tables = tables;
        }
        let with_rows = |what| if what == "up" { "up_rows" } else { "down_rows" };
        told.errors.extend(self.errors.into_iter().map(|(what, why)| (with_rows(what), why)));
    }
}

/// In a transaction; where that fails, each statement by itself.
async fn attempt(session: &Session, script: &Script) -> Result<(Word, How, Option<String>), Fault> {
    let refused = |error: &DbError| error.connection_lost;
    if script.own {
        return match carry_out(session, script, How::Outside).await {
            Ok(()) => Ok((Word::Ok, How::Outside, None)),
            Err(error) => Ok((Word::Failed, How::Outside, Some(said(&error)))),
        };
    }
    let inside = match carry_out(session, script, How::Inside).await {
        Ok(()) => return Ok((Word::Ok, How::Inside, None)),
        Err(error) if refused(&error) => return Err(error.into_fault()),
        Err(error) => error,
    };
    match carry_out(session, script, How::Outside).await {
        Ok(()) => Ok((Word::Outside, How::Outside, None)),
        Err(error) if refused(&error) => Err(error.into_fault()),
        Err(error) => {
            // Where both fail, the transaction's own words say more, unless it was the transaction.
            let why = if inside.is("25001") { &error } else { &inside };
            Ok((Word::Failed, How::Inside, Some(said(why))))
        }
    }
}

async fn carry_out(session: &Session, script: &Script, how: How) -> Result<(), DbError> {
    if how == How::Outside {
        let done = script.one_by_one(session).await;
        if done.is_err() && !session.is_closed() {
            // A transaction of the file's own may be open.
            session.batch("ROLLBACK").await?;
        }
        return done;
    }
    session.batch("BEGIN").await?;
    let done = match script.run(session).await {
        Ok(()) => session.batch("COMMIT").await,
        Err(error) => Err(error),
    };
    if done.is_err() && !session.is_closed() {
        session.batch("ROLLBACK").await?;
    }
    done
}

/// The server's words on one line.
fn said(error: &DbError) -> String {
    let state = error.sqlstate.as_deref().unwrap_or("-");
    let detail = error.detail.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
    format!("{state} {}{detail}", error.message).replace('\n', " ")
}

async fn differences(
    session: &Session,
    before: &Data,
    tables: &[Table],
) -> Result<Vec<crate::postgres::TableChange>, DbError> {
    let touched: Vec<&Table> = tables.iter().filter(|table| table.touched).collect();
    let now = data::hold(session, &touched).await?;
    let there = |name: &str| tables.iter().any(|table| table.name == name);
    let untouched = |name: &str| there(name) && !now.contains_key(name);
    let mut changes: Vec<_> = before
        .iter()
        .filter(|(name, _)| !untouched(name))
        .filter_map(|(name, left)| data::compare(name, left, now.get(name)))
        .collect();
    // A table that is left over with rows in it.
    let nothing = data::Held::default();
    let new = now.iter().filter(|(name, _)| !before.contains_key(*name));
    changes.extend(new.filter_map(|(name, right)| data::compare(name, &nothing, Some(right))));
    Ok(changes)
}

async fn schema(session: &Session) -> Result<BTreeMap<String, String>, DbError> {
    let found = data::pinned(session, "EXECUTE runsheet_schema").await?;
    Ok(of_cells(found.into_iter().next().unwrap_or_default()))
}

async fn session(server: &ScratchServer, database: &str) -> Result<Session, Fault> {
    let target = Target::parse(&server.url(database), &|_| None)?;
    let options =
        ConnectOptions { application_name: "runsheet/pairs".into(), ..ConnectOptions::default() };
    let session = connect(&target, &options).await?;
    let (tables, question) = (data::TABLES, schema_question("runsheet"));
    let pins = crate::postgres::fingerprint::PINS;
    let prepare = format!("BEGIN; {pins}; {tables}; PREPARE runsheet_schema AS {question}; COMMIT");
    session.batch(&prepare).await?;
    Ok(session)
}

async fn admin(server: &ScratchServer, sql: &str) -> Result<(), Fault> {
    let target = Target::parse(&server.url(ADMIN), &|_| None)?;
    let session = connect(&target, &ConnectOptions::default()).await?;
    Ok(session.batch(sql).await?)
}

async fn drop_database(server: &ScratchServer, name: &str) -> Result<(), Fault> {
    let force = if server.version().0 >= 13 { " WITH (FORCE)" } else { "" };
    admin(server, &format!("DROP DATABASE IF EXISTS {}{force}", quote_ident(name))).await
}

/// A database as another one is. Sessions on that one are ended.
async fn copy(server: &ScratchServer, from: &str, to: &str) -> Result<(), Fault> {
    drop_database(server, to).await?;
    let others = format!("FROM pg_stat_activity WHERE datname = '{from}'");
    let alone = format!(
        "DO $$ BEGIN PERFORM pg_terminate_backend(pid) {others}; \
         FOR i IN 1..2000 LOOP PERFORM pg_stat_clear_snapshot(); \
         EXIT WHEN NOT EXISTS (SELECT {others}); PERFORM pg_sleep(0.002); END LOOP; END $$"
    );
    admin(server, &alone).await?;
    admin(server, &format!("CREATE DATABASE {} TEMPLATE {}", quote_ident(to), quote_ident(from)))
        .await
}
