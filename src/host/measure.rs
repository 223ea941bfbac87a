//! What a step does to the copy in a rehearsal: one question before it, one just before its COMMIT,
//! both on the run's own connection, which sees what nobody else sees yet.
//!
//! A step's cost must not grow with the number of tables. Whatever its transaction wrote or rewrote
//! it holds a lock on until the end, so that only the tables in its own locks are looked at; which
//! files all the others have is read once, and again behind a step that worked outside of its
//! transaction or failed.

mod space;

use std::collections::HashMap;
use std::rc::Rc;

use space::Known;

use super::gate::Host;
use super::scope::Transaction;
use super::stop::Trouble;
use crate::model::{
    EventKind, ItemKind, LOCK_MODES, Measured, TableLock, TableRows, quote_literal, spoken_lock,
    written_lock,
};
use crate::postgres::{Session, SimpleResult};

/// What is known in front of a step.
#[derive(Default)]
pub struct Measuring {
    /// The position in the write-ahead log where the step began; None between steps.
    wal: Option<String>,
    /// The same as it was behind the COMMIT of the step before: nothing writes between two steps.
    next: Option<String>,
    /// What older servers had counted already.
    rows: Vec<TableRows>,
    /// The step that was measured last, until its temporary files are known.
    last: Option<String>,
    /// Bytes of temporary files of the database, as far as they are known.
    temporary: u64,
    /// Each table and index by its oid; None where they have to be read again.
    files: Option<HashMap<u32, Known>>,
}

/// What this session wrote is told to the others when it is next idle, and not counted again.
const TELL: &str = "SELECT pg_stat_force_next_flush()";
/// The server from which on it can be asked to.
const TELLS: u32 = 150_000;
/// The place in the write-ahead log, and how large the database's temporary files have been.
const WAL: &str = "SELECT pg_catalog.pg_current_wal_insert_lsn(), \
    pg_catalog.pg_stat_get_db_temp_bytes(d.oid) FROM pg_catalog.pg_database d \
    WHERE d.datname = pg_catalog.current_database()";
/// Oids below are the system's own (`FirstNormalObjectId`).
const FIRST_OF_USERS: u32 = 16_384;

/// A table's number and file, and the rows that this session wrote in it: inserted, updated, deleted.
fn figures(oid: &str) -> String {
    let written = ["inserted", "updated", "deleted"];
    let written = written.map(|what| format!("pg_stat_get_xact_tuples_{what}({oid})"));
    format!("{oid}, pg_relation_filenode({oid}), {}", written.join(", "))
}

impl Host {
    /// Before a step of a rehearsal.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn measure_from_here(self: &Rc<Self>, kind: ItemKind) -> Result<(), Trouble> {
        self.measuring.borrow_mut().wal = None;
        let measured = matches!(kind, ItemKind::Step | ItemKind::Undo);
        if self.setup.rehearsal.is_none() || !measured || self.worker.borrow().is_none() {
            return Ok(());
        }
        let session = self.session()?;
        let known = self.measuring.borrow().files.is_some();
        let tells = session.server_version() >= TELLS;
        let next = self.measuring.borrow_mut().next.take().filter(|_| known && tells);
        if next.is_some() {
            self.measuring.borrow_mut().wal = next;
            return Ok(());
        }
        let mut sql = String::from(WAL);
        if !known || !tells {
            sql.push_str("; ");
            sql.push_str(&self.tables(Which::All));
        }
        if !known && tells {
            sql.push_str("; ");
            sql.push_str(TELL);
        }
        let results = self.wait(session.simple(&sql))?.map_err(|error| self.db_fault(error))?;
        self.note_temporary(results.first(), tells)?;
        let mut measuring = self.measuring.borrow_mut();
        measuring.wal = results.first().and_then(|result| cell(result, 0, 0)).map(String::from);
        if let Some(tables) = results.get(1).map(Table::all) {
            measuring.rows = if tells { Vec::new() } else { rows(&tables) };
            measuring.files = Some(tables.iter().map(|table| (table.oid, table.known())).collect());
        }
        Ok(())
    }

    /// What is asked behind a COMMIT, before everything else; see [`Host::take_wal`].
    pub(super) fn wal_sql(&self) -> Option<String> {
        self.setup.rehearsal.is_some().then(|| WAL.into())
    }

    /// Takes the answer to it away.
    ///
    /// # Errors
    /// `journal-write`.
    pub(super) fn take_wal(
        &self,
        session: &Session,
        answer: &mut Vec<SimpleResult>,
    ) -> Result<(), Trouble> {
        if self.setup.rehearsal.is_none() || answer.is_empty() {
            return Ok(());
        }
        let asked = answer.remove(0);
        self.measuring.borrow_mut().next = cell(&asked, 0, 0).map(String::from);
        self.note_temporary(Some(&asked), session.server_version() >= TELLS)
    }

    /// What was written since the last time is the last step's.
    fn note_temporary(&self, asked: Option<&SimpleResult>, tells: bool) -> Result<(), Trouble> {
        let now = asked.and_then(|asked| cell(asked, 0, 1)?.parse().ok()).unwrap_or(0);
        let (item, bytes) = {
            let mut measuring = self.measuring.borrow_mut();
            let before = std::mem::replace(&mut measuring.temporary, now);
            (measuring.last.take(), now.saturating_sub(before))
        };
        match item.filter(|_| tells) {
            Some(item) => self.emit(EventKind::Temporary { item, bytes }).map_err(Into::into),
            None => Ok(()),
        }
    }

    /// The question for the tables, partitioned tables, materialized views and indexes that are
    /// nobody's but the user's: all of them, or those that this session holds a lock on, with
    /// all modes; what it dropped is among these, and has no name.
    ///
    /// It is asked before every COMMIT, and planning a join with `pg_class` would take longer than
    /// all the rest of it. The functions give NULL for what was dropped, except that of the identity
    /// on servers before 14: it gets NULL there.
    fn tables(&self, which: Which) -> String {
        let ledger = quote_literal(&self.setup.config.ledger_schema);
        match which {
            Which::All => format!(
                "SELECT format('%I.%I', n.nspname, c.relname), NULL, c.relkind IN ('i', 'I'), NULL, \
                 {}, pg_total_relation_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p', 'm', 'i', 'I') \
                 AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', {ledger})",
                figures("c.oid")
            ),
            Which::Locked => format!(
                "SELECT o.identity, l.modes, o.type = 'index', \
                 CASE o.type WHEN 'index' THEN pg_get_indexdef(l.relation) END, {}, \
                 CASE WHEN l.modes = 'AccessShareLock' THEN NULL \
                    WHEN o.type = 'index' THEN pg_relation_size(l.relation) \
                    ELSE pg_total_relation_size(l.relation) END \
                 FROM (SELECT relation, string_agg(mode, ' ') AS modes FROM pg_lock_status() \
                    WHERE locktype = 'relation' AND pid = pg_backend_pid() AND granted \
                    AND relation >= {FIRST_OF_USERS} GROUP BY relation) l, \
                 pg_identify_object('pg_class'::regclass, \
                    CASE WHEN pg_table_is_visible(l.relation) IS NOT NULL THEN l.relation END, 0) o \
                 WHERE o.type IN ('table', 'materialized view', 'index') \
                    AND o.schema NOT IN ('pg_temp', 'pg_toast', {ledger}) \
                 OR o.type IS NULL AND l.modes LIKE '%AccessExclusiveLock%'",
                figures("l.relation")
            ),
        }
    }

    /// Just before the COMMIT of a step of a rehearsal.
    ///
    /// # Errors
    /// The server's; `journal-write`.
    pub(super) fn measure_to_here(self: &Rc<Self>, title: &str) -> Result<(), Trouble> {
        let Some(wal) = self.measuring.borrow_mut().wal.take() else { return Ok(()) };
        let (open, within) = self.frames.borrow().last().map_or((false, false), |frame| {
            let open = frame.transaction != Transaction::None;
            (open, open && !frame.external && !frame.took_effect)
        });
        let session = self.session()?;
        // Outside of a transaction there are no locks left to ask for; the rest is the same.
        let mut sql = format!(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), {})::bigint",
            quote_literal(&wal)
        );
        if open {
            sql.push_str("; ");
            sql.push_str(&self.tables(Which::Locked));
        }
        if !within {
            sql.push_str("; ");
            sql.push_str(&self.tables(Which::All));
        }
        if session.server_version() >= TELLS {
            sql.push_str("; ");
            sql.push_str(TELL);
        }
        let results = self.wait(session.simple(&sql))?.map_err(|error| self.db_fault(error))?;
        let locked = if open { results.get(1).map(Table::all) } else { None }.unwrap_or_default();
        // Held and nameless: dropped.
        let (locked, gone): (Vec<Table>, Vec<Table>) =
            locked.into_iter().partition(|table| !table.name.is_empty());
        let all = if within { None } else { results.get(1 + usize::from(open)).map(Table::all) };
        let measured = {
            let mut measuring = self.measuring.borrow_mut();
            let wal = results.first().and_then(|result| cell(result, 0, 0));
            let wal_bytes = wal.and_then(|text| text.parse().ok()).unwrap_or(0);
            let old = std::mem::take(&mut measuring.rows);
            let files = measuring.files.get_or_insert_default();
            let mut measured = Measured { wal_bytes, ..Measured::default() };
            for table in &locked {
                let there = !table.index && files.contains_key(&table.oid);
                if let (Some(mode), true) = (table.lock, there) {
                    let (table, mode) = (table.name.clone(), written_lock(LOCK_MODES[mode]));
                    measured.locks.push(TableLock { table, mode, waited_ms: 0 });
                }
            }
            let looked_at = all.as_ref().unwrap_or(&locked);
            measured.rows = rows(looked_at);
            let gone = match all {
                Some(_) => space::missing(files, looked_at),
                None => gone.iter().map(|table| table.oid).collect(),
            };
            measured.space = space::of(files, looked_at, &gone);
            gone.iter().for_each(|oid| drop(files.remove(oid)));
            let mut built = Vec::new();
            for table @ Table { oid, file, name, index, of, .. } in looked_at {
                if table.bytes.is_none() && files.contains_key(oid) {
                    // Only read: it is as it was.
                    continue;
                }
                let before = files.insert(*oid, table.known()).map(|before| before.file);
                if *index && before != Some(*file) {
                    built.push((name, of.as_deref()));
                } else if !index && before.is_some_and(|before| before != *file) {
                    measured.rewritten.push(name.clone());
                }
            }
            // Those of a new table and of a rewritten one are that table's.
            built.retain(|(_, of)| {
                of.is_none_or(|of| {
                    measured.locks.iter().any(|lock| on(of, &lock.table))
                        && !measured.rewritten.iter().any(|table| on(of, table))
                })
            });
            measured.indexes = built.into_iter().map(|(name, _)| name.clone()).collect();
            if !within {
                measuring.files = None;
            }
            if session.server_version() < TELLS {
                without(&mut measured, &old);
            }
            measured
        };
        self.emit(EventKind::Measured { item: title.into(), measured })?;
        self.measuring.borrow_mut().last = Some(title.into());
        Ok(())
    }
}

impl Measuring {
    /// A step failed: what was noted of its tables is not true.
    pub(super) fn forget(&mut self) {
        self.files = None;
    }
}

enum Which {
    All,
    Locked,
}

/// One line of the answer.
struct Table {
    oid: u32,
    file: u32,
    name: String,
    /// It is an index.
    index: bool,
    /// The definition of an index.
    of: Option<String>,
    /// Inserted, updated, deleted.
    rows: [u64; 3],
    /// Its place in [`LOCK_MODES`].
    lock: Option<usize>,
    /// Of a table those of its indexes included; None where it was only read.
    bytes: Option<u64>,
}

/// Does this definition of an index say that it is one of the table?
fn on(of: &str, table: &str) -> bool {
    of.contains(&format!(" {table} "))
}

impl Table {
    /// By name, each with its strongest lock.
    fn all(answer: &SimpleResult) -> Vec<Self> {
        let number = |line, at| cell(answer, line, at).and_then(|text| text.parse().ok());
        let one = |line| {
            let modes = cell(answer, line, 1).unwrap_or_default().split(' ').filter_map(|mode| {
                let spoken = spoken_lock(mode);
                LOCK_MODES.iter().position(|known| *known == spoken)
            });
            Self {
                oid: number(line, 4).unwrap_or(0) as u32,
                file: number(line, 5).unwrap_or(0) as u32,
                name: cell(answer, line, 0).unwrap_or_default().into(),
                index: cell(answer, line, 2) == Some("t"),
                of: cell(answer, line, 3).map(String::from),
                rows: [6, 7, 8].map(|at| number(line, at).unwrap_or(0)),
                lock: modes.max(),
                bytes: number(line, 9),
            }
        };
        let mut tables: Vec<Self> = (0..answer.cells.len()).map(one).collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables
    }

    fn known(&self) -> Known {
        let bytes = self.bytes.unwrap_or(0);
        Known { file: self.file, bytes, name: self.name.clone(), index: self.index }
    }
}

fn cell(answer: &SimpleResult, line: usize, at: usize) -> Option<&str> {
    answer.cells.get(line)?.get(at)?.as_deref()
}

/// The tables in which rows were written.
fn rows(tables: &[Table]) -> Vec<TableRows> {
    let written = tables.iter().filter(|table| table.rows != [0; 3] && !table.index);
    written
        .map(|Table { name, rows: [inserted, updated, deleted], .. }| TableRows {
            table: name.clone(),
            inserted: *inserted,
            updated: *updated,
            deleted: *deleted,
        })
        .collect()
}

/// Older servers tell what a session wrote from time to time: what was counted before and is still
/// in the count is not this step's.
fn without(measured: &mut Measured, before: &[TableRows]) {
    for was in before {
        let Some(now) = measured.rows.iter_mut().find(|now| now.table == was.table) else {
            continue;
        };
        let told =
            now.inserted < was.inserted || now.updated < was.updated || now.deleted < was.deleted;
        if !told {
            now.inserted -= was.inserted;
            now.updated -= was.updated;
            now.deleted -= was.deleted;
        }
    }
    measured.rows.retain(|row| row.inserted + row.updated + row.deleted > 0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_an_earlier_step_wrote_is_not_counted_twice() {
        let row = |table: &str, inserted| TableRows {
            table: table.into(),
            inserted,
            ..TableRows::default()
        };
        let mut measured =
            Measured { rows: vec![row("a", 7), row("b", 2), row("c", 3)], ..Measured::default() };
        without(&mut measured, &[row("a", 5), row("b", 9), row("c", 3)]);
        assert_eq!(measured.rows, vec![row("a", 2), row("b", 2)]);
    }
}
