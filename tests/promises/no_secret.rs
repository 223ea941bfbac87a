//! P10: a canary in the address and in a secret parameter, through every command, well and badly
//! called.

use std::collections::BTreeSet;

use crate::faults::secrets::{BODY, PASSWORD, SECRET, clean, desk};
use crate::support::Ran;

/// Each command as it is called, and how it ends where the address is right; RUN stands for the
/// newest run.
const CALLS: &[(i32, &[&str])] = &[
    (2, &["init"]),
    (0, &["new", "other"]),
    (0, &["list"]),
    (0, &["show", "it"]),
    (0, &["verbs", "db::exec"]),
    (0, &["check", "it"]),
    (0, &["lint", "sql"]),
    (0, &["plan", "it", "--verbose"]),
    (0, &["approve", "it", "--by", "kim", "--because", "I read it"]),
    (0, &["run", "it", "--yes", "--verbose"]),
    (5, &["run", "bad", "--yes", "--verbose"]),
    (5, &["run", "bad", "--yes", "--on-failure", "rollback"]),
    (5, &["resume", "--yes", "--verbose"]),
    (5, &["resume", "RUN", "--yes", "--accept-changes"]),
    (2, &["resolve", "RUN", "a", "--done"]),
    (0, &["tick", "RUN", "look", "--by", "kim"]),
    (0, &["report", "RUN"]),
    (0, &["history"]),
    (0, &["status"]),
    (0, &["lock"]),
    (0, &["doctor"]),
    (0, &["fingerprint"]),
    (0, &["diff", "HERE", "HERE"]),
    (7, &["diff", "HERE", "postgres://clerk:canary-w0rd@127.0.0.1:1/x"]),
    (0, &["rehearse", "it"]),
    (5, &["rollback", "RUN", "--yes"]),
    (0, &["rollback", "RUN", "--yes", "--restore"]),
    (2, &["deploy", "it", "--skip-migrate", "--yes"]),
    (2, &["coverage", "it"]),
    (0, &["lint", "sql", "--against", "HERE"]),
    (0, &["completions", "bash"]),
    (2, &["run", "nothing-canary"]),
];
/// Needs a server of its own, knows neither address nor playbook, and has its own test.
const APART: &[&str] = &["demo"];

const BAD: &str = r#"let p = playbook("bad", #{ params: #{ token: #{ env: "SHOP_TOKEN", secret: true, required: true } } });
manual("look", ["at it"]);
step("environment", || app::run(["env"]));
step("dump", || pg::dump());
step("a", || { db::exec(`INSERT INTO items VALUES ('${p.token}', 'x')`); });
"#;

/// Every command of the program is called, so that a new one cannot be forgotten.
#[test]
fn p10_a_canary_is_found_nowhere_whatever_is_called() {
    let desk = desk(BODY);
    desk.project.playbook("bad", BAD).file("sql/up.sql", "SELECT 1;\n");
    desk.project.file("runsheet.toml", "[run]\nconnect_tries = 1\n[commands]\nallow = [\"env\"]\n");
    let help = desk.project.run(&["--help"]);
    let listed: BTreeSet<&str> = help
        .stdout
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| !word.starts_with('-'))
        .collect();
    let called: BTreeSet<&str> =
        CALLS.iter().map(|(_, call)| call[0]).chain(APART.iter().copied()).collect();
    assert!(listed.contains("rollback"), "{}", help.stdout);
    let forgotten: Vec<_> = listed.difference(&called).collect();
    assert!(forgotten.is_empty(), "no canary has gone through {forgotten:?}");

    let port = desk.cluster.port();
    let good = format!("postgres://clerk:{PASSWORD}@127.0.0.1:{port}/shop");
    let urls = [
        good.clone(),
        // The wrong database, the wrong password, nobody there, and what is no address.
        format!("postgres://clerk:{PASSWORD}@127.0.0.1:{port}/shpo"),
        format!("postgres://clerk:{PASSWORD}-no@127.0.0.1:{port}/shop"),
        format!("postgres://clerk:{PASSWORD}@127.0.0.1:1/shop"),
        format!("postgres://clerk:{PASSWORD}@tail@127.0.0.1:{port}/shop"),
    ];
    let (mut calls, mut bytes, mut wrong) = (0, 0, Vec::new());
    let mut look = |ran: &Ran| {
        for word in ["canary-T0ken", "T0ken", "w0rd"] {
            ran.shows_nowhere(word);
        }
        calls += 1;
        bytes += ran.stdout.len() + ran.stderr.len();
    };
    for (number, url) in urls.iter().enumerate() {
        for (code, call) in CALLS {
            // A whole rehearsal once suffices, and what connects to nothing too.
            let apart = ["rehearse", "completions", "verbs", "init", "new"].contains(&call[0]);
            if number > 0 && apart {
                continue;
            }
            let run = newest(&desk.project).unwrap_or_else(|| "RUN".into());
            let words: Vec<&str> = call
                .iter()
                .map(|word| match *word {
                    "RUN" => run.as_str(),
                    "HERE" => url.as_str(),
                    word => word,
                })
                .collect();
            let set = format!("token={SECRET}");
            let json = if number == 0 && calls_json(call[0]) { &["--json"][..] } else { &[] };
            for (turn, more) in [&[][..], json].into_iter().enumerate() {
                let words = [&words[..], more, &["--url", url]].concat();
                let ran = desk.project.run(&words);
                look(&ran);
                if (number, turn) == (0, 0) && ran.code != *code {
                    wrong.push(format!("{call:?}: {}", ran.code));
                }
            }
            if number == 1 {
                // The secret on the command line, with a flag that nobody knows.
                look(&desk.project.run(&[&words[..], &["--set", &set, "--nope"]].concat()));
                look(&desk.project.run(&[&words[..], &["--set", &set, "--url", &good]].concat()));
            }
        }
    }
    clean(&desk, &desk.project.run(&["history", "--url", &good]));
    assert!(wrong.is_empty(), "another end than it should have: {wrong:#?}");
    eprintln!("canary found 0 times in {calls} calls, {bytes} bytes of output");
}

fn calls_json(command: &str) -> bool {
    !["completions", "init", "new", "rehearse"].contains(&command)
}

fn newest(project: &crate::support::Project) -> Option<String> {
    let runs = std::fs::read_dir(project.path().join(".runsheet/runs")).ok()?;
    runs.filter_map(|run| run.ok()?.file_name().into_string().ok()).max()
}
