#![allow(clippy::unwrap_used, clippy::expect_used)]

use unicode_normalization::UnicodeNormalization;

use super::*;
use crate::playbook::library::Tree;

static TREE: Tree = &[
    ("playbooks/README.md", b"not a playbook"),
    (
        "playbooks/iamvet.rhai",
        b"// Shipped.\nplaybook(\"003_users\", #{ title: \"T\", risk: \"high\" });",
    ),
    ("playbooks/iamvet/sql/003.sql", b"SELECT 1;"),
    ("playbooks/normalize.rhai", b"playbook(\"normalize\");"),
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

fn library(dir: &tempfile::TempDir) -> Library<'_> {
    Library { project: dir.path(), tree: TREE }
}

#[test]
fn the_projects_playbook_wins_over_the_shipped_one() {
    let dir = project(&[]);
    let found = library(&dir).find("iamvet").unwrap();
    assert_eq!(found.origin, Origin::Shipped);
    assert_eq!(found.path_display, "shipped:playbooks/iamvet.rhai");
    let dir = project(&[("playbooks/iamvet.rhai", "\u{feff}mine")]);
    let found = library(&dir).find("iamvet").unwrap();
    assert_eq!((found.origin, found.text.as_str()), (Origin::Project, "mine"));
    assert_eq!(found.path_display, "playbooks/iamvet.rhai");
    let listed = library(&dir).list();
    assert_eq!(listed.iter().filter(|one| one.name == "iamvet").count(), 1);
}

#[test]
fn an_id_and_a_path_find_it_too() {
    let dir = project(&[("playbooks/a.rhai", "playbook(\"004_a\");"), ("ops/b.rhai", "")]);
    let library = library(&dir);
    assert_eq!(library.find("004_a").unwrap().name, "a");
    assert_eq!(library.find("003_users").unwrap().name, "iamvet");
    for path in ["playbooks/a.rhai", "a.rhai", "./playbooks/a.rhai"] {
        assert_eq!(library.find(path).unwrap().path_display, "playbooks/a.rhai", "{path}");
    }
    let full = dir.path().join("ops/b.rhai");
    assert_eq!(library.find(full.to_str().unwrap()).unwrap().path_display, "ops/b.rhai");
    for path in ["normalize.rhai", "playbooks/normalize.rhai", "shipped:playbooks/normalize.rhai"] {
        assert_eq!(library.find(path).unwrap().origin, Origin::Shipped, "{path}");
    }
}

#[test]
fn a_korean_name_is_found_in_either_normal_form() {
    let decomposed: String = "정규화".nfd().collect();
    let dir = project(&[(&format!("playbooks/{decomposed}.rhai"), "x")]);
    for name in ["정규화".to_string(), decomposed.clone(), format!("playbooks/{decomposed}.rhai")]
    {
        let found = library(&dir).find(&name).unwrap();
        assert_eq!((found.name.as_str(), found.text.as_str()), ("정규화", "x"));
    }
    assert_eq!(library(&dir).list()[0].name, "정규화");
}

#[test]
fn an_unknown_name_gets_its_neighbour() {
    let dir = project(&[]);
    let fault = library(&dir).find("imavet").unwrap_err();
    assert_eq!((fault.code.as_str(), fault.kind.exit_code()), ("playbook-unknown", 2));
    assert!(fault.remedy.unwrap().contains("iamvet"));
    let fault = library(&dir).find("playbooks/normalise.rhai").unwrap_err();
    assert!(fault.remedy.unwrap().contains("normalize"));
    let fault = library(&dir).find("something else").unwrap_err();
    assert!(fault.remedy.unwrap().contains("iamvet, normalize"));
}

#[test]
fn nothing_outside_the_project_is_opened() {
    let outside = project(&[("evil.rhai", "evil")]);
    let dir = project(&[("playbooks/a.rhai", "a")]);
    let target = outside.path().join("evil.rhai");
    std::os::unix::fs::symlink(&target, dir.path().join("playbooks/link.rhai")).unwrap();
    let up = format!("../{}/evil.rhai", outside.path().file_name().unwrap().to_str().unwrap());
    for name in ["link", "playbooks/link.rhai", target.to_str().unwrap(), &up] {
        assert_eq!(library(&dir).find(name).unwrap_err().code, "path-outside", "{name}");
    }
    let listed = library(&dir).list();
    let link = listed.iter().find(|one| one.name == "link").unwrap();
    assert!(link.problem.is_some() && link.description.is_none());
    // A link within the project is a name like any other.
    std::os::unix::fs::symlink("a.rhai", dir.path().join("playbooks/b.rhai")).unwrap();
    assert_eq!(library(&dir).find("b").unwrap().text, "a");
}

#[test]
fn the_list_says_what_each_is_and_what_is_wrong_with_it() {
    let dir = project(&[
        (
            "playbooks/a.rhai",
            "// Users.\nplaybook(\"one\", #{ title: \"사용자\", risk: \"low\" });",
        ),
        ("playbooks/b.rhai", "playbook(\"one\");"),
        ("playbooks/c.rhai", "playbook(\"three\", #{ risk: \"huge\" });"),
        ("playbooks/d.rhai", "fn helper() {}"),
        ("playbooks/notes.txt", ""),
    ]);
    std::fs::write(dir.path().join("playbooks/e.rhai"), b"\xff").unwrap();
    let all = library(&dir).list();
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e", "iamvet", "normalize"]);
    assert_eq!(
        all[0],
        Listed {
            name: "a".into(),
            title: Some("사용자".into()),
            id: Some("one".into()),
            origin: Origin::Project,
            risk: Some(Risk::Low),
            description: Some("Users.".into()),
            problem: None,
        }
    );
    let problem = |at: usize| all[at].problem.clone().unwrap();
    assert!(problem(1).contains("one") && problem(2).contains("huge"));
    assert_eq!(problem(3), msg!("playbook.no-header"));
    assert!(problem(4).contains("playbooks/e.rhai"));
    assert_eq!(all[5].risk, Some(Risk::High));
}

#[test]
fn the_shipped_playbooks_have_a_header_each() {
    let dir = project(&[]);
    for one in list(dir.path()) {
        assert_eq!(one.problem, None, "{}", one.name);
        assert!(one.id.is_some() && one.description.is_some(), "{}", one.name);
    }
}
