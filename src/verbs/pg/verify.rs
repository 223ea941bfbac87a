//! `pg::verify`: is a dump still what was written, and can it be read to its end?

use std::rc::Rc;

use serde_json::json;

use super::produce::{Format, decode, read_to_its_end, sum_of};
use super::source::{Part, Source, shown, source};
use super::tools::{pg_restore, programs};
use crate::host::{Host, Trouble, Verb};
use crate::model::{Action, Effect, EventKind};
use crate::msg;
use crate::verbs::fs::copies::damaged;

/// `pg::verify`
pub(in crate::verbs) static VERIFY: Verb = Verb {
    name: "pg::verify",
    args: "dump: map|text",
    effect: Effect::Read,
    page: r#"Compares a dump with its checksum and decodes it whole.

Takes the value of `pg::dump`, or the path of a dump or of its manifest. It proves that the files
can be read; that they can be restored, `pg::restore_test` proves.

Gives: `#{state: "readable", files, bytes}`.

Errors: `backup-damaged` with the file and both sums, or with what pg_restore said;
`backup-missing`, `not-a-dump`, `path-outside`.

```rhai
check("The backup is sound", || pg::verify("backups/shop_20261121_031542.dump"));
```"#,
    call: |host, call| {
        let action = Action::new(call.verb.name, Effect::Read, shown(call, 0));
        host.pass(action, call.planned(), || {
            let source = source(host, &call.json(0)?)?;
            let bytes = look_through(host, &source, &source.parts)?;
            Ok(json!({ "state": "readable", "files": source.parts.len(), "bytes": bytes }))
        })
    },
};

/// Compares checksums and decodes these parts of a dump; gives their bytes.
///
/// # Errors
/// `backup-damaged`, `program-not-found`.
pub(super) fn look_through(
    host: &Rc<Host>,
    source: &Source,
    parts: &[Part],
) -> Result<u64, Trouble> {
    let stop = host.stop_signal();
    let mut all = 0;
    for part in parts {
        let (found, bytes) = sum_of(&part.path, &stop)?;
        all += bytes;
        match &part.sha256 {
            Some(wanted) if *wanted != found => {
                return Err(damaged(&part.path, wanted, &found).into());
            }
            Some(_) => {}
            None => host.emit(EventKind::Note {
                text: msg!("verbs.pg.no-sum", path = part.path.display()),
            })?,
        }
        if part.format == Format::Plain {
            read_to_its_end(&part.path)?;
            continue;
        }
        let program = match &source.manifest {
            Some((_, manifest)) => pg_restore(host, manifest.server.version_number / 10_000)?,
            None => programs(host).find("pg_restore", None)?,
        };
        decode(&program, &part.path, &stop)?;
    }
    Ok(all)
}
