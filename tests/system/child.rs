use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;

use runsheet::system::{CHILD_WORD, Cancel, Command};

fn trampoline() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_runsheet"))
}

#[test]
fn a_command_runs_through_the_trampoline_as_without_it() {
    let mut command = Command::new(["sh", "-c", "echo $1; cat; exit 7", "sh", "a b"]);
    command.trampoline = Some(trampoline());
    command.stdin = Some(b"input".to_vec());
    let output = command.run(&Cancel::new()).unwrap();
    assert_eq!((output.status, output.stdout.as_str()), (7, "a b\ninput"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_ends_with_the_thread_that_started_it() {
    use std::io::BufRead;
    let mut child = std::thread::spawn(|| {
        let mut child = std::process::Command::new(trampoline())
            .args([CHILD_WORD, &std::process::id().to_string(), "--"])
            .args(["sh", "-c", "echo running; exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        // Only now is it surely past the trampoline.
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "running\n");
        child
    })
    .join()
    .unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn a_child_whose_parent_is_already_gone_never_starts() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let status = std::process::Command::new(trampoline())
        .args([CHILD_WORD, "1", "--", "touch"])
        .arg(&mark)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(143));
    assert!(!mark.exists());
}
