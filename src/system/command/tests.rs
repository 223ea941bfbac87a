#![allow(clippy::unwrap_used)]
use super::*;
use crate::system::Reason;

fn sh(script: &str) -> Command {
    Command::new(["/bin/sh", "-c", script])
}

/// Waits until no process of that id is left (a zombie of somebody else's counts as gone).
fn is_gone(pid: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let state = std::process::Command::new("ps").args(["-o", "stat=", "-p", pid]).output();
        let state = String::from_utf8(state.unwrap().stdout).unwrap();
        if state.trim().is_empty() || state.trim().starts_with('Z') {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn status_and_both_outputs_come_back() {
    let output = sh("echo out; echo err >&2; exit 3").run(&Cancel::new()).unwrap();
    assert_eq!((output.status, output.stdout.as_str()), (3, "out\n"));
    assert_eq!(output.stderr, "err\n");
    assert_eq!(sh("kill -9 $$").run(&Cancel::new()).unwrap().status, 137);
}

#[test]
fn the_environment_is_what_was_given_and_little_else() {
    let mut command = Command::new(["env"]);
    command.env = vec![("PGAPPNAME".into(), "run/step".into())];
    let output = command.run(&Cancel::new()).unwrap();
    assert!(output.stdout.contains("PGAPPNAME=run/step\n"));
    // Cargo sets this one in every test's environment.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok());
    assert!(!output.stdout.contains("CARGO_MANIFEST_DIR"));
}

#[test]
fn input_larger_than_a_pipe_is_written_and_read_at_the_same_time() {
    let mut command = Command::new(["cat"]);
    command.stdin = Some(vec![b'x'; 3 << 20]);
    let output = command.run(&Cancel::new()).unwrap();
    assert_eq!(output.status, 0);
    assert!(output.cut);
    assert_eq!(output.stdout.len(), 64 * 1024);
}

#[test]
fn lines_are_seen_as_they_come() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut command = sh("echo one; echo two >&2; printf three");
    let into = seen.clone();
    command.on_line = Some(Box::new(move |stream, line| {
        into.lock().unwrap().push((stream, line.to_string()));
    }));
    command.run(&Cancel::new()).unwrap();
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_by_key(|(_, line)| line.clone());
    let wanted = [(Stream::Out, "one"), (Stream::Out, "three"), (Stream::Err, "two")];
    assert_eq!(seen, wanted.map(|(stream, line)| (stream, line.to_string())));
}

#[test]
fn a_timeout_ends_the_whole_group_and_shows_the_last_lines() {
    let mut command = sh("echo before; sleep 600 & echo $!; wait");
    command.timeout = Duration::from_millis(300);
    let fault = command.run(&Cancel::new()).unwrap_err();
    assert_eq!(fault.code, "command-timeout");
    let detail = fault.detail.unwrap();
    assert!(detail.contains("before"), "{detail}");
    let grandchild = detail.split_whitespace().next_back().unwrap().to_string();
    assert!(is_gone(&grandchild), "{grandchild}");
}

#[test]
fn a_cancel_ends_a_child_that_ignores_sigterm() {
    let stop = Cancel::new();
    let mut command = sh("trap '' TERM; echo $$; while :; do sleep 0.1; done");
    let (cancelling, pid) = (stop.clone(), Arc::new(Mutex::new(String::new())));
    let into = pid.clone();
    command.on_line = Some(Box::new(move |_, line| {
        *into.lock().unwrap() = line.to_string();
        cancelling.cancel(Reason::Interrupted);
    }));
    let fault = command.run(&stop).unwrap_err();
    assert_eq!(fault.kind.exit_code(), 130);
    assert!(is_gone(&pid.lock().unwrap()));
}

#[test]
fn a_daemon_left_behind_does_not_keep_the_caller() {
    let started = Instant::now();
    let output = sh("sleep 600 & echo $!").run(&Cancel::new()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(20));
    let pid = output.stdout.trim().to_string();
    assert!(!pid.is_empty());
    std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
}

#[test]
fn a_missing_program_names_the_path_that_was_searched() {
    let mut command = Command::new(["no-such-program-here"]);
    command.env = vec![("PATH".into(), "/usr/bin:/opt/nothing".into())];
    let fault = command.run(&Cancel::new()).unwrap_err();
    assert_eq!(fault.code, "command-not-found");
    assert!(fault.detail.unwrap().contains("/usr/bin:/opt/nothing"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes");
    std::fs::write(&file, "").unwrap();
    let fault = Command::new([file.display().to_string()]).run(&Cancel::new()).unwrap_err();
    assert_eq!(fault.code, "command-not-executable");
}

#[test]
fn a_missing_interpreter_is_told_from_a_missing_program() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("tool");
    // Written by a child, so that no fork of a neighbouring test holds it open for writing.
    let write = "printf '#!/no/such/interpreter\\n' > $0";
    let written = std::process::Command::new("sh").arg("-c").arg(write).arg(&script).status();
    assert!(written.unwrap().success());
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(["./tool"]);
    command.cwd = folder.path().into();
    let fault = command.run(&Cancel::new()).unwrap_err();
    assert_eq!(fault.code, "command-failed-to-start");
    assert!(fault.cause.is_some());
}

#[test]
fn a_sink_gets_every_byte() {
    let mut sink = Vec::new();
    let output = sh("head -c 3000000 /dev/zero; echo noise >&2")
        .run_to(&mut sink, Path::new("dump"), &Cancel::new())
        .unwrap();
    assert_eq!(sink.len(), 3_000_000);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", "noise\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_the_child_and_is_named() {
    let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let fault = sh("echo $$ >&2; cat /dev/zero")
        .run_to(&mut full, Path::new("/dev/full"), &Cancel::new())
        .unwrap_err();
    assert_eq!(fault.code, "disk-full");
    assert_eq!(fault.places[0].file, "/dev/full");
}
