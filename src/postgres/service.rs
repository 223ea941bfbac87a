//! The connection service file: named sets of libpq parameters, in the user's or the system's file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::conninfo::Environment;
use crate::model::Fault;
use crate::msg;

/// The parameters of a service: from the file given, `~/.pg_service.conf`, then the system's.
///
/// # Errors
/// `service-unknown`, with the names that there are; `service-file` where a line is no
/// `name=value` (the line itself is not shown: it may hold a password).
pub(super) fn read(
    name: &str,
    file: Option<&str>,
    env: Environment<'_>,
) -> Result<BTreeMap<String, String>, Fault> {
    let user = match file.filter(|file| !file.is_empty()) {
        Some(file) => Some(PathBuf::from(file)),
        None => env("HOME").map(|home| PathBuf::from(home).join(".pg_service.conf")),
    };
    let folders = match env("PGSYSCONFDIR") {
        Some(folder) => vec![folder],
        None => vec!["/etc/postgresql-common".into(), "/etc".into(), "/etc/sysconfig/pgsql".into()],
    };
    let system = folders.into_iter().map(|folder| PathBuf::from(folder).join("pg_service.conf"));
    let mut names = Vec::new();
    let mut looked = Vec::new();
    for path in user.into_iter().chain(system) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        looked.push(path.display().to_string());
        if let Some(found) = section(&path.display().to_string(), &text, name, &mut names)? {
            return Ok(found);
        }
    }
    let fault = Fault::usage("service-unknown", msg!("postgres.service-unknown", name = name));
    Err(if looked.is_empty() {
        fault.cause(msg!("postgres.service-no-file")).remedy(msg!("postgres.service-remedy"))
    } else {
        let (files, names) = (looked.join(", "), names.join(", "));
        fault
            .detail(msg!("postgres.service-known", files = files, names = names))
            .remedy(msg!("postgres.service-remedy"))
    })
}

fn section(
    file: &str,
    text: &str,
    name: &str,
    names: &mut Vec<String>,
) -> Result<Option<BTreeMap<String, String>>, Fault> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            names.push(title.to_string());
            // The first section of this name counts.
            inside = title == name && found.is_none();
            if inside {
                found = Some(BTreeMap::new());
            }
        } else if inside && let Some(parameters) = found.as_mut() {
            let wrong = || {
                let number = index + 1;
                let message = msg!("postgres.service-file", file = file, line = number);
                Fault::usage("service-file", message).remedy(msg!("postgres.service-file-remedy"))
            };
            let (key, value) = line.split_once('=').ok_or_else(wrong)?;
            if key.trim() == "service" {
                return Err(wrong());
            }
            parameters.entry(key.trim().into()).or_insert_with(|| value.trim().into());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FILE: &str = "# ours\n[one]\nhost=a\n\n[two]\nhost = b \nport=5433\n[two]\nhost=never\n";

    #[test]
    fn a_section_is_read_and_the_first_of_a_name_counts() {
        let mut names = Vec::new();
        let two = section("f", FILE, "two", &mut names).unwrap().unwrap();
        assert_eq!(two["host"], "b");
        assert_eq!(two["port"], "5433");
        assert_eq!(section("f", FILE, "three", &mut names).unwrap(), None);
    }

    #[test]
    fn a_broken_line_is_named_by_its_number_and_not_shown() {
        let fault = section("f", "[one]\nsecretword\n", "one", &mut Vec::new()).unwrap_err();
        assert_eq!(fault.code, "service-file");
        assert!(fault.message.contains('2') && !fault.message.contains("secretword"));
    }

    #[test]
    fn an_unknown_service_names_those_that_there_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pg_service.conf");
        std::fs::write(&path, FILE).unwrap();
        let none = |_: &str| None;
        let fault = read("four", path.to_str(), &none).unwrap_err();
        assert_eq!(fault.code, "service-unknown");
        assert!(fault.detail.unwrap().contains("one, two"));
    }
}
