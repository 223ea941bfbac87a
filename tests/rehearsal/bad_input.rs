//! What is wrong before a rehearsal begins: no room, no programs, a dump that is none any more.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{GOOD, receipts, rehearse};
use crate::faults::Desk;
use crate::support::project::{Running, program};
use crate::support::{SmallDisk, noise};

/// A desk with a dump of its database, and `it` ready to be rehearsed.
fn with_dump() -> (Desk, PathBuf) {
    let desk = Desk::new(r#"step("dump", || pg::dump());"#);
    noise::make(&desk.cluster, "shop", 3000);
    desk.run().exits(0);
    let dump = desk.project.dump();
    desk.body(&format!("let p = playbook(\"other\");\n{GOOD}"));
    (desk, dump)
}

/// F48: too little room is found before anything is copied, and both numbers are said.
#[test]
fn f48_too_little_room_is_said_with_both_numbers_before_anything_is_copied() {
    let mut desk = Desk::new(GOOD);
    let place = desk.project.path().join("small");
    rehearse(&desk, &["--state", "roomy"]).exits(0);
    let Some(_disk) = SmallDisk::at(&place, 160) else { return };
    // The server of the copy lies in the state folder, or where temporary files do.
    desk.project.env("TMPDIR", place.to_str().unwrap());
    let ran = desk.call(&["rehearse", "it", "--state", "small/state"]);
    ran.exits(1).stderr_shows("rehearsal-no-space").stderr_shows("schema-only");
    let told = ran.stderr.lines().find(|line| line.contains("MiB")).unwrap_or_default();
    assert_eq!(told.matches("MiB").count(), 2, "needed and free: {}", ran.stderr);
    assert!(receipts(&desk).is_empty());
    desk.unchanged().nothing_is_left();
}

/// No programs at all: what is missing, and how to get it. In a view of the machine's files of its
/// own, where nothing lies in PostgreSQL's folder.
#[test]
fn without_any_server_programs_it_is_said_what_to_install() {
    let (desk, dump) = with_dump();
    let hidden = "mount -t tmpfs none /usr/lib/postgresql && exec env PATH=/nowhere \"$@\"";
    let apart = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", hidden, "sh"]).args(words);
        command.current_dir(desk.project.path()).env_remove("RUNSHEET_PG_BIN");
        command.env("HOME", desk.project.path().join("home")).env("LANG", "C.UTF-8");
        command
    };
    let allowed = apart(&["/bin/true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this account may not hide a folder from a program");
        rehearse(&desk, &["--from", dump.to_str().unwrap()]).exits(0);
        return;
    }
    let program = program();
    let words = [program.to_str().unwrap(), "rehearse", "it", "--from", dump.to_str().unwrap()];
    let mut command = apart(&words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = Running::start(command, desk.project.path().into()).wait();
    ran.exits(1).stderr_shows("program-not-found").stderr_shows("Install PostgreSQL's programs");
}

/// F50: with its manifest and without one, nothing is made of what is not whole.
#[test]
fn f50_a_dump_that_is_cut_or_has_one_bit_flipped_becomes_no_copy() {
    let (desk, dump) = with_dump();
    let whole = std::fs::read(&dump).unwrap();
    let alone = desk.project.path().join("alone.dump");
    let from =
        |from: &Path| desk.project.run(&["rehearse", "it", "--from", from.to_str().unwrap()]);
    let cut = whole[..whole.len() * 2 / 3].to_vec();
    let mut flipped = whole.clone();
    // In the rows of the large table: they make up most of the rows.
    flipped[noise::at(&noise::packed_rows(&whole), 50)] ^= 0x10;
    for bytes in [cut, flipped] {
        std::fs::write(&dump, &bytes).unwrap();
        std::fs::write(&alone, &bytes).unwrap();
        from(&dump).exits(1).stderr_shows("backup-damaged").stderr_shows("SHA-256");
        from(&alone).exits(1).stderr_shows("backup-damaged").stderr_shows("alone.dump");
        assert!(receipts(&desk).is_empty());
    }
    std::fs::write(&alone, &whole).unwrap();
    from(&alone).exits(0);
}

/// F55: whole, and of another database than the playbook is for.
#[test]
fn f55_a_dump_of_another_database_is_not_what_the_playbook_is_for() {
    let (desk, dump) = with_dump();
    desk.body(&format!("let p = playbook(\"other\", #{{ database: \"billing\" }});\n{GOOD}"));
    let ran = desk.project.run(&["rehearse", "it", "--from", dump.to_str().unwrap()]);
    ran.exits(1).stderr_shows("billing").stderr_shows("shop");
    assert!(receipts(&desk).is_empty());
}
