use crate::support::{AT_ONCE, Stage, lives, soon};
use runsheet::model::EventKind;

const SHELL: &str = "[commands]\nallow = [\"sh\", \"echo\"]\n";

fn stage() -> Stage {
    Stage::alone().config(SHELL)
}

#[test]
fn a_commands_end_and_its_output_are_its_value() {
    let played = stage()
        .run(r#"step("go", || app::run(["sh", "-c", "echo out; echo err >&2; cat"], #{ stdin: "in" }));"#)
        .fine();
    let value = played.value("go");
    assert_eq!(value["status"], 0);
    assert_eq!(value["stdout"], "out\nin");
    assert_eq!(value["stderr"], "err\n");
    assert!(value["took"].is_string());
}

#[test]
fn a_failed_command_fails_with_its_last_words() {
    let fault = stage()
        .run(r#"step("go", || app::run(["sh", "-c", "echo no such container >&2; exit 3"]));"#)
        .fails_with("command-failed");
    assert!(fault.message.contains("status 3"), "{fault}");
    assert!(fault.detail.unwrap().contains("no such container"));
}

#[test]
fn a_status_that_is_allowed_is_a_value() {
    let played = stage()
        .run(r#"step("go", || app::run(["sh", "-c", "exit 3"], #{ allow_status: [1, 3] }));"#)
        .fine();
    assert_eq!(played.value("go")["status"], 3);
}

#[test]
fn a_program_that_is_not_allowed_is_refused_with_the_line_to_add() {
    let stage = stage();
    let fault =
        stage.run(r#"step("go", || app::run(["ecoh", "x"]));"#).fails_with("command-not-allowed");
    let remedy = fault.remedy.unwrap();
    assert!(remedy.contains("`echo`"), "{remedy}");
    assert!(remedy.contains(r#"allow = ["sh", "echo", "ecoh"]"#), "{remedy}");
    // A plan finds it, too.
    stage.plan(r#"step("go", || app::run(["rm", "-rf", "/"]));"#).fails_with("command-not-allowed");
}

#[test]
fn a_command_line_as_a_text_is_refused_and_split_for_the_writer() {
    let fault =
        stage().run(r#"step("go", || app::run("echo stop all"));"#).fails_with("not-an-argv");
    assert!(fault.remedy.unwrap().contains(r#"["echo", "stop", "all"]"#));
}

#[test]
fn no_shell_looks_at_the_arguments() {
    let played = stage().run(r#"step("go", || app::run(["echo", "$HOME; `id` *"]));"#).fine();
    assert_eq!(played.value("go")["stdout"], "$HOME; `id` *\n");
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_its_children() {
    let stage = stage();
    let started = std::time::Instant::now();
    // Time enough for the shell to have said whom it started.
    let fault = stage
        .run(r#"step("go", || app::run(["sh", "-c", "sleep 60 & echo $!; sleep 60"], #{ timeout: "1500ms" }));"#)
        .fails_with("command-timeout");
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    let detail = fault.detail.unwrap();
    let pid: u32 = detail.lines().last().unwrap().trim().parse().expect(&detail);
    soon("the child ends too", || !lives(pid));
    assert!(started.elapsed() < AT_ONCE, "{pid} was not ended: {:?}", started.elapsed());
}

#[test]
fn it_is_tried_again_as_often_as_told() {
    let played = stage()
        .run(
            r#"step("go", || app::run(["sh", "-c", "echo x >> tries; test $(wc -l < tries) -ge 3"],
                #{ retry: #{ tries: 5, every: "10ms" } }));"#,
        )
        .fine();
    let retries = played.all(|kind| match kind {
        EventKind::Retry { attempt, of, .. } => Some((*attempt, *of)),
        _ => None,
    });
    assert_eq!(retries, [(1, 5), (2, 5)]);
}

#[test]
fn the_environment_is_the_commands_own() {
    let played = stage()
        .run(
            r#"step("go", || app::run(["sh", "-c", "env"], #{ env: #{ COLOUR: "blue", N: 3 } }));"#,
        )
        .fine();
    let value = played.value("go");
    let out = value["stdout"].as_str().unwrap();
    assert!(out.contains("COLOUR=blue\n") && out.contains("N=3\n"), "{out}");
    assert!(out.contains("PGAPPNAME=runsheet/"), "{out}");
    // Cargo gives its tests hundreds of these; a command gets none of them.
    assert!(!out.contains("CARGO_"), "{out}");
}

#[test]
fn a_secret_in_arguments_and_environment_is_seen_nowhere() {
    let played = stage().set("token", "canary-8b1f").run(
        r#"let p = playbook("it", #{ params: #{ token: #{ secret: true } } });
        step("go", || app::run(["sh", "-c", "echo $1 $T; exit 1", "x", p.token], #{ env: #{ T: p.token } }));"#,
    );
    let fault = played.fails_with("command-failed");
    assert!(fault.detail.unwrap().contains("******"));
    played.shows_nowhere("canary-8b1f");
}

#[test]
fn it_works_in_a_folder_of_the_project_and_nowhere_else() {
    let stage = stage().file("sub/here.txt", "x");
    let played =
        stage.run(r#"step("go", || app::run(["sh", "-c", "ls"], #{ cwd: "sub" }));"#).fine();
    assert_eq!(played.value("go")["stdout"], "here.txt\n");
    for outside in ["/tmp", "../", "sub/../.."] {
        stage
            .run(&format!(
                r#"step("go", || app::run(["sh", "-c", "ls"], #{{ cwd: "{outside}" }}));"#
            ))
            .fails_with("path-outside");
    }
}

#[test]
fn a_plan_starts_nothing_and_shows_the_command_line() {
    let stage = stage();
    let played = stage
        .plan(
            r#"step("go", || app::run(["sh", "-c", "touch 'made it'"], #{ undo_hint: "rm it" }));"#,
        )
        .fine();
    assert!(!stage.path().join("made it").exists());
    let shown = played.all(|kind| match kind {
        EventKind::Action { action, planned: true } => Some(action.clone()),
        _ => None,
    });
    assert_eq!(shown[0].statement.as_deref(), Some(r"sh -c 'touch '\''made it'\'''"));
    assert!(shown[0].opaque && shown[0].remarks[0].contains("rm it"));
}

#[test]
fn ctrl_c_ends_a_running_command() {
    let stage = stage();
    let cancel = stage.cancel.clone();
    let mark = stage.path().join("started");
    let waiting = std::thread::spawn(move || {
        soon("the command has started", || mark.exists());
        cancel.cancel(runsheet::system::Reason::Interrupted);
    });
    let started = std::time::Instant::now();
    let played = stage.run(r#"step("go", || app::run(["sh", "-c", "touch started; sleep 60"]));"#);
    waiting.join().unwrap();
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    assert_eq!(played.exit, 130);
}

#[test]
fn a_command_that_only_looks_leaves_nothing_to_take_back() {
    let looks = r#"step("look", || app::run(["sh", "-c", "true"], #{ changes: false })); check("no", || false);"#;
    assert_eq!(stage().run(looks).exit, 1);
    let changes = looks.replace("#{ changes: false }", "#{}");
    assert_eq!(stage().run(&changes).exit, 5);
}

/// A map with a planned value in it is planned, not unfit to be recorded.
#[test]
fn a_plan_does_not_stumble_over_a_map_with_a_planned_value() {
    let played = stage().plan(
        r#"let ran = step("go", || { let ran = app::run(["sh", "-c", "true"]); #{ took: [ran.took], n: 1 } });
           check("later", || expect_equal("took", ran.n, 1));
           check("loop", || for took in ran.took { note(took); });"#,
    );
    assert_eq!(played.exit, 0, "{:?}", played.faults());
    assert!(matches!(played.outcome("loop"), runsheet::model::ItemState::DecidedWhenItRuns { .. }));
}
