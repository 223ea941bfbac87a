#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::playbook::library::Tree;

static TREE: Tree = &[
    ("playbooks/iamvet.rhai", b""),
    ("playbooks/iamvet/counts.rhai", b"shipped counts"),
    ("stdlib/preflight.rhai", b"shipped preflight"),
];

const PLAYBOOK: &str = "playbooks/a.rhai";

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn import(dir: &tempfile::TempDir, from: &str, spec: &str) -> Result<(String, String), Fault> {
    Library { project: dir.path(), tree: TREE }.resolve_import(from, spec)
}

#[test]
fn a_projects_library_replaces_the_shipped_one() {
    let dir = project(&[]);
    let found = import(&dir, PLAYBOOK, "std/preflight").unwrap();
    assert_eq!(found, ("shipped:stdlib/preflight.rhai".into(), "shipped preflight".into()));
    let dir = project(&[("stdlib/preflight.rhai", "mine")]);
    let found = import(&dir, PLAYBOOK, "std/preflight").unwrap();
    assert_eq!(found, ("stdlib/preflight.rhai".into(), "mine".into()));
}

#[test]
fn a_relative_name_stands_beside_the_importer_or_below_playbooks() {
    let dir = project(&[
        ("playbooks/lib/x.rhai", "below"),
        ("playbooks/deep/a.rhai", ""),
        ("playbooks/deep/y.rhai", "beside"),
        ("ops/z.rhai", "ops"),
    ]);
    let text = |from: &str, spec: &str| import(&dir, from, spec).map(|found| found.1);
    assert_eq!(text(PLAYBOOK, "lib/x").unwrap(), "below");
    assert_eq!(text(PLAYBOOK, "./lib/x.rhai").unwrap(), "below");
    assert_eq!(text("playbooks/deep/a.rhai", "y").unwrap(), "beside");
    assert_eq!(text("playbooks/deep/a.rhai", "lib/x").unwrap(), "below");
    assert_eq!(text("ops/b.rhai", "z").unwrap(), "ops");
    assert_eq!(text("top.rhai", "ops/z").unwrap(), "ops");
    assert_eq!(text("shipped:playbooks/iamvet.rhai", "iamvet/counts").unwrap(), "shipped counts");
    let dir = project(&[("playbooks/iamvet/counts.rhai", "mine")]);
    let found = import(&dir, "shipped:playbooks/iamvet.rhai", "iamvet/counts").unwrap();
    assert_eq!(found.1, "mine");
}

#[test]
fn nothing_outside_the_project_is_imported() {
    let outside = project(&[("evil.rhai", "evil")]);
    let dir = project(&[("playbooks/a.rhai", ""), ("playbooks/b.rhai", "b")]);
    let full = outside.path().join("evil");
    let full = full.to_str().unwrap();
    for spec in ["../evil", "lib/../../evil", full, "", ".", "C:evil", "..\\evil", "std/../evil"] {
        assert_eq!(import(&dir, PLAYBOOK, spec).unwrap_err().code, "path-refused", "{spec}");
    }
    std::os::unix::fs::symlink(outside.path(), dir.path().join("playbooks/away")).unwrap();
    assert_eq!(import(&dir, PLAYBOOK, "away/evil").unwrap_err().code, "path-outside");
    // Whatever the importer calls itself, the name is looked for inside.
    assert_eq!(import(&dir, "/etc/x.rhai", "b").unwrap().1, "b");
}

#[test]
fn an_unknown_module_gets_its_neighbour() {
    let dir = project(&[("stdlib/shop.rhai", ""), ("playbooks/counts.rhai", "")]);
    let remedy = |spec: &str| {
        let fault = import(&dir, PLAYBOOK, spec).unwrap_err();
        assert_eq!(fault.code, "import-unknown");
        fault.remedy
    };
    assert!(remedy("std/prefligth").unwrap().contains("std/preflight"));
    assert!(remedy("std/shpo").unwrap().contains("std/shop"));
    assert!(remedy("conuts").unwrap().contains("counts"));
    assert!(remedy("std/verylongandstrange").unwrap().contains("std/preflight, std/shop"));
    assert_eq!(remedy("something-else-entirely"), None);
}
