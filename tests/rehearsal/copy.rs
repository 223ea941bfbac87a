//! Where the copy comes from, and that nothing of it stays.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use super::{GOOD, rehearse, report};
use crate::faults::Desk;
use crate::support::project::Running;
use crate::support::{comes, lives};

#[test]
fn a_source_that_does_not_answer_is_told_with_7() {
    let desk = Desk::new(GOOD);
    let url = "postgresql://postgres@127.0.0.1:9/shop";
    let ran = desk.project.run(&["rehearse", "it", "--url", url]);
    ran.exits(7).stderr_shows("127.0.0.1");
    rehearse(&desk, &["--from", "nothing-here"]).exits(2).stderr_shows("schema-only");
}

#[test]
fn roles_rights_and_settings_are_on_the_copy_too() {
    let desk = Desk::new(
        r#"check("who", || expect_equal("who", db::value("SELECT current_user::text"), "clerk"));
        check("setting", || expect_equal("setting", db::value("SHOW work_mem"), "7MB"));
        check("path", || expect_equal("path", db::value("SHOW search_path"), "app, public"));
        check("may not", || expect_equal("may", db::value("SELECT has_table_privilege('closed', 'DELETE')"), false));
        step("make", #{ undo: || db::exec("DROP TABLE mine") }, || db::exec("CREATE TABLE mine (a int)"));"#,
    );
    desk.sql(
        "CREATE ROLE team; CREATE ROLE clerk LOGIN IN ROLE team; CREATE SCHEMA app AUTHORIZATION clerk; \
         CREATE TABLE closed (a int); REVOKE ALL ON closed FROM PUBLIC; ALTER TABLE closed OWNER TO postgres; \
         GRANT CREATE ON DATABASE shop TO clerk; GRANT SELECT ON items TO team; \
         ALTER ROLE team SET search_path = ''; ALTER ROLE team IN DATABASE shop SET search_path = ''; \
         ALTER DATABASE shop SET work_mem = '7MB'; ALTER ROLE clerk IN DATABASE shop SET search_path = app, public",
    );
    let clerk = desk.url().replace("user=postgres", "user=clerk");
    let ran = desk.project.run(&["rehearse", "it", "--url", &clerk]);
    // A role that may not read everything cannot copy everything.
    ran.exits(1).stderr_shows("pg_read_all_data TO clerk");
    desk.sql("GRANT pg_read_all_data TO clerk");
    let ran = desk.project.run(&["rehearse", "it", "--url", &clerk]);
    ran.exits(0);
    assert_eq!(report(&desk)["left_out"].to_string(), "[]");
}

#[test]
fn every_kind_of_table_has_statistics_on_the_copy() {
    let desk = Desk::new(
        r#"check("statistics", || expect_equal("tables", db::value(`SELECT string_agg(DISTINCT
               tablename || ' ' || inherited, ', ') FROM pg_stats WHERE schemaname = 'public'`),
               "items false, part true, part_1 false, seen false"));
        step("nothing", #{ undo: || () }, || ());"#,
    );
    desk.sql(
        "CREATE TABLE part (id int) PARTITION BY RANGE (id); \
         CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100); \
         INSERT INTO part SELECT generate_series(1, 50); \
         CREATE MATERIALIZED VIEW seen AS SELECT id FROM items",
    );
    rehearse(&desk, &[]).exits(0);
}

#[test]
fn a_large_copy_is_filled_fast_and_then_runs_as_the_source_does() {
    let desk = Desk::new(
        r#"check("settings", || {
            for one in [["wal_level", "replica"], ["autovacuum", "on"], ["max_wal_senders", "10"]] {
                expect_equal(one[0], db::value(`SHOW ${one[0]}`), one[1]);
            }
        });
        step("nothing", #{ undo: || () }, || ());"#,
    );
    // With an unlogged table the files of a scratch server are not copied.
    desk.sql(
        "CREATE TABLE large (data text); ALTER TABLE large ALTER data SET STORAGE EXTERNAL; \
         INSERT INTO large SELECT repeat('runsheet', 500000) FROM generate_series(1, 64); \
         CREATE UNLOGGED TABLE quick (id int)",
    );
    rehearse(&desk, &[]).exits(0);
}

/// As it is with servers that somebody else runs: there `postgres` is a role like others.
#[test]
fn a_superuser_on_the_copy_that_is_none_on_the_source_is_said() {
    let desk = Desk::new(GOOD);
    if desk.cluster.major() >= 16 {
        println!("skipped: from PostgreSQL 16 on the first role stays a superuser");
        return;
    }
    rehearse(&desk, &[]).exits(0);
    assert_eq!(report(&desk)["left_out"].to_string(), "[]");
    desk.sql("ALTER ROLE postgres NOSUPERUSER");
    rehearse(&desk, &[]).exits(0).stdout_shows("the role postgres is a superuser on the copy");
}

#[test]
fn a_dump_or_the_schema_alone_can_be_rehearsed_on() {
    let desk = Desk::new(r#"step("dump", || pg::dump());"#);
    desk.run().exits(0);
    let dump = desk.project.dump();
    desk.body(&format!("let p = playbook(\"other\", #{{ database: \"shop\" }});\n{GOOD}"));
    let words = ["rehearse", "it", "--from", dump.to_str().unwrap()];
    desk.project.run(&words).exits(0).stdout_shows("proven");
    assert_eq!(report(&desk)["size"][1], 20);

    let empty = "let p = playbook(\"other\");\nstep(\"x\", #{ undo: || db::exec(\"DROP TABLE x\") }, || db::exec(\"CREATE TABLE x ()\"));";
    desk.body(empty);
    rehearse(&desk, &["--from", "schema-only"]).exits(0).stdout_shows("only the schema was copied");
    assert_eq!(report(&desk)["size"][1], 0);
}

/// No programs of that version: the dump says that it is of PostgreSQL 99.
#[test]
fn a_copy_without_programs_of_its_version_is_refused_by_name() {
    let desk = Desk::new(r#"step("dump", || pg::dump());"#);
    desk.run().exits(0);
    let dump = desk.project.dump();
    let mut bytes = std::fs::read(&dump).unwrap();
    let major = format!("{}.", desk.cluster.major());
    for at in 0..200 {
        if bytes[at..].starts_with(major.as_bytes()) {
            bytes[at..at + 2].copy_from_slice(b"99");
        }
    }
    std::fs::write(desk.project.path().join("new.dump"), bytes).unwrap();
    desk.body(&format!("let p = playbook(\"other\");\n{GOOD}"));
    let ran = desk.project.run(&["rehearse", "it", "--from", "new.dump"]);
    ran.exits(1).stderr_shows("program-not-found").stderr_shows("99");
    std::fs::write(desk.project.path().join("no.dump"), "no dump at all").unwrap();
    desk.project.run(&["rehearse", "it", "--from", "no.dump"]).exits(2).stderr_shows("no.dump");
}

/// The folders of rehearsals' servers: below the state folder, or, where the server's account
/// cannot reach that, in the folder for temporary files.
fn servers(state: &Path) -> Vec<PathBuf> {
    let me = rustix::process::geteuid().as_raw();
    let aside = std::env::temp_dir().join(format!("runsheet-scratch-{me}"));
    let entries =
        [state.join("scratch"), aside].into_iter().filter_map(|f| std::fs::read_dir(f).ok());
    let paths = entries.flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let ours =
        |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("rehearsal-");
    paths.filter(ours).collect()
}

/// The server's folder of one process.
fn server_of(state: &Path, pid: u32) -> Option<PathBuf> {
    let its = |path: &PathBuf| {
        let owner = std::fs::read_to_string(path.join("owner")).unwrap_or_default();
        owner.lines().next() == Some(&pid.to_string())
    };
    servers(state).into_iter().find(its)
}

/// A rehearsal that is at work on its copy, and the folder and process of its server.
fn at_work(desk: &Desk) -> (Running, PathBuf, u32) {
    let state = desk.project.path().join(".runsheet");
    let running = desk.start(&["rehearse", "it"]);
    let server = comes("a rehearsal at work", || {
        let server = server_of(&state, running.id());
        let begun = |server: &PathBuf| server.join("work/state-1/runs").is_dir();
        server.filter(begun).ok_or_else(|| format!("{:?}", servers(&state)))
    });
    let pid = std::fs::read_to_string(server.join("data/postmaster.pid")).unwrap();
    (running, server, pid.lines().next().unwrap().parse().unwrap())
}

const LONG: &str = r#"step("wait", #{ undo: || () }, || db::query("SELECT pg_sleep(600)"));"#;

#[test]
fn a_killed_rehearsal_leaves_nothing_behind_the_next_one() {
    let desk = Desk::new(LONG);
    let (running, server, process) = at_work(&desk);
    running.kill();
    assert!(server.exists() && lives(process));
    desk.body(GOOD);
    rehearse(&desk, &[]).exits(0);
    assert!(!server.exists() && !lives(process), "{}", server.display());
}

#[test]
fn an_interrupted_rehearsal_takes_its_copy_along() {
    let desk = Desk::new(LONG);
    let (running, server, process) = at_work(&desk);
    running.signal("INT");
    running.wait().exits(130);
    assert!(!server.exists() && !lives(process), "{}", server.display());
    desk.unchanged().nothing_is_left();
}

/// PostgreSQL refuses root: as root another account serves; without root, one's own.
#[test]
fn an_ordinary_user_rehearses_as_well() {
    let desk = Desk::new(GOOD);
    let project = desk.project.path();
    let url = desk.url();
    let mut command = desk.project.command(&["rehearse", "it", "--url", &url]);
    if rustix::process::geteuid().is_root() {
        let mut owned = std::process::Command::new("chown");
        assert!(owned.args(["-R", "65534:65534"]).arg(project).status().unwrap().success());
        command.uid(65534).gid(65534).env("TMPDIR", project);
    }
    let ran = Running::start(command, project.to_path_buf()).wait();
    ran.exits(0).stdout_shows("proven");
    assert!(
        std::fs::read_dir(project.join(".runsheet/scratch")).unwrap().all(|entry| {
            !entry.unwrap().file_name().to_string_lossy().starts_with("rehearsal-")
        })
    );
}
