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
    args: "title: text, rows: any, [columns: array]",
    effect: Effect::None,
    page: r#"Puts a table into the report.

The rows are an array of maps, as `db::query` gives them, or one map. The keys of a map that a script
writes down have no order of their own: `columns` names those to show, in their order.

Errors: `not-recordable`, `wrong-argument`.

```rhai
report::table("Users by type", db::query(`SELECT "userType", count(*) FROM users GROUP BY 1`));
report::table("Times", [#{ task: "backup", expected: "5m" }], ["task", "expected"]);
```"#,
    call: |host, call| {
        let title = call.text(0);
        let action = Action::new(call.verb.name, Effect::None, title.clone());
        host.pass(action, call.planned(), || {
            let wrong = |text: String| {
                Fault::usage("wrong-argument", text)
                    .remedy(msg!("host.usage", usage = call.verb.usage()))
            };
            let rows = match call.json(1)? {
                Value::Array(rows) => rows,
                row @ Value::Object(_) => vec![row],
                _ => return Err(wrong(msg!("verbs.report.rows")).into()),
            };
            let rows = match call.json(2)? {
                Value::Null => rows,
                columns => {
                    let columns: Vec<String> = serde_json::from_value(columns)
                        .map_err(|_| wrong(msg!("verbs.report.columns")))?;
                    rows.into_iter().map(|row| picked(&row, &columns)).collect()
                }
            };
            let rows = Value::Array(rows);
            host.emit(EventKind::Table { title: title.clone(), rows })?;
            Ok(Value::Null)
        })
    },
};

/// The cells of a row that are asked for, in that order; what is missing is an empty text.
fn picked(row: &Value, columns: &[String]) -> Value {
    let cell = |name: &String| row.get(name).cloned().unwrap_or_else(|| "".into());
    Value::Object(columns.iter().map(|name| (name.clone(), cell(name))).collect())
}

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

/// `report::rehearsal`
pub(in crate::verbs) static REHEARSAL: Verb = Verb {
    name: "report::rehearsal",
    args: "",
    effect: Effect::Read,
    page: r#"Says what the newest rehearsal of this playbook has proven, and whether that still holds.

Gives: `()` where it was never rehearsed; else `#{id, at, by, forward, back, way_back, lost, repeatable,
disk, steps, holds, stale, running}`. `running` is true in a rehearsal itself, which has nothing proven yet. `way_back` is `proven`, `lossy` or `unproven`, `back`
how long it took; `disk` is the free disk that a run needs in bytes, `#{tables, wal, temporary, backup,
backup_ms}`, each `#{on_copy, on_source}`, `()` where it is not known; `steps` are `#{title, took, back, outside}`; `holds` is false where files, parameters,
schema or server are no longer those of the rehearsal, which `stale` names.

```rhai
let proven = report::rehearsal();
note(if proven == () { "never rehearsed" } else { `way back: ${proven.way_back} in ${proven.back}` });
```"#,
    call: |host, call| {
        let action = Action::new(call.verb.name, Effect::Read, "");
        host.pass(action, call.planned(), || Ok(host.rehearsed()))
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
