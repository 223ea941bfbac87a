//! `pg::restore`: the last rung of the ladder. Never over data: into a new database, which takes
//! the old one's name when it is complete.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::elsewhere::Elsewhere;
use super::load::Load;
use super::source::{Source, shown, source};
use super::verify::look_through;
use crate::host::{External, Host, Repeat, Trouble, Verb};
use crate::model::{Action, Effect, EventKind, Fault, format_span, quote_ident};
use crate::msg;

/// How often the names are exchanged, while clients keep coming back.
const RENAME_TRIES: u32 = 10;
/// A database's name has at most 63 bytes.
const LONGEST_NAME: usize = 63;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestoreOptions {
    into: String,
    #[serde(default)]
    replace: bool,
}

/// `pg::restore`
pub(in crate::verbs) static RESTORE: Verb = Verb {
    name: "pg::restore",
    args: "dump: map|text, options: map",
    effect: Effect::External,
    page: r#"Restores a dump into a database of this server.

The dump is looked through and restored under a passing name, and the rows of every table are
compared; only then does it get the name `into`. Where a database of that name exists it is left
alone, unless `replace` is true: then its sessions are ended, it is renamed to `NAME_old_TIME`, and
the restored one takes its place with the same owner, rights and settings. Nothing is ever restored
over data, and nothing is dropped.

The run's own database cannot be replaced by it: the run's session, lease and journal are in it.
That is what `runsheet rollback RUN --restore` is for.

Options: `into`, `replace`.

Gives: `#{database, old, state: "verified", tables, rows, took}`; `old` is the old one's new name.

Errors: `database-exists`, `restore-own-database`, `backup-damaged`, `restore-failed`,
`restore-differs`, `roles-missing`, `plain-only`, `no-manifest`, `database-in-use`.

```rhai
step("Restore beside", || pg::restore("backups/shop_20261121_031542.dump", #{ into: "shop_back" }));
```"#,
    call: |host, call| {
        let options: RestoreOptions = call.options(1)?;
        let target = format!("{} -> {}", shown(call, 0), options.into);
        let mut action = Action::new(call.verb.name, Effect::External, target);
        action.opaque = true;
        let mark = || -> Result<String, Trouble> {
            let source = source(host, &call.json(0)?)?;
            Ok(mark_of(host, &source)?)
        };
        let probe = || {
            let mark = mark()?;
            let found = Elsewhere::open(host)?.find(&options.into)?;
            Ok(Some(found.is_some_and(|found| found.comment == mark)))
        };
        let probed = json!({ "database": options.into, "state": "verified", "probed": true });
        let perform = Box::new(|| {
            let source = source(host, &call.json(0)?)?;
            perform(host, &source, &options)
        });
        let repeat = Repeat::Probe(&probe);
        host.pass_external(External { action, repeat, probed, perform }, call.planned())
    },
};

/// The comment of a database that this run has restored from this dump.
pub(super) fn mark_of(host: &Rc<Host>, source: &Source) -> Result<String, Fault> {
    let part = source.restorable()?;
    let name = part.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!("restored from {name} by runsheet run {}", host.run_id()))
}

fn perform(host: &Rc<Host>, source: &Source, options: &RestoreOptions) -> Result<Value, Trouble> {
    let started = Instant::now();
    let name = options.into.as_str();
    let part = source.restorable()?;
    source.known()?;
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(Fault::usage(
            "wrong-option",
            msg!("host.wrong-option", verb = "pg::restore", option = "into"),
        )
        .into());
    }
    if host.identity()?.database == name {
        return Err(Fault::failed("restore-own-database", msg!("verbs.pg.own", name = name))
            .cause(msg!("verbs.pg.own.cause"))
            .remedy(msg!("verbs.pg.own.remedy"))
            .into());
    }
    let server = Elsewhere::open(host)?;
    let exists = server.find(name)?.is_some();
    if exists && !options.replace {
        return Err(Fault::failed("database-exists", msg!("verbs.pg.exists", name = name))
            .cause(msg!("verbs.pg.exists.restore-cause"))
            .remedy(msg!("verbs.pg.exists.restore-remedy"))
            .into());
    }
    roles_are_there(&server, source)?;
    look_through(host, source, std::slice::from_ref(part))?;
    let time = crate::system::now().strftime("%Y%m%d_%H%M%S").to_string();
    let passing = with_suffix(name, &format!("_restore_{time}"));
    server.create(&passing)?;
    let done = fill(host, &server, source, &passing, exists.then_some(name));
    let (tables, rows) = match done {
        Ok(done) => done,
        Err(trouble) => {
            // What failed first is what the reader has to know.
            let _ = server.drop_database(&passing);
            return Err(trouble);
        }
    };
    server.comment(&passing, &mark_of(host, source)?)?;
    let old = exists.then(|| with_suffix(name, &format!("_old_{time}")));
    exchange(host, &server, name, &passing, old.as_deref())?;
    let took = started.elapsed();
    Ok(json!({
        "database": name, "old": old, "state": "verified", "tables": tables, "rows": rows,
        "took": format_span(took), "took_ms": took.as_millis() as u64,
    }))
}

/// Roles are not in a dump: a restore that lacks one would fail half-way.
///
/// # Errors
/// `roles-missing` with the statements that make them.
pub(super) fn roles_are_there(server: &Elsewhere, source: &Source) -> Result<(), Trouble> {
    let missing = server.missing_roles(&source.known()?.owners)?;
    if missing.is_empty() {
        return Ok(());
    }
    let statements: Vec<String> =
        missing.iter().map(|role| format!("CREATE ROLE {};", quote_ident(role))).collect();
    Err(Fault::failed("roles-missing", msg!("verbs.pg.roles-missing", roles = missing.join(", ")))
        .detail(statements.join("\n"))
        .cause(msg!("verbs.pg.roles-missing.cause"))
        .remedy(msg!("verbs.pg.roles-missing.remedy"))
        .into())
}

pub(super) fn fill(
    host: &Rc<Host>,
    server: &Elsewhere,
    source: &Source,
    passing: &str,
    like: Option<&str>,
) -> Result<(usize, u64), Trouble> {
    let target = server.target.with_database(passing);
    let load = Load {
        host,
        source,
        target,
        server: server.server,
        direct: server.direct,
        with_owners: true,
    };
    let done = load.run()?;
    if let Some(old) = like {
        server.dress_as(passing, old)?;
    }
    Ok(done)
}

/// Gives the restored database its name; both renames are one transaction.
fn exchange(
    host: &Rc<Host>,
    server: &Elsewhere,
    name: &str,
    passing: &str,
    old: Option<&str>,
) -> Result<(), Trouble> {
    let rename = |from: &str, to: &str| {
        format!("ALTER DATABASE {} RENAME TO {}; ", quote_ident(from), quote_ident(to))
    };
    let away = old.map_or(String::new(), |old| rename(name, old));
    let sql = format!("BEGIN; {away}{}COMMIT", rename(passing, name));
    let mut attempt = 0;
    loop {
        attempt += 1;
        let ended = server.end_sessions(passing)?;
        let ended = ended + if old.is_some() { server.end_sessions(name)? } else { 0 };
        if ended > 0 && attempt == 1 {
            host.emit(EventKind::Note {
                text: msg!("verbs.pg.sessions-ended", count = ended, name = name),
            })?;
        }
        let Err(error) = server.attempt(&sql)? else { return Ok(()) };
        server.execute("ROLLBACK")?;
        // object_in_use: a client was faster than we.
        if !error.is("55006") {
            return Err(host.db_fault(error).into());
        }
        if attempt >= RENAME_TRIES {
            return Err(Fault::failed("database-in-use", msg!("verbs.pg.in-use", name = name))
                .detail(error.message)
                .remedy(msg!("verbs.pg.in-use.remedy", passing = passing))
                .into());
        }
        host.pause(Duration::from_millis(200))?;
    }
}

/// A name with a suffix, cut so that the server does not cut the suffix.
pub(super) fn with_suffix(name: &str, suffix: &str) -> String {
    let mut end = name.len().min(LONGEST_NAME - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_is_never_cut_off_by_the_server() {
        assert_eq!(with_suffix("shop", "_old_1"), "shop_old_1");
        let long = with_suffix(&"가".repeat(21), "_restore_20261121_031542");
        assert!(long.len() <= LONGEST_NAME && long.ends_with("_restore_20261121_031542"));
    }
}
