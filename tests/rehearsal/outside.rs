//! What is not the copy is left alone.

use super::{rehearse, report};
use crate::faults::Desk;

const BODY: &str = r#"let kept = step("keep", || fs::backup("app.env"));
step("mail", #{ undo: || app::run(["touch", "sent-back"]) }, || app::run(["touch", "sent"]));
step("settings", #{ undo: || () }, || fs::restore(kept));
verify("well", || app::healthy("http://127.0.0.1:9/health", #{ tries: 1 }));
verify("version", || http::get("http://127.0.0.1:9/version", #{ status: 200 }));"#;

const TOML: &str = "[commands]\nallow = [\"touch\"]\n";

fn desk() -> Desk {
    let desk = Desk::new(BODY);
    desk.project.file("app.env", "A=1\n");
    desk
}

#[test]
fn a_command_is_recorded_and_not_done() {
    let desk = desk();
    desk.project.file("runsheet.toml", TOML);
    let ran = rehearse(&desk, &[]);
    ran.exits(0).stdout_shows("mail: app::run touch sent").stdout_shows("recorded and not done");
    assert!(!desk.project.path().join("sent").exists());
    assert!(!desk.project.path().join("sent-back").exists());
    let not_done = report(&desk)["not_done"].to_string();
    for what in ["undo: mail: app::run touch sent-back", "fs::restore app.env", "http::get"] {
        assert!(not_done.contains(what), "{what}: {not_done}");
    }
    desk.unchanged();
    // What was not done is not proven, and the way back of the rest is.
    let planned = desk.call(&["plan", "it"]);
    planned.exits(0).stdout_shows("way back: mail (unproven");
}

#[test]
fn the_environment_says_what_is_done_in_a_commands_place() {
    let desk = desk();
    let url = desk.url();
    let env = format!("{TOML}[environments.live]\nurl = \"{url}\"\n");
    desk.project.file(
        "runsheet.toml",
        &format!("{env}rehearsal = {{ commands = {{ touch = [\"touch\", \"instead\"] }} }}\n"),
    );
    desk.project.run(&["rehearse", "it"]).exits(0);
    assert!(desk.project.path().join("instead").exists());
    assert!(!desk.project.path().join("sent").exists());
    let text = format!("{env}rehearsal = {{ commands = {{ touch = \"run\" }} }}\n");
    desk.project.file("runsheet.toml", &text);
    desk.project.run(&["rehearse", "it"]).exits(0);
    assert!(desk.project.path().join("sent").exists());
}

#[test]
fn people_are_listed_and_not_asked() {
    let desk = Desk::new(
        r#"approve("Go?"); manual("Look", ["It is green"]);
        step("x", #{ undo: || db::exec("DROP TABLE x") }, || db::exec("CREATE TABLE x ()"));"#,
    );
    let ran = rehearse(&desk, &[]);
    ran.exits(0).stdout_shows("people would have been asked").stdout_shows("    Go?");
    assert_eq!(report(&desk)["asked"].as_array().unwrap().len(), 2);
}

#[test]
fn no_secret_gets_into_report_or_receipt() {
    let mut desk = Desk::new(
        r#"let p = playbook("it", #{ params: #{ key: #{ secret: true, env: "KEY" } } });
        step("x", #{ undo: || db::exec("DROP TABLE x") }, || db::exec("CREATE TABLE x ()"));
        step("call", #{ undo: || () }, || app::run(["touch", p.key]));"#,
    );
    desk.project.file("runsheet.toml", TOML);
    desk.project.env("KEY", "canary77");
    let url = desk.url().replace("user=postgres", "user=postgres&password=canary88");
    let ran = desk.project.run(&["rehearse", "it", "--url", &url]);
    ran.exits(0).shows_nowhere("canary77").shows_nowhere("canary88");
}
