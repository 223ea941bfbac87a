//! `report::table`, `text`, `attach`: evidence for the report.

use serde_json::{Value, json};

use crate::host::{Planned, Verb};
use crate::model::{Action, Effect, EventKind, Fault};
use crate::msg;
use crate::verbs::fs::copies::free_name;
use crate::verbs::fs::place::inside;
use crate::verbs::fs::sum::{copy_whole, private_folder};

/// `report::table`
pub(in crate::verbs) static TABLE: Verb = Verb {
    name: "report::table",
    args: "title: text, rows: any",
    effect: Effect::None,
    page: r#"Puts a table into the report.

The rows are an array of maps, as `db::query` gives them, or one map.

Errors: `not-recordable`, `wrong-argument`.

```rhai
report::table("Users by type", db::query(`SELECT "userType", count(*) FROM users GROUP BY 1`));
```"#,
    call: |host, call| {
        let title = call.text(0);
        let action = Action::new(call.verb.name, Effect::None, title.clone());
        host.pass(action, call.planned(), || {
            let rows = match call.json(1)? {
                rows @ Value::Array(_) => rows,
                row @ Value::Object(_) => Value::Array(vec![row]),
                _ => {
                    return Err(Fault::usage("wrong-argument", msg!("verbs.report.rows"))
                        .remedy(msg!("host.usage", usage = call.verb.usage()))
                        .into());
                }
            };
            host.emit(EventKind::Table { title: title.clone(), rows })?;
            Ok(Value::Null)
        })
    },
};

/// `report::text`
pub(in crate::verbs) static TEXT: Verb = Verb {
    name: "report::text",
    args: "markdown: text",
    effect: Effect::None,
    page: r#"Puts Markdown into the report.

```rhai
report::text("The old columns stay until **next week**.");
```"#,
    call: |host, call| {
        let markdown = call.text(0);
        let action = Action::new(call.verb.name, Effect::None, "");
        host.pass(action, call.planned(), || {
            host.emit(EventKind::Text { markdown: markdown.clone() })?;
            Ok(Value::Null)
        })
    },
};

/// `report::attach`
pub(in crate::verbs) static ATTACH: Verb = Verb {
    name: "report::attach",
    args: "path: text",
    effect: Effect::Read,
    page: r#"Copies a file beside the report, and names it there with its SHA-256.

Gives: `#{path, sha256, bytes}`; the path is relative to the run's folder.

Errors: `read-failed`, `disk-full`, `path-outside`.

```rhai
verify("Evidence", || report::attach("out/check.log"));
```"#,
    call: |host, call| {
        let given = call.text(0);
        let mut action = Action::new(call.verb.name, Effect::Read, given.clone());
        action.touches = vec!["*".into()];
        // A plan has no folder of its own to copy into.
        let later = call.planned().unwrap_or_else(|| Planned::new(given.clone()));
        host.pass(action, Some(later), || {
            let from = inside(host, &given)?;
            let folder = host.recorded_folder()?.join("attachments");
            private_folder(&folder)?;
            let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let to = free_name(&folder, &name);
            let (sha256, bytes) = copy_whole(&from, &to, 0o600, &host.stop_signal())?;
            let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let path = format!("attachments/{name}");
            let kept = json!({ "path": path, "sha256": sha256, "bytes": bytes });
            host.emit(EventKind::Attached { path, bytes, sha256 })?;
            Ok(kept)
        })
    },
};
