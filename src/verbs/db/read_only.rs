//! `db::read_only`: new writes of others refused while a body runs.
//!
//! ALTER DATABASE .. SET default_transaction_read_only binds sessions that begin afterwards; the
//! run's own ones are pinned off. What stood before is kept in a row of the ledger's schema, in the
//! same transaction, so that whoever comes next knows what to set back. A server process of ours
//! watches the run and lifts the setting where the run dies.

use std::rc::Rc;
use std::time::Duration;

use rhai::Dynamic;
use serde::Deserialize;
use serde_json::Value;

use super::sessions::{lines, others};
use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{Action, Effect, EventKind, Fault, quote_ident, quote_literal};
use crate::msg;
use crate::postgres::{ConnectOptions, DbError, Session, connect};

/// `db::read_only`
pub(crate) static READ_ONLY: Verb = Verb {
    name: "db::read_only",
    args: "[options: map], body: fn",
    effect: Effect::Write,
    page: r#"Refuses new writes of others while the body runs, in a step.

Sets `default_transaction_read_only` of the database, which needs its owner's right. It binds sessions
that begin from now on; those that are connected already may go on writing: they are listed in the
report, and ended where you say so. Lifted when the body ends, also where it throws or the run is
interrupted; where the run is killed, a server process that watches it lifts it within two seconds (on PostgreSQL
13, once the statement of that moment is done).

Not promised: a session that sets `transaction_read_only` off for itself writes on; so does a role with
a setting of its own. The step's own changes are committed when the step ends, a moment after
the body. If the server itself goes down meanwhile, the setting stays until the run is resumed.

Options: `end_sessions` (false): ends the other sessions once the setting is in force.

Gives: the body's value.

Errors: what the body raises; `read-only-not-lifted` with the statement that lifts it; 42501 without the
right.

```rhai
step("Move the orders", || db::read_only(|| db::exec("UPDATE orders SET archived = true")));
```"#,
    call: |host, call| read_only(host, call),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    end_sessions: bool,
}

fn read_only(host: &Rc<Host>, call: &Call<'_, '_>) -> Result<Dynamic, Trouble> {
    let options: Options = call.options(0)?;
    let Some(body) = call.body(1) else {
        return Err(
            Fault::usage("wrong-argument", msg!("verbs.no-body", verb = call.verb.name)).into()
        );
    };
    let database = match &host.setup.target {
        Some(target) => target.database.clone(),
        None => String::new(),
    };
    let mut action = Action::new(call.verb.name, Effect::None, database.clone());
    action.statement = Some(format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        quote_ident(&database)
    ));
    host.hold(
        action,
        || freeze(host, &options),
        || Ok(body.call_raw(call.context, None, [])?.flatten()),
        |frozen| frozen.lift(host),
    )
}

/// The setting in force.
struct Frozen {
    control: Session,
    /// Sets back what stood before.
    lift: String,
}

fn freeze(host: &Rc<Host>, options: &Options) -> Result<Frozen, Trouble> {
    // The run's session first: the watching process looks for it.
    let worker = host.session()?;
    let (pid, since) = (worker.backend_pid(), host.wait(worker.backend_start())?);
    let since = since.map_err(|error| host.db_fault(error))?;
    let control = open(host, "read_only")?;
    let watcher = open(host, "watch")?;
    let held = Held::new(host);
    let before = host.wait(held.take(&control))?.map_err(|error| host.db_fault(error))?;
    let lift = held.lift(&before);
    let frozen = Frozen { control, lift: lift.clone() };
    let answer = (|| -> Result<(), Trouble> {
        let watch = watch_sql(&held, pid, &since, &before);
        host.wait(async {
            // Its client's death must not end it: that is what it is there for.
            let quiet = "SET client_connection_check_interval = 0";
            let _ = watcher.batch(quiet).await;
            tokio::spawn(async move {
                let _ = watcher.batch(&watch).await;
            });
            // The task sends its statement while this one waits for an answer.
            frozen.control.batch("SELECT 1").await
        })?
        .map_err(|error| host.db_fault(error))?;
        let others = others(host, &[])?;
        if others.is_empty() {
            return Ok(());
        }
        let list = lines(&others);
        if !options.end_sessions {
            let count = others.len();
            let text = msg!("verbs.may-still-write", count = count, sessions = list);
            return host.emit(EventKind::Warning { text }).map_err(Into::into);
        }
        let pids: Vec<i32> = others.iter().map(|session| session.pid).collect();
        let sql = "SELECT pg_catalog.pg_terminate_backend(p) FROM unnest($1::int[]) AS p";
        host.wait(frozen.control.query(sql, &[serde_json::json!(pids)]))?
            .map_err(|error| host.db_fault(error))?;
        host.emit(EventKind::Note {
            text: msg!("verbs.sessions-ended", count = pids.len(), sessions = list),
        })?;
        Ok(())
    })();
    match answer {
        Ok(()) => Ok(frozen),
        Err(trouble) => {
            let _ = frozen.lift(host);
            Err(trouble)
        }
    }
}

fn open(host: &Rc<Host>, what: &str) -> Result<Session, Trouble> {
    let Some(target) = &host.setup.target else {
        return Err(Fault::usage("no-database", msg!("host.no-target")).into());
    };
    let options = ConnectOptions {
        application_name: format!("runsheet/{}/{what}", host.run_id()),
        ..ConnectOptions::default()
    };
    Ok(host.wait(connect(target, &options))??)
}

impl Frozen {
    fn lift(self, host: &Rc<Host>) -> Result<(), Fault> {
        let (lift, limit) = (&self.lift, Duration::from_secs(15));
        let done = host.wait_out(async {
            tokio::time::timeout(limit, async {
                if self.control.batch(lift).await.is_ok() {
                    return Ok(());
                }
                let _ = self.control.batch("ROLLBACK").await;
                // The connection may have died in the meantime.
                let Some(target) = &host.setup.target else { return Err(None) };
                let session = connect(target, &ConnectOptions::default())
                    .await
                    .map_err(|f| Some(f.message))?;
                session.batch(lift).await.map_err(|error| Some(error.message))
            })
            .await
        });
        let why = match done {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why.unwrap_or_default(),
            Err(_) => msg!("host.timeout"),
        };
        Err(Fault::failed("read-only-not-lifted", msg!("verbs.read-only-not-lifted"))
            .detail(why)
            .remedy(msg!("verbs.read-only-not-lifted.remedy", sql = lift)))
    }
}

/// The row that says what stood before.
struct Held {
    database: String,
    table: String,
    run: String,
}

impl Held {
    fn new(host: &Rc<Host>) -> Self {
        let schema = quote_ident(&host.setup.config.ledger_schema);
        let database = host.setup.target.as_ref().map_or("", |target| target.database.as_str());
        Self {
            database: quote_ident(database),
            table: format!("{schema}.read_only"),
            run: host.run_id().0,
        }
    }

    /// Sets the database read-only. Gives what stood before; where a run of ours died with the
    /// setting in force, what stood before that one.
    async fn take(&self, control: &Session) -> Result<Option<String>, DbError> {
        let (table, run) = (&self.table, quote_literal(&self.run));
        control
            .batch(&format!(
                "BEGIN; CREATE TABLE IF NOT EXISTS {table} (\
                 one boolean PRIMARY KEY DEFAULT true CHECK (one), before text, run text NOT NULL); \
                 INSERT INTO {table} (before, run) SELECT (SELECT split_part(c, '=', 2) \
                    FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) AS c \
                    WHERE s.setrole = 0 AND s.setdatabase = (SELECT oid FROM pg_catalog.pg_database \
                        WHERE datname = current_database()) \
                    AND c LIKE 'default_transaction_read_only=%'), {run} \
                 ON CONFLICT (one) DO UPDATE SET run = excluded.run; \
                 ALTER DATABASE {} SET default_transaction_read_only = on; COMMIT",
                self.database
            ))
            .await?;
        let rows = control.query(&format!("SELECT before FROM {table}"), &[]).await?;
        Ok(rows.first().and_then(Value::as_str).map(str::to_string))
    }

    /// What sets the database back, as single statements.
    fn statements(&self, before: &Option<String>) -> [String; 2] {
        let back = match before {
            Some(value) => format!(
                "ALTER DATABASE {} SET default_transaction_read_only = {}",
                self.database,
                quote_literal(value)
            ),
            None => format!("ALTER DATABASE {} RESET default_transaction_read_only", self.database),
        };
        [back, format!("DELETE FROM {} WHERE run = {}", self.table, quote_literal(&self.run))]
    }

    fn lift(&self, before: &Option<String>) -> String {
        format!("BEGIN; {}; COMMIT", self.statements(before).join("; "))
    }
}

/// A loop in the server: it ends when the row is gone, and lifts the setting when the run is. Each
/// turn is a transaction of its own, so that it holds no snapshot back.
fn watch_sql(held: &Held, pid: i32, since: &str, before: &Option<String>) -> String {
    let lifts: String = held
        .statements(before)
        .iter()
        .map(|sql| format!("EXECUTE {}; ", quote_literal(sql)))
        .collect();
    format!(
        "DO {}",
        quote_literal(&format!(
            "BEGIN LOOP PERFORM pg_catalog.pg_sleep(0.5); COMMIT; \
             PERFORM pg_catalog.pg_stat_clear_snapshot(); \
             IF NOT EXISTS (SELECT FROM {table} WHERE run = {run}) THEN EXIT; END IF; \
             IF NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = {pid} \
                AND backend_start = {since}::timestamptz) THEN {lifts} EXIT; END IF; \
             END LOOP; END",
            table = held.table,
            run = quote_literal(&held.run),
            since = quote_literal(since),
        ))
    )
}
