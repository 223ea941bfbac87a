//! The last rung of the ladder: `runsheet rollback RUN --restore`.
//!
//! The run's dump is restored into a new database and compared; then both names are exchanged in
//! one transaction. The present database is kept aside. Until that moment nothing is changed in
//! it, and everything before can be done again: the copy bears the run's mark.

use std::rc::Rc;
use std::time::Instant;

use serde_json::{Value, json};

use super::counts::{differences, lease_table, of_copy};
use super::elsewhere::{Elsewhere, SCRATCH};
use super::restore::{fill, mark_of, roles_are_there, with_suffix};
use super::source::{Source, source};
use super::verify::look_through;
use crate::host::{Host, Trouble};
use crate::model::quote_literal;
use crate::model::{Action, Effect, EventKind, Fault, RungKind, format_span, quote_ident};
use crate::msg;
use crate::postgres::{ConnectOptions, Session, connect};

/// How often the names are exchanged while sessions end.
const TRIES: u32 = 10;

/// The two databases and the names that they get.
struct Exchange {
    /// The run's own database.
    name: String,
    /// The restored copy, until it is called `name`.
    copy: String,
    /// What the present one will be called.
    old: String,
}

/// Restores a dump of the run, or the one named, in place of the run's database.
///
/// # Errors
/// `no-dump`, `dump-partial`, `other-database`, `roles-missing`, `restore-right`,
/// `database-in-use`, and those of `pg::restore`. The database is as it was in every case.
pub fn restore(host: &Rc<Host>, wanted: Option<&str>) -> Result<(), Trouble> {
    let started = Instant::now();
    let server = Elsewhere::open(host)?;
    let name = host.identity()?.database;
    let comment = server.find(&name)?.map(|found| found.comment).unwrap_or_default();
    if wanted.is_none() && comment.ends_with(&format!("by runsheet run {}", host.run_id())) {
        // Killed behind the exchange: the rest is to say so in the ledger, which in the restored
        // database knows of no dump.
        return Ok(host.emit(EventKind::Note { text: msg!("verbs.pg.rung.done", name = name) })?);
    }
    let path = match wanted {
        Some(path) => path.to_string(),
        None => host.own_dump()?,
    };
    let source = source(host, &json!(path))?;
    of_this_database(host, &source)?;
    let mark = mark_of(host, &source)?;
    let stamp = host.run_id().0.replace('-', "_");
    let now = jiff::Zoned::now().strftime("%Y%m%d_%H%M%S").to_string();
    let exchange = Exchange {
        copy: with_suffix(&name, &format!("_restored_{stamp}")),
        old: with_suffix(&name, &format!("_old_{now}")),
        name,
    };
    may(host, &server, &source, &exchange)?;
    show(host, &server, &source, &exchange)?;
    host.agree_to(&msg!("verbs.pg.rung.question", dump = path, name = exchange.name))?;
    let rows = copied(host, &server, &source, &exchange, &mark)?;
    drop(server);
    exchanged(host, &exchange)?;
    let took = format_span(started.elapsed());
    host.emit(EventKind::Note {
        text: msg!(
            "verbs.pg.rung.exchanged",
            name = exchange.name,
            old = exchange.old,
            took = took
        ),
    })?;
    host.emit(EventKind::WayBack {
        rung: RungKind::Restore,
        item: None,
        what: path,
        command: None,
        proven: Some(msg!("verbs.pg.rung.proven", rows = rows, old = exchange.old)),
        blocked: None,
        gone: true,
    })?;
    Ok(())
}

/// Is it a dump of this very database, and of all of it?
fn of_this_database(host: &Rc<Host>, source: &Source) -> Result<(), Trouble> {
    let manifest = source.known()?;
    let here = host.identity()?;
    if manifest.partial {
        return Err(Fault::failed("dump-partial", msg!("verbs.pg.rung.partial")).into());
    }
    let same_server = match (&manifest.server.system_identifier, &here.system_identifier) {
        (Some(dump), Some(here)) => dump == here,
        // One of them may not be seen: the name and the host have to do.
        _ => manifest.server.host == here.host && manifest.server.port == here.port,
    };
    if same_server && manifest.database == here.database {
        return Ok(());
    }
    let shown = |database: &str, host: &str, port: u16, id: &Option<String>| {
        let id = id.as_deref().unwrap_or("?");
        msg!("verbs.pg.rung.identity", database = database, host = host, port = port, id = id)
    };
    let server = &manifest.server;
    let dump = shown(&manifest.database, &server.host, server.port, &server.system_identifier);
    let here = shown(&here.database, &here.host, here.port, &here.system_identifier);
    Err(Fault::failed("other-database", msg!("verbs.pg.rung.other-database"))
        .detail(msg!("verbs.pg.rung.both", dump = dump, here = here))
        .remedy(msg!("verbs.pg.rung.other-database.remedy"))
        .into())
}

/// Everything that would stop it later, asked before anything is done.
fn may(
    host: &Rc<Host>,
    server: &Elsewhere,
    source: &Source,
    exchange: &Exchange,
) -> Result<(), Trouble> {
    source.restorable()?;
    if !server.may_exchange(&exchange.name)? {
        return Err(Fault::failed(
            "restore-right",
            msg!("verbs.pg.rung.right", name = exchange.name),
        )
        .detail(by_hand(exchange))
        .cause(msg!("verbs.pg.rung.right.cause"))
        .remedy(msg!("verbs.pg.rung.right.remedy"))
        .into());
    }
    roles_are_there(server, source)?;
    Elsewhere::aside(host, &exchange.copy).map(drop)
}

/// What the present database has and the dump has not, and who is connected.
fn show(
    host: &Rc<Host>,
    server: &Elsewhere,
    source: &Source,
    exchange: &Exchange,
) -> Result<(), Trouble> {
    let manifest = source.known()?;
    let at = manifest.created_at.clone();
    host.emit(EventKind::Note {
        text: msg!("verbs.pg.rung.will", old = exchange.old, name = exchange.name, at = at),
    })?;
    let lease = lease_table(&host.setup.config.ledger_schema);
    let session = into(host, server, &exchange.name)?;
    let found = host.wait(of_copy(&session, &lease))?;
    let mut found = found.map_err(|error| host.db_fault(error))?;
    let journal = lease.trim_end_matches("lease");
    found.retain(|table, _| !table.starts_with(journal));
    let mut wanted = manifest.tables.clone();
    wanted.retain(|table, _| !table.starts_with(journal));
    let differ = differences(&wanted, &found).len();
    if differ > 0 {
        let rows = wanted.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>();
        let cell = |count: Option<&u64>| count.map_or(Value::Null, |count| json!(count));
        let rows: Vec<Value> = rows
            .into_iter()
            .filter(|table| wanted.get(*table) != found.get(*table))
            .map(|table| {
                let mut row = serde_json::Map::new();
                row.insert(msg!("host.loss.column-table"), json!(table));
                row.insert(msg!("verbs.pg.rung.column-dump"), cell(wanted.get(table)));
                row.insert(msg!("verbs.pg.rung.column-now"), cell(found.get(table)));
                Value::Object(row)
            })
            .collect();
        let title = msg!("verbs.pg.rung.table");
        host.emit(EventKind::Table { title, rows: Value::Array(rows) })?;
    }
    host.emit(EventKind::Note { text: msg!("verbs.pg.rung.same-count") })?;
    let others = server.others(&exchange.name)?;
    if !others.is_empty() {
        let list = others.join("\n");
        host.emit(EventKind::Warning {
            text: msg!("verbs.pg.rung.sessions", count = others.len(), list = list),
        })?;
    }
    Ok(())
}

/// The copy, restored and compared, with its ledger settled; the one of an earlier try where it is
/// complete. Gives the number of rows.
fn copied(
    host: &Rc<Host>,
    server: &Elsewhere,
    source: &Source,
    exchange: &Exchange,
    mark: &str,
) -> Result<u64, Trouble> {
    let found = server.find(&exchange.copy)?.map(|found| found.comment);
    let complete = found.as_deref() == Some(mark);
    if complete {
        let text = msg!("verbs.pg.rung.again", copy = exchange.copy);
        host.emit(EventKind::Note { text })?;
    } else {
        match found {
            Some(comment) if comment.starts_with(SCRATCH) => {
                server.drop_database(&exchange.copy)?
            }
            Some(_) => {
                let name = &exchange.copy;
                return Err(Fault::failed("database-exists", msg!("verbs.pg.exists", name = name))
                    .cause(msg!("verbs.pg.exists.cause"))
                    .into());
            }
            None => {}
        }
        look_through(host, source, std::slice::from_ref(source.restorable()?))?;
        server.create(&exchange.copy)?;
        let filled = fill(host, server, source, &exchange.copy, Some(&exchange.name));
        if let Err(trouble) = filled {
            let _ = server.drop_database(&exchange.copy);
            return Err(trouble);
        }
        server.comment(&exchange.copy, mark)?;
    }
    let session = into(host, server, &exchange.copy)?;
    host.settle_copy(&session)?;
    Ok(source.known()?.tables.values().sum())
}

/// A session in another database of the server.
fn into(host: &Rc<Host>, server: &Elsewhere, database: &str) -> Result<Session, Trouble> {
    let options = ConnectOptions {
        application_name: format!("runsheet/{}/restore", host.run_id()),
        ..ConnectOptions::default()
    };
    Ok(host.wait(connect(&server.target.with_database(database), &options))??)
}

/// The one moment in which something changes: both renames or none.
fn exchanged(host: &Rc<Host>, exchange: &Exchange) -> Result<(), Trouble> {
    let aside = Elsewhere::aside(host, &exchange.copy)?;
    let others = aside.others(&exchange.name)?;
    if !others.is_empty() {
        return Err(in_use(exchange, &others.join("\n")).into());
    }
    let sql = renames(exchange);
    let mut action = Action::new("pg::restore", Effect::External, &exchange.name).statement(&sql);
    action.opaque = true;
    host.leave_for(action)?;
    let mut attempt = 0;
    let failed = loop {
        attempt += 1;
        let Err(error) = aside.attempt_to_its_end(&format!("BEGIN; {sql} COMMIT")) else {
            break None;
        };
        let _ = aside.attempt_to_its_end("ROLLBACK");
        // object_in_use: the server waits five seconds by itself.
        if !error.is("55006") || attempt >= TRIES {
            break Some(error);
        }
        if !aside.others(&exchange.name).is_ok_and(|others| others.is_empty()) {
            break Some(error);
        }
    };
    // Back into the database of that name: the restored one, or the old one where it failed.
    let back = host.session();
    match failed {
        None => {
            // The copy's ledger knows already how the run ended.
            if let Err(Trouble::Fault(fault)) = back {
                host.emit(EventKind::Warning { text: fault.to_string() })?;
            }
            Ok(())
        }
        Some(error) if error.is("55006") => {
            let others = aside.others(&exchange.name).unwrap_or_default();
            Err(in_use(exchange, &format!("{}\n{}", error.message, others.join("\n"))).into())
        }
        Some(error) => Err(host.db_fault(error).detail(by_hand(exchange)).into()),
    }
}

fn in_use(exchange: &Exchange, who: &str) -> Fault {
    Fault::failed("database-in-use", msg!("verbs.pg.rung.in-use", name = exchange.name))
        .detail(format!("{}\n{}", who.trim(), by_hand(exchange)))
        .cause(msg!("verbs.pg.rung.in-use.cause", copy = exchange.copy))
        .remedy(msg!("verbs.pg.rung.in-use.remedy"))
}

fn renames(exchange: &Exchange) -> String {
    let name = quote_ident(&exchange.name);
    format!(
        "ALTER DATABASE {name} RENAME TO {}; ALTER DATABASE {} RENAME TO {name};",
        quote_ident(&exchange.old),
        quote_ident(&exchange.copy)
    )
}

/// What a person types instead.
fn by_hand(exchange: &Exchange) -> String {
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {};",
        quote_literal(&exchange.name)
    );
    format!("{}\n{end}\nBEGIN; {} COMMIT;", msg!("verbs.pg.rung.by-hand"), renames(exchange))
}
