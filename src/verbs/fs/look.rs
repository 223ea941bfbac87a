//! `fs::require_free`, `exists`, `list`, `sha256`, `text`: looking at files.

use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use rhai::Dynamic;
use serde_json::{Value, json};

use super::place::readable;
use super::sum::{read_fault, sha256_of};
use crate::host::{Call, Host, Trouble, Verb};
use crate::model::{Action, Effect, Fault, format_bytes};
use crate::msg;
use crate::system::free_bytes;
use crate::verbs::given;

/// A text longer than this is not for a script.
const LONGEST_TEXT: u64 = 16 << 20;

/// `fs::require_free`
pub(in crate::verbs) static REQUIRE_FREE: Verb = Verb {
    name: "fs::require_free",
    args: "path: text, bytes: int|text",
    effect: Effect::Read,
    page: r#"Fails unless so many bytes are free on the disk where the path lies.

This is the disk of the machine that runs the playbook; for the server's, see `db::require_free`.
The path may be missing: then its nearest parent counts. A size is a number of bytes or a text,
"2GiB".

Gives: the free bytes.

Errors: `not-enough-space` with both numbers, `path-outside`.

```rhai
check("Room for the dump", || fs::require_free("backups", "2GiB"));
```"#,
    call: |host, call| {
        look(host, call, |path, given_path| {
            let wanted = given::bytes(call.verb.name, &call.json(1)?)?;
            let free = free_bytes(path)?;
            if free >= wanted {
                return Ok(json!(free));
            }
            let (free, wanted) = (format_bytes(free), format_bytes(wanted));
            Err(Fault::failed(
                "not-enough-space",
                msg!("verbs.fs.not-enough", path = given_path, free = free, wanted = wanted),
            )
            .remedy(msg!("system.disk-full-remedy")))
        })
    },
};

/// `fs::exists`
pub(in crate::verbs) static EXISTS: Verb = Verb {
    name: "fs::exists",
    args: "path: text",
    effect: Effect::Read,
    page: r#"Says whether there is a file or folder of this name.

Gives: true or false.

Errors: `path-outside`.

```rhai
if !fs::exists(".env") { fail("the file .env is missing"); }
```"#,
    call: |host, call| look(host, call, |path, _| Ok(json!(path.exists()))),
};

/// `fs::list`
pub(in crate::verbs) static LIST: Verb = Verb {
    name: "fs::list",
    args: "path: text",
    effect: Effect::Read,
    page: r#"Names what lies directly in a folder: files and folders, sorted, hidden ones left out.

Gives: an array of `#{name, folder}`.

Errors: `read-failed`, `path-outside`.

```rhai
let migrations = fs::list("prisma/migrations").filter(|entry| entry.folder);
```"#,
    call: |host, call| look(host, call, |path, _| list(path)),
};

/// `fs::sha256`
pub(in crate::verbs) static SHA256: Verb = Verb {
    name: "fs::sha256",
    args: "path: text",
    effect: Effect::Read,
    page: r#"Gives the SHA-256 of a file.

Gives: 64 hexadecimal digits.

Errors: `read-failed`, `path-outside`.

```rhai
note(fs::sha256("sql/up.sql"));
```"#,
    call: |host, call| {
        let stop = host.stop_signal();
        look(host, call, |path, _| Ok(json!(sha256_of(path, &stop)?.0)))
    },
};

/// `fs::text`
pub(in crate::verbs) static TEXT: Verb = Verb {
    name: "fs::text",
    args: "path: text",
    effect: Effect::Read,
    page: r#"Gives the text of a file.

UTF-8, at most 16 MiB; a byte order mark is taken off.

Gives: the text.

Errors: `read-failed`, `not-utf8`, `file-too-long`, `path-outside`.

```rhai
let version = fs::text("VERSION");
```"#,
    call: |host, call| look(host, call, |path, given_path| text(path, given_path).map(Value::from)),
};

fn look(
    host: &Rc<Host>,
    call: &Call<'_, '_>,
    answer: impl FnOnce(&Path, &str) -> Result<Value, Fault>,
) -> Result<Dynamic, Trouble> {
    let given = call.text(0);
    let mut action = Action::new(call.verb.name, Effect::Read, given.clone());
    // A command that a plan has recorded may change any file.
    action.touches = vec!["*".into()];
    host.pass(action, call.planned(), || {
        let path = readable(host, &given)?;
        answer(&path, &given).map_err(Into::into)
    })
}

fn list(path: &Path) -> Result<Value, Fault> {
    let failed = |error: std::io::Error| read_fault(path, &error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.push((name, entry.path().is_dir()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(name, folder)| json!({ "name": name, "folder": folder })).collect())
}

fn text(path: &Path, given: &str) -> Result<String, Fault> {
    let failed = |error: std::io::Error| read_fault(path, &error);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LONGEST_TEXT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST_TEXT {
        return Err(Fault::failed(
            "file-too-long",
            msg!("verbs.fs.too-long", path = given, limit = format_bytes(LONGEST_TEXT)),
        ));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), String::from)),
        Err(error) => Err(Fault::failed(
            "not-utf8",
            msg!("verbs.fs.not-utf8", path = given, at = error.utf8_error().valid_up_to()),
        )),
    }
}
