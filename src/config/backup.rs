//! `[backup]`: where dumps are written, who can read them, and where they are carried to.
//!
//! What this build cannot do is a mistake of the file: a dump that was to be encrypted must not be
//! written as plain text because a feature is missing.

use std::path::{Path, PathBuf};

use super::reader::{At, Section, password_in};
use crate::model::Fault;
use crate::msg;

/// `[backup]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    /// Where dumps are written.
    pub dir: PathBuf,
    /// How many are kept; None keeps all.
    pub keep: Option<u32>,
    /// Who can read them, `age1..`; nobody in particular where it is empty.
    pub encrypt_to: Vec<String>,
    /// The file with the secret half of one of them.
    pub identity_file: Option<PathBuf>,
    /// Where a complete dump is carried to.
    pub upload: Option<Upload>,
}

/// A place elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upload {
    /// `file:///mnt/backups`: a folder of this machine, a mounted one as a rule.
    Folder(PathBuf),
    /// `s3://bucket/prefix`; the prefix without slashes around it, perhaps empty.
    Bucket {
        /// The bucket.
        name: String,
        /// What stands before each name.
        prefix: String,
    },
}

pub(super) fn read(section: &Section<'_, '_>, dir: &Path, usual: &Backup) -> Backup {
    let folder = section.text("dir").map_or(usual.dir.clone(), |at| dir.join(at.value));
    let encrypt_to: Vec<String> = section
        .list_not_empty("encrypt_to")
        .into_iter()
        .filter_map(|at| recipient(section, at))
        .collect();
    let identity = section.text("identity_file").and_then(|at| identity_file(section, at));
    Backup {
        dir: folder,
        keep: section.number("keep", 1..=100_000),
        encrypt_to,
        identity_file: identity.map(|path| dir.join(path)),
        upload: section.text("upload").and_then(|at| upload(section, at)),
    }
}

fn recipient(section: &Section<'_, '_>, at: At<String>) -> Option<String> {
    if !cfg!(feature = "age") {
        return without(section, &at, "encrypt_to", "age");
    }
    if is_recipient(&at.value) {
        return Some(at.value);
    }
    // Whoever put the secret half here finds it in no output.
    let fault = Fault::usage("config-recipient", msg!("config.no-recipient"))
        .remedy(msg!("config.no-recipient.remedy"));
    section.source().complain_hidden(&at.span, fault);
    None
}

#[cfg(feature = "age")]
fn is_recipient(text: &str) -> bool {
    text.parse::<age::x25519::Recipient>().is_ok()
}

#[cfg(not(feature = "age"))]
fn is_recipient(_: &str) -> bool {
    false
}

fn identity_file(section: &Section<'_, '_>, at: At<String>) -> Option<String> {
    if !cfg!(feature = "age") {
        return without(section, &at, "identity_file", "age");
    }
    if at.value.to_uppercase().starts_with("AGE-SECRET-KEY-") {
        let fault = Fault::usage("config-path", msg!("config.identity-itself"))
            .remedy(msg!("config.identity-itself.remedy"));
        section.source().complain_hidden(&at.span, fault);
        return None;
    }
    if at.value.starts_with('~') {
        let text = msg!("config.home-not-expanded", found = at.value);
        let fault = Fault::usage("config-path", text).remedy(msg!("config.path.remedy"));
        section.source().complain(&at.span, fault);
        return None;
    }
    Some(at.value)
}

fn upload(section: &Section<'_, '_>, at: At<String>) -> Option<Upload> {
    let place = place(&at.value);
    if matches!(place, Some(Upload::Bucket { .. })) && !cfg!(feature = "object_store") {
        return without(section, &at, "upload", "object_store");
    }
    if place.is_none() {
        let fault = Fault::usage("config-upload", msg!("config.no-upload"))
            .remedy(msg!("config.no-upload.remedy"));
        section.source().complain_hidden(&at.span, fault);
    }
    place
}

/// None for anything else, credentials in it included.
fn place(text: &str) -> Option<Upload> {
    if password_in(text).is_some() || text.contains(['?', '#', '@']) {
        return None;
    }
    if let Some(path) = text.strip_prefix("file://") {
        return (path.starts_with('/') && path.len() > 1).then(|| Upload::Folder(path.into()));
    }
    let (name, prefix) = match text.strip_prefix("s3://")? {
        rest if rest.contains('/') => rest.split_once('/')?,
        name => (name, ""),
    };
    let prefix = prefix.trim_matches('/');
    let clean = !prefix.split('/').any(|part| matches!(part, "." | ".."));
    (!name.is_empty() && clean).then(|| Upload::Bucket { name: name.into(), prefix: prefix.into() })
}

/// This build cannot do what a key asks for.
fn without<T>(section: &Section<'_, '_>, at: &At<String>, key: &str, feature: &str) -> Option<T> {
    let key = section.name_of(key);
    let text = msg!("config.without-feature", key = key, feature = feature);
    let fault = Fault::usage("config-feature", text)
        .remedy(msg!("config.without-feature.remedy", feature = feature));
    section.source().complain_hidden(&at.span, fault);
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Config;

    fn complaints(toml: &str) -> Vec<Fault> {
        match Config::parse(Path::new("/p"), &format!("[backup]\n{toml}\n")) {
            Ok(_) => Vec::new(),
            Err(fault) => fault.more,
        }
    }

    #[test]
    fn a_place_is_a_folder_or_a_bucket_and_nothing_with_a_password_in_it() {
        assert_eq!(place("file:///mnt/b"), Some(Upload::Folder("/mnt/b".into())));
        let bucket = |name: &str, prefix: &str| {
            Some(Upload::Bucket { name: name.into(), prefix: prefix.into() })
        };
        assert_eq!(place("s3://b"), bucket("b", ""));
        assert_eq!(place("s3://b/x/y/"), bucket("b", "x/y"));
        for wrong in ["b", "http://b/x", "file://b", "file:///", "s3://", "s3:///x", "s3://b/../x"]
        {
            assert_eq!(place(wrong), None, "{wrong}");
        }
        assert_eq!(place("s3://key:secret@b/x"), None);
        let said = complaints("upload = \"s3://key:s3cr3t-77@b/x\"");
        assert_eq!(said[0].code, "config-upload");
        assert!(!format!("{:?}", said[0]).contains("s3cr3t-77"), "{:?}", said[0]);
    }

    #[cfg(feature = "age")]
    #[test]
    fn only_a_public_key_is_a_recipient_and_a_secret_one_is_never_repeated() {
        let secret = age::x25519::Identity::generate();
        let public = secret.to_public().to_string();
        assert!(complaints(&format!("encrypt_to = [\"{public}\"]")).is_empty());
        let secret = age::secrecy::ExposeSecret::expose_secret(&secret.to_string()).to_string();
        for line in
            [format!("encrypt_to = [\"{secret}\"]"), format!("identity_file = \"{secret}\"")]
        {
            let said = complaints(&line);
            assert_eq!(said.len(), 1, "{line}");
            assert!(!format!("{said:?}").contains(&secret[20..]), "{said:?}");
        }
        assert_eq!(complaints("encrypt_to = []")[0].code, "config-empty");
        assert_eq!(complaints("encrypt_to = [\"age1abc\"]")[0].code, "config-recipient");
    }

    /// A dump that was to be encrypted must not be written as plain text.
    #[cfg(not(feature = "age"))]
    #[test]
    fn a_build_without_encryption_says_so_and_does_not_start() {
        let said = complaints("encrypt_to = [\"age1abc\"]\nidentity_file = \"key.txt\"");
        assert_eq!(said.len(), 2);
        assert!(said.iter().all(|fault| fault.code == "config-feature"), "{said:?}");
    }

    #[cfg(not(feature = "object_store"))]
    #[test]
    fn a_build_without_object_stores_says_so_and_does_not_start() {
        assert_eq!(complaints("upload = \"s3://b/x\"")[0].code, "config-feature");
        assert!(complaints("upload = \"file:///mnt/b\"").is_empty());
    }
}
