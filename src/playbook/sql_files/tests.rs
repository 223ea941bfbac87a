#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::playbook::Origin;
use crate::playbook::library::Tree;

static TREE: Tree = &[
    ("playbooks/iamvet.rhai", b""),
    ("playbooks/iamvet/sql/003.sql", b"SELECT 'shipped';"),
    ("playbooks/iamvet/sql/003_down.sql", b"SELECT 2;"),
];

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn resolve(dir: &tempfile::TempDir, playbook: &str, path: &str) -> Result<FileSource, Fault> {
    let playbook = Playbook {
        name: "x".into(),
        path_display: playbook.into(),
        text: String::new(),
        origin: Origin::Project,
        root: dir.path().into(),
    };
    Library { project: dir.path(), tree: TREE }.resolve_sql(&playbook, path)
}

const SHIPPED_PLAYBOOK: &str = "shipped:playbooks/iamvet.rhai";

#[test]
fn a_shipped_playbook_names_its_files_in_two_ways_and_the_projects_win() {
    let dir = project(&[]);
    for path in ["iamvet/sql/003.sql", "playbooks/iamvet/sql/003.sql", "./iamvet//sql/003.sql"] {
        let found = resolve(&dir, SHIPPED_PLAYBOOK, path).unwrap();
        assert_eq!(found.read().unwrap(), b"SELECT 'shipped';");
        assert_eq!(found.display(dir.path()), "shipped:playbooks/iamvet/sql/003.sql");
    }
    for own in ["iamvet/sql/003.sql", "playbooks/iamvet/sql/003.sql"] {
        let dir = project(&[(own, "mine")]);
        let found = resolve(&dir, SHIPPED_PLAYBOOK, "iamvet/sql/003.sql").unwrap();
        assert_eq!(found.read().unwrap(), b"mine");
        assert_eq!(found.display(dir.path()), own);
        assert_eq!(
            found.on_disk(Path::new("/nowhere")).unwrap(),
            dir.path().join(own).canonicalize().unwrap()
        );
    }
}

#[test]
fn a_projects_playbook_finds_files_from_the_root_and_beside_itself() {
    let dir = project(&[("sql/1.sql", "root"), ("ops/sql/2.sql", "beside")]);
    assert_eq!(resolve(&dir, "ops/a.rhai", "sql/1.sql").unwrap().read().unwrap(), b"root");
    assert_eq!(resolve(&dir, "ops/a.rhai", "sql/2.sql").unwrap().read().unwrap(), b"beside");
    let full = dir.path().join("sql/1.sql");
    let found = resolve(&dir, "ops/a.rhai", full.to_str().unwrap()).unwrap();
    assert_eq!(found.display(dir.path()), "sql/1.sql");
}

#[test]
fn nothing_outside_the_project_is_read() {
    let outside = project(&[("evil.sql", "evil")]);
    let dir = project(&[("sql/1.sql", "x")]);
    let full = outside.path().join("evil.sql");
    assert_eq!(resolve(&dir, "a.rhai", full.to_str().unwrap()).unwrap_err().code, "path-outside");
    assert_eq!(resolve(&dir, "a.rhai", "/no/such.sql").unwrap_err().code, "path-refused");
    assert_eq!(resolve(&dir, "a.rhai", "sql/../../x.sql").unwrap_err().code, "path-refused");
    std::os::unix::fs::symlink(&full, dir.path().join("sql/link.sql")).unwrap();
    assert_eq!(resolve(&dir, "a.rhai", "sql/link.sql").unwrap_err().code, "path-outside");
}

#[test]
fn a_missing_file_gets_its_neighbour() {
    let dir =
        project(&[("sql/003_normalize.sql", ""), ("db/deep/other.sql", ""), (".git/zz.sql", "")]);
    let remedy = |path: &str| {
        let fault = resolve(&dir, "playbooks/a.rhai", path).unwrap_err();
        assert_eq!(fault.code, "file-unknown");
        assert!(fault.detail.unwrap().contains(path));
        fault.remedy
    };
    assert!(remedy("sql/003_normalise.sql").unwrap().contains("sql/003_normalize.sql"));
    assert!(remedy("other.sql").unwrap().contains("db/deep/other.sql"));
    assert!(remedy("iamvet/003_down.sql").unwrap().contains("playbooks/iamvet/sql/003_down.sql"));
    assert_eq!(remedy("completely_different_name.sql"), None);
    assert_eq!(remedy(".git"), None, "a folder is not a file");
}
