//! A secret parameter and the address's password, looked for in everything that is left behind.

use super::Desk;
use crate::support::Ran;

pub const SECRET: &str = "canary-T0ken'%/x";
pub const PASSWORD: &str = "canary-pass%2Fw0rd";

pub const BODY: &str = r#"let p = playbook("it", #{ params: #{ token: #{ env: "SHOP_TOKEN", secret: true, required: true } } });
step("use it", #{ undo: || db::exec("DELETE FROM items WHERE id = 300") }, || {
    note(`the token is ${p.token}`);
    db::exec("INSERT INTO items VALUES (300, md5($1))", [p.token]);
    p.token
});
verify("said", || { note(p.token); true });
"#;

/// A project whose address has a password, and whose playbook has a secret parameter.
pub fn desk(body: &str) -> Desk {
    let mut desk = Desk::new(body);
    desk.sql(&format!(
        "CREATE ROLE clerk LOGIN SUPERUSER PASSWORD '{}'",
        PASSWORD.replace("%2F", "/")
    ));
    desk.cluster.admit("host all clerk 127.0.0.1/32 scram-sha-256");
    desk.project.env("SHOP_TOKEN", SECRET);
    desk
}

/// With that address.
pub fn call(desk: &Desk, words: &[&str]) -> Ran {
    let url = format!("postgres://clerk:{PASSWORD}@127.0.0.1:{}/shop", desk.cluster.port());
    desk.project.run(&[words, &["--url", &url]].concat())
}

/// Neither output, nor files, nor the ledger hold a canary in any spelling.
#[track_caller]
pub fn clean(desk: &Desk, ran: &Ran) {
    for word in ["canary", "T0ken", "w0rd"] {
        ran.shows_nowhere(word);
        for table in super::tables(&desk.cluster, "shop", "= 'runsheet'") {
            let rows = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} AS t");
            assert!(!desk.value(&rows).contains(word), "{table} of the ledger gives away {word}");
        }
    }
}

#[test]
fn a_run_that_succeeds_gives_no_secret_away() {
    let desk = desk(BODY);
    clean(&desk, call(&desk, &["plan", "it"]).exits(0));
    clean(&desk, call(&desk, &["run", "it", "--yes", "--verbose"]).exits(0));
    assert_eq!(
        desk.value("SELECT name FROM items WHERE id = 300"),
        desk.value(&format!("SELECT md5('{}')", SECRET.replace('\'', "''")))
    );
    let run = desk.newest_run();
    clean(&desk, &call(&desk, &["report", &run]));
    clean(&desk, call(&desk, &["rollback", &run, "--yes"]).exits(0));
}

#[test]
fn a_run_in_json_gives_no_secret_away() {
    let desk = desk(BODY);
    clean(&desk, call(&desk, &["plan", "it", "--json"]).exits(0));
    let ran = call(&desk, &["run", "it", "--yes", "--json"]);
    clean(&desk, ran.exits(0));
    for line in ran.stdout.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "not JSON: {line}");
    }
}

/// Behind a step that stands, one that fails: the run, and what goes on from it.
fn failing(step: &str) {
    let desk = desk(&format!("{BODY}{step}"));
    clean(&desk, call(&desk, &["run", "it", "--yes", "--verbose"]).exits(5));
    clean(&desk, call(&desk, &["resume", "--yes", "--json"]).exits(5));
}

#[test]
fn a_statement_that_fails_gives_no_secret_away() {
    failing(r#"step("sent", || db::exec("INSERT INTO items VALUES ($1::int, 'x')", [p.token]));"#);
}

#[test]
fn a_statement_with_the_secret_in_its_text_gives_it_not_away() {
    failing(r#"step("text", || db::exec(`INSERT INTO items VALUES (1, "${p.token}")`));"#);
}

#[test]
fn a_thrown_text_gives_no_secret_away() {
    failing(r#"step("throws", || { throw `bad ${p.token}`; });"#);
}

#[test]
fn an_address_that_leads_nowhere_gives_no_password_away() {
    let desk = desk(BODY);
    desk.project.file("runsheet.toml", "[run]\nconnect_tries = 1\n");
    for url in [
        format!("postgres://clerk:{PASSWORD}@127.0.0.1:1/shop"),
        format!("postgres://clerk:{PASSWORD}@127.0.0.1:{}/shpo", desk.cluster.port()),
        format!("postgres://clerk:{PASSWORD}@nowhere.invalid/shop"),
        format!("postgres://clerk:{PASSWORD}@tail@127.0.0.1/shop"),
        format!("postgres://clerk:{PASSWORD}@127.0.0.1:nine/shop"),
    ] {
        let words = ["run", "it", "--yes", "--unprotected", "--reason", "a test", "--url", &url];
        let ran = desk.project.run(&words);
        assert_ne!(ran.code, 0, "{url}");
        clean(&desk, &ran);
    }
}

#[test]
fn a_secret_that_is_no_secret_word_does_not_break_the_journal() {
    let mut desk = Desk::new(BODY);
    desk.project.env("SHOP_TOKEN", "done");
    desk.run().exits(0);
    assert_eq!(desk.value("SELECT state FROM runsheet.run"), "done");
}

#[test]
fn a_secret_that_is_not_given_is_no_secret() {
    let desk = Desk::new(
        r#"let p = playbook("it", #{ params: #{ token: #{ env: "SHOP_TOKEN", secret: true } } });
step("a", || db::exec("DELETE FROM items"));"#,
    );
    desk.run().exits(0);
}
