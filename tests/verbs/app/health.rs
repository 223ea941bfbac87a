use crate::support::Stage;
use crate::support::listener::{Listener, closed_port};
use runsheet::model::{EventKind, ItemState};

#[test]
fn an_application_that_starts_slowly_is_waited_for() {
    let server = Listener::start(|number, _| {
        if number < 3 { (503, "starting".into()) } else { (200, "{\"ok\":true}".into()) }
    });
    let url = server.url("/health");
    let played = Stage::bare()
        .run(&format!(
            r#"check("well", || app::healthy("{url}", #{{ tries: 30, every: "10ms", contains: "ok" }}));"#
        ))
        .fine();
    assert_eq!(played.value("well")["attempts"], 3);
    assert_eq!(played.value("well")["status"], 200);
    let tries = played.all(|kind| match kind {
        EventKind::Retry { attempt, of, reason, .. } => Some((*attempt, *of, reason.clone())),
        _ => None,
    });
    assert_eq!(tries, [(1, 30, "status 503".into()), (2, 30, "status 503".into())]);
}

#[test]
fn what_never_gets_well_fails_with_the_last_answer() {
    let server = Listener::start(|_, _| (200, "maintenance".into()));
    let url = server.url("/");
    let fault = Stage::bare()
        .run(&format!(
            r#"verify("well", || app::healthy("{url}", #{{ tries: 2, every: "1ms", contains: "ok" }}));"#
        ))
        .fails_with("unhealthy");
    assert!(fault.detail.unwrap().contains("\"ok\""));
    assert_eq!(server.asked(), 2);
}

#[test]
fn nobody_listening_is_unhealthy_and_not_a_crash() {
    let port = closed_port();
    let fault = Stage::bare()
        .run(&format!(
            r#"check("well", || app::healthy("http://127.0.0.1:{port}/", #{{ tries: 1 }}));"#
        ))
        .fails_with("unhealthy");
    assert!(fault.detail.unwrap().contains("127.0.0.1"));
}

#[test]
fn a_status_may_be_asked_for() {
    let server = Listener::start(|_, _| (401, String::new()));
    let url = server.url("/");
    Stage::bare()
        .run(&format!(
            r#"check("well", || app::healthy("{url}", #{{ tries: 1, status: [200, 401] }}));"#
        ))
        .fine();
}

#[test]
fn a_watch_counts_and_ends_at_the_first_failure_too_many() {
    let server = Listener::start(|number, _| (if number % 2 == 0 { 500 } else { 200 }, "x".into()));
    let url = server.url("/");
    let stage = Stage::bare();
    let fault = stage
        .run(&format!(
            r#"verify("stays", || app::watch_health("{url}", #{{ during: "30s", every: "1ms", max_failures: 1 }}));"#
        ))
        .fails_with("unhealthy");
    assert!(fault.message.contains("2 times in 4"), "{fault}");
    let well = Listener::start(|_, _| (204, String::new()));
    let url = well.url("/");
    let played = stage
        .run(&format!(
            r#"verify("stays", || app::watch_health("{url}", #{{ during: "2s", every: "10ms" }}));"#
        ))
        .fine();
    let value = played.value("stays");
    assert!(value["checks"].as_u64().unwrap() >= 2, "{value}");
    assert_eq!(value["failures"], 0);
}

#[test]
fn a_plan_does_not_ask_what_a_recorded_command_may_change() {
    let server = Listener::start(|_, _| (200, String::new()));
    let url = server.url("/");
    let stage = Stage::alone().config("[commands]\nallow = [\"pm2\"]\n");
    let played = stage.plan(&format!(
        r#"step("restart", || app::run(["pm2", "restart"]));
        check("well", || app::healthy("{url}"));
        check("stays", || app::watch_health("{url}"));"#
    ));
    let played = played.fine();
    assert!(matches!(played.outcome("well"), ItemState::WillCheck));
    assert!(matches!(played.outcome("stays"), ItemState::WillCheck));
    assert_eq!(server.asked(), 0);
}
