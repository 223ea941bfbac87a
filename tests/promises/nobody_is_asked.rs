//! P13: nobody is asked anything without a terminal, and nothing waits for an answer.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::faults::Desk;
use crate::support::project::Running;
use crate::support::{AT_ONCE, Ran};

/// What would ask a person: the playbook, what was called before, the call, its exit code, and a
/// word of the answer.
struct Prompt {
    name: &'static str,
    body: &'static str,
    before: &'static [&'static [&'static str]],
    call: &'static [&'static str],
    code: i32,
    says: &'static str,
}

const STEP: &str = r#"step("one", #{ undo: || db::exec("DELETE FROM items WHERE id = 77") },
    || { db::exec("INSERT INTO items VALUES (77, 'x')"); });"#;
const BROKEN: &str = r#"step("one", #{ undo: || db::exec("DELETE FROM items WHERE id = 77") },
    || { db::exec("INSERT INTO items VALUES (77, 'x')"); });
step("two", || db::exec("SELECT 1 / 0"));"#;

const PROMPTS: &[Prompt] = &[
    Prompt {
        name: "approve",
        body: r#"approve("go on with it?");"#,
        before: &[],
        call: &["run", "it"],
        code: 4,
        says: "go on with it?",
    },
    Prompt {
        name: "approve behind a step",
        body: r#"step("one", || { db::exec("DELETE FROM items"); });
approve("go on with it?");"#,
        before: &[],
        call: &["run", "it"],
        code: 4,
        says: "go on with it?",
    },
    Prompt {
        name: "manual",
        body: r#"manual("look", ["at the left", "at the right"]);"#,
        before: &[],
        call: &["run", "it"],
        code: 4,
        says: "look",
    },
    Prompt {
        name: "manual in a protected environment, prompts answered",
        body: r#"manual("look", ["at the left"]);"#,
        before: &[],
        call: &["run", "it", "--yes", "--env", "live"],
        code: 4,
        says: "protected",
    },
    Prompt {
        name: "name of a protected database",
        body: STEP,
        before: &[],
        call: &["run", "it", "--env", "live"],
        code: 4,
        says: "shop",
    },
    Prompt {
        name: "approve in a resumed run",
        body: r#"step("one", || { db::exec("DELETE FROM items"); });
approve("go on with it?");"#,
        before: &[&["run", "it", "--yes", "--until", "one"]],
        call: &["resume"],
        code: 4,
        says: "go on with it?",
    },
    Prompt {
        name: "rollback",
        body: BROKEN,
        before: &[&["run", "it", "--yes"]],
        call: &["rollback"],
        code: 4,
        says: "--yes",
    },
    Prompt {
        name: "rollback in a protected environment, prompts answered",
        body: BROKEN,
        before: &[&["run", "it", "--yes"]],
        call: &["rollback", "--yes", "--env", "live"],
        code: 4,
        says: "shop",
    },
    Prompt {
        name: "an unfinished run: go on with it?",
        body: BROKEN,
        before: &[&["run", "it", "--yes"]],
        call: &["run", "it"],
        code: 5,
        says: "runsheet resume",
    },
    Prompt {
        name: "what to do after a failure",
        body: BROKEN,
        before: &[],
        call: &["run", "it", "--on-failure", "ask"],
        code: 5,
        says: "runsheet rollback",
    },
    Prompt {
        name: "a required parameter",
        body: r#"playbook("it", #{ params: #{ who: #{ required: true } } });"#,
        before: &[],
        call: &["run", "it"],
        code: 2,
        says: "who",
    },
    Prompt {
        name: "a required secret",
        body: r#"playbook("it", #{ params: #{ token: #{ required: true, secret: true } } });"#,
        before: &[],
        call: &["run", "it"],
        code: 2,
        says: "token",
    },
];

#[test]
fn every_prompt_without_a_terminal_ends_at_once() {
    let mut slowest = (Duration::ZERO, "");
    let desk = Desk::new("");
    let url = desk.url();
    desk.project.file(
        "runsheet.toml",
        &format!(
            "[environments.dev]\nurl = \"{url}\"\n\n\
             [environments.live]\nurl = \"{url}\"\nprotected = true\n"
        ),
    );
    for prompt in PROMPTS {
        for closed in [false, true] {
            desk.body(prompt.body);
            desk.sql(
                "DROP SCHEMA IF EXISTS runsheet CASCADE; TRUNCATE items; \
                 INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 20) n",
            );
            let _ = std::fs::remove_dir_all(desk.project.path().join(".runsheet"));
            let words = |call: &[&str]| -> Vec<String> {
                let mut words: Vec<String> = call.iter().map(|word| word.to_string()).collect();
                if !call.contains(&"--env") {
                    words.extend(["--env".into(), "dev".into()]);
                }
                words
            };
            for call in prompt.before {
                start(&desk, &words(call), false).wait();
            }
            let since = Instant::now();
            let ran: Ran = start(&desk, &words(prompt.call), closed).wait();
            let took = since.elapsed();
            println!("{took:>8.0?}  exit {}  {}", ran.code, prompt.name);
            assert_eq!(ran.code, prompt.code, "{}\n{}{}", prompt.name, ran.stdout, ran.stderr);
            ran.shows(prompt.says);
            slowest = slowest.max((took, prompt.name));
            // The server may take a moment to end the session of a process that has ended.
            desk.nothing_is_left();
        }
    }
    println!(
        "{} prompts, each with no stdin and with a closed one; slowest {slowest:?}",
        PROMPTS.len()
    );
    // The promise is one second; the tests of a busy machine get more.
    assert!(slowest.0 < AT_ONCE, "{slowest:?}");
}

/// `closed`: not even an empty input is there.
fn start(desk: &Desk, words: &[String], closed: bool) -> Running {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let plain = desk.project.command(&words);
    if !closed {
        return desk.project.spawn(&words);
    }
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" <&-"]).arg(plain.get_program()).args(plain.get_args());
    shell.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(desk.project.path());
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Running::start(shell, desk.project.path().to_path_buf())
}
