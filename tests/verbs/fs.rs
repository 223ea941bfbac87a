//! Twin of `src/verbs/fs`.

use crate::support::Stage;
use serde_json::json;

#[test]
fn files_of_the_project_are_looked_at() {
    let stage = Stage::bare().file("sub/a.txt", "\u{feff}글\n");
    let played = stage
        .run(
            r#"check("there", || fs::exists("sub/a.txt") && !fs::exists("sub/b.txt"));
            check("text", || fs::text("sub/a.txt"));
            check("sum", || fs::sha256("sub/a.txt"));
            check("room", || fs::require_free("backups/not/yet", "1 KiB"));"#,
        )
        .fine();
    assert_eq!(played.value("text"), "글\n");
    assert_eq!(played.value("sum").as_str().unwrap().len(), 64);
    assert!(played.value("room").as_u64().unwrap() > 1024);
}

#[test]
fn too_little_room_is_said_with_both_numbers() {
    let fault = Stage::bare()
        .run(r#"check("room", || fs::require_free(".", "999999TiB"));"#)
        .fails_with("not-enough-space");
    assert!(fault.message.contains("999999.0 TiB"), "{fault}");
    Stage::bare()
        .run(r#"check("room", || fs::require_free(".", "lots"));"#)
        .fails_with("wrong-argument");
}

#[test]
fn nothing_outside_the_project_is_seen_unless_it_is_allowed() {
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("x"), "secret").unwrap();
    let there = elsewhere.path().display().to_string();
    let stage = Stage::bare();
    std::os::unix::fs::symlink(elsewhere.path(), stage.path().join("link")).unwrap();
    for path in [format!("{there}/x"), "link/x".into(), "../x".into(), "/etc/passwd".into()] {
        for verb in ["text", "exists", "sha256"] {
            stage
                .run(&format!(r#"check("look", || fs::{verb}("{path}"));"#))
                .fails_with("path-outside");
        }
    }
    let stage = stage.config(&format!("[files]\nallow = [\"{there}\"]\n"));
    let played = stage.run(r#"check("look", || fs::text("link/x"));"#).fine();
    assert_eq!(played.value("look"), "secret");
}

#[test]
fn a_file_is_kept_changed_and_put_back_as_it_was() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::alone().config("[commands]\nallow = [\"sh\"]\n").file(".env", "A=1\n");
    let env = stage.path().join(".env");
    std::fs::set_permissions(&env, std::fs::Permissions::from_mode(0o640)).unwrap();
    let played = stage
        .run(
            r#"let kept = step("keep", || fs::backup(".env"));
            step("change", || app::run(["sh", "-c", "echo B=2 > .env; chmod 600 .env"]));
            check("changed", || fs::text(".env") == "B=2\n");
            step("back", || fs::restore(kept));"#,
        )
        .fine();
    assert_eq!(std::fs::read_to_string(&env).unwrap(), "A=1\n");
    assert_eq!(std::fs::metadata(&env).unwrap().permissions().mode() & 0o777, 0o640);
    let kept = played.value("keep");
    assert_eq!(kept["path"], ".env");
    assert_eq!(kept["bytes"], 4);
    assert_eq!(kept["sha256"], played.value("back")["sha256"]);
    let copy = std::path::PathBuf::from(kept["backup"].as_str().unwrap());
    assert_eq!(std::fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_copy_that_was_changed_is_not_put_back() {
    let stage = Stage::alone().config("[commands]\nallow = [\"sh\"]\n").file("a", "one");
    let fault = stage
        .run(
            r#"let kept = step("keep", || fs::backup("a"));
            step("harm", || app::run(["sh", "-c", "echo two > $1", "x", kept.backup]));
            step("back", || fs::restore(kept));"#,
        )
        .fails_with("backup-damaged");
    assert!(fault.detail.unwrap().contains("SHA-256"));
    assert_eq!(stage.project.read("a"), "one");
    // Nor anything that is no copy of ours.
    let sum = json!("x");
    stage
        .run(&format!(
            r#"step("back", || fs::restore(#{{ path: "a", backup: "/etc/passwd", sha256: {sum} }}));"#
        ))
        .fails_with("path-outside");
}

#[test]
fn a_folder_is_listed_in_order() {
    let stage = Stage::bare().file("m/b.sql", "").file("m/a/x.sql", "").file("m/.hidden", "");
    let played = stage.run(r#"check("list", || fs::list("m"));"#).fine();
    let expected = json!([{ "folder": true, "name": "a" }, { "folder": false, "name": "b.sql" }]);
    assert_eq!(played.value("list"), expected);
    stage.run(r#"check("list", || fs::list("/etc"));"#).fails_with("path-outside");
}
