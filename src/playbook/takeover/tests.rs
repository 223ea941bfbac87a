#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::playbook::library::Tree;

static TREE: Tree = &[
    ("playbooks/iamvet.rhai", b"// playbook(\"x\")\nlet p = playbook(\"003_users\", #{});"),
    ("playbooks/iamvet/sql/003.sql", b"SELECT 1;"),
    ("playbooks/iamvet/sql/data.sql", b"SELECT 2;"),
    ("playbooks/iamvet2.rhai", b""),
];

fn library(dir: &tempfile::TempDir) -> Library<'_> {
    Library { project: dir.path(), tree: TREE }
}

fn paths(files: &[&str]) -> Vec<PathBuf> {
    files.iter().map(PathBuf::from).collect()
}

#[test]
fn a_playbook_comes_with_its_files_and_a_new_id() {
    let dir = tempfile::tempdir().unwrap();
    let written = library(&dir).new_from("shop-users", "iamvet").unwrap();
    assert_eq!(
        written,
        paths(&[
            "playbooks/shop-users.rhai",
            "playbooks/iamvet/sql/003.sql",
            "playbooks/iamvet/sql/data.sql"
        ])
    );
    let text = fs::read_to_string(dir.path().join("playbooks/shop-users.rhai")).unwrap();
    assert_eq!(text, "// playbook(\"x\")\nlet p = playbook(\"shop-users\", #{});");
    assert_eq!(fs::read(dir.path().join("playbooks/iamvet/sql/003.sql")).unwrap(), b"SELECT 1;");
    assert_eq!(library(&dir).find("shop-users").unwrap().text, text);
    // A second one shares the files.
    let written = library(&dir).new_from("other", "iamvet").unwrap();
    assert_eq!(written, paths(&["playbooks/other.rhai"]));
}

#[test]
fn under_its_own_name_it_stays_the_same_to_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    library(&dir).new_from("iamvet", "iamvet").unwrap();
    let text = fs::read(dir.path().join("playbooks/iamvet.rhai")).unwrap();
    assert_eq!(text, TREE[0].1);
}

#[test]
fn nothing_is_overwritten_and_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("playbooks/iamvet/sql")).unwrap();
    fs::write(dir.path().join("playbooks/iamvet/sql/data.sql"), "mine").unwrap();
    let fault = library(&dir).new_from("users", "iamvet").unwrap_err();
    assert_eq!(fault.code, "file-exists");
    assert_eq!(fault.detail.as_deref(), Some("playbooks/iamvet/sql/data.sql"));
    assert!(!dir.path().join("playbooks/users.rhai").exists());
    assert_eq!(fs::read(dir.path().join("playbooks/iamvet/sql/data.sql")).unwrap(), b"mine");

    fs::write(dir.path().join("playbooks/iamvet2.rhai"), "").unwrap();
    let fault = library(&dir).new_from("iamvet2", "iamvet2").unwrap_err();
    assert_eq!(
        fault.code, "file-exists",
        "the same content under the same name is still in the way"
    );
}

#[test]
fn a_folder_that_leads_out_of_the_project_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("playbooks")).unwrap();
    assert_eq!(library(&dir).new_from("users", "iamvet").unwrap_err().code, "path-outside");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn odd_names_and_unknown_sources_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", ".hidden", "-flag", "a/b", "../x", "a b", "a\"b", "a\n"] {
        let name = if name == "a\n" { "a\nb" } else { name };
        assert_eq!(
            library(&dir).new_from(name, "iamvet").unwrap_err().code,
            "playbook-name",
            "{name}"
        );
    }
    let fault = library(&dir).new_from("users", "imavet").unwrap_err();
    assert_eq!(fault.code, "playbook-unknown");
    assert!(fault.remedy.unwrap().contains("iamvet"));
    assert!(library(&dir).new_from("정규화.rhai", "iamvet2").is_ok());
}
