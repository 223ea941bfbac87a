#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt;

use super::*;

fn options(parent: &Path) -> ScratchOptions {
    ScratchOptions::new(Programs::new(None, None), parent, "test")
}

/// A parent that the server's account can reach, whoever runs the tests.
fn parent() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("rs").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

fn processes_of(data: &Path) -> usize {
    let output = std::process::Command::new("ps").args(["-eo", "args="]).output().unwrap();
    let shown = data.display().to_string();
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains(&shown)).count()
}

#[test]
fn a_server_answers_and_leaves_nothing_behind() {
    let parent = parent();
    let mut options = options(parent.path());
    options.tcp = true;
    options.settings = vec![("application_name".into(), "it's".into())];
    options.at_first = vec![("wal_level".into(), "minimal".into())];
    options.at_first.push(("max_wal_senders".into(), "0".into()));
    let mut server = ScratchServer::start(&options).unwrap();
    let minimal = |server: &ScratchServer| {
        server.execute(
            "postgres",
            "DO $$ BEGIN ASSERT current_setting('wal_level') = 'minimal'; END $$",
        )
    };
    minimal(&server).unwrap();
    server.create_database("Shop \"1\"").unwrap();
    server.execute("Shop \"1\"", "CREATE TABLE t AS SELECT 1").unwrap();
    assert!(server.socket_dir().join(format!(".s.PGSQL.{}", server.port())).exists());
    assert!(server.tcp_url("x").unwrap().contains("127.0.0.1"));
    server.restart().unwrap();
    assert!(minimal(&server).is_err());
    server.execute("Shop \"1\"", "SELECT * FROM t").unwrap();
    let fault = server.execute("postgres", "SELECT * FROM missing").unwrap_err();
    assert!(fault.detail.unwrap().contains("missing"));
    server.stop(StopMode::Immediate);
    assert!(server.execute("postgres", "SELECT 1").is_err());
    server.restart().unwrap();
    let data = server.data_dir();
    assert!(processes_of(&data) > 0);
    drop(server);
    assert_eq!(processes_of(&data), 0);
    let left: Vec<_> = std::fs::read_dir(parent.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "the template alone: {left:?}");
}

#[test]
fn two_that_start_at_once_share_one_template() {
    let parent = parent();
    std::thread::scope(|scope| {
        let start = || ScratchServer::start(&options(parent.path())).unwrap();
        let both = [scope.spawn(start), scope.spawn(start)].map(|thread| thread.join().unwrap());
        for server in &both {
            server.execute("postgres", "SELECT 1").unwrap();
        }
    });
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
}

#[test]
fn a_broken_setting_is_shown_as_the_server_said_it() {
    let parent = parent();
    let mut options = options(parent.path());
    options.settings = vec![("no_such_setting".into(), "1".into())];
    let fault = ScratchServer::start(&options).unwrap_err();
    assert_eq!(fault.code, "scratch-start-failed");
    assert!(fault.detail.unwrap().contains("no_such_setting"));
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
}

#[test]
fn a_long_path_does_not_break_the_socket() {
    let parent = parent();
    let long = parent.path().join("a".repeat(90));
    std::fs::create_dir(&long).unwrap();
    let server = ScratchServer::start(&options(&long)).unwrap();
    server.execute("postgres", "SELECT 1").unwrap();
    let sockets = server.socket_dir().to_path_buf();
    assert!(sockets.as_os_str().len() <= super::super::folders::LONGEST_SOCKET_DIR);
    drop(server);
    assert!(!sockets.exists());
}

#[test]
fn the_server_of_a_dead_process_is_ended_and_one_of_a_living_is_not() {
    let parent = parent();
    let living = ScratchServer::start(&options(parent.path())).unwrap();
    let dead = ScratchServer::start(&options(parent.path())).unwrap();
    // What a kill -9 of its owner leaves: the server runs, and the lock is free.
    let data = dead.data_dir();
    let child = hold(&dead.child).take();
    dead._owner.unlock().unwrap();
    assert_eq!(owner::clean_up_the_dead(parent.path()), 1);
    // In this test it is our own child, and a zombie until it is awaited.
    child.unwrap().wait().unwrap();
    assert!(!data.exists());
    assert_eq!(processes_of(&data), 0);
    living.execute("postgres", "SELECT 1").unwrap();
}

#[test]
fn a_project_that_the_account_cannot_reach_is_left_for_a_temporary_folder() {
    let closed = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let server = ScratchServer::start(&options(&closed.path().join("scratch"))).unwrap();
    server.execute("postgres", "SELECT 1").unwrap();
    let inside = server.data_dir().starts_with(closed.path());
    assert_eq!(inside, !server.account.other);
}

#[test]
fn fresh_servers_differ_in_their_identifier_and_copies_do_not() {
    let parent = parent();
    let control = |server: &ScratchServer| {
        // The first eight bytes of pg_control are the system identifier.
        std::fs::read(server.data_dir().join("global/pg_control")).unwrap()[..8].to_vec()
    };
    let mut options = options(parent.path());
    let copies = [(); 2].map(|()| ScratchServer::start(&options).unwrap());
    assert_eq!(control(&copies[0]), control(&copies[1]));
    options.fresh = true;
    let fresh = ScratchServer::start(&options).unwrap();
    assert_ne!(control(&fresh), control(&copies[0]));
}

/// initdb refuses a user id that has no entry in /etc/passwd, as containers give them out; a copy
/// of a template that root made does not ask.
#[test]
fn an_account_without_a_name_starts_from_a_readable_template() {
    const NAMELESS: u32 = 424_242;
    const PARENT: &str = "RUNSHEET_TEST_PARENT";
    if let Some(parent) = std::env::var_os(PARENT) {
        let server = ScratchServer::start(&options(Path::new(&parent))).unwrap();
        server.execute("postgres", "SELECT 1").unwrap();
        assert_eq!(server.account.uid, NAMELESS);
        return;
    }
    // Only root can become somebody without a name; elsewhere there is nothing to try.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let parent = parent();
    drop(ScratchServer::start(&options(parent.path())).unwrap());
    std::os::unix::fs::chown(parent.path(), Some(NAMELESS), Some(NAMELESS)).unwrap();
    // The folder of the build may be closed to others.
    let program = parent.path().join("tests");
    let copied = std::process::Command::new("cp")
        .arg(std::env::current_exe().unwrap())
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let output = std::process::Command::new(&program)
        .args(["--exact", "postgres::scratch::server::tests::an_account_without_a_name_starts_from_a_readable_template"])
        .env(PARENT, parent.path())
        .current_dir("/")
        .uid(NAMELESS)
        .gid(NAMELESS)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
