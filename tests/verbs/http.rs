//! Twin of `src/verbs/http`.

use crate::support::listener::{Listener, closed_port};
use crate::support::{AT_ONCE, Stage};

#[test]
fn an_answer_is_status_and_body() {
    let server = Listener::start(|_, request| {
        (418, if request.contains("x-token: abc") { "tea".into() } else { "none".to_string() })
    });
    let url = server.url("/pot");
    let played = Stage::bare()
        .run(&format!(
            r#"check("ask", || http::get("{url}", #{{ headers: #{{ "x-token": "abc" }} }}));"#
        ))
        .fine();
    assert_eq!(played.value("ask")["status"], 418);
    assert_eq!(played.value("ask")["body"], "tea");
}

#[test]
fn a_status_that_was_not_wanted_fails_with_the_answer() {
    let server = Listener::start(|_, _| (500, "out of memory".into()));
    let url = server.url("/");
    let fault = Stage::bare()
        .run(&format!(r#"check("ask", || http::get("{url}", #{{ status: 200 }}));"#))
        .fails_with("http-status");
    assert_eq!(fault.detail.as_deref(), Some("out of memory"));
}

#[test]
fn an_endless_answer_is_refused_and_not_kept() {
    let server = Listener::start(|_, _| (200, "x".repeat(1 << 21)));
    let url = server.url("/");
    Stage::bare()
        .run(&format!(r#"check("ask", || http::get("{url}"));"#))
        .fails_with("http-body-too-long");
}

#[test]
fn a_silent_server_is_given_up_on() {
    // Accepts by the kernel's queue and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let started = std::time::Instant::now();
    let fault = Stage::bare()
        .run(&format!(
            r#"check("ask", || http::get("http://127.0.0.1:{port}/", #{{ timeout: "200ms" }}));"#
        ))
        .fails_with("http-timeout");
    assert!(fault.message.contains("200ms"), "{fault}");
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[test]
fn only_web_addresses_are_asked_and_a_closed_port_is_a_fault() {
    let stage = Stage::bare();
    stage.run(r#"check("ask", || http::get("file:///etc/passwd"));"#).fails_with("bad-url");
    let port = closed_port();
    stage
        .run(&format!(r#"check("ask", || http::get("http://127.0.0.1:{port}/"));"#))
        .fails_with("http-failed");
}
