//! `pg::external_backup` and `pg::restore_point`: backups that other tools make and prove.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::host::{External, Host, Repeat, Trouble, Verb};
use crate::model::{Action, Backup, Effect, EventKind, Fault, format_span};
use crate::msg;
use crate::system::{Command, Output, trampoline};
use crate::verbs::app::argv::{allowed, argv, quoted};
use crate::verbs::given;

/// How long a backup tool may take where nothing else ends it.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExternalOptions {
    argv: Option<Value>,
    probe: Option<Value>,
    max_age: Option<String>,
}

/// `pg::external_backup`
pub(in crate::verbs) static EXTERNAL_BACKUP: Verb = Verb {
    name: "pg::external_backup",
    args: "options: map",
    effect: Effect::External,
    page: r#"Has another tool make a backup: pgBackRest, WAL-G, Barman, a cloud snapshot.

Its state is *external*: this program has not proven it. `probe` is a command that exits with 0
where a backup is there; with `max_age` the last line that it prints is the backup's time (RFC 3339,
or seconds since 1970), and an older one fails. Without `argv` only the probe is asked. Both
programs must stand in `[commands] allow`.

Options: `argv`, `probe` (arrays), `max_age` ("24h").

Gives: `#{state: "external", at, took}`; `at` is the probe's time.

Errors: `command-failed`, `command-not-allowed`, `external-backup-missing`, `backup-too-old`.

```rhai
step("Back up", || pg::external_backup(#{
    argv: ["pgbackrest", "--stanza=shop", "backup"], probe: ["last-backup"], max_age: "1h",
}));
```"#,
    call: |host, call| {
        let options: ExternalOptions = call.options(0)?;
        let checked = |value: &Option<Value>| -> Result<Option<Vec<String>>, Fault> {
            let Some(value) = value else { return Ok(None) };
            let argv = argv(call, value)?;
            allowed(host, &argv[0])?;
            Ok(Some(argv))
        };
        let (make, probe) = (checked(&options.argv)?, checked(&options.probe)?);
        let max_age = match &options.max_age {
            Some(text) => Some(given::span(call.verb.name, "max_age", Some(text), LIMIT)?),
            None => None,
        };
        let Some(first) = make.as_ref().or(probe.as_ref()) else {
            return Err(Fault::usage("not-an-argv", msg!("verbs.pg.no-argv"))
                .remedy(msg!("host.see-verb", verb = call.verb.name))
                .into());
        };
        let action = Action::new(call.verb.name, Effect::External, first[0].clone())
            .statement(quoted(first));
        let perform = Box::new(|| external(host, make.as_deref(), probe.as_deref(), max_age));
        let repeat = Repeat::Harmless;
        let probed = json!({ "state": "external", "at": null, "took": "0ms", "took_ms": 0 });
        host.pass_outside(External { action, repeat, probed, perform }, call.planned())
    },
};

fn external(
    host: &Rc<Host>,
    make: Option<&[String]>,
    probe: Option<&[String]>,
    max_age: Option<Duration>,
) -> Result<Value, Trouble> {
    let started = Instant::now();
    if let Some(argv) = make {
        let output = run(host, argv)?;
        if !output.succeeded() {
            return Err(Fault::failed(
                "command-failed",
                msg!("verbs.app.failed", program = argv[0], status = output.status),
            )
            .detail(output.last_lines(20))
            .into());
        }
    }
    let mut at = None;
    if let Some(argv) = probe {
        let output = run(host, argv)?;
        if !output.succeeded() {
            return Err(Fault::failed(
                "external-backup-missing",
                msg!("verbs.pg.external-missing", program = argv[0], status = output.status),
            )
            .detail(output.last_lines(10))
            .into());
        }
        at = last_time(&output.stdout);
        if let Some(limit) = max_age {
            young_enough(at, limit, &output.stdout)?;
        }
    }
    let at = at.map(|at| at.to_string());
    let backup = Backup { state: Some("external".into()), at: at.clone(), ..Backup::default() };
    host.emit(EventKind::Backup { backup })?;
    host.backed_up();
    let took = started.elapsed();
    Ok(json!({
        "state": "external", "at": at,
        "took": format_span(took), "took_ms": took.as_millis() as u64,
    }))
}

fn run(host: &Rc<Host>, argv: &[String]) -> Result<Output, Fault> {
    let mut command = Command::new(argv);
    command.cwd.clone_from(&host.setup.project);
    command.timeout = LIMIT;
    command.trampoline = trampoline();
    command.run(&host.stop_signal())
}

fn last_time(text: &str) -> Option<jiff::Timestamp> {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    if let Ok(seconds) = line.parse::<i64>() {
        return jiff::Timestamp::from_second(seconds).ok();
    }
    line.parse().ok()
}

fn young_enough(at: Option<jiff::Timestamp>, limit: Duration, said: &str) -> Result<(), Fault> {
    let Some(at) = at else {
        let said: String = said.trim().chars().take(200).collect();
        return Err(Fault::failed("backup-too-old", msg!("verbs.pg.no-time"))
            .detail(said)
            .remedy(msg!("verbs.pg.no-time.remedy")));
    };
    // A clock that is ahead of ours makes a backup of the future: that one is young.
    let age = jiff::Timestamp::now().duration_since(at);
    let age = Duration::try_from(age).unwrap_or_default();
    if age <= limit {
        return Ok(());
    }
    let (age, limit) = (format_span(age), format_span(limit));
    Err(Fault::failed("backup-too-old", msg!("verbs.pg.backup-old", age = age, limit = limit))
        .detail(at.to_string()))
}

/// `pg::restore_point`
pub(in crate::verbs) static RESTORE_POINT: Verb = Verb {
    name: "pg::restore_point",
    args: "name: text",
    effect: Effect::External,
    page: r#"Sets a named point in the write-ahead log, for recovery with `recovery_target_name`.

It is only of use with a base backup and an archive of the log. Needs a superuser, or the right to
execute `pg_create_restore_point`, and `wal_level` replica or higher.

Gives: `#{name, lsn}`.

Errors: the server's.

```rhai
step("Mark the place before the change", || pg::restore_point("before_normalize"));
```"#,
    call: |host, call| {
        let name = call.text(0);
        let action = Action::new(call.verb.name, Effect::External, name.clone());
        let perform = Box::new(|| {
            let name = name.clone();
            let sql = "SELECT pg_create_restore_point($1)::text";
            let rows = host.catalog(async |session| session.query(sql, &[json!(name)]).await)?;
            Ok(json!({ "name": name, "lsn": rows.first() }))
        });
        let repeat = Repeat::Harmless;
        host.pass_external(
            External { action, repeat, probed: Value::Null, perform },
            call.planned(),
        )
    },
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_age_of_a_backup_is_what_its_probe_prints_last() {
        assert_eq!(last_time("x\n1700000000\n\n").unwrap().as_second(), 1_700_000_000);
        assert!(last_time("2026-11-21T03:15:42+09:00").is_some());
        assert!(last_time("yesterday").is_none());
        let hour = Duration::from_secs(3600);
        let now = jiff::Timestamp::now();
        assert!(young_enough(Some(now), hour, "").is_ok());
        let old = jiff::Timestamp::from_second(now.as_second() - 7200).unwrap();
        assert_eq!(young_enough(Some(old), hour, "").unwrap_err().code, "backup-too-old");
        assert_eq!(young_enough(None, hour, "?").unwrap_err().code, "backup-too-old");
    }
}
