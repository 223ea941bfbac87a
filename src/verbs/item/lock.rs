//! `lock(name_or_number)`: an advisory lock beside the run's own lease.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::host::{Trouble, Verb, bad_span};
use crate::model::{Action, Effect, EventKind, Fault, FaultKind, format_span, parse_span};
use crate::msg;

/// How often a waiting run tries again.
const POLL: Duration = Duration::from_millis(250);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LockOptions {
    wait: Option<String>,
}

/// `lock`
pub static LOCK: Verb = Verb {
    name: "lock",
    args: "name_or_number: text|int, [options: map]",
    effect: Effect::None,
    page: r#"Takes a named or numbered advisory lock until the run ends.

The run has its own lease already; this one is for others that use the same lock: an application,
another tool. A number is used as it is (`pg_advisory_lock(1234567890)`), a name becomes a number
by its SHA-256. Where the connection was lost in the middle of the run, it is taken again before
anything else is done; a rollback takes it before its first undo. It is polled for, never waited for
inside the server. Options: `wait` ("60s").

Errors: `lock-held` (exit 3) with the holder.

```rhai
lock("shop/migrations", #{ wait: "30s" });
```"#,
    call: |host, call| {
        let options: LockOptions = call.options(1)?;
        let wait = match &options.wait {
            Some(text) => parse_span(text).map_err(|text| bad_span("lock", "wait", &text))?,
            None => host.setup.wishes.wait,
        };
        let (name, key) = match call.int(0) {
            Some(number) => (number.to_string(), number),
            None => (call.text(0), key_of(&call.text(0))),
        };
        let action = Action::new("lock", Effect::None, name.clone());
        let shown = name.clone();
        host.take_lock(action, &name, move |host, since| attempt(host, key, &shown, since, wait))
    },
};

/// A name's number: the first eight bytes of its SHA-256.
fn key_of(name: &str) -> i64 {
    let hash = Sha256::digest(name.as_bytes());
    let mut bytes = [0u8; 8];
    bytes.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(bytes)
}

fn attempt(
    host: &std::rc::Rc<crate::host::Host>,
    key: i64,
    name: &str,
    since: Instant,
    wait: Duration,
) -> Result<Value, Trouble> {
    let mut said = false;
    // At the end of a run nobody listens to Ctrl-C any more.
    let wait = if host.is_tidying() { Duration::ZERO } else { wait };
    host.own_session()?;
    loop {
        let sql = "SELECT pg_try_advisory_lock($1::bigint)";
        let rows = host.catalog(async |session| session.query(sql, &[json!(key)]).await)?;
        if rows.rows.first().and_then(|row| row.first()) == Some(&Value::Bool(true)) {
            return Ok(json!({ "waited_ms": since.elapsed().as_millis() as u64 }));
        }
        let holder = holder(host, key)?;
        if since.elapsed() >= wait {
            return Err(Fault::new(
                FaultKind::Busy,
                "lock-held",
                msg!("verbs.lock-held", name = name, holder = holder),
            )
            .cause(msg!("verbs.lock-held.cause", waited = format_span(wait)))
            .remedy(msg!("verbs.lock-held.remedy"))
            .into());
        }
        if !said {
            said = true;
            host.emit(EventKind::Waiting {
                what: msg!("verbs.waiting-for-lock", name = name, holder = holder),
            })?;
        }
        host.pause(POLL)?;
    }
}

fn holder(host: &std::rc::Rc<crate::host::Host>, key: i64) -> Result<String, Trouble> {
    let sql = "SELECT a.pid, a.application_name::text, a.usename::text, a.backend_start::text
        FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let rows = host.catalog(async |session| session.query(sql, &[json!(key)]).await)?;
    let shown = |value: &Value| value.as_str().map_or(value.to_string(), String::from);
    Ok(rows.rows.first().map_or_else(
        || "?".to_string(),
        |row| {
            let cell = |at: usize| row.get(at).map(shown).unwrap_or_default();
            msg!(
                "verbs.holder",
                pid = cell(0),
                application = cell(1),
                user = cell(2),
                since = cell(3)
            )
        },
    ))
}
