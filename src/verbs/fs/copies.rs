//! `fs::backup` and `fs::restore`: a copy of one file in the run's own folder, and the way back.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::place::inside;
use super::sum::{copy_whole, private_folder, read_fault, sha256_of};
use crate::host::{External, Host, Repeat, Trouble, Verb};
use crate::model::{Action, Effect, Fault};
use crate::msg;

/// `fs::backup`
pub(in crate::verbs) static BACKUP: Verb = Verb {
    name: "fs::backup",
    args: "path: text",
    effect: Effect::External,
    page: r#"Copies a file into the run's own folder, so that it can be put back.

Gives: `#{path, backup, sha256, bytes}`: take it to `fs::restore`.

Errors: `not-a-file`, `read-failed`, `disk-full`, `path-outside`.

```rhai
let env = step("Keep the settings", || fs::backup(".env"));
```"#,
    call: |host, call| {
        let given = call.text(0);
        let action = Action::new(call.verb.name, Effect::External, given.clone());
        let perform = {
            let given = given.clone();
            Box::new(move || keep(host, &given))
        };
        let repeat = Repeat::Harmless;
        host.pass_external(
            External { action, repeat, probed: Value::Null, perform },
            call.planned(),
        )
    },
};

/// `fs::restore`
pub(in crate::verbs) static RESTORE: Verb = Verb {
    name: "fs::restore",
    args: "backup: map",
    effect: Effect::External,
    page: r#"Puts a file back as `fs::backup` found it.

The copy's checksum is compared first; the file is replaced whole or not at all, with the mode
that it had.

Gives: `#{path, sha256, bytes}`.

Errors: `backup-damaged` with both sums, `read-failed`, `disk-full`, `path-outside`.

```rhai
let env = step("Keep the settings", || fs::backup(".env"));
step("Put them back", || fs::restore(env));
```"#,
    call: |host, call| {
        let target = call
            .any(0)
            .read_lock::<rhai::Map>()
            .and_then(|map| map.get("path").and_then(|path| path.clone().into_string().ok()));
        let target = target.unwrap_or_default();
        let probed = json!({ "path": target, "sha256": "", "bytes": 0 });
        let action = Action::new(call.verb.name, Effect::External, target);
        let perform = Box::new(move || put_back(host, call.options(0)?));
        let repeat = Repeat::Harmless;
        host.pass_outside(External { action, repeat, probed, perform }, call.planned())
    },
};

/// What `fs::backup` gives.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    path: String,
    backup: PathBuf,
    sha256: String,
    #[serde(default)]
    #[allow(dead_code)] // part of the value, not needed on the way back
    bytes: u64,
    #[serde(default)]
    mode: Option<u32>,
}

fn keep(host: &Rc<Host>, given: &str) -> Result<Value, Trouble> {
    let path = inside(host, given)?;
    let meta = std::fs::metadata(&path).map_err(|error| read_fault(&path, &error))?;
    if !meta.is_file() {
        return Err(Fault::failed("not-a-file", msg!("verbs.fs.not-a-file", path = given)).into());
    }
    let folder = host.recorded_folder()?.join("files");
    private_folder(&folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let to = free_name(&folder, &name);
    let (sha256, bytes) = copy_whole(&path, &to, 0o600, &host.stop_signal())?;
    let mode = meta.permissions().mode() & 0o7777;
    Ok(json!({
        "path": given, "backup": to.display().to_string(),
        "sha256": sha256, "bytes": bytes, "mode": mode,
    }))
}

/// A name in the folder that nothing has yet: `.env`, `2-.env`, ..
pub(in crate::verbs) fn free_name(folder: &Path, name: &str) -> PathBuf {
    let mut number = 1;
    loop {
        let path =
            folder.join(if number == 1 { name.to_string() } else { format!("{number}-{name}") });
        if std::fs::symlink_metadata(&path).is_err() {
            return path;
        }
        number += 1;
    }
}

fn put_back(host: &Rc<Host>, kept: Kept) -> Result<Value, Trouble> {
    let path = inside(host, &kept.path)?;
    let stop = host.stop_signal();
    let runs = host.setup.state.root().join("runs");
    let backup = kept.backup.canonicalize().map_err(|error| read_fault(&kept.backup, &error))?;
    if !runs.canonicalize().is_ok_and(|runs| backup.starts_with(runs)) {
        return Err(Fault::usage(
            "path-outside",
            msg!("verbs.fs.not-a-copy", path = kept.backup.display()),
        )
        .into());
    }
    let (found, _) = sha256_of(&backup, &stop)?;
    if found != kept.sha256 {
        return Err(damaged(&backup, &kept.sha256, &found).into());
    }
    let (sha256, bytes) = copy_whole(&backup, &path, kept.mode.unwrap_or(0o600), &stop)?;
    Ok(json!({ "path": kept.path, "sha256": sha256, "bytes": bytes }))
}

/// A file whose checksum is not the recorded one.
pub(in crate::verbs) fn damaged(path: &Path, wanted: &str, found: &str) -> Fault {
    Fault::failed("backup-damaged", msg!("verbs.pg.damaged", path = path.display()))
        .detail(msg!("verbs.pg.damaged.sums", wanted = wanted, found = found))
        .remedy(msg!("verbs.pg.damaged.remedy"))
}
