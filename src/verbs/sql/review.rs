//! `sql::review(path)`: what a file would do, statement by statement.

use serde_json::Value;

use super::found::{file_of, variables};
use crate::host::{Trouble, Verb};
use crate::model::{Action, Effect, Fault};
use crate::sql::review;

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ReviewOptions {
    #[serde(default)]
    vars: serde_json::Map<String, Value>,
}

/// `sql::review`
pub(crate) static REVIEW: Verb = Verb {
    name: "sql::review",
    args: "path: text, [options: map]",
    effect: Effect::Read,
    page: r#"Reads an SQL file and says what each of its statements would do, without running any.

The syntax tree decides, DO blocks looked into; what cannot be parsed, and dynamic SQL, has the
highest risk. The findings are those of `runsheet lint`.

Options: `vars` (psql variables).

Gives: `#{risk, statements: [#{file, line, kind, target, risk, locks, rewrites, scans, undo, safer,
reason, text, destructive, transactional}], destructive, touches, opaque, transactional, sha256,
findings: [#{rule, level, file, line, column, message, help, allowed}]}`; risks are `low`, `medium`,
`high`, `very_high`; `undo` is `#{way, sql}` with the way `not_needed`, `by`, `lost`, `never` or
`unknown`.

Errors: `sql-file-missing`, and what a file is refused for.

```rhai
check("The file is no more dangerous than said", || sql::review("sql/003_up.sql").risk != "very_high");
```"#,
    call: |host, call| {
        let path = call.text(0);
        let options: ReviewOptions = call.options(1)?;
        let vars = variables(options.vars)?;
        let action = Action::new("sql::review", Effect::Read, path.clone());
        host.pass(action, call.planned(), || {
            let (root, file) = file_of(host, &path)?;
            let review = review(&root, &file, vars)?.with_findings(&root);
            for (index, (file, hash)) in review.files.iter().enumerate() {
                let inside = file.strip_prefix(&root).unwrap_or(file).display().to_string();
                host.note_file(if index == 0 { &path } else { &inside }, hash)?;
            }
            serde_json::to_value(&review)
                .map_err(|error| Trouble::from(Fault::failed("internal", error.to_string())))
        })
    },
};
