use super::shop;
use crate::support::Stage;
use runsheet::model::EventKind;

const SHELL: &str = "[commands]\nallow = [\"sh\"]\n";

#[test]
fn a_backup_of_another_tool_is_external_and_not_proven() {
    let stage = Stage::alone().config(SHELL);
    let played = stage
        .run(
            r#"step("b", || pg::external_backup(#{ argv: ["sh", "-c", "date +%s > at"],
                probe: ["sh", "-c", "cat at"], max_age: "1h" }));"#,
        )
        .fine();
    assert_eq!(played.value("b")["state"], "external");
    assert!(played.value("b")["at"].is_string());
    let states = played.all(|kind| match kind {
        EventKind::Backup { backup } => backup.state.clone(),
        _ => None,
    });
    assert_eq!(states, ["external"]);
}

#[test]
fn an_old_or_missing_backup_fails() {
    let stage = Stage::alone().config(SHELL);
    let with = |probe: &str| {
        stage.run(&format!(
            r#"step("b", || pg::external_backup(#{{ probe: ["sh", "-c", "{probe}"], max_age: "1h" }}));"#
        ))
    };
    let fault = with("echo 1700000000").fails_with("backup-too-old");
    assert!(fault.message.contains("1h"), "{fault}");
    with("echo yesterday").fails_with("backup-too-old");
    with("exit 1").fails_with("external-backup-missing");
    stage.run(r#"step("b", || pg::external_backup(#{}));"#).fails_with("not-an-argv");
    stage
        .run(r#"step("b", || pg::external_backup(#{ argv: ["pgbackrest"] }));"#)
        .fails_with("command-not-allowed");
}

#[test]
fn a_restore_point_is_a_place_in_the_log() {
    let cluster = shop();
    let played = Stage::on(&cluster, "shop")
        .run(r#"step("mark", || pg::restore_point("before_it"));"#)
        .fine();
    assert_eq!(played.value("mark")["name"], "before_it");
    assert!(played.value("mark")["lsn"].as_str().unwrap().contains('/'));
}
