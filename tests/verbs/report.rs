//! Twin of `src/verbs/report`.

use crate::support::Stage;
use runsheet::model::EventKind;

#[test]
fn tables_texts_and_files_become_evidence() {
    let stage = Stage::bare().file("out/check.log", "fine\n");
    let played = stage
        .run(
            r#"report::text("**well**");
            check("evidence", || {
                report::table("Users", [#{ type: "A", n: 1 }, #{ type: "B", n: 2 }]);
                report::attach("out/check.log");
                report::attach("out/check.log")
            });"#,
        )
        .fine();
    let tables = played.all(|kind| match kind {
        EventKind::Table { title, rows } => Some((title.clone(), rows[1]["n"].clone())),
        _ => None,
    });
    assert_eq!(tables, [("Users".to_string(), 2.into())]);
    let texts = played.all(|kind| match kind {
        EventKind::Text { markdown } => Some(markdown.clone()),
        _ => None,
    });
    assert_eq!(texts, ["**well**"]);
    let attached = played.all(|kind| match kind {
        EventKind::Attached { path, bytes, .. } => Some((path.clone(), *bytes)),
        _ => None,
    });
    assert_eq!(attached[0], ("attachments/check.log".to_string(), 5));
    assert_eq!(attached[1].0, "attachments/2-check.log");
    let runs = stage.path().join(".runsheet/runs");
    let run = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_to_string(run.join("attachments/check.log")).unwrap(), "fine\n");
}

#[test]
fn a_plan_copies_nothing_and_a_stranger_is_not_attached() {
    let stage = Stage::bare().file("a", "x");
    stage.plan(r#"check("evidence", || report::attach("a"));"#).fine();
    let runs = stage.path().join(".runsheet/runs");
    assert_eq!(std::fs::read_dir(runs).unwrap().count(), 0);
    stage.run(r#"check("evidence", || report::attach("/etc/passwd"));"#).fails_with("path-outside");
}

#[test]
fn columns_are_shown_in_the_order_that_was_asked_for() {
    let played = Stage::bare().run(
        r#"check("c", || report::table("t", [#{ b: 1, a: 2 }, #{ a: 3 }], ["b", "a"]));
           check("d", || report::table("t", [], 7));"#,
    );
    let tables = played.all(|kind| match kind {
        EventKind::Table { rows, .. } => Some(rows.to_string()),
        _ => None,
    });
    assert_eq!(tables, [r#"[{"b":1,"a":2},{"b":"","a":3}]"#]);
    played.fails_with("wrong-argument");
}

#[test]
fn what_was_never_rehearsed_has_nothing_proven() {
    let stage = Stage::alone();
    stage.run(r#"check("c", || expect_equal("proven", report::rehearsal(), ()));"#).ok();
}
