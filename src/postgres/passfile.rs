//! The password file, `~/.pgpass`: read by libpq's rules, and written for child processes.

use std::io::Write;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::conninfo::HostSpec;
use crate::model::Fault;
use crate::msg;

/// The lines of a password file, in their order; the first that fits counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Passfile {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    host: String,
    port: String,
    database: String,
    user: String,
    password: SecretString,
}

impl Passfile {
    /// Reads a file. One that others may read is ignored, with a note, as libpq does.
    pub(super) fn read(path: &Path, notes: &mut Vec<String>) -> Self {
        let Ok(facts) = std::fs::metadata(path) else { return Self::default() };
        let shown = path.display();
        if !facts.is_file() {
            notes.push(msg!("postgres.note-passfile-kind", file = shown));
            return Self::default();
        }
        #[cfg(unix)]
        if std::os::unix::fs::MetadataExt::mode(&facts) & 0o077 != 0 {
            notes.push(msg!("postgres.note-passfile-mode", file = shown));
            return Self::default();
        }
        match std::fs::read_to_string(path) {
            Ok(text) => Self { entries: text.lines().filter_map(entry).collect() },
            Err(_) => {
                notes.push(msg!("postgres.note-passfile-unreadable", file = shown));
                Self::default()
            }
        }
    }

    /// The password for any of a host's names.
    pub(super) fn find(
        &self,
        hosts: &[String],
        port: u16,
        database: &str,
        user: &str,
    ) -> Option<SecretString> {
        let fits = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        let found = self.entries.iter().find(|entry| {
            hosts.iter().any(|host| fits(&entry.host, host))
                && fits(&entry.port, &port.to_string())
                && fits(&entry.database, database)
                && fits(&entry.user, user)
        })?;
        Some(found.password.clone()).filter(|password| !password.expose_secret().is_empty())
    }
}

/// The names under which a host may stand in the file: a socket is `localhost` where it is in
/// libpq's own directory, else its directory.
pub(super) fn names_of(host: &HostSpec) -> Vec<String> {
    match host {
        HostSpec::Tcp(host) => vec![host.clone()],
        HostSpec::Unix(directory) => vec!["localhost".into(), directory.display().to_string()],
    }
}

/// `host:port:database:user:password`; `\:` and `\\` stand for themselves.
fn entry(line: &str) -> Option<Entry> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            // In the password, too, a colon may stand without a backslash.
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut()?.push(chars.next().unwrap_or('\\')),
            c => fields.last_mut()?.push(c),
        }
    }
    let [host, port, database, user, password] = <[String; 5]>::try_from(fields).ok()?;
    Some(Entry { host, port, database, user, password: password.into() })
}

/// The lines for one host, for every database.
pub(super) fn lines(hosts: &[String], port: u16, user: &str, password: &SecretString) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    let (user, password) = (escaped(user), escaped(password.expose_secret()));
    hosts.iter().map(|host| format!("{}:{port}:*:{user}:{password}\n", escaped(host))).collect()
}

/// Writes a new file, readable by nobody else.
pub(super) fn write(directory: &Path, text: &str) -> Result<PathBuf, Fault> {
    let attempt = || -> std::io::Result<PathBuf> {
        // NamedTempFile is created with O_EXCL and 0600: no window in which others could read it.
        let mut file = tempfile::Builder::new().prefix("pgpass-").tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        Ok(file.keep().map_err(|kept| kept.error)?.1)
    };
    attempt().map_err(|error| {
        Fault::failed("passfile-write", msg!("postgres.passfile-write", dir = directory.display()))
            .detail(error.to_string())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn read(text: &str, mode: u32) -> (Passfile, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut notes = Vec::new();
        (Passfile::read(&path, &mut notes), notes)
    }

    fn found(file: &Passfile, host: &str, port: u16, database: &str, user: &str) -> String {
        let hosts = [host.to_string()];
        file.find(&hosts, port, database, user).map_or("-".into(), |p| p.expose_secret().into())
    }

    #[test]
    fn the_first_line_that_fits_counts_with_wildcards_and_escapes() {
        let (file, notes) = read(
            "# comment\nbroken line\ndb.example.com:5432:shop:app:one\n\
             *:*:*:o\\:dd:tw\\:o\\\\\n::1:5432:x:y:never\n\\:\\:1:*:*:*:three:3\n*:5433:*:app:four\n",
            0o600,
        );
        assert!(notes.is_empty());
        assert_eq!(found(&file, "db.example.com", 5432, "shop", "app"), "one");
        assert_eq!(found(&file, "db.example.com", 5432, "shop2", "app"), "-");
        assert_eq!(found(&file, "any", 1, "any", "o:dd"), "tw:o\\");
        assert_eq!(found(&file, "::1", 1, "any", "me"), "three:3");
        assert_eq!(found(&file, "x", 5433, "shop", "app"), "four");
    }

    #[test]
    fn a_file_that_others_may_read_is_ignored_and_named() {
        let (file, notes) = read("*:*:*:*:secret\n", 0o640);
        assert_eq!(found(&file, "x", 1, "d", "u"), "-");
        assert!(notes[0].contains("pgpass"));
    }

    #[test]
    fn what_is_written_is_read_back_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let password: SecretString = "a:b\\c".to_string().into();
        let hosts = ["localhost".to_string(), "/tmp".to_string()];
        let path = write(directory.path(), &lines(&hosts, 5432, "u:x", &password)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let file = Passfile::read(&path, &mut Vec::new());
        assert_eq!(found(&file, "/tmp", 5432, "any", "u:x"), "a:b\\c");
    }
}
