//! init, new, completions: what begins a project or a playbook.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use serde_json::json;

use super::args::{Arguments, Common};
use super::desk::{Desk, here, typed, write_out};
use crate::config::{Config, FILE_NAME};
use crate::message::{Language, language};
use crate::model::Fault;
use crate::msg;

/// The name of the first example.
const FIRST: &str = "first";

/// `runsheet init`: writes nothing where a project's file is there already.
pub(super) fn init(common: &Common) -> Result<u8, Fault> {
    let folder = match &common.project {
        Some(folder) => folder.clone(),
        None => here()?,
    };
    std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    if folder.join(FILE_NAME).exists() {
        let file = typed(&folder.join(FILE_NAME));
        return Err(Fault::usage("file-exists", msg!("cli.project-exists", file = file))
            .next("runsheet new NAME"));
    }
    let name = Config::default_for(&folder).name.replace(['"', '\\'], "");
    let project = match language() {
        Language::English => include_str!("templates/project.en.toml"),
        Language::Korean => include_str!("templates/project.ko.toml"),
    };
    let mut files = vec![(PathBuf::from(FILE_NAME), project.replace("{name}", &name))];
    // A folder that has playbooks already needs no example.
    if !folder.join("playbooks").is_dir() {
        files.extend(example(FIRST));
    }
    write_all(&folder, &files)?;
    tell(common.json, &files, "runsheet plan first");
    Ok(0)
}

/// `runsheet new NAME [--from X]`
pub(super) fn new(desk: &Desk, name: &str, from: Option<&str>) -> Result<u8, Fault> {
    let name = name.trim().trim_end_matches(".rhai");
    let files: Vec<(PathBuf, String)> = match from {
        Some(from) => crate::playbook::new_from(&desk.project, name, from)?
            .into_iter()
            .map(|path| (path, String::new()))
            .collect(),
        None => {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '"', '\0']) {
                return Err(Fault::usage("playbook-name", msg!("cli.playbook-name", name = name)));
            }
            let files = example(name);
            write_all(&desk.project, &files)?;
            files
        }
    };
    tell(desk.common.json, &files, &format!("runsheet check {name}"));
    Ok(0)
}

/// A playbook with its SQL file and the way back.
fn example(name: &str) -> Vec<(PathBuf, String)> {
    let table: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let table = format!("{table}_example").to_lowercase();
    let script = match language() {
        Language::English => include_str!("templates/playbook.en.rhai"),
        Language::Korean => include_str!("templates/playbook.ko.rhai"),
    };
    let quoted = crate::model::quote_ident(&table);
    vec![
        (
            PathBuf::from(format!("playbooks/{name}.rhai")),
            script.replace("{name}", name).replace("{table}", &table),
        ),
        (
            PathBuf::from(format!("sql/{name}.sql")),
            format!(
                "CREATE TABLE {quoted} (\n    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n    name text NOT NULL\n);\n"
            ),
        ),
        (PathBuf::from(format!("sql/{name}.down.sql")), format!("DROP TABLE {quoted};\n")),
    ]
}

/// Writes files that are not there yet: all of them, or none where one is in the way.
fn write_all(folder: &Path, files: &[(PathBuf, String)]) -> Result<(), Fault> {
    let there: Vec<String> = files
        .iter()
        .map(|(path, _)| folder.join(path))
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| typed(&path))
        .collect();
    if !there.is_empty() {
        return Err(Fault::usage("file-exists", msg!("cli.files-exist"))
            .detail(there.join(", "))
            .remedy(msg!("cli.files-exist.remedy")));
    }
    for (path, text) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| OpenOptions::new().write(true).create_new(true).open(&path))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| unwritable(&path, &error))?;
    }
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::failed("unwritable", msg!("cli.unwritable", path = path.display()))
        .detail(error.to_string())
}

fn tell(as_json: bool, files: &[(PathBuf, String)], next: &str) {
    let names: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
    if as_json {
        write_out(&format!("{}\n", json!({ "files": names, "next": next })));
        return;
    }
    for name in &names {
        write_out(&format!("{}\n", msg!("cli.written", file = name)));
    }
    write_out(&format!("{}\n", msg!("cli.next", command = next)));
}

/// `runsheet completions SHELL`
pub(super) fn completions(shell: clap_complete::Shell) -> Result<u8, Fault> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "runsheet", &mut script);
    write_out(&String::from_utf8_lossy(&script));
    Ok(0)
}
